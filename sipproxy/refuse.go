package sipproxy

import (
	"dialgate/policy"
	"dialgate/sipproxy/message"
	"dialgate/sipproxy/transport"
)

// refuse answers a refused call in the peer's dialect and returns the status.
func (e *exchange) refuse(r policy.Reason) int {
	a := AnswerTo(e.peer.Dialect, r)
	e.respond(a.Code, a.Phrase, a.Headers(e.p.o.Name, e.ruling.ID.String()))
	e.finish(a.Code, policy.EndedByGate)
	return a.Code
}

// refusePanic answers a call that a fault of ours has struck as if we were
// overloaded: in the dialect, so that no trunk goes round us.
func (p *Proxy) refusePanic(c *inForce, l *Listener, d *transport.Datagram, v *message.View) {
	if !v.IsMethod("INVITE") || !v.CanAnswer() {
		return
	}
	who := c.origin(d)
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
func (e *exchange) unreachable(strict int) {
	status, extra := strict, []byte(nil)
	if e.peer == nil || e.peer.Dialect == Safe {
		a := Answer{SIPCause: strict, Text: "carrier", RetryAfter: waitLoad}
		status, extra = 480, a.Headers(e.p.o.Name, e.ruling.ID.String())
	}
	e.respond(status, phrases[status], extra)
	e.finish(status, policy.EndedByTimeout)
}
