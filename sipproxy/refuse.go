package sipproxy

import (
	"dialgate/policy"
	"dialgate/sipproxy/message"
	"dialgate/sipproxy/transport"
)

// refuse answers a refused call in the peer's dialect and returns the status.
// In a dialog the answer is one after which the call goes on as it was (RFC
// 5057 section 5.1).
func (e *exchange) refuse(r policy.Reason) int {
	a := AnswerTo(e.dialect(), r)
	if e.pass != nil && a.Code != 433 {
		a.Code, a.Phrase, a.RetryAfter = 403, phrases[403], 0
	}
	e.respond(a.Code, a.Phrase, a.Headers(e.p.o.Name, e.ruling.ID.String()))
	e.finish(a.Code, policy.EndedByGate)
	return a.Code
}

// dialect is the peer's; who was taken out of the configuration has none.
func (e *exchange) dialect() Dialect {
	if e.peer == nil {
		return Safe
	}
	return e.peer.Dialect
}

// refusePanic answers a call that a fault of ours has struck as if we were
// overloaded: in the dialect, so that no trunk goes round us.
func (p *Proxy) refusePanic(c *inForce, l *Listener, d *transport.Datagram, v *message.View) {
	if !v.IsMethod("INVITE") || !v.CanAnswer() {
		return
	}
	who := c.origin(d.Remote)
	if who == nil {
		return
	}
	answered := false
	p.locked(func() {
		if s := p.layer.FindServer(v); s != nil {
			e, ok := s.User.(*exchange)
			if answered = ok && e.peer != nil; answered && !s.Final() {
				e.refuse(policy.ReasonOverloaded)
			}
		}
	})
	if answered {
		return
	}
	dialect := Safe
	if who.peer != nil {
		dialect = who.peer.Dialect
	}
	a := AnswerTo(dialect, policy.ReasonOverloaded)
	p.reply(l, d.Remote, v, a.Code, a.Headers(p.o.Name, ""))
}

// unreachable answers an allowed call that the carrier did not: by the RFC
// with 408 or 500, safely with 480, since a 408 or 5xx makes trunks go round us.
// In a dialog there is no way round, and 480 would end the call (RFC 5057).
func (e *exchange) unreachable(strict int) {
	status, extra := strict, []byte(nil)
	if e.pass == nil && e.dialect() == Safe {
		a := Answer{SIPCause: strict, Text: "carrier", RetryAfter: waitLoad}
		status, extra = 480, a.Headers(e.p.o.Name, e.ruling.ID.String())
	}
	e.respond(status, phrases[status], extra)
	e.finish(status, policy.EndedByTimeout)
}
