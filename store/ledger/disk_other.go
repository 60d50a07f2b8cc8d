//go:build !linux

package ledger

import "os"

// dataSync puts what was written on disk. On macOS that takes more than the
// system call of the same name, which Sync knows.
func dataSync(f *os.File) error { return f.Sync() }

// reserve leaves it to the zeros that are written next.
func reserve(*os.File, int64) error { return nil }
