package transport

import (
	"os"
	"runtime"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A reader may keep its processor of the runtime while it waits: it calls the
// kernel without telling the runtime, which takes it for a goroutine that
// computes. A call that is told costs more around it than a datagram does: the
// runtime's monitor watches it every few microseconds, takes the processor
// away, and wakes threads to use it, all in vain, since processors are to
// spare ([Options.KeepProcessor]; docs/performance.md has the figures).
//
// Nobody waits longer for such a reader than for one that computes:
//
//   - Whoever stops the world, scans the reader's stack, or finds that its turn
//     has lasted ten milliseconds, sends its thread a signal. A receive with a
//     timeout ends at any signal, with EINTR (signal(7): "Interruption of system
//     calls"), and the next function that the reader calls is where it stops. A
//     signal that comes a moment before the call to the kernel changes nothing,
//     but the runtime sends another as long as it is not obeyed
//     (stopTheWorldWithSema and forEachP every 100 us, suspendG every 5 us), and
//     the call ends at its timeout anyway.
//   - What waits in the processor's queue, and its timers, are taken over by
//     other processors, as from any that is busy. That is why some must be free.
//   - When nothing comes for a while the reader waits in a call that the runtime
//     knows of: an idle node has no busy processor.
//
// The memory that the kernel writes to is not of a stack, and is held by the
// reader's own udp.
const patience = 5 * time.Millisecond

// keepProcessor has the reader keep its processor, when it waits for that long at most.
func (u *udp) keepProcessor(most time.Duration) error {
	u.keeps = true
	timeout := unix.NsecToTimeval(most.Nanoseconds())
	return os.NewSyscallError("setsockopt", unix.SetsockoptTimeval(u.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout))
}

// receive waits for a datagram and takes all that is there, most at most.
func (u *udp) receive(most int) (int, syscall.Errno) {
	if !u.keeps {
		u.giveWay()
		n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, uintptr(u.fd), uintptr(unsafe.Pointer(&u.in.hdrs[0])), uintptr(most), unix.MSG_WAITFORONE, 0, 0)
		return int(n), errno
	}
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(u.fd), uintptr(unsafe.Pointer(&u.in.hdrs[0])), uintptr(most), unix.MSG_WAITFORONE, 0, 0)
	if errno == unix.EAGAIN {
		_, _ = unix.Poll([]unix.PollFd{{Fd: int32(u.fd), Events: unix.POLLIN}}, -1) // what it fails for the next receive tells
		return 0, unix.EINTR
	}
	return int(n), errno
}

// giveWay lets the runtime see a new turn of the reader every few milliseconds.
// One that has had the same turn for ten counts as a goroutine that does not
// give way, and loses its processor at every system call that is told.
func (u *udp) giveWay() {
	const turn = 8 * time.Millisecond
	if now := time.Now(); now.Sub(u.yielded) > turn {
		u.yielded = now
		runtime.Gosched()
	}
}

// sendTo hands the kernel what stands in the first slot of v. It does not wait
// for room among what is to be sent unless there is none, so the runtime need not know.
func (u *udp) sendTo(v *vector, size int) syscall.Errno {
	_, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(u.fd), uintptr(unsafe.Pointer(v.iovs[0].Base)), uintptr(size), unix.MSG_DONTWAIT,
		uintptr(unsafe.Pointer(&v.names[0])), uintptr(v.hdrs[0].hdr.Namelen))
	if errno == unix.EAGAIN {
		_, _, errno = unix.Syscall6(unix.SYS_SENDTO, uintptr(u.fd), uintptr(unsafe.Pointer(v.iovs[0].Base)), uintptr(size), 0,
			uintptr(unsafe.Pointer(&v.names[0])), uintptr(v.hdrs[0].hdr.Namelen))
	}
	return errno
}
