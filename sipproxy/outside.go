package sipproxy

import (
	"net/netip"

	"dialgate/sipproxy/message"
)

// outside passes on a request outside a call whose method the configuration
// lists: to the first carrier that is not known to be down, and to no other
// one after it. It counts as a call against the peer's calls a second.
func (p *Proxy) outside(c *inForce, l *Listener, from netip.AddrPort, q *peer, v *message.View) {
	if p.routed(v, q.Terms) != "" {
		p.reply(l, from, v, 403, nil)
		return
	}
	e := p.newExchange(l, from, v)
	e.config, e.peer, e.told = c, q, true
	why, reached := roomy, false
	p.locked(func() {
		if why = p.want(q, e.began); why != roomy {
			return
		}
		out, to := p.outsideTarget(c, l)
		if reached = out != nil; !reached {
			return
		}
		q.rate.take(q.CallsPerSecond, e.began)
		e.server = p.layer.NewServer(v, l.path(from, v), e)
		edits := message.Edits{Source: from, MaxForwards: hops(v), DropRoutes: p.ownRoutes(v), URI: p.retarget(v, out, to), Realm: c.Realm}
		e.withhold(&edits)
		e.send(v, &edits, out, to)
	})
	switch {
	case why != roomy:
		p.refuseCrowded(l, from, q, v, why)
	case !reached:
		p.reply(l, from, v, 480, nil)
	}
}

// outsideTarget is where a request outside a call goes, and by which listener.
func (p *Proxy) outsideTarget(c *inForce, l *Listener) (*Listener, netip.AddrPort) {
	for _, k := range c.carriers {
		for _, t := range k.to {
			if out := p.listenerFor(l, t.kind, t.addr.Addr()); out != nil && t.state != targetDown {
				return out, t.addr
			}
		}
	}
	return nil, netip.AddrPort{}
}
