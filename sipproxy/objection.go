package sipproxy

import (
	"dialgate/policy"
)

// Objected ends the set-up of calls to numbers for which an objection has just
// been recorded: a call whose phone rings is cancelled, one whose ruling is on
// its way to the disk is asked about again before it goes on. So is one that a
// REFER or re-INVITE asks for; a re-INVITE is cancelled too, which leaves the
// call that it would have moved as it was. Whether the objection refuses a call
// is for the judge to say. It costs one look at each call in set-up, and the
// calls themselves nothing.
func (p *Proxy) Objected(numbers ...policy.Number) {
	if len(numbers) == 0 {
		return
	}
	objected := make(map[policy.Number]bool, len(numbers))
	for _, n := range numbers {
		objected[n] = true
	}
	type call struct {
		*exchange
		set *setUp // which the exchange may have let go when the judge is asked
	}
	var calls []call
	p.locked(func() {
		look := func(e *exchange) {
			switch {
			case e.ended || !e.judged || e.peer == nil || e.attempt.Called.Emergency || !objected[e.attempt.Called.Number]:
			case !e.ruled:
				e.askAgain = true
			default:
				calls = append(calls, call{e, e.setUp})
			}
		}
		for e := range p.asked {
			look(e)
		}
		for _, e := range p.open {
			look(e)
		}
	})
	for _, e := range calls {
		if e.set.config.Objected == nil || !e.set.config.Objected(&e.set.attempt) { // it looks facts up: not under the lock
			continue
		}
		p.locked(func() {
			if e.ended || e.cancelled || e.objected || e.client == nil {
				return
			}
			e.objected = true
			e.client.Cancel([]byte(`SIP;cause=603;text="objected"`))
		})
	}
}

// refusesNow reports whether an objection that came while the ruling was on its
// way refuses the call after all.
func (e *exchange) refusesNow() bool {
	return e.askAgain && e.config.Objected != nil && e.config.Objected(&e.attempt)
}

// refuseObjected answers a call that was allowed and that an objection has ended.
func (e *exchange) refuseObjected() int {
	return e.refuseBy(policy.ReasonObjected, policy.EndedByObjection)
}
