package sipproxy

import (
	"dialgate/policy"
	"dialgate/sipproxy/message"
	"dialgate/sipproxy/transport"
)

// refuse answers a refused call in the peer's dialect and returns the status.
func (e *exchange) refuse(r policy.Reason) int {
	a := e.peer.Answer(r)
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
	a := AnswerTo(Safe, policy.ReasonOverloaded)
	if who.peer != nil {
		a = who.peer.Answer(policy.ReasonOverloaded)
	}
	p.reply(l, d.Remote, v, a.Code, a.Headers(p.o.Name, ""))
}

// unreachable answers an allowed call that the carrier did not, in the peer's
// dialect: strict is what the RFC says, 408 for a silent carrier and 500 for
// one that can't take calls.
func (e *exchange) unreachable(strict int) {
	c := classFailed
	if strict == 408 {
		c = classSilent
	}
	peer := e.peer
	if peer == nil {
		peer = &nobody
	}
	a := peer.unanswered(c)
	e.respond(a.Code, a.Phrase, a.Headers(e.p.o.Name, e.ruling.ID.String()))
	e.finish(a.Code, policy.EndedByTimeout)
}

// nobody is the peer of a call that comes from a carrier.
var nobody = peer{Peer: Peer{Dialect: Safe}}
