package transport

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// udp reads with recvmmsg and writes with sendmmsg, without an allocation per
// datagram. The socket is none of the runtime's poller: reading waits in the
// system call. At a call centre's rates the poller's wake-ups cost more than
// what the proxy does with a message (docs/performance.md).
type udp struct {
	fd    int
	local netip.AddrPort
	is6   bool

	use    sync.RWMutex // held for reading while a system call uses fd
	closed atomic.Bool

	in      *vector
	keeps   bool      // its processor, while it waits (wait_linux.go)
	yielded time.Time // when the reader last gave way

	out sync.Pool // *vector
}

// A vector is the memory that a batch system call works on.
type vector struct {
	hdrs  []mmsghdr
	iovs  []unix.Iovec
	names []unix.RawSockaddrInet6 // large enough for IPv4 too
	bufs  []byte                  // for reading: Batch buffers of MaxDatagram octets
}

// mmsghdr is struct mmsghdr of recvmmsg(2).
type mmsghdr struct {
	hdr unix.Msghdr
	len uint32
	_   [4]byte
}

func newVector(buffers bool) *vector {
	v := &vector{
		hdrs:  make([]mmsghdr, Batch),
		iovs:  make([]unix.Iovec, Batch),
		names: make([]unix.RawSockaddrInet6, Batch),
	}
	if buffers {
		// Pages that no datagram reaches are never touched.
		v.bufs = make([]byte, Batch*MaxDatagram)
	}
	for i := range v.hdrs {
		h := &v.hdrs[i].hdr
		h.Name = (*byte)(unsafe.Pointer(&v.names[i]))
		h.Namelen = unix.SizeofSockaddrInet6
		h.Iov = &v.iovs[i]
		h.SetIovlen(1)
		if buffers {
			v.iovs[i].Base = &v.bufs[i*MaxDatagram]
			v.iovs[i].SetLen(MaxDatagram)
		}
	}
	return v
}

// newUDP takes the socket of conn out of the runtime's poller and closes conn.
func newUDP(conn *net.UDPConn, o Options) (PacketConn, error) {
	local := conn.LocalAddr().(*net.UDPAddr).AddrPort()
	u := &udp{
		fd: -1, in: newVector(true), local: netip.AddrPortFrom(local.Addr().Unmap(), local.Port()),
		is6: local.Addr().Is6() && !local.Addr().Is4In6(),
	}
	u.out.New = func() any { return newVector(false) }
	raw, err := conn.SyscallConn()
	if err == nil {
		err = errors.Join(raw.Control(func(fd uintptr) { u.fd, err = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0) }), err)
	}
	if err = errors.Join(err, conn.Close()); err == nil {
		err = unix.SetNonblock(u.fd, false)
		// Who may administer the network gets all that was asked for; others
		// have what the system's limit left them.
		_ = unix.SetsockoptInt(u.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, o.Buffer)
		_ = unix.SetsockoptInt(u.fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, o.Buffer)
	}
	if err == nil && o.KeepProcessor {
		err = u.keepProcessor(patience)
	}
	if err != nil && u.fd >= 0 {
		_ = unix.Close(u.fd) // the error that stands is the first
	}
	return u, err
}

func (u *udp) LocalAddr() netip.AddrPort { return u.local }
func (u *udp) Kind() Kind                { return UDP }

// Close wakes the reader and waits for it before it gives the socket back.
func (u *udp) Close() error {
	if u.closed.Swap(true) {
		return net.ErrClosed
	}
	_ = unix.Shutdown(u.fd, unix.SHUT_RDWR) // says that there is no connection, and wakes all the same
	u.use.Lock()
	defer u.use.Unlock()
	return os.NewSyscallError("close", unix.Close(u.fd))
}

// ReadBatch waits for a datagram, then takes all that is there. An ICMP error
// of an earlier write is no reason to stop reading.
func (u *udp) ReadBatch(ds []Datagram) (int, error) {
	u.use.RLock()
	defer u.use.RUnlock()
	most := min(len(ds), Batch)
	for !u.closed.Load() {
		got, errno := u.receive(most)
		if errno != 0 {
			if isTransient(errno) {
				continue
			}
			return 0, os.NewSyscallError("recvmmsg", errno)
		}
		n := 0
		for i := range got {
			from, ok := address(&u.in.names[i])
			u.in.hdrs[i].hdr.Namelen = unix.SizeofSockaddrInet6
			if !ok || u.in.hdrs[i].hdr.Flags&unix.MSG_TRUNC != 0 {
				continue
			}
			ds[n] = Datagram{Payload: u.in.bufs[i*MaxDatagram : i*MaxDatagram+int(u.in.hdrs[i].len)], Remote: from}
			n++
		}
		if n > 0 {
			return n, nil
		}
	}
	return 0, net.ErrClosed
}

// WriteBatch hands the datagrams to the kernel, Batch at a time.
func (u *udp) WriteBatch(ds []Datagram) (int, error) {
	u.use.RLock()
	defer u.use.RUnlock()
	v := u.out.Get().(*vector)
	defer u.out.Put(v)
	if len(ds) == 1 {
		return u.write(v, &ds[0])
	}
	for done := 0; done < len(ds); {
		part := ds[done:min(len(ds), done+Batch)]
		for i := range part {
			v.set(i, &part[i], u.is6)
		}
		for from := 0; from < len(part); {
			if u.closed.Load() {
				return done + from, net.ErrClosed
			}
			n, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(u.fd), uintptr(unsafe.Pointer(&v.hdrs[from])), uintptr(len(part)-from), 0, 0, 0)
			switch {
			case errno == 0:
				from += int(n)
			case !isTransient(errno): // else it is an ICMP error of another datagram: try again
				return done + from, os.NewSyscallError("sendmmsg", errno)
			}
		}
		done += len(part)
	}
	return len(ds), nil
}

// write hands one datagram to the kernel, as most are: for that sendto costs less.
func (u *udp) write(v *vector, d *Datagram) (int, error) {
	v.set(0, d, u.is6)
	for !u.closed.Load() {
		errno := u.sendTo(v, len(d.Payload))
		switch {
		case errno == 0:
			return 1, nil
		case !isTransient(errno):
			return 0, os.NewSyscallError("sendto", errno)
		}
	}
	return 0, net.ErrClosed
}

// set prepares slot i for a datagram.
func (v *vector) set(i int, d *Datagram, is6 bool) {
	v.iovs[i].Base = unsafe.SliceData(d.Payload)
	v.iovs[i].SetLen(len(d.Payload))
	port := d.Remote.Port()
	if is6 {
		n := &v.names[i]
		*n = unix.RawSockaddrInet6{Family: unix.AF_INET6, Addr: d.Remote.Addr().As16()}
		binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&n.Port))[:], port)
		v.hdrs[i].hdr.Namelen = unix.SizeofSockaddrInet6
		return
	}
	n := (*unix.RawSockaddrInet4)(unsafe.Pointer(&v.names[i]))
	*n = unix.RawSockaddrInet4{Family: unix.AF_INET}
	if a := d.Remote.Addr().Unmap(); a.Is4() {
		n.Addr = a.As4()
	}
	binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&n.Port))[:], port)
	v.hdrs[i].hdr.Namelen = unix.SizeofSockaddrInet4
}

// address reads a socket address as the kernel wrote it.
func address(n *unix.RawSockaddrInet6) (netip.AddrPort, bool) {
	port := binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(&n.Port))[:])
	switch n.Family {
	case unix.AF_INET:
		return netip.AddrPortFrom(netip.AddrFrom4((*unix.RawSockaddrInet4)(unsafe.Pointer(n)).Addr), port), true
	case unix.AF_INET6:
		return netip.AddrPortFrom(netip.AddrFrom16(n.Addr).Unmap(), port), true
	}
	return netip.AddrPort{}, false
}

// isTransient reports whether an error belongs to an earlier datagram or to
// the moment, not to the socket.
func isTransient(err error) bool {
	return errors.Is(err, unix.ECONNREFUSED) || errors.Is(err, unix.EINTR) || errors.Is(err, unix.ENOBUFS) || errors.Is(err, unix.ENOMEM)
}
