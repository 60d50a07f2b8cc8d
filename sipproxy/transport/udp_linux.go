package transport

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// udp reads with recvmmsg and writes with sendmmsg through the runtime's
// poller, without an allocation per datagram.
type udp struct {
	conn  *net.UDPConn
	raw   syscall.RawConn
	local netip.AddrPort
	is6   bool

	in    *vector
	read  func(fd uintptr) bool // made once: a closure a call would be an allocation a call
	got   int
	inErr error

	out sync.Pool // *sender
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

// A sender holds one write at a time.
type sender struct {
	*vector
	write func(fd uintptr) bool
	from  int // the first header not yet taken
	to    int
	err   error
}

func newUDP(conn *net.UDPConn) (PacketConn, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	local := conn.LocalAddr().(*net.UDPAddr).AddrPort()
	u := &udp{
		conn: conn, raw: raw, in: newVector(true),
		local: netip.AddrPortFrom(local.Addr().Unmap(), local.Port()),
		is6:   local.Addr().Is6() && !local.Addr().Is4In6(),
	}
	u.read = u.recv
	u.out.New = func() any {
		s := &sender{vector: newVector(false)}
		s.write = s.send
		return s
	}
	return u, nil
}

func (u *udp) LocalAddr() netip.AddrPort { return u.local }
func (u *udp) Kind() Kind                { return UDP }
func (u *udp) Close() error              { return u.conn.Close() }

// ReadBatch waits in the poller, then takes all that is there. An ICMP error
// of an earlier write is no reason to stop reading.
func (u *udp) ReadBatch(ds []Datagram) (int, error) {
	most := min(len(ds), Batch)
	for {
		u.got, u.inErr = most, nil
		if err := u.raw.Read(u.read); err != nil {
			return 0, closed(err)
		}
		if u.inErr != nil {
			if isTransient(u.inErr) {
				continue
			}
			return 0, os.NewSyscallError("recvmmsg", u.inErr)
		}
		n := 0
		for i := range u.got {
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
}

// recv is called by the poller; false means wait until there is something.
func (u *udp) recv(fd uintptr) bool {
	n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&u.in.hdrs[0])), uintptr(u.got), unix.MSG_DONTWAIT, 0, 0)
	if errno == unix.EAGAIN {
		return false
	}
	u.got = int(n)
	if errno != 0 {
		u.got, u.inErr = 0, errno
	}
	return true
}

// WriteBatch hands the datagrams to the kernel, Batch at a time.
func (u *udp) WriteBatch(ds []Datagram) (int, error) {
	s := u.out.Get().(*sender)
	defer u.out.Put(s)
	for done := 0; done < len(ds); {
		part := ds[done:min(len(ds), done+Batch)]
		for i := range part {
			s.set(i, &part[i], u.is6)
		}
		s.from, s.to, s.err = 0, len(part), nil
		if err := u.raw.Write(s.write); err != nil {
			return done + s.from, closed(err)
		}
		done += s.from
		if s.err != nil {
			if isTransient(s.err) {
				continue // an ICMP error of another datagram was reported here; try again
			}
			return done, os.NewSyscallError("sendmmsg", s.err)
		}
	}
	return len(ds), nil
}

func (s *sender) send(fd uintptr) bool {
	for s.from < s.to {
		n, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(&s.hdrs[s.from])), uintptr(s.to-s.from), unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			s.from += int(n)
		case unix.EAGAIN:
			return false
		case unix.EINTR:
		default:
			s.err = errno
			return true
		}
	}
	return true
}

// set prepares slot i for a datagram.
func (s *sender) set(i int, d *Datagram, is6 bool) {
	s.iovs[i].Base = unsafe.SliceData(d.Payload)
	s.iovs[i].SetLen(len(d.Payload))
	port := d.Remote.Port()
	if is6 {
		n := &s.names[i]
		*n = unix.RawSockaddrInet6{Family: unix.AF_INET6, Addr: d.Remote.Addr().As16()}
		binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&n.Port))[:], port)
		s.hdrs[i].hdr.Namelen = unix.SizeofSockaddrInet6
		return
	}
	n := (*unix.RawSockaddrInet4)(unsafe.Pointer(&s.names[i]))
	*n = unix.RawSockaddrInet4{Family: unix.AF_INET}
	if a := d.Remote.Addr().Unmap(); a.Is4() {
		n.Addr = a.As4()
	}
	binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&n.Port))[:], port)
	s.hdrs[i].hdr.Namelen = unix.SizeofSockaddrInet4
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

func closed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return net.ErrClosed
	}
	return err
}
