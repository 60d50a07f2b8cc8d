package sipproxy

import (
	"bytes"
	"cmp"
	"net/netip"

	"dialgate/policy"
	"dialgate/sipproxy/message"
)

// again tells who has to judge a request in a dialog before it passes, and
// prepares the attempt; nil: it changes nothing that was judged. There is no
// state of the dialog to compare it with: the token holds prints of the numbers.
//
//   - a re-INVITE or UPDATE whose caller identity is another one (RFC 4916), or
//     that hides it, by the rules about the caller;
//   - a re-INVITE to another number, as a call to that number: else a token of
//     one call would open the way to every number;
//   - a REFER, as a call to the number in its Refer-To: the other side will
//     place it.
//
// What a carrier's side sends is not judged: calls that it makes a dialer place
// come by here.
func (e *exchange) again(c *inForce, who *source, v *message.View, of leg) Judge {
	invite, refer := v.IsMethod("INVITE"), v.IsMethod("REFER")
	if !invite && !refer && !v.IsMethod("UPDATE") || who != nil && who.carrier != nil {
		return nil
	}
	e.config = c
	var terms *policy.PeerTerms // nil for who was taken out of the configuration
	if who != nil {
		e.peer, terms = who.peer, who.peer.Terms
	}
	if refer {
		c.Reader.readRefer(v, terms, &e.attempt)
		e.judged = true
		return c.Judge
	}
	if called := c.Reader.called(v.URI, cmp.Or(terms, &policy.PeerTerms{})); invite && number(&called) != "" && e.p.tokens.print(number(&called)) != of.other {
		c.Reader.Read(v, terms, &e.attempt)
		e.attempt.Called.Emergency = false // it goes where the call goes, not to the carrier of emergency calls
		e.judged = true
		return c.Judge
	}
	c.Reader.readCaller(v, terms, &e.attempt)
	shown := e.p.tokens.print(digits(e.attempt.Caller.Shown))
	if e.attempt.Caller.Mark(policy.MarkHidden) == nil && e.attempt.Caller.Mark(policy.MarkContradicts) == nil && (shown == of.shown || shown == of.from) {
		return nil
	}
	return c.JudgeCaller
}

// withhold takes from a dialer's request what does not leave with its first
// INVITE either.
func (e *exchange) withhold(edits *message.Edits) {
	edits.Remove[message.XCampaign] = true
	edits.Remove[message.PPreferredIdentity] = true // a hint for the first proxy only (RFC 3325 section 9.2)
	edits.Remove[message.PAssertedIdentity] = e.peer == nil || !e.peer.Terms.TrustIdentity
}

// prints are those of a dialer's call.
func (e *exchange) prints(v *message.View) prints {
	t, shown := e.p.tokens, digits(e.attempt.Caller.Shown)
	of := prints{shown: t.print(shown), other: t.print(number(&e.attempt.Called)), peer: t.peer(e.peer)}
	of.from = of.shown
	if e.attempt.Caller.From != policy.HeaderFrom {
		id := e.config.Reader.identity(v.Value(message.From), e.peer.Terms)
		of.from = t.print(digits(id.number))
	}
	return of
}

// inboundPrints are those of a call to a dialer: it is the side that was called.
func (p *Proxy) inboundPrints(c *inForce, v *message.View, to netip.AddrPort) prints {
	home := &policy.PeerTerms{Plan: c.Reader.Home}
	id := c.Reader.identity(v.Value(message.To), home)
	caller := c.Reader.identity(v.Value(message.From), home)
	of := prints{shown: p.tokens.print(digits(id.number)), other: p.tokens.print(digits(caller.number))}
	of.from = of.shown
	if s := c.at(to); s != nil && s.peer != nil {
		of.peer = p.tokens.peer(s.peer)
	}
	return of
}

// number is the number or short code that is called, "" if none.
func number(c *policy.Called) string {
	if c.Number.IsZero() {
		return c.Short
	}
	return c.Number.Digits()
}

func digits(n policy.Number) string {
	if n.IsZero() {
		return ""
	}
	return n.Digits()
}

// readCaller fills a with what a request in a dialog tells of who calls. Whom
// is in To; its Request-URI is an address that the other side gave.
func (r *Reader) readCaller(v *message.View, peer *policy.PeerTerms, a *policy.Attempt) {
	to, _ := message.ParseAddress(v.Value(message.To))
	r.readOf(to.URI, v, peer, a)
	a.Called.Hides = "" // nobody dials it again
}

// readRefer fills a with the call that a REFER asks for (RFC 3515). What can't
// be read, or is more than a plain URI, makes it malformed: a method or header
// fields there would be those of the call to come (RFC 3261 section 19.1.5).
// Replaces alone may stand there (RFC 3891): it takes over a call of the
// called person's, to whom the number leads.
func (r *Reader) readRefer(v *message.View, peer *policy.PeerTerms, a *policy.Attempt) {
	n, value := 0, []byte(nil)
	for i := range v.Headers {
		if v.Headers[i].Kind == message.ReferTo {
			n++
			value = v.Headers[i].Value
		}
	}
	to, ok := message.ParseAddress(value)
	u, isURI := message.ParseURI(to.URI)
	r.readOf(bytes.TrimSuffix(to.URI, append([]byte("?"), u.Headers...)), v, peer, a)
	switch {
	case n != 1 || !ok || !isURI:
		a.Malformed = "Refer-To is not there once with one address"
	case u.Headers != nil && !replacesOnly(u.Headers):
		a.Malformed = "Refer-To holds header fields other than Replaces for the call to come"
	}
	if _, method := u.Param("method"); method {
		a.Malformed = "Refer-To asks for another method than INVITE"
	}
	u.Headers = nil
	if why := reroutes(&u); why != "" && a.Malformed == "" && (peer == nil || !peer.MayRoute) {
		a.Malformed = "Refer-To names a target that could lead elsewhere than to the number judged"
	}
}

// replacesOnly reports whether the header fields of a URI are one Replaces.
func replacesOnly(headers []byte) bool {
	name, _, _ := bytes.Cut(headers, []byte("="))
	return message.EqualFold(message.Unescape(name), "Replaces") && !bytes.ContainsRune(headers, '&')
}

// readOf fills a with a call to a URI under the caller identity of a request.
func (r *Reader) readOf(uri []byte, v *message.View, peer *policy.PeerTerms, a *policy.Attempt) {
	*a = policy.Attempt{Peer: peer, CallID: string(v.Value(message.CallID)), Registers: r.Directory.Registers()}
	if peer == nil {
		peer = &policy.PeerTerms{} // no trust, no campaigns; rule base.peer refuses
	}
	a.Called = r.called(uri, peer)
	a.Called.Emergency = false // it is for who calls, not for what is said in a call
	r.caller(v, peer, &a.Caller)
	a.Entry = r.Directory.Caller(a.Caller.Shown)
	a.Campaign, a.NoCampaign = r.Directory.TellCampaign(peer, a.Caller.Shown, "")
}
