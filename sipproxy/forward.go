package sipproxy

import (
	"bytes"
	"net/netip"
	"time"

	"dialgate/policy"
	"dialgate/sipproxy/message"
	"dialgate/sipproxy/transaction"
)

// forward sends an allowed INVITE to a carrier.
func (e *exchange) forward(v *message.View) {
	switch {
	case e.peer.Dialect.Redirects():
		e.redirect(v)
	case e.tryNext(v):
	case e.crowded:
		e.p.metrics.overloaded(overCarrier)
		e.refuse(policy.ReasonOverloaded)
	default:
		e.unreachable(500)
	}
}

// roomy lets a request leave by a listener, or, when it is large and its target
// takes that, over TCP; over UDP all the same when no connection can be made
// there (RFC 3261 section 18.1.1). more is what we add to it, in octets.
func (e *exchange) roomy(c *inForce, v *message.View, l *Listener, to netip.AddrPort, more int, leave func(*message.View, *Listener)) {
	t := e.p.roomy(c, l, to, len(v.Raw)+more)
	if t != l {
		e.smaller = func() {
			leave(e.read(), l)
		}
	}
	leave(v, t)
}

// forwardBy sends an allowed INVITE by a listener. The edits are the only ones
// we make: Via, Record-Route, Max-Forwards, our own Route, X-Campaign, what a
// peer prefers or, untrusted, asserts, what it proved itself to us by, and the
// host of a Request-URI that names us.
func (e *exchange) forwardBy(v *message.View, l *Listener, to netip.AddrPort) {
	p := e.p
	edits := message.Edits{Source: e.source, MaxForwards: hops(v), DropRoutes: p.ownRoutes(v), Realm: e.config.Realm}
	edits.Remove[message.XCampaign] = true
	edits.Remove[message.PPreferredIdentity] = true // a hint for the first proxy only (RFC 3325 section 9.2)
	edits.Remove[message.PAssertedIdentity] = !e.peer.Terms.TrustIdentity
	if !e.peer.LeavesPath {
		edits.RecordRoute = p.recordRoute(v, e.listener, l, e.source, to, e.prints(v))
	}
	edits.URI = p.retarget(v, l, to)
	e.send(v, &edits, l, to)
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
// it leaves by another listener than it came by, be it another transport or
// address family (RFC 5658), the one for the next hop on top.
func (p *Proxy) recordRoute(v *message.View, came, leaves *Listener, dialer, carrier netip.AddrPort, of prints) (rr [2][]byte) {
	token := p.tokens.appendToken(nil, v.Value(message.CallID), v.FromTag, dialer, carrier, of)
	value := func(l *Listener) []byte {
		b := append(make([]byte, 0, 128), "<sip:"...)
		b = appendTransport(l.Advertised.AppendTo(b), l)
		b = append(append(b, ";lr;"+tokenParam+"="...), token...)
		return append(b, '>')
	}
	rr[0] = value(leaves)
	if came != leaves {
		rr[1] = value(came)
	}
	return rr
}

// appendTransport appends the URI parameter that says how a listener is
// reached, where it is not the transport that is meant without.
func appendTransport(b []byte, l *Listener) []byte {
	if name := l.kind().Param(); name != "" {
		b = append(append(b, ";transport="...), name...)
	}
	return b
}

// retarget gives a Request-URI that names us the carrier's address in our
// place, and the transport by which it is reached; nil leaves it as it came.
func (p *Proxy) retarget(v *message.View, l *Listener, to netip.AddrPort) []byte {
	u, ok := message.ParseURI(v.URI)
	if !ok || u.Scheme != message.SIP || !p.isOurs(&u) || len(u.User) == 0 {
		return nil
	}
	b := append(make([]byte, 0, len(v.URI)+24), "sip:"...)
	b = append(append(b, u.User...), '@')
	b = appendTransport(to.AppendTo(b), l)
	message.EachParam(u.Params, func(name, value []byte) {
		if message.EqualFold(name, "transport") {
			return
		}
		b = append(append(b, ';'), name...)
		if value != nil {
			b = append(append(b, '='), value...)
		}
	})
	return b
}

// send passes the request on in a client transaction.
func (e *exchange) send(v *message.View, edits *message.Edits, l *Listener, to netip.AddrPort) {
	p := e.p
	var buf [96]byte
	via, id := p.via(buf[:0], v, l)
	edits.Via, edits.Add = via, l.length(v)
	p.made = v.AppendForward(p.made[:0], edits)
	out := bytes.Clone(p.made)
	p.metrics.request(v.Method, sent, l.kind())
	invite := v.IsMethod("INVITE")
	t := e.current()
	if t == nil {
		e.client = p.layer.NewClient(id, invite, path(l, to), out, e)
		return
	}
	t.client = p.layer.NewClient(id, invite, path(l, to), out, t)
	e.client = t.client
}

// via makes our Via value with a new branch.
func (p *Proxy) via(b []byte, v *message.View, l *Listener) ([]byte, uint64) {
	return p.viaFor(b, l, p.loopHash(v))
}

func (p *Proxy) viaFor(b []byte, l *Listener, loop uint32) ([]byte, uint64) {
	b = append(append(append(b, "SIP/2.0/"...), l.kind().Via()...), ' ')
	b = l.Advertised.AppendTo(b)
	if !l.kind().Reliable() {
		b = append(b, ";rport"...) // behind a NAT only the other side knows our port (RFC 3581)
	}
	b = append(b, ";branch="...)
	return p.layer.NextBranch(b, loop)
}

// Response passes a response back (RFC 3261 section 16.7).
func (e *exchange) Response(v *message.View) {
	invite := string(v.CSeqMethod) == "INVITE"
	switch {
	case v.Status == 100 || v.Status < 200 && e.ended:
		return
	case v.Status < 200 && e.rang.IsZero() && invite:
		e.rang = time.Now()
	case v.Status >= 300 && e.objected && !e.cancelled:
		e.refuseObjected() // a re-INVITE; a first INVITE is answered by its tries
		return
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
	if v.Status >= 200 {
		e.noteBlock(v)
	}
	e.p.made = v.AppendForward(e.p.made[:0], &message.Edits{PopVia: true, Add: e.listener.length(v)})
	e.pass(v.Status, bytes.Clone(e.p.made))
}

// pass sends a response of the next hop.
func (e *exchange) pass(status int, response []byte) {
	e.p.metrics.response(status, sent)
	e.server.Respond(status, response)
	if status >= 200 {
		by := policy.EndedByCallee
		if e.cancelled && status == 487 {
			by = policy.EndedByDialer
		}
		e.finish(status, by)
	}
}

// Failed is told that nobody answered. A request other than INVITE that met
// silence is not answered either (RFC 4320 section 4.2).
func (e *exchange) Failed(why transaction.End) {
	switch {
	case e.server.Final():
	case e.objected && !e.cancelled:
		e.refuseObjected()
	case e.cancelled:
		e.respond(487, phrases[487], nil)
		e.finish(487, policy.EndedByDialer)
	case why == transaction.Unreachable && e.smaller != nil:
		again := e.smaller
		e.smaller = nil
		again()
	case why == transaction.Unreachable:
		e.unreachable(500) // as if a 503 had come (RFC 3261 section 16.9)
	case !e.isInvite():
		e.server.Drop()
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
