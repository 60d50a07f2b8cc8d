//go:build !linux

package ledger

import (
	"os"

	"golang.org/x/sys/unix"
)

// dataSync puts what was written on disk. On macOS that takes more than the
// system call of the same name, which Sync knows.
func dataSync(f *os.File) error { return f.Sync() }

// reserve leaves it to the zeros that are written next.
func reserve(*os.File, int64) error { return nil }

// Free is how many octets a process may still write to the disk of a directory.
func Free(dir string) (uint64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, err
	}
	return uint64(s.Bavail) * uint64(s.Bsize), nil
}
