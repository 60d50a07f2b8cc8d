package sipproxy

import (
	"dialgate/policy"
	"dialgate/sipproxy/message"
	"dialgate/sipproxy/transport"
)

// refuse answers a refused call in the peer's dialect and returns the status.
// In a dialog the answer is one after which the call goes on as it was (RFC
// 5057 section 5.1).
func (e *exchange) refuse(r policy.Reason) int { return e.refuseBy(r, policy.EndedByGate) }

func (e *exchange) refuseBy(r policy.Reason, by policy.Party) int {
	a := e.answers().Answer(r)
	if e.onward != nil && a.Code != 433 {
		a.Code, a.Phrase, a.RetryAfter = 403, phrases[403], 0
	}
	e.respond(a.Code, a.Phrase, a.Headers(e.p.o.Name, e.ruling.ID.String()))
	e.finish(a.Code, by)
	return a.Code
}

// answers is the peer whose dialect counts.
func (e *exchange) answers() *peer {
	if e.peer == nil {
		return &nobody
	}
	return e.peer
}

// refusePanic answers a call that a fault of ours has struck as if we were
// overloaded: in the dialect, so that no trunk goes round us.
func (p *Proxy) refusePanic(c *inForce, l *Listener, d *transport.Datagram, v *message.View) {
	if !v.IsMethod("INVITE") || !v.CanAnswer() {
		return
	}
	who := c.origin(l, d)
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
	a := AnswerTo(Safe, policy.ReasonOverloaded)
	if who.peer != nil {
		a = who.peer.Answer(policy.ReasonOverloaded)
	}
	p.replyTo(who, l, d.Remote, v, a.Code, a.Headers(p.o.Name, ""))
}

// unreachable answers an allowed call that the carrier did not, in the peer's
// dialect: strict is what the RFC says, 408 for a silent carrier and 500 for
// one that can't take calls. In a dialog it is that for every peer: there is
// no way round, and 480 would end the call (RFC 5057).
func (e *exchange) unreachable(strict int) {
	if e.onward != nil {
		e.respond(strict, phrases[strict], nil)
		e.finish(strict, policy.EndedByTimeout)
		return
	}
	c := classFailed
	if strict == 408 {
		c = classSilent
	}
	a := e.answers().unanswered(c)
	e.respond(a.Code, a.Phrase, a.Headers(e.p.o.Name, e.ruling.ID.String()))
	e.finish(a.Code, policy.EndedByTimeout)
}

// nobody is the peer of a call that comes from a carrier, or from who was taken
// out of the configuration.
var nobody = peer{Peer: Peer{Dialect: Safe}}
