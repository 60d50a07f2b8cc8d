package policy

import (
	"slices"
	"time"
)

// Until is the first instant after an allowed call's own time at which the
// same call would be refused on the same facts. It is false when there is none.
//
// What the rules say is not told again here: the call is decided at every
// instant at which something turns. That is done in the memory of scratch,
// which holds no decision of use afterwards.
func (s *Books) Until(scratch *Decision, a *Attempt, facts *Facts) (at time.Time, ends bool) {
	c := s.call(a, facts)
	t := Turns{after: a.At, zone: c.Local.Location(), list: make([]time.Time, 0, 16)}
	for i := len(s.dates) - 1; i >= 0 && s.dates[i] > c.Date; i-- {
		t.On(s.dates[i])
	}
	t.rules(&c, s.base)
	if c.book != nil {
		t.On(c.book.From)
		t.rules(&c, c.book.rules)
	}
	if e := a.Entry; e != nil {
		t.On(e.ValidFrom)
		t.dayAfter(e.ValidTo)
	}
	for _, r := range a.Registers {
		if asOf, loaded := facts.AsOf[r.ID]; loaded && r.MaxAge > 0 {
			t.dayAfter(DateOf(asOf.In(t.zone)).AddDays(r.MaxAge))
		}
	}
	for i := range facts.All {
		t.fact(&facts.All[i])
	}
	for i := range facts.Calls {
		t.At(facts.Calls[i].At)
	}
	slices.SortFunc(t.list, time.Time.Compare)
	later := *a
	for _, later.At = range t.list {
		if s.DecideAgain(scratch, &later, facts); scratch.Verdict == Denied {
			return later.At, true
		}
	}
	return time.Time{}, false
}

// Turns collects the instants after a call at which a decision may change.
type Turns struct {
	after time.Time
	zone  *time.Location
	list  []time.Time
}

// endOfDates is where dates of four digits end in every zone. That something
// holds up to then means that it does not end.
var endOfDates = time.Date(9999, time.December, 31, 0, 0, 0, 0, time.UTC)

// At adds an instant from which something holds.
func (t *Turns) At(at time.Time) {
	if at.After(t.after) && at.Before(endOfDates) && !slices.Contains(t.list, at) {
		t.list = append(t.list, at)
	}
}

// After adds the end of what holds up to and with an instant.
func (t *Turns) After(last time.Time) {
	if !last.IsZero() {
		t.At(last.Add(1))
	}
}

// On adds the beginning of a local date; the zero Date adds nothing.
func (t *Turns) On(d Date) {
	if d != 0 {
		t.At(d.In(t.zone))
	}
}

// dayAfter adds the end of a local date.
func (t *Turns) dayAfter(d Date) {
	if d != 0 {
		t.On(d.AddDays(1))
	}
}

// rules adds what rules know of instants beside their dates.
func (t *Turns) rules(c *Call, rules []Bound) {
	for i := range rules {
		if r := &rules[i]; r.Turns != nil {
			r.Turns(c, r, t)
		}
	}
}

// ruleDates are the dates at which rules and their conditions come into force
// or end, in order.
func ruleDates(rules []*Bound) (dates []Date) {
	for _, r := range rules {
		for _, d := range [...]Date{r.From, r.To} {
			if d != 0 && d < NotInForce {
				dates = append(dates, d)
			}
		}
	}
	slices.Sort(dates)
	return slices.Compact(dates)
}

// fact adds the instants that a fact states.
func (t *Turns) fact(f *Fact) {
	for _, at := range [...]time.Time{f.At, f.RecordedAt, f.VerifiedAt} {
		t.At(at)
	}
	for _, last := range [...]time.Time{f.ValidUntil, f.FirstCallBy, f.Until} {
		t.After(last)
	}
}
