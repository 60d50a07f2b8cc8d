// Package gate is where lookup meets judgement: it looks up what is known of
// the called number, lets the books decide, and records the decision before
// anybody acts on it. When one of these can't be done, it refuses the call
// with a reason of its own: unknown is never allow.
//
//	facts := store.Hold(attempt)             one read, and the calls just allowed
//	decision := books.Decide(attempt, facts) pure
//	ledger.Append(record)                    durable before the call goes on
//
// The one exception is a call to an emergency number: nothing is looked up,
// and the call does not wait for its record.
package gate

import (
	"time"

	"github.com/google/uuid"

	"dialgate/policy"
)

// Facts looks up what is known of one number. A number of which nothing is
// known is no error; any error means that nothing can be said.
//
// Hold keeps other decisions about the number waiting until Release, so that
// of two calls at once the second one is judged by the first. Release, which
// follows every Hold that was no error, tells which call went out, nil if none
// did: the next Hold knows of it, long before its record is durable. The
// ledger takes it back when it can't record it. TakeBack does when the call was
// refused after all, since its record was not on disk in time.
type Facts interface {
	Hold(n policy.Number, into *policy.Facts) error
	Release(n policy.Number, made *policy.EarlierCall)
	TakeBack(n policy.Number, made policy.EarlierCall)
}

// Ledger records decisions and outcomes. Append takes what it needs of the
// record before it returns, and calls done exactly once: before it returns, or
// later from a goroutine of its own when the record is durable. done tells
// whether the decision stands; an allowed call that was refused meanwhile is not
// to count as an earlier call.
type Ledger interface {
	Append(r *policy.Record, done func(error) (stands bool))
	AppendOutcome(o *policy.Outcome, done func(error))
}

// Rules are what a gate judges by.
type Rules struct {
	Books  *policy.Books
	Config string // id of the configuration, for the record
}

// Options of a Gate. All but Permit, Redials, Within, Observe and Unrecorded are
// required.
type Options struct {
	Rules  Rules
	Facts  Facts
	Ledger Ledger
	Node   string           // name of this node, for the record
	Now    func() time.Time // the only clock that calls are judged by
	// Answer is the SIP status code by which a refusal is answered in the
	// peer's dialect, for the record. The reason is as the peer is told it.
	Answer func(p *policy.PeerTerms, r policy.Reason) int
	// Permit names the operation reasons for which the operator chose to let
	// calls pass unjudged or unrecorded. The decision is then not-enforced.
	Permit map[policy.Reason]bool
	// Within is how long a call waits for its record. Then it is answered all the
	// same, ledger-unavailable, as Permit has it. 0: as long as the disk takes.
	Within time.Duration
	// Redials notice calls that are made again after a refusal; nil: nobody does.
	Redials *Redials
	// Observe is told of each decision and how long it took, not counting the
	// wait for the record.
	Observe func(a *policy.Attempt, d *policy.Decision, took time.Duration)
	// Unrecorded is told of each call that was answered without its record being
	// on disk, with what was done, and why the record failed; nil: it was late.
	Unrecorded func(d *policy.Decision, why error)
}

// A Gate judges attempts by the rules of one configuration. Another
// configuration is another gate, on the same facts and ledger: so no attempt is
// judged by two. It is safe for use by many goroutines.
type Gate struct {
	o     Options
	waits waits
}

// New makes a Gate.
func New(o Options) *Gate {
	g := &Gate{o: o}
	if g.o.Observe == nil {
		g.o.Observe = func(*policy.Attempt, *policy.Decision, time.Duration) {}
	}
	if g.o.Unrecorded == nil {
		g.o.Unrecorded = func(*policy.Decision, error) {}
	}
	return g
}

// Judge decides one attempt at the gate's own time, records the decision, and
// calls ready exactly once: when it is durable, or when it has waited for that as
// long as a call may; before Judge returns, or later from another goroutine. A
// decision that could not be recorded becomes a refusal, ledger-unavailable. The
// attempt must not change until ready is called.
func (g *Gate) Judge(a *policy.Attempt, ready func(policy.Ruling)) {
	start := time.Now()
	g.record(a, g.decide(g.o.Rules.Books, a), start, ready)
}

// JudgeCaller decides whether a call that was allowed may go on under another
// caller identity (RFC 4916): by the rules about the caller alone, without any
// facts. A refusal is recorded as any other is. That the identity may be shown
// changes nothing and leaves no record.
func (g *Gate) JudgeCaller(a *policy.Attempt, ready func(policy.Ruling)) {
	start := time.Now()
	a.At = g.o.Now()
	d := g.o.Rules.Books.DecideCaller(a)
	if d.Verdict == policy.Allowed {
		ready(policy.Ruling{Decision: d})
		return
	}
	g.record(a, d, start, ready)
}

// record makes a decision a ruling once it is durable, or can't wait for that
// any longer.
func (g *Gate) record(a *policy.Attempt, d policy.Decision, start time.Time, ready func(policy.Ruling)) {
	w := &wait{g: g, attempt: a, ruling: policy.Ruling{ID: newID(), Decision: d}, ready: ready, at: a.At}
	decision := &w.ruling.Decision
	g.o.Observe(a, decision, time.Since(start))

	denied := d.Verdict == policy.Denied
	if g.o.Redials != nil {
		alike, comparable := refusalOf(a, decision, g.o.Rules.Config)
		if comparable {
			if first, collapsed := g.o.Redials.see(alike, denied, a.At); collapsed {
				w.ruling.ID, w.ruling.Repeat = first, true
				ready(w.ruling)
				return
			}
		}
		w.alike, w.repeatable = alike, denied && comparable
	}
	record := policy.Record{
		ID: w.ruling.ID, At: a.At, Took: time.Since(start), Node: g.o.Node, Config: g.o.Rules.Config,
		Attempt: a, Decision: decision,
	}
	if denied {
		record.Answer = g.o.Answer(a.Peer, d.Told())
	}
	if d.Reason == policy.ReasonEmergency {
		ready(w.ruling)
		g.o.Ledger.Append(&record, func(error) bool { return true }) // the ledger counts its own failures
		return
	}
	g.o.Ledger.Append(&record, w.recorded)
	if g.o.Within > 0 && !w.ended.Load() {
		w.due = start.Add(g.o.Within)
		g.waits.add(w)
	}
}

// decide takes the time, looks up and decides. When the facts can't be read,
// only what is wrong with the call itself can be said, such as a hidden caller.
func (g *Gate) decide(books *policy.Books, a *policy.Attempt) policy.Decision {
	a.At = g.o.Now()
	n := a.Called.Number
	if n.IsZero() || a.Called.Emergency {
		return books.Decide(a, &policy.Facts{})
	}
	var facts policy.Facts
	if err := g.o.Facts.Hold(n, &facts); err != nil {
		d := books.Decide(a, &policy.Facts{Number: n})
		if d.Reason.Step() >= policy.StepWill || d.Verdict == policy.Allowed {
			d.Verdict = policy.Allowed
			return g.operational(policy.ReasonFactsUnavailable, d)
		}
		return d
	}
	return g.decideHeld(books, a, &facts)
}

// decideHeld decides while no other decision about the number is made. The
// time is taken again, so that of two calls the one judged later is the later.
func (g *Gate) decideHeld(books *policy.Books, a *policy.Attempt, facts *policy.Facts) (d policy.Decision) {
	var made *policy.EarlierCall
	defer func() { g.o.Facts.Release(a.Called.Number, made) }()
	a.At = g.o.Now()
	d = books.Decide(a, facts)
	if d.Verdict == policy.Allowed {
		if call, counts := a.Made(); counts {
			made = &call
		}
	}
	return d
}

// operational is the decision when the system fails: a refusal, or what the
// operator chose. A refusal that stood already keeps its reason, since the
// call is refused either way.
func (g *Gate) operational(why policy.Reason, d policy.Decision) policy.Decision {
	switch {
	case d.Verdict == policy.Denied:
		return d
	case g.o.Permit[why]:
		return policy.Permitted(why, d)
	}
	return policy.Operational(why)
}

// Outcome records how the set-up of a judged call ended. No call waits for it.
func (g *Gate) Outcome(o policy.Outcome) {
	g.o.Ledger.AppendOutcome(&o, func(error) {})
}

// Ids are no secrets: random octets may wait for them in memory, which spares a
// system call for each.
func init() { uuid.EnableRandPool() }

// newID makes an id whose order is that of time (RFC 9562 section 5.7).
func newID() policy.RulingID {
	id, err := uuid.NewV7()
	if err != nil {
		panic(err) // the system's random source never fails on a supported system
	}
	return policy.RulingID(id)
}
