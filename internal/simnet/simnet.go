// Package simnet is a network in memory for tests: datagrams go from address
// to address in order and without a socket, so that a whole proxy runs in a
// testing/synctest bubble, where timers of half a minute take no time.
//
//	n := simnet.New()
//	conn := n.Listen(netip.MustParseAddrPort("192.0.2.1:5060"))
//	n.Drop = func(d simnet.Packet) bool { … }   // lose what you like
//
// A [Ladder] records what crossed the network and prints it as a SIP engineer
// draws it.
package simnet

import (
	"bytes"
	"net"
	"net/netip"
	"sync"
	"time"

	"dialgate/sipproxy/transport"
)

// A Packet is one datagram on its way.
type Packet struct {
	At       time.Time
	From, To netip.AddrPort
	Payload  []byte
	Lost     bool
}

// A Network carries datagrams between its connections.
type Network struct {
	Delay time.Duration       // every packet takes this long
	Drop  func(p Packet) bool // loses packets; nil: none
	Tap   func(p Packet)      // sees every packet, lost ones too; nil: nobody
	mu    sync.Mutex
	conns map[netip.AddrPort]*Conn
}

// New makes an empty network.
func New() *Network { return &Network{conns: map[netip.AddrPort]*Conn{}} }

// queue bounds what waits at a connection; more is lost, as in a socket.
const queue = 4096

// A Conn is a connection to the network. It is a transport.PacketConn.
type Conn struct {
	n     *Network
	addr  netip.AddrPort
	in    chan transport.Datagram
	done  chan struct{}
	close sync.Once
}

var _ transport.PacketConn = (*Conn)(nil)

// Listen connects an address.
func (n *Network) Listen(addr netip.AddrPort) *Conn {
	c := &Conn{n: n, addr: addr, in: make(chan transport.Datagram, queue), done: make(chan struct{})}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.conns[addr] = c
	return c
}

// ReadBatch waits for a datagram and takes all that are there.
func (c *Conn) ReadBatch(ds []transport.Datagram) (int, error) {
	select {
	case <-c.done:
		return 0, net.ErrClosed
	case ds[0] = <-c.in:
	}
	for n := 1; n < len(ds); n++ {
		select {
		case ds[n] = <-c.in:
		default:
			return n, nil
		}
	}
	return len(ds), nil
}

// WriteBatch sends the datagrams.
func (c *Conn) WriteBatch(ds []transport.Datagram) (int, error) {
	for i := range ds {
		select {
		case <-c.done:
			return i, net.ErrClosed
		default:
		}
		c.n.send(Packet{At: time.Now(), From: c.addr, To: ds[i].Remote, Payload: bytes.Clone(ds[i].Payload)})
	}
	return len(ds), nil
}

func (n *Network) send(p Packet) {
	n.mu.Lock()
	to := n.conns[p.To]
	n.mu.Unlock()
	p.Lost = n.Drop != nil && n.Drop(p)
	if n.Tap != nil {
		n.Tap(p)
	}
	if to == nil || p.Lost {
		return
	}
	if n.Delay > 0 {
		time.AfterFunc(n.Delay, func() { to.deliver(p) })
		return
	}
	to.deliver(p)
}

func (c *Conn) deliver(p Packet) {
	select {
	case c.in <- transport.Datagram{Payload: p.Payload, Remote: p.From}:
	default: // the queue is full
	}
}

// LocalAddr is the connection's address.
func (c *Conn) LocalAddr() netip.AddrPort { return c.addr }

// Kind is UDP: the network carries datagrams.
func (c *Conn) Kind() transport.Kind { return transport.UDP }

// Network is the network that the connection belongs to.
func (c *Conn) Network() *Network { return c.n }

// Close disconnects; readers return.
func (c *Conn) Close() error {
	c.close.Do(func() { close(c.done) })
	return nil
}
