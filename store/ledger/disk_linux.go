package ledger

import (
	"os"

	"golang.org/x/sys/unix"
)

// dataSync puts what was written on disk, without the times of the file.
func dataSync(f *os.File) error { return unix.Fdatasync(int(f.Fd())) }

// Free is how many octets a process may still write to the disk of a directory.
func Free(dir string) (uint64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, err
	}
	return s.Bavail * uint64(s.Bsize), nil
}

// reserve takes the room for a file in one piece, or says at once that there is none.
func reserve(f *os.File, size int64) error { return unix.Fallocate(int(f.Fd()), 0, 0, size) }
