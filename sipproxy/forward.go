package sipproxy

import (
	"net/netip"
	"time"

	"dialgate/policy"
	"dialgate/sipproxy/message"
	"dialgate/sipproxy/transaction"
)

// forward sends an allowed INVITE to the carrier. The edits are the only ones
// we make: Via, Record-Route, Max-Forwards, our own Route, X-Campaign, what a
// peer prefers or, untrusted, asserts, and the host of a Request-URI that names us.
func (e *exchange) forward(v *message.View) {
	p := e.p
	to, l := p.carrier(e.config, e.listener)
	if l == nil {
		e.unreachable(500)
		return
	}
	edits := message.Edits{Source: e.source, MaxForwards: hops(v), DropRoutes: p.ownRoutes(v)}
	edits.Remove[message.XCampaign] = true
	edits.Remove[message.PPreferredIdentity] = true // a hint for the first proxy only (RFC 3325 section 9.2)
	edits.Remove[message.PAssertedIdentity] = !e.peer.Terms.TrustIdentity
	edits.RecordRoute = p.recordRoute(v, e.listener, l, e.source, to, e.prints(v))
	edits.URI = p.retarget(v, to)
	e.send(v, &edits, l, to)
}

// carrier is where the next call goes: the first target of the carrier with
// the lowest priority that we have a listener for.
func (p *Proxy) carrier(c *inForce, from *Listener) (netip.AddrPort, *Listener) {
	for i := range c.Carriers {
		for _, t := range c.Carriers[i].Targets {
			if l := p.listenerFor(from, t.Addr()); l != nil {
				return t, l
			}
		}
	}
	return netip.AddrPort{}, nil
}

// hops is Max-Forwards for the next hop, 70 when there was none (RFC 3261
// section 16.6 step 3).
func hops(v *message.View) int {
	if v.MaxForwards < 0 {
		return 70
	}
	return v.MaxForwards - 1
}

// recordRoute makes the Record-Route values that keep us in the call: two when
// it leaves by another listener than it came by (RFC 5658), the one for the
// next hop on top.
func (p *Proxy) recordRoute(v *message.View, came, leaves *Listener, dialer, carrier netip.AddrPort, of prints) (rr [2][]byte) {
	token := p.tokens.appendToken(nil, v.Value(message.CallID), v.FromTag, dialer, carrier, of)
	value := func(l *Listener) []byte {
		b := append(make([]byte, 0, 128), "<sip:"...)
		b = l.Advertised.AppendTo(b)
		b = append(append(b, ";lr;"+tokenParam+"="...), token...)
		return append(b, '>')
	}
	rr[0] = value(leaves)
	if came != leaves {
		rr[1] = value(came)
	}
	return rr
}

// retarget gives a Request-URI that names us the carrier's address in our
// place; nil leaves it as it came.
func (p *Proxy) retarget(v *message.View, to netip.AddrPort) []byte {
	u, ok := message.ParseURI(v.URI)
	if !ok || u.Scheme != message.SIP || !p.isOurs(&u) || len(u.User) == 0 {
		return nil
	}
	b := append(make([]byte, 0, len(v.URI)+24), "sip:"...)
	b = append(append(b, u.User...), '@')
	b = to.AppendTo(b)
	return append(b, u.Params...)
}

// send passes the request on in a client transaction.
func (e *exchange) send(v *message.View, edits *message.Edits, l *Listener, to netip.AddrPort) {
	p := e.p
	var buf [96]byte
	via, id := p.via(buf[:0], v, l)
	edits.Via = via
	out := v.AppendForward(make([]byte, 0, len(v.Raw)+512), edits)
	p.metrics.request(v.Method, sent)
	e.client = p.layer.NewClient(id, string(v.Method), transaction.Path{Conn: l.Conn, Remote: to}, out)
	e.client.Response = e.relay
	e.client.Failed = e.failed
}

// via makes our Via value with a new branch.
func (p *Proxy) via(b []byte, v *message.View, l *Listener) ([]byte, uint64) {
	b = append(b, "SIP/2.0/UDP "...)
	b = l.Advertised.AppendTo(b)
	b = append(b, ";branch="...)
	return p.layer.NextBranch(b, p.loopHash(v))
}

// relay passes a response back (RFC 3261 section 16.7): with a single target
// the best response is the one there is.
func (e *exchange) relay(v *message.View) {
	invite := string(v.CSeqMethod) == "INVITE"
	switch {
	case v.Status == 100:
		return
	case v.Status < 200 && e.rang.IsZero() && invite:
		e.rang = time.Now()
	case v.Status == 503:
		// A proxy does not pass a 503 on (RFC 3261 section 16.7 step 6): the
		// next hop's overload is not ours.
		e.unreachable(500)
		return
	}
	if v.ViaCount() < 2 {
		e.p.metrics.dropped(dropStray) // it would have nowhere to go
		return
	}
	e.p.metrics.response(v.Status, sent)
	e.server.Respond(v.Status, v.AppendForward(make([]byte, 0, len(v.Raw)), &message.Edits{PopVia: true}))
	if v.Status >= 200 {
		by := policy.EndedByCallee
		if e.cancelled && v.Status == 487 {
			by = policy.EndedByDialer
		}
		e.finish(v.Status, by)
	}
}

// failed is told that nobody answered. A request other than INVITE is then
// not answered either (RFC 4320 section 4.2).
func (e *exchange) failed(why transaction.End) {
	switch {
	case e.server.Final():
	case !e.isInvite():
		e.server.Drop()
	case e.cancelled:
		e.respond(487, phrases[487], nil)
		e.finish(487, policy.EndedByDialer)
	default:
		if why == transaction.Silent {
			e.client.Cancel([]byte(`SIP;cause=408;text="timer C"`))
		}
		e.unreachable(408)
	}
}

// isInvite reports whether the exchange is about an INVITE; its method stands
// at the beginning of what was received.
func (e *exchange) isInvite() bool { return len(e.raw) > 7 && string(e.raw[:7]) == "INVITE " }
