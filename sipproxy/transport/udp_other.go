//go:build !linux

package transport

import (
	"errors"
	"net"
	"net/netip"
	"syscall"
)

// udp reads and writes one datagram a call where the system has no batches.
type udp struct {
	conn  *net.UDPConn
	local netip.AddrPort
	buf   []byte
}

func newUDP(conn *net.UDPConn, _ Options) (PacketConn, error) {
	local := conn.LocalAddr().(*net.UDPAddr).AddrPort()
	return &udp{conn: conn, local: netip.AddrPortFrom(local.Addr().Unmap(), local.Port()), buf: make([]byte, MaxDatagram)}, nil
}

func (u *udp) LocalAddr() netip.AddrPort { return u.local }
func (u *udp) Kind() Kind                { return UDP }
func (u *udp) Close() error              { return u.conn.Close() }

// ReadBatch reads one datagram.
func (u *udp) ReadBatch(ds []Datagram) (int, error) {
	for {
		n, from, err := u.conn.ReadFromUDPAddrPort(u.buf)
		switch {
		case errors.Is(err, net.ErrClosed):
			return 0, net.ErrClosed
		case errors.Is(err, syscall.ECONNREFUSED):
			continue // an ICMP error of an earlier write
		case err != nil:
			return 0, err
		}
		ds[0] = Datagram{Payload: u.buf[:n], Remote: netip.AddrPortFrom(from.Addr().Unmap(), from.Port())}
		return 1, nil
	}
}

// WriteBatch writes the datagrams one by one.
func (u *udp) WriteBatch(ds []Datagram) (int, error) {
	for i := range ds {
		if _, err := u.conn.WriteToUDPAddrPort(ds[i].Payload, ds[i].Remote); err != nil {
			return i, err
		}
	}
	return len(ds), nil
}
