package sipproxy

import (
	"net/netip"

	"dialgate/policy"
	"dialgate/sipproxy/message"
	"dialgate/sipproxy/transport"
)

// inbound passes a call from a carrier to the peer that the configuration
// names for the called number: somebody calls back the number shown. Such a
// call is not judged. A dialer of WebSocket gets it over the connection that
// it has opened last, if there is one.
func (p *Proxy) inbound(c *inForce, l *Listener, from netip.AddrPort, v *message.View) {
	called := c.Reader.called(v.URI, &policy.PeerTerms{Plan: c.Reader.Home})
	to, ok := c.Inbound[called.Number]
	if !ok {
		p.reply(l, from, v, 404, nil)
		return
	}
	out := p.listenerFor(l, to.Transport, to.Addr.Addr())
	if draining := p.draining.Load(); out == nil || draining {
		if draining {
			p.metrics.overloaded(overDraining)
		}
		p.reply(l, from, v, 480, nil)
		return
	}
	if s, ok := out.Conn.(*transport.Stream); ok && s.Kind().Web() {
		// Who has opened a WebSocket is often a browser, which nobody can dial.
		if remote, there := s.From(to.Addr.Addr()); there {
			to.Addr = remote
		}
	}
	e := p.newExchange(l, from, v)
	e.told = true
	full := false
	p.locked(func() {
		if full = p.layer.Full(); full {
			return
		}
		p.begin(e, v)
		edits := message.Edits{Source: from, MaxForwards: hops(v), DropRoutes: p.ownRoutes(v), URI: p.retarget(v, out, to.Addr)}
		// The side that began the call is the carrier's, the one it goes to the dialer's.
		edits.RecordRoute = p.recordRoute(v, l, out, from, to.Addr, p.inboundPrints(c, v, to.Addr))
		e.send(v, &edits, out, to.Addr)
	})
	if full {
		p.metrics.overloaded(overTransactions)
		p.reply(l, from, v, 480, nil)
	}
}
