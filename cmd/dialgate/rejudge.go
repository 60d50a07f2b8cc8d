package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"dialgate/policy"
	"dialgate/store"
)

// A call of the past is judged again by making its attempt from the ledger's
// record and looking up what was known when it was made.
//
// What the dialer's own terms made of the headers (display_from,
// trust_identity, strip_prefixes, may_route and their like) is taken from the
// record: the message is gone. All else is that of the configuration judged
// by: peers, campaigns, caller numbers, registers, rules.

// errUnjudgeable tells why a decision can't be made again.
type errUnjudgeable struct{ why string }

func (e *errUnjudgeable) Error() string { return e.why }

// judgeable is nil when a decision followed from the call and its facts alone.
func judgeable(d *store.Decision) error {
	switch r, _ := policy.ParseReason(d.Reason); {
	case d.Erased:
		return &errUnjudgeable{"erased with its number"}
	case d.Version == 0:
		return &errUnjudgeable{"recorded by a version that did not keep all it takes"}
	case r.Step() == policy.StepOperation:
		return &errUnjudgeable{"refused by the system itself: " + d.Reason}
	case d.By == "permit":
		return &errUnjudgeable{"let through without being judged: " + d.Would}
	}
	return nil
}

// attemptOf makes the attempt of a decision again, under this configuration.
func (w *world) attemptOf(d *store.Decision) (*policy.Attempt, error) {
	a := &policy.Attempt{At: d.At, CallID: d.CallID, Fax: d.Fax, Malformed: d.Malformed, Named: d.Named,
		Registers: w.domain.Directory.Registers()}
	bad := func(err error) error { return fmt.Errorf("decision %s can't be read: %w", d.ID, err) }
	var err error
	a.Called = policy.Called{Short: d.ToShort, Text: d.ToText, Emergency: d.Emergency, Hides: d.Hides}
	if a.Called.Number, a.Called.Class, err = w.numberOf(d.To, d.ToClass); err != nil {
		return nil, bad(err)
	}
	a.Caller.Text = d.FromText
	if a.Caller.Shown, a.Caller.Class, err = w.numberOf(d.From, d.FromClass); err != nil {
		return nil, bad(err)
	}
	for _, text := range d.Marks {
		kind, sentence, _ := strings.Cut(text, ": ")
		m := policy.Mark{}
		ok := false
		if m.Kind, ok = policy.ParseMarkKind(kind); !ok {
			return nil, bad(fmt.Errorf("%q is no mark", text))
		}
		m.Header, m.Means, _ = strings.Cut(sentence, " ")
		a.Caller.Marks = append(a.Caller.Marks, m)
	}
	terms := &policy.PeerTerms{} // as for a live call of nobody known
	for _, p := range w.domain.Peers {
		if p.Terms.ID == d.Peer {
			a.Peer, terms = p.Terms, p.Terms
		}
	}
	a.Entry = w.domain.Directory.Caller(a.Caller.Shown)
	a.Campaign, a.NoCampaign = w.domain.Directory.TellCampaign(terms, a.Caller.Shown, d.Named)
	return a, nil
}

// numberOf reads a recorded number, or the class of what stood in its place.
func (w *world) numberOf(number, class string) (n policy.Number, c policy.Class, err error) {
	if number != "" {
		n, err = policy.ParseNumber(number)
		return n, w.reader.Plans.Class(n), err
	}
	if class != "" {
		var ok bool
		if c, ok = policy.ParseClass(class); !ok {
			err = fmt.Errorf("%q is no class of numbers", class)
		}
	}
	return n, c, err
}

// asOf is what was known of a number when a call was made: facts recorded
// later and later calls do not exist.
func asOf(f policy.Facts, at time.Time) policy.Facts {
	known := f.KnownAt(at)
	known.Calls = slices.DeleteFunc(slices.Clone(f.Calls), func(c policy.EarlierCall) bool { return !c.At.Before(at) })
	return known
}

// A lookup finds all that is known of a number today.
type lookup func(policy.Number) (policy.Facts, error)

// rejudge makes a decision again under this configuration, as if the call had
// come on another date unless that is zero; see [move].
func (w *world) rejudge(d *store.Decision, known lookup, on policy.Date) (policy.Decision, error) {
	if err := judgeable(d); err != nil {
		return policy.Decision{}, err
	}
	a, err := w.attemptOf(d)
	if err != nil {
		return policy.Decision{}, err
	}
	var facts policy.Facts
	if n := a.Called.Number; !n.IsZero() && !a.Called.Emergency {
		if facts, err = known(n); err != nil {
			return policy.Decision{}, err
		}
		facts = asOf(facts, a.At)
	}
	if on != 0 {
		move(a, &facts, on)
	}
	return w.books.Decide(a, &facts), nil
}

// move puts a call on another date, at the same time of day in the rule book's
// zone, and all that was known of the number by as many days: a consent of
// three weeks before stays one of three weeks before. What then comes out
// otherwise is the work of the rules in force on that date, its weekday and
// the holidays, and of no fact that came to lie after the call.
func move(a *policy.Attempt, facts *policy.Facts, on policy.Date) {
	days := daysBetween(policy.DateOf(a.At.In(calledZone())), on)
	instant := func(t *time.Time) {
		if !t.IsZero() {
			*t = t.In(calledZone()).AddDate(0, 0, days)
		}
	}
	date := func(d *policy.Date) {
		if *d != 0 {
			*d = d.AddDays(days)
		}
	}
	instant(&a.At)
	for i := range facts.All { // a copy, made by asOf
		f := &facts.All[i]
		for _, t := range []*time.Time{&f.At, &f.RecordedAt, &f.VerifiedAt, &f.ValidUntil, &f.FirstCallBy, &f.Until} {
			instant(t)
		}
		date(&f.Started)
		date(&f.Ended)
	}
	facts.Sort() // a change of the clocks in between can swap two
	for i := range facts.Calls {
		instant(&facts.Calls[i].At)
	}
	moved := map[string]time.Time{}
	for id, t := range facts.AsOf {
		instant(&t)
		moved[id] = t
	}
	facts.AsOf = moved
}

func daysBetween(from, to policy.Date) int {
	return int(to.In(time.UTC).Sub(from.In(time.UTC)) / (24 * time.Hour))
}
