package sipproxy

import (
	"net/netip"
	"slices"
	"strings"

	"dialgate/sipproxy/message"
	"dialgate/sipproxy/transport"
)

// alias lets requests to the address that its sender names in its Via go over
// the connection that a request came on, when the sender asks for that (RFC
// 5923 section 8) and may.
func (p *Proxy) alias(c *inForce, l *Listener, d *transport.Datagram, v *message.View) {
	if len(d.Names) == 0 || l.kind() != transport.TLS || !v.Top.Has("alias") {
		return
	}
	if at, may := aliasOf(c, d, &v.Top); may {
		l.Conn.(*transport.Stream).Alias(d.Remote, at)
	}
}

// aliasOf is the address by which the sender of a request over TLS asks to be
// met on its connection, and whether it may: it has proved by its certificate to
// be whom we would meet there. That is a carrier, by the name which its own
// certificate must bear when we dial it, or the peer whose address it is. A
// sender without a name, or on a host that is not its own, would be sent the
// calls of others; it is only met there for answers, and for requests in its
// own calls.
func aliasOf(c *inForce, d *transport.Datagram, top *message.TopVia) (at netip.AddrPort, may bool) {
	port := top.Port
	if port == 0 {
		port = transport.TLS.DefaultPort()
	}
	at = netip.AddrPortFrom(d.Remote.Addr(), port)
	if addr, ip := top.SentBy(); ip && addr != d.Remote.Addr() || !ip && !slices.Contains(d.Names, strings.ToLower(string(top.Host))) {
		return at, false
	}
	if s := c.targets[end{at, transport.TLS}]; s != nil {
		check := s.carrier.TLS
		return at, check != nil && check.Mode == transport.Full && check.Name != "" && slices.Contains(d.Names, strings.ToLower(check.Name))
	}
	there := c.host(at.Addr())
	return at, there != nil && there.peer != nil && slices.ContainsFunc(d.Names, func(name string) bool {
		s := c.names[name]
		return s != nil && s.peer == there.peer
	})
}
