package ledger

import (
	"encoding/binary"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// A kernel bell wakes the committer, which waits for it in the kernel on its own
// thread. A timer or a channel of the runtime would have another thread woken to
// look after them: thousands of times a second, and for nothing else
// (docs/performance.md).
type kernel struct{ fd int }

func newKernel() (bell, error) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	return &kernel{fd}, nil
}

func (b *kernel) ring() {
	var one [8]byte
	binary.NativeEndian.PutUint64(one[:], 1)
	_, _ = unix.Write(b.fd, one[:]) // it fails when it has rung four billion times: then it rings all the same
}

func (b *kernel) wait(most time.Duration) {
	within := unix.NsecToTimespec(most.Nanoseconds())
	rung := []unix.PollFd{{Fd: int32(b.fd), Events: unix.POLLIN}}
	if n, _ := unix.Ppoll(rung, &within, nil); n > 0 {
		var times [8]byte
		_, _ = unix.Read(b.fd, times[:])
	}
}

func (b *kernel) close() error { return unix.Close(b.fd) }
