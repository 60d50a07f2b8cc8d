package sipproxy

import (
	"net/netip"

	"dialgate/sipproxy/message"
	"dialgate/sipproxy/transport"
)

// dialog reports whether a request carries a valid token of ours in one of the
// topmost Route values, which lead here, which leg of the call it comes from,
// and how many of these values there are.
func (p *Proxy) dialog(v *message.View) (from leg, own int, ok bool) {
	v.Routes(func(a message.Address) bool {
		u, parsed := message.ParseURI(a.URI)
		if !parsed || !p.isOurs(&u) {
			return false // the next one is where it goes from here
		}
		own++
		if token, found := u.Param(tokenParam); found && !ok {
			from, ok = p.tokens.check(token, v)
		}
		return true
	})
	return from, own, ok
}

// mayUse reports whether a request that carries a token comes from a side of
// its call: of the dialers only from the one that the call is of, which its
// address tells, or the token, where a certificate told who it is. A carrier
// may send from any of its addresses.
func (p *Proxy) mayUse(c *inForce, who *source, from netip.AddrPort, of *leg) bool {
	if who == nil || who.peer == nil {
		return true // who is nil: see ofACall
	}
	for _, side := range [...]netip.AddrPort{of.dialer, of.carrier} {
		if s := c.at(side); s != nil && s.peer == who.peer {
			return true
		}
	}
	if of.peer == (print{}) { // it went to an address that was no peer's: who is there is the side
		return !of.fromDialer && from.Addr() == of.carrier.Addr()
	}
	return of.peer == p.tokens.peer(who.peer)
}

// ofACall reports whether a request from an address that the configuration in
// force does not name belongs to a call that one before it let through: a
// transaction of that very address, or a request in a dialog whose token names
// the address as a side. So a call goes on to its end when its dialer or
// carrier is taken out of the configuration. An INVITE or REFER in the dialog
// does not pass: who was taken out may end what runs, not begin anything.
func (p *Proxy) ofACall(from netip.AddrPort, v *message.View) bool {
	mine := false
	p.locked(func() {
		s := p.layer.FindServer(v)
		if v.IsMethod("CANCEL") {
			s = p.layer.FindInvite(v)
		}
		if s != nil {
			e, ok := s.User.(*exchange)
			mine = ok && e.source == from
		}
	})
	if mine || len(v.ToTag) == 0 || v.IsMethod("INVITE") || v.IsMethod("REFER") {
		return mine
	}
	leg, _, ok := p.dialog(v)
	return ok && (from.Addr() == leg.dialer.Addr() || from.Addr() == leg.carrier.Addr())
}

// ownRoutes is how many of the topmost Route values are ours.
func (p *Proxy) ownRoutes(v *message.View) int {
	if v.Get(message.Route) == nil {
		return 0
	}
	_, own, _ := p.dialog(v)
	return own
}

// nextHop is where a request in a dialog goes, and by which listener, nil when
// there is none: to its next Route, else to its Request-URI. A name instead of
// an address, which would ask for DNS, gives way to the address that the other
// side had when the call began. The last Route value of ours says by which
// listener that side is met (RFC 5658).
func (p *Proxy) nextHop(l *Listener, v *message.View, from leg, own int) (*Listener, netip.AddrPort) {
	before := from.dialer // where the other side was
	if from.fromDialer {
		before = from.carrier
	}
	target, n := v.URI, 0
	v.Routes(func(a message.Address) bool {
		if n++; n <= own {
			if u, ok := message.ParseURI(a.URI); ok {
				l = p.ownListener(l, &u)
			}
			return true
		}
		target = a.URI
		return false
	})
	u, ok := message.ParseURI(target)
	to, isAddr := hostAddr(&u)
	if isAddr = isAddr && ok && !p.ours[to]; !isAddr {
		to = before
	}
	k, named := transportOf(&u, l.kind())
	if !named && to == before {
		k = l.kind() // as before
	}
	// Who has connected to us is met over that connection: often, as behind a
	// NAT or in a browser, there is no other way (RFC 5923, RFC 7118).
	s, stream := l.Conn.(*transport.Stream)
	if stream && to.Addr() == before.Addr() && (!named || k == l.kind()) && s.Accepted(before) {
		return l, before
	}
	if !isAddr {
		k = l.kind() // whatever it says about a name
	}
	return p.listenerFor(l, k, to.Addr()), to
}

// inDialog passes on a request of a call that was judged when it began. What
// would change that call into another one is judged before (see [again]).
func (p *Proxy) inDialog(c *inForce, l *Listener, from netip.AddrPort, who *source, v *message.View, leg leg, own int) {
	out, to := p.nextHop(l, v, leg, own)
	if out == nil {
		p.reply(l, from, v, 500, nil) // 480 would end the call (RFC 5057 section 5.1)
		return
	}
	e := p.newExchange(l, from, v)
	judge := e.again(c, who, v, leg)
	e.told = judge == nil
	fromCarrier := who != nil && who.carrier != nil
	e.onward = func(v *message.View) {
		e.roomy(c, v, out, to, weAdd, func(v *message.View, l *Listener) {
			edits := message.Edits{Source: from, MaxForwards: hops(v), DropRoutes: own, Realm: c.Realm}
			if !fromCarrier {
				e.withhold(&edits)
			}
			strictNext(v, &edits)
			e.send(v, &edits, l, to)
		})
	}
	full := false
	p.locked(func() {
		if full = p.layer.Exhausted(); full {
			return
		}
		e.server = p.layer.NewServer(v, l.path(from, v), e)
		if v.IsMethod("INVITE") {
			e.server.TryingSoon()
		}
		if judge == nil {
			e.onward(v)
		} else {
			p.asked[e] = true
		}
	})
	if judge != nil && !full {
		e.ask(judge, v)
	}
	if full {
		p.metrics.overloaded(overTransactions)
		p.reply(l, from, v, 500, []byte("Retry-After: 5\r\n")) // the call goes on, whatever the request was
	}
}

// passACK passes on the ACK for a 2xx: a request of its own, with no
// transaction (RFC 3261 section 16.11).
func (p *Proxy) passACK(c *inForce, l *Listener, v *message.View, from leg, own int) {
	out, to := p.nextHop(l, v, from, own)
	if out == nil {
		p.metrics.dropped(dropStrayACK)
		return
	}
	p.locked(func() {
		var buf [96]byte
		via, _ := p.via(buf[:0], v, out)
		edits := message.Edits{Via: via, MaxForwards: hops(v), DropRoutes: own, Realm: c.Realm, Add: out.length(v)}
		strictNext(v, &edits)
		p.metrics.request(v.Method, sent, out.kind())
		p.layer.Send(path(out, to), v.AppendForward(make([]byte, 0, len(v.Raw)+256), &edits))
	})
}
