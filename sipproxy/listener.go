package sipproxy

import (
	"net/netip"
	"strconv"

	"dialgate/sipproxy/message"
	"dialgate/sipproxy/transaction"
	"dialgate/sipproxy/transport"
)

// A Listener is a socket with the address by which others reach it.
type Listener struct {
	Conn       transport.Conn
	Advertised netip.AddrPort
}

func (l *Listener) kind() transport.Kind { return l.Conn.Kind() }

// reaches reports whether an address can be reached from the listener.
func (l *Listener) reaches(to netip.Addr) bool { return l.Conn.LocalAddr().Addr().Is4() == to.Is4() }

// path is where responses to a request go: over a stream back on the
// connection it came on, or, when that is gone, on a new one to where its
// sender listens (RFC 3261 section 18.2.2, RFC 3581).
func (l *Listener) path(from netip.AddrPort, v *message.View) transaction.Path {
	port := v.Top.Port
	if port == 0 {
		port = l.kind().DefaultPort()
	}
	back := netip.AddrPortFrom(from.Addr(), port)
	switch l.kind() {
	case transport.UDP:
		if v.Top.RPort != nil {
			back = from
		}
		return path(l, back)
	case transport.WS, transport.WSS:
		back = netip.AddrPortFrom(from.Addr(), 0) // nobody can dial a browser
	}
	return transaction.Path{Conn: l.Conn, Remote: from, Else: back, Reliable: true}
}

// path is how a request leaves.
func path(l *Listener, to netip.AddrPort) transaction.Path {
	return transaction.Path{Conn: l.Conn, Remote: to, Reliable: l.kind().Reliable()}
}

// length is the Content-Length that a message lacks where it must have one,
// because it leaves over a stream (RFC 3261 section 20.14).
func (l *Listener) length(v *message.View) []byte {
	if !l.kind().Reliable() || v.ContentLength >= 0 {
		return nil
	}
	return append(strconv.AppendInt([]byte("Content-Length: "), int64(len(v.Body)), 10), "\r\n"...)
}

// listenerFor is the listener of a transport from which an address can be
// reached: this one when it fits, else the first that does.
func (p *Proxy) listenerFor(l *Listener, k transport.Kind, to netip.Addr) *Listener {
	if l.kind() == k && l.reaches(to) {
		return l
	}
	for i := range p.o.Listeners {
		if c := &p.o.Listeners[i]; c.kind() == k && c.reaches(to) {
			return c
		}
	}
	return nil
}

// ownListener is the listener that a URI of ours names, l if it names none.
func (p *Proxy) ownListener(l *Listener, u *message.URI) *Listener {
	addr, ok := hostAddr(u)
	if !ok {
		return l
	}
	name, _ := u.Param("transport")
	for i := range p.o.Listeners {
		if c := &p.o.Listeners[i]; c.Advertised == addr && message.EqualFold(name, c.kind().Param()) {
			return c
		}
	}
	return l
}

// transportOf is the transport that a URI asks for; named: it does so in
// words, of which ws means WS and WSS, and so the one that is like.
func transportOf(u *message.URI, like transport.Kind) (k transport.Kind, named bool) {
	name, named := u.Param("transport")
	if !named {
		return transport.UDP, false
	}
	if message.EqualFold(name, like.Param()) {
		return like, true
	}
	for _, k := range transport.Kinds() {
		if message.EqualFold(name, k.Param()) {
			return k, true
		}
	}
	return transport.UDP, true
}

// isOurs reports whether a URI is one of our own addresses.
func (p *Proxy) isOurs(u *message.URI) bool {
	a, ok := hostAddr(u)
	return ok && p.ours[a]
}

// hostAddr is the address of a URI whose host is an IP address.
func hostAddr(u *message.URI) (netip.AddrPort, bool) {
	if len(u.Host) == 0 {
		return netip.AddrPort{}, false
	}
	a, err := netip.ParseAddr(string(u.Host))
	if err != nil {
		return netip.AddrPort{}, false
	}
	port := u.Port
	if port == 0 {
		k, _ := transportOf(u, transport.UDP)
		port = k.DefaultPort()
	}
	return netip.AddrPortFrom(a.Unmap(), port), true
}

// mostOverUDP is the largest request that goes over UDP to who takes TCP, in
// octets (RFC 3261 section 18.1.1, where the path's MTU is not known).
const mostOverUDP = 1300

// mostRequest is the largest request that we take, in octets: it fits into a
// datagram, of at most 65,507 octets over IPv4, with all that we may add.
const mostRequest = 65507 - 1024

// weAdd is more than our Via, or a Record-Route, adds to a request, in octets.
const weAdd = 120

// roomy is the listener by which a large request leaves instead: by TCP, when
// its target is known to take that.
func (p *Proxy) roomy(c *inForce, l *Listener, to netip.AddrPort, size int) *Listener {
	if l.kind() != transport.UDP || size <= mostOverUDP {
		return l
	}
	if s := c.targets[end{to, transport.UDP}]; s == nil || !s.carrier.LargeOverTCP {
		return l
	}
	if t := p.listenerFor(l, transport.TCP, to.Addr()); t != nil {
		return t
	}
	return l
}
