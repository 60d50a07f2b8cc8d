// Package transport moves SIP messages between the network and the proxy:
// datagrams in batches, one system call for many of them each way, and
// messages over streams (TCP, TLS, WebSocket), each read to its end by the
// goroutine of its connection.
//
// What is above it knows [Conn], and how each of its two kinds is read: a
// [PacketConn] by asking for batches, a [Stream] by handing it functions. A
// test puts a network in memory in place of a PacketConn.
//
// Nobody who writes waits for the network. A datagram is handed to the kernel.
// A message for a stream joins the queue of its connection, which a goroutine
// empties; where there is no connection yet, it is made by that goroutine. A
// queue that is full because the other side does not read ends its connection.
package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
)

// MaxDatagram is the largest payload that UDP can carry, in octets.
const MaxDatagram = 65535

// Batch is how many datagrams one call reads or writes at most.
const Batch = 32

// A Datagram is one SIP message as it crossed the network. On reading, Payload
// is a slice of a buffer of the connection, valid until its next ReadBatch or
// until the function that was given it returns, and Remote is the source. On
// writing, Remote is the destination.
type Datagram struct {
	Payload []byte
	Remote  netip.AddrPort
	// Else is where a stream opens a connection when it has none to Remote.
	// Not valid: to Remote itself.
	Else netip.AddrPort
	// Names are those of the certificate that the other side has proved to be
	// its own.
	Names []string
	// Broken tells why nothing can be read after this message, of which
	// Payload may be only the beginning. Its connection ends.
	Broken error

	again bool // a connection has ended before it was sent
}

// A Conn writes messages in batches. Many goroutines may write.
type Conn interface {
	// WriteBatch hands ds to the network: n were taken; err tells why ds[n] was
	// not. A stream keeps their payloads until they are written.
	WriteBatch(ds []Datagram) (n int, err error)
	LocalAddr() netip.AddrPort
	Kind() Kind
	Close() error
}

// A PacketConn is a Conn that reads datagrams in batches. One goroutine may
// read while many write.
type PacketConn interface {
	Conn
	// ReadBatch waits for at least one datagram and fills ds[:n]. After Close
	// it returns net.ErrClosed. Any other error is the listener's end.
	ReadBatch(ds []Datagram) (n int, err error)
}

// Options of a UDP listener.
type Options struct {
	// Buffer is the size of the kernel's receive and send buffers to ask for,
	// in octets; the kernel may give less. 0: 4 MiB.
	Buffer int
	// KeepProcessor says that the runtime has a processor to spare for this
	// listener's reader, which keeps it while it waits for the next datagram.
	KeepProcessor bool
}

// ListenUDP opens a UDP socket on an address of this host.
func ListenUDP(ctx context.Context, addr netip.AddrPort, o Options) (PacketConn, error) {
	if o.Buffer == 0 {
		o.Buffer = 4 << 20
	}
	network := "udp4"
	if addr.Addr().Unmap().Is6() {
		network = "udp6" // and IPv6 only: IPv4 has listeners of its own
	}
	pc, err := (&net.ListenConfig{}).ListenPacket(ctx, network, netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port()).String())
	if err != nil {
		if errors.Is(err, syscall.EADDRINUSE) {
			return nil, fmt.Errorf("can't listen on udp %s: another program holds that port; stop it or choose another under listen.udp", addr)
		}
		return nil, fmt.Errorf("can't listen on udp %s: %w", addr, err)
	}
	conn := pc.(*net.UDPConn)
	// The kernel caps what it gives; a smaller buffer only loses datagrams
	// under load, which SIP repeats.
	_ = conn.SetReadBuffer(o.Buffer)
	_ = conn.SetWriteBuffer(o.Buffer)
	return newUDP(conn, o)
}
