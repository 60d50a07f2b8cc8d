package sipproxy

import (
	"bytes"
	"errors"
	"net/netip"
	"slices"
	"strconv"

	"dialgate/policy"
	"dialgate/sipproxy/message"
	"dialgate/sipproxy/transaction"
	"dialgate/sipproxy/transport"
)

// allow are the methods we take.
const allow = "INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, INFO, PRACK, REFER, NOTIFY"

// malformed answers a request that could not be read with what it deserves,
// and drops everything else. Strangers get nothing.
func (p *Proxy) malformed(c *inForce, l *Listener, d *transport.Datagram, v *message.View, err error) {
	var bad *message.ParseError
	is := errors.As(err, &bad)
	switch {
	case is && bad.Limit == message.SizeLimit:
		p.metrics.dropped(dropTooLarge)
	case is && bad.Limit == message.HeaderLimit:
		p.metrics.dropped(dropTooManyHeaders)
	default:
		p.metrics.dropped(dropMalformed)
	}
	who := c.origin(l, d)
	if !is || bad.Status == 0 || who == nil || !v.CanAnswer() {
		return
	}
	p.replyTo(who, l, d.Remote, v, bad.Status, nil)
}

// reply answers a request without keeping a transaction, but for an INVITE in a
// call: the ACK for the answer would be taken for one that goes on.
func (p *Proxy) reply(l *Listener, from netip.AddrPort, v *message.View, status int, extra []byte) {
	p.sendReply(l, from, v, status, p.answer(from, v, status, extra))
}

// answer makes an answer to a request.
func (p *Proxy) answer(from netip.AddrPort, v *message.View, status int, extra []byte) []byte {
	return v.AppendResponse(nil, &message.Response{Status: status, Phrase: phrase(status), ToTag: p.tag(v), Source: from, Extra: extra})
}

// sendReply sends an answer.
func (p *Proxy) sendReply(l *Listener, from netip.AddrPort, v *message.View, status int, out []byte) {
	inCall := v.IsMethod("INVITE") && p.inCall(v)
	p.metrics.response(status, sent)
	p.locked(func() {
		if inCall && !p.layer.Exhausted() && p.layer.FindServer(v) == nil {
			p.layer.NewServer(v, l.path(from, v), answered{}).Respond(status, out)
			return
		}
		p.layer.Send(l.path(from, v), out)
	})
}

// answered is a request that has its final answer when its transaction begins.
type answered struct{}

func (answered) Trying() []byte { return nil }
func (answered) Over()          {}

// fits reports whether an answer may go to somebody who may be another one: the
// source of a datagram may be forged, so whoever is there gets no more octets
// than were sent in its name, once.
func fits(l *Listener, v *message.View, out []byte) bool {
	return len(out) <= len(v.Raw) || l.kind().Reliable()
}

// replyNoLarger is reply, unless the answer does not fit; it reports whether
// there was one.
func (p *Proxy) replyNoLarger(l *Listener, from netip.AddrPort, v *message.View, status int, extra []byte) bool {
	out := p.answer(from, v, status, extra)
	if fits(l, v, out) {
		p.sendReply(l, from, v, status, out)
		return true
	}
	return false
}

// replyTo is reply, or replyNoLarger to a peer that proves itself: what it is
// answered before it has.
func (p *Proxy) replyTo(who *source, l *Listener, from netip.AddrPort, v *message.View, status int, extra []byte) {
	if who.mustProve() {
		_ = p.replyNoLarger(l, from, v, status, extra) || extra != nil && p.replyNoLarger(l, from, v, status, nil)
		return
	}
	p.reply(l, from, v, status, extra)
}

// mustProve reports whether it takes more than its address to be who it is.
func (s *source) mustProve() bool { return s != nil && s.peer != nil && s.peer.Digest != nil }

func phrase(status int) string {
	if s := phrases[status]; s != "" {
		return s
	}
	return "Refused" // a code that was agreed with a switch
}

// tag is the To tag of our own answers to a request: the same for each
// repetition of it.
func (p *Proxy) tag(v *message.View) []byte {
	return strconv.AppendUint([]byte("dg"), p.hash(v.Top.Branch, v.Value(message.CallID), v.FromTag), 36)
}

// hash is a keyed hash over texts.
func (p *Proxy) hash(parts ...[]byte) uint64 { return p.hashWith(0, parts...) }

func (p *Proxy) hashWith(n uint32, parts ...[]byte) uint64 {
	h := newHash(p.seed)
	for _, b := range parts {
		h.Write(b)
		h.WriteByte(0)
	}
	h.Write([]byte{byte(n), byte(n >> 8), byte(n >> 16), byte(n >> 24)})
	return h.Sum64()
}

// stranger drops a request from who is nobody's, or refuses it.
func (p *Proxy) stranger(c *inForce, l *Listener, from netip.AddrPort, v *message.View) {
	p.metrics.dropped(dropStranger)
	if !c.AnswerStrangers || v.IsMethod("ACK") {
		return
	}
	if out := p.answer(from, v, 403, nil); fits(l, v, out) {
		p.metrics.response(403, sent)
		p.locked(func() { p.layer.Send(l.path(from, v), out) })
	}
}

// request works off a request in the order of RFC 3261 section 16.3.
// who is nil for a stranger to the configuration in force whose call one before
// it let through.
func (p *Proxy) request(c *inForce, l *Listener, who *source, from netip.AddrPort, v *message.View) {
	uri := v.URI
	p.repair(v)
	switch {
	case v.IsMethod("ACK"):
		p.ack(c, l, who, from, v)
		return
	case v.IsMethod("CANCEL"):
		p.cancel(l, who, from, v)
		return
	}
	again := false
	p.locked(func() {
		if s := p.layer.FindServer(v); s != nil {
			again = true
			s.Again()
		}
	})
	if again {
		p.metrics.repeated.Inc()
		return
	}
	if status, extra := p.invalid(v); status != 0 {
		p.replyTo(who, l, from, v, status, extra)
		return
	}
	if who.mustProve() && !p.proves(c, l, who.peer, from, v, uri) {
		return
	}
	if len(v.ToTag) > 0 {
		if leg, routes, ok := p.dialog(v); ok && p.mayUse(c, who, from, &leg) {
			p.inDialog(c, l, from, who, v, leg, routes)
			return
		}
		if !v.IsMethod("INVITE") {
			p.reply(l, from, v, 481, nil)
			return
		}
		// An INVITE that only claims to belong to a call is judged as a new one.
	}
	switch {
	case who == nil: // its call has just ended
		p.metrics.dropped(dropStranger)
	case v.IsMethod("INVITE"):
		p.invite(c, l, from, who, v)
	case v.IsMethod("OPTIONS"):
		p.replyTo(who, l, from, v, 200, []byte("Allow: "+allow+"\r\nAccept: application/sdp\r\n"))
	case who.peer != nil && slices.Contains(c.OutOfDialog, string(v.Method)):
		p.outside(c, l, from, who.peer, v)
	default:
		p.reply(l, from, v, 405, []byte("Allow: "+allow+"\r\n"))
	}
}

// invalid tells the status that a request deserves which is well-formed but
// can't be passed on, 0 if it can.
func (p *Proxy) invalid(v *message.View) (status int, extra []byte) {
	u, ok := message.ParseURI(v.URI)
	switch {
	case len(v.Raw) > mostRequest:
		p.metrics.dropped(dropTooLarge)
		return 513, nil
	case !ok && !knownScheme(v.URI):
		return 416, nil
	case !ok:
		return 400, nil
	case u.Scheme == message.OtherScheme || u.Scheme == message.SIPS:
		return 416, nil // sips asks for TLS on every hop, which we can promise for our own only
	case u.Headers != nil:
		return 400, nil // header fields hidden in a Request-URI, RFC 4475 section 3.1.2.11
	case v.MaxForwards == 0 && !(v.IsMethod("OPTIONS") && p.isOurs(&u)):
		return 483, nil // an OPTIONS to ourselves has arrived
	}
	if p.loops(v) {
		return 482, nil
	}
	if v.Get(message.ProxyRequire) != nil {
		extra = []byte("Unsupported: ")
		for i := range v.Headers {
			if h := &v.Headers[i]; h.Kind == message.ProxyRequire {
				extra = append(append(extra, bytes.Join(bytes.Fields(h.Value), []byte(" "))...), ", "...)
			}
		}
		return 420, append(extra[:len(extra)-2], "\r\n"...)
	}
	return 0, nil
}

func knownScheme(uri []byte) bool {
	for _, s := range [...]string{"sip:", "sips:", "tel:", "urn:"} {
		if len(uri) >= len(s) && message.EqualFold(uri[:len(s)], s) {
			return true
		}
	}
	return false
}

// loops reports whether the request was here before and nothing that decides
// where it goes has changed since (RFC 5393 section 4.2).
func (p *Proxy) loops(v *message.View) bool {
	if !bytes.Contains(v.Raw[:len(v.Raw)-len(v.Body)], []byte(transaction.Cookie)) {
		return false
	}
	loop, found := p.loopHash(v), false
	v.EachVia(func(t *message.TopVia) bool {
		if _, l, ok := transaction.BranchID(t.Branch); ok && l == loop {
			addr, ip := t.SentBy()
			port := t.Port
			if port == 0 {
				port = 5060
			}
			found = ip && p.ours[netip.AddrPortFrom(addr, port)]
		}
		return !found
	})
	return found
}

// loopHash is over what decides where a request goes and which it is.
func (p *Proxy) loopHash(v *message.View) uint32 {
	user := v.URI
	if u, ok := message.ParseURI(v.URI); ok && len(u.User) > 0 {
		user = u.User // we rewrite the host
	}
	return uint32(p.hashWith(v.CSeqNumber, user, v.FromTag, v.ToTag, v.Value(message.CallID), v.Method))
}

// ack absorbs the ACK for a refusal of ours and passes on the one for a 2xx.
func (p *Proxy) ack(c *inForce, l *Listener, who *source, from netip.AddrPort, v *message.View) {
	mine := false
	p.locked(func() {
		if s := p.layer.FindServer(v); s != nil {
			mine = s.Ack()
		}
	})
	if mine || bytes.Equal(v.ToTag, p.tag(v)) {
		return // the latter is for an answer that began no transaction, such as a 407
	}
	leg, routes, ok := p.dialog(v)
	if !ok || v.MaxForwards == 0 || !p.mayUse(c, who, from, &leg) {
		p.metrics.dropped(dropStrayACK)
		return
	}
	p.passACK(c, l, v, leg, routes)
}

// cancel answers a CANCEL hop by hop (RFC 3261 section 9.2) and passes it on.
// Nobody is asked to prove who he is for it: one of a peer that has to is taken
// from where its INVITE came from (section 22.1).
func (p *Proxy) cancel(l *Listener, who *source, from netip.AddrPort, v *message.View) {
	status := 481
	p.locked(func() {
		s := p.layer.FindInvite(v)
		if s == nil {
			return
		}
		e, ok := s.User.(*exchange)
		if ok && e.peer != nil && e.peer.Digest != nil && e.source.Addr() != from.Addr() {
			return
		}
		status = 200
		if ok && !s.Final() {
			e.cancel(v.Value(message.Reason))
		}
	})
	p.replyTo(who, l, from, v, status, nil)
}

// routed tells why a request's Route header fields are refused: a peer that may
// not choose where a call goes sends none, "" when there is nothing to refuse.
// What in the Request-URI itself leads elsewhere, the [Reader] tells.
func (p *Proxy) routed(v *message.View, terms *policy.PeerTerms) string {
	if terms.MayRoute {
		return ""
	}
	foreign := false
	v.Routes(func(a message.Address) bool {
		u, ok := message.ParseURI(a.URI)
		foreign = !ok || !p.isOurs(&u)
		return !foreign
	})
	if foreign {
		return "a Route header field would send the call elsewhere, which this peer may not"
	}
	return ""
}
