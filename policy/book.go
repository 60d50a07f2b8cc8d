package policy

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// A Book is one jurisdiction's rules. It never changes.
type Book struct {
	Country string // of the called number, ISO 3166-1 alpha-2
	Code    string // its country code in E.164
	Version string // changes whenever a rule does
	From    Date   // no rules are shipped for calls before this date
	Zone    *time.Location
	Plan    *Plan
	Rules   []Rule
}

// Books is the rule books of all countries with the operator's settings
// applied. It never changes and is safe for use by many goroutines.
type Books struct {
	base  []Bound
	books []bound // few: found by comparing country codes
	dates []Date  // at which any rule begins or ends
}

type bound struct {
	*Book
	id    string
	rules []Bound
	// baseless: the settings left the basis rule out, so no rule will give a
	// reason to allow.
	baseless bool
}

// NewBooks joins the base rules with the books of the countries under an
// operator's settings. A setting that names no rule is an error.
func NewBooks(settings Settings, books ...*Book) (*Books, error) {
	b := binder{settings: settings, used: map[string]bool{}}
	var all []*Rule
	bind := func(rules []Rule) (out []Bound, left []*Rule) {
		for i := range rules {
			r := &rules[i]
			all = append(all, r)
			for j := range r.Conditions {
				all = append(all, &r.Conditions[j])
			}
			bound := b.bind(r) // also one that is left out, since settings may name it
			if b.without(r.ID) {
				left = append(left, r)
				continue
			}
			out = append(out, bound)
		}
		return out, left
	}
	set := &Books{}
	set.base, _ = bind(BaseRules())
	for _, book := range books {
		rules, left := bind(book.Rules)
		set.books = append(set.books, bound{
			Book: book, id: book.Country + " " + book.Version, rules: rules,
			baseless: givesBasis(left),
		})
	}
	if errs := b.unused(all); errs != nil {
		return nil, errors.Join(errs...)
	}
	set.dates = ruleDates(set.Rules())
	return set, nil
}

// givesBasis reports whether one of the rules is a basis rule.
func givesBasis(rules []*Rule) bool {
	for _, r := range rules {
		for _, reason := range r.Reasons {
			if reason == ReasonNoConsent {
				return true
			}
		}
	}
	return false
}

// Rules lists every rule with its conditions, grounds and chosen modes: the
// base rules first, then each country's, in the order they are judged.
func (s *Books) Rules() []*Bound {
	var all []*Bound
	add := func(rules []Bound) {
		for i := range rules {
			all = append(all, &rules[i])
			for j := range rules[i].Conditions {
				all = append(all, &rules[i].Conditions[j])
			}
			for j := range rules[i].Grounds {
				all = append(all, &Bound{Rule: &rules[i].Grounds[j]})
			}
		}
	}
	add(s.base)
	for i := range s.books {
		add(s.books[i].rules)
	}
	return all
}

// Plan is the numbering plan of the country with this code, nil if there is no book for it.
func (s *Books) Plan(n Number) *Plan {
	if b := s.book(n); b != nil {
		return b.Book.Plan
	}
	return nil
}

func (s *Books) book(n Number) *bound {
	if n.IsZero() {
		return nil
	}
	var buf [maxDigits + 1]byte
	digits := n.AppendE164(buf[:0])[1:]
	for i := range s.books {
		code := s.books[i].Code
		if len(digits) > len(code) && string(digits[:len(code)]) == code {
			return &s.books[i]
		}
	}
	return nil
}

// Decide judges one call. It is a pure function: the same attempt and facts
// give the same decision. facts may be empty, never nil.
func (s *Books) Decide(a *Attempt, facts *Facts) Decision { return s.decide(a, facts, false, nil) }

// Explain is Decide with a sentence in every finding.
func (s *Books) Explain(a *Attempt, facts *Facts) Decision { return s.decide(a, facts, true, nil) }

// usualFindings is room for what the rules find of nearly every call.
const usualFindings = 16

// DecideAgain is Decide in the memory of an earlier decision, for whoever
// decides many calls one after the other.
func (s *Books) DecideAgain(d *Decision, a *Attempt, facts *Facts) {
	*d = s.decide(a, facts, false, d.Findings[:0])
}

func (s *Books) decide(a *Attempt, facts *Facts, explain bool, found []Finding) Decision {
	if a.Called.Emergency && a.Peer != nil {
		return s.emergency(a, explain)
	}
	c := s.call(a, facts)
	c.explain = explain
	book := c.book

	d := Decision{decided: -1, mode: a.Mode()}
	if c.found = found; cap(found) == 0 {
		c.found = make([]Finding, 0, usualFindings)
	}
	c.judge(s.base)
	baseless := false
	if c.booked() && a.Called.Class != Protected {
		d.Book, baseless = book.id, book.baseless
		c.judge(book.rules)
	}
	d.Findings = c.found
	d.conclude(baseless)
	return d
}

// DecideCaller judges only who calls and which number is shown, by the rules
// that Decide judges that by: for a call that was allowed and whose caller
// identity changes (RFC 4916). The decision to allow gives no reason, since it
// is none to call.
func (s *Books) DecideCaller(a *Attempt) Decision {
	c := s.call(a, &Facts{Number: a.Called.Number})
	c.book = nil // no rule of a country's is asked
	d := Decision{decided: -1}
	for i := range s.base {
		if covers("base.caller", s.base[i].ID) || covers("base.peer", s.base[i].ID) {
			c.judge(s.base[i : i+1])
		}
	}
	d.Findings = c.found
	if d.conclude(true); d.decided < 0 || d.Reason == ReasonNotEnforced {
		d.Reason = NoReason
	}
	return d
}

// call is an attempt as rules see it.
func (s *Books) call(a *Attempt, facts *Facts) Call {
	c := Call{Attempt: a, Facts: facts.InForce(), Local: a.At.UTC(), book: s.book(a.Called.Number)}
	if c.book != nil {
		c.Local = a.At.In(c.book.Zone)
	}
	c.Date = DateOf(c.Local)
	return c
}

// judge lets each rule that is in force judge the call. A rule's finding goes
// before those of its conditions.
func (c *Call) judge(rules []Bound) {
	for i := range rules {
		r := &rules[i]
		if !r.Applies(c.Date) {
			continue
		}
		at := len(c.found)
		f := r.Judge(c, r)
		if f.Result == NotApplicable {
			continue
		}
		f.Rule, f.Mode = r.Rule, c.ModeOf(r)
		if at == len(c.found) {
			c.found = append(c.found, f)
		} else {
			c.found = slices.Insert(c.found, at, f) // before those of its conditions
		}
	}
}

// conclude combines the findings into the verdict. Of the enforced denials
// the one that outranks the others gives the reason. Findings of conditions
// have done their work inside their rule.
func (d *Decision) conclude(baseless bool) {
	allowed, waived := -1, false
	for i := range d.Findings {
		f := &d.Findings[i]
		if f.Rule.Judge == nil && f.Result == Deny {
			continue // a condition
		}
		switch f.Result {
		case Allow:
			if allowed < 0 {
				allowed = i
			}
			waived = waived || f.Waived
		case Deny:
			if f.Mode != Enforce {
				waived = true
				continue
			}
			if d.decided < 0 || f.Reason.outranks(d.Findings[d.decided].Reason) {
				d.decided = i
			}
		}
	}
	switch {
	case d.decided >= 0:
		d.Reason = d.Findings[d.decided].Reason
	case waived || baseless && allowed < 0:
		d.Verdict, d.Reason, d.decided = Allowed, ReasonNotEnforced, d.notEnforcedBy()
	case allowed >= 0:
		d.Verdict, d.Reason, d.decided = Allowed, d.Findings[allowed].Reason, allowed
	default:
		// No rule refused and none gave a reason to allow: a book without a
		// basis rule. Unknown is never allow.
		d.Reason = ReasonNoConsent
	}
}

// notEnforcedBy is the finding that would have given the reason, -1 if none.
func (d *Decision) notEnforcedBy() int {
	best := -1
	for i := range d.Findings {
		f := &d.Findings[i]
		if f.Result == Deny && f.Mode != Enforce && (best < 0 || f.Reason.outranks(d.Findings[best].Reason)) {
			best = i
		}
	}
	return best
}

// emergency allows the call, and nothing else counts.
func (s *Books) emergency(a *Attempt, explain bool) Decision {
	f := Finding{Rule: &emergencyRule, Result: Allow, Reason: ReasonEmergency}
	if explain {
		f.Note = fmt.Sprintf("%s is an emergency number; no other rule is judged", a.Called.Text)
	}
	return Decision{Verdict: Allowed, Reason: ReasonEmergency, Findings: []Finding{f}}
}
