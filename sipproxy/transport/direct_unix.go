//go:build unix

package transport

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// direct writes to a connection without ever waiting: most of the time the
// kernel has room, and a goroutine for every message would cost more than the
// message. One goroutine at a time uses it.
type direct struct {
	raw syscall.RawConn
	try func(fd uintptr) bool // made once: a closure a call would be an allocation a call
	buf []byte
	n   int
}

// newDirect is nil when the connection has no descriptor.
func newDirect(nc net.Conn) *direct {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil
	}
	d := &direct{raw: raw}
	d.try = func(fd uintptr) bool {
		n, err := unix.Write(int(fd), d.buf)
		if err == nil {
			d.n = n
		}
		return true // never wait: whoever may wait finds the error again
	}
	return d
}

// write tells how much was taken.
func (d *direct) write(b []byte) int {
	if d == nil {
		return 0
	}
	d.buf, d.n = b, 0
	_ = d.raw.Write(d.try) // what is wrong is found by whoever writes the rest
	d.buf = nil
	return d.n
}
