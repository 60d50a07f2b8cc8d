package sipproxy

import (
	"time"

	"dialgate/policy"
	"dialgate/sipproxy/message"
)

// redirect gives an allowed call back to the switch, which makes it itself: by
// a Contact at the carrier (RFC 3261 section 8.3), or by the code for go that
// was agreed with it. No request goes on, and the ACK ends here.
func (e *exchange) redirect(v *message.View) {
	a := e.peer.Allowed()
	id := ""
	if e.ruling.ID != (policy.RulingID{}) { // an emergency call goes before its record
		id = e.ruling.ID.String()
	}
	extra := a.Headers(e.p.o.Name, id)
	if !e.peer.Dialect.Asks() {
		contact := e.contact(v)
		switch {
		case contact == nil && e.crowded:
			e.p.metrics.overloaded(overCarrier)
			e.refuse(policy.ReasonOverloaded)
			return
		case contact == nil:
			e.unreachable(500)
			return
		}
		extra = append(contact, extra...)
	}
	e.respond(a.Code, a.Phrase, extra)
	e.finish(a.Code, policy.EndedByGate)
}

// emergencyNumber is the one of the European Union.
const emergencyNumber = "112"

// contact is the Contact header line that leads to the carrier, nil when there
// is no carrier. It has the number that was judged, not what was dialled.
func (e *exchange) contact(v *message.View) []byte {
	h, ok := e.next(time.Now())
	if !ok {
		return nil
	}
	to, l := h.target.addr, h.by
	b := append(make([]byte, 0, 96), "Contact: <sip:"...)
	switch called := &e.attempt.Called; {
	case !called.Number.IsZero():
		b = append(b, called.Number.E164()...)
	case called.Short != "":
		b = append(b, called.Short...)
	case called.Emergency:
		b = append(b, emergencyNumber...) // urn:service:sos (RFC 5031) has no user part
	default:
		u, ok := message.ParseURI(v.URI)
		if !ok || len(u.User) == 0 {
			return nil
		}
		b = append(b, u.User...)
	}
	b = appendTransport(to.AppendTo(append(b, '@')), l)
	return append(b, ";user=phone>\r\n"...)
}
