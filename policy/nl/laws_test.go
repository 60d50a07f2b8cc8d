package nl

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"dialgate/policy"
)

// The laws of the book: what holds of every call, whatever is known.

// judgement is what two decisions are compared by: all but the sentences.
func judgement(d policy.Decision) string {
	s := fmt.Sprintf("%s %s by %s on %v\n", d.Verdict, d.Reason, d.Rule(), d.Basis())
	for _, f := range d.Findings {
		s += fmt.Sprintf("  %s %s %s %s %v\n", f.Rule.ID, f.Mode, f.Result, f.Reason, f.Facts())
	}
	return s
}

func TestTheOrderOfFactsNeverMatters(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		books, c := anyBooks(t), anyCase(t)
		want := judgement(c.decide(books))
		c.facts.All = rapid.Permutation(c.facts.All).Draw(t, "order")
		if got := judgement(c.decide(books)); got != want {
			t.Fatalf("in one order:\n%sin another:\n%s", want, got)
		}
	})
}

func TestAWithdrawalOrObjectionNeverAllows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		books, c := anyBooks(t), anyCase(t)
		before := c.decide(books)
		added := anyFact(t, "added", c.at, rapid.SampledFrom([]policy.Kind{policy.Withdrawal, policy.Objection}).Draw(t, "kind"))
		c.facts.All = append(c.facts.All, added)
		if after := c.decide(books); before.Verdict == policy.Denied && after.Verdict == policy.Allowed {
			t.Fatalf("%s was added, and this:\n%sbecame:\n%s", added.Kind, judgement(before), judgement(after))
		}
	})
}

func TestAConsentOrRelationshipNeverRefuses(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		books, c := anyBooks(t), anyCase(t)
		before := c.decide(books)
		added := anyFact(t, "added", c.at, rapid.SampledFrom([]policy.Kind{policy.Consent, policy.Relationship}).Draw(t, "kind"))
		c.facts.All = append(c.facts.All, added)
		if after := c.decide(books); before.Verdict == policy.Allowed && after.Verdict == policy.Denied {
			t.Fatalf("%s was added, and this:\n%sbecame:\n%s", added.Kind, judgement(before), judgement(after))
		}
	})
}

// TestAnUndoIsAsIfTheFactHadNeverBeen: and one that does not say that it lifts
// what protects the called person never makes a call pass.
func TestAnUndoIsAsIfTheFactHadNeverBeen(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		books, c := anyBooks(t), anyCase(t)
		if len(c.facts.All) == 0 {
			return
		}
		before, all := c.decide(books), slices.Clone(c.facts.All)
		undone := rapid.SampledFrom(all).Draw(t, "undone")
		undo := policy.Fact{ID: "undo", Kind: policy.Undo, Number: undone.Number, At: c.at, Undoes: undone.ID, Lifts: rapid.Bool().Draw(t, "lifts")}
		c.facts.All = append(slices.Clone(all), undo)
		after := c.decide(books)
		if undo.Lifts || !undone.Protects() {
			c.facts.All = slices.DeleteFunc(slices.Clone(all), func(f policy.Fact) bool {
				return f.ID == undone.ID && (undo.Lifts || !f.Protects())
			})
		} else {
			c.facts.All = all
		}
		if want := c.decide(books); judgement(after) != judgement(want) {
			t.Fatalf("%s was undone:\n%swithout it:\n%s", undone.Kind, judgement(after), judgement(want))
		}
		// The latest of several statements about who holds a number counts: to undo
		// it can uncover an earlier one. That one was true before.
		if !undo.Lifts && undone.Kind != policy.Subscriber && before.Verdict == policy.Denied && after.Verdict == policy.Allowed {
			t.Fatalf("%s was undone, and this:\n%sbecame:\n%s", undone.Kind, judgement(before), judgement(after))
		}
	})
}

// TestShadowNeverChangesTheVerdict: a rule or condition in shadow leads to the
// verdict that the book gives without it, and a rule finds what it found when
// it was enforced. Four base rules are not left out here: where no book is in
// force they stand in its place, and without them nothing would give a reason
// to allow.
func TestShadowNeverChangesTheVerdict(t *testing.T) {
	enforced := newBooks(policy.Settings{})
	var shadowed []shadow
	inPlaceOfABook := []string{"base.callee", "base.country", "base.date", "base.purpose"}
	for _, r := range enforced.Rules() {
		if len(r.Reasons) > 0 && !r.Reasons[0].Allows() && !slices.Contains(inPlaceOfABook, r.ID) {
			shadowed = append(shadowed, shadow{
				id: r.ID, whole: r.Judge != nil,
				books:   newBooks(policy.Settings{Modes: map[string]policy.Mode{r.ID: policy.Shadow}}),
				without: newBooks(policy.Settings{Without: []string{r.ID}}),
			})
		}
	}
	if len(shadowed) < 35 {
		t.Fatalf("only %d rules can be put in shadow", len(shadowed))
	}
	rapid.Check(t, func(t *rapid.T) {
		c := anyCase(t)
		s := rapid.SampledFrom(shadowed).Draw(t, "rule")
		with, without, strict := c.decide(s.books), c.decide(s.without), c.decide(enforced)
		if with.Verdict != without.Verdict {
			t.Fatalf("%s in shadow:\n%swithout it:\n%s", s.id, judgement(with), judgement(without))
		}
		if strict.Verdict == policy.Allowed && judgement(strict) != judgement(with) && !s.whole {
			t.Fatalf("%s refused nothing and changed this:\n%sinto:\n%s", s.id, judgement(strict), judgement(with))
		}
		if !s.whole {
			return
		}
		for _, f := range strict.Findings {
			if f.Rule.ID == s.id && !slices.ContainsFunc(with.Findings, func(g policy.Finding) bool {
				return g.Rule.ID == s.id && g.Result == f.Result && g.Reason == f.Reason && g.Mode == policy.Shadow
			}) {
				t.Fatalf("%s found %s %s when it was enforced, and in shadow:\n%s", s.id, f.Result, f.Reason, judgement(with))
			}
		}
	})
}

// A shadow is one rule or condition in shadow, and the book without it.
type shadow struct {
	id             string
	whole          bool // a rule, not a condition
	books, without *policy.Books
}

// TestAnotherAdvertisersFactsChangeNothing: what another advertiser knows, or
// a register that nobody configured, can at most name a nearer miss.
func TestAnotherAdvertisersFactsChangeNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		books, c := anyBooks(t), anyCase(t)
		before := c.decide(books)
		added := anyFact(t, "added", c.at, rapid.SampledFrom([]policy.Kind{policy.Consent, policy.Withdrawal, policy.Objection, policy.Relationship, policy.Callback, policy.Listed}).Draw(t, "kind"))
		added.Advertiser, added.List, added.Consent = "stranger", "elsewhere", ""
		c.facts.All = append(c.facts.All, added)
		after := c.decide(books)
		if after.Verdict != before.Verdict {
			t.Fatalf("%s of a stranger was added, and this:\n%sbecame:\n%s", added.Kind, judgement(before), judgement(after))
		}
		if after.Reason != before.Reason && !after.Reason.TellsOfOthers() {
			t.Fatalf("%s of a stranger was added, and %s became %s", added.Kind, before.Reason, after.Reason)
		}
		if told(after, &c.attempt) != told(before, &c.attempt) {
			t.Fatalf("%s of a stranger was added, and this is told:\n%s\nin place of:\n%s", added.Kind, told(after, &c.attempt), told(before, &c.attempt))
		}
	})
}

// told is what a dialer or an advertiser is told of a decision.
func told(d policy.Decision, a *policy.Attempt) string {
	w := d.Waived()
	return fmt.Sprintf("%s %s by %s; would be %s %s by %s", d.Verdict, d.Told(), d.Rule(), w.Reason.Public(a.Mode()), w.By, w.Rule)
}

// TestNothingIsToldOfAnotherAdvertiser: whoever is told the reason of a call is
// told what it would have been if nothing of other advertisers were known, and
// so is who reads it in a record; nor does the end of an allowed call's ground tell.
func TestNothingIsToldOfAnotherAdvertiser(t *testing.T) {
	lasting := lasting(t)
	rapid.Check(t, func(t *rapid.T) {
		books, c := anyBooks(t), anyCase(t)
		c.facts.Calls = append(c.facts.Calls, policy.EarlierCall{At: c.at.Add(time.Duration(rapid.IntRange(-100, 100).Draw(t, "earlier call")) * 24 * time.Hour), Advertiser: "theirs", Allowed: true})
		if rapid.Bool().Draw(t, "made by a machine") && c.attempt.Campaign != nil {
			c.attempt.Campaign.Mode = policy.Robocall
		}
		if rapid.Bool().Draw(t, "nothing of ours") {
			for i := range c.facts.All {
				if f := &c.facts.All[i]; f.Advertiser == "ours" {
					f.Advertiser = "theirs"
				}
			}
		}
		all := c.decide(books)
		was := told(all, &c.attempt)
		if read := policy.Told(all.Reason.String(), c.attempt.Mode().String()); read != all.Told().String() {
			t.Fatalf("the dialer is told %s, and who reads the record %s", all.Told(), read)
		}

		own := *c
		ours := func(advertiser string) bool { return advertiser == "ours" || advertiser == "" || advertiser == "*" }
		own.facts.All = slices.DeleteFunc(slices.Clone(c.facts.All), func(f policy.Fact) bool { return !ours(f.Advertiser) })
		own.facts.Calls = slices.DeleteFunc(slices.Clone(c.facts.Calls), func(e policy.EarlierCall) bool { return !ours(e.Advertiser) })
		alone := own.decide(books)
		if alone.Told() != alone.Reason {
			t.Fatalf("nothing is known of others, and %s is told in place of %s", alone.Told(), alone.Reason)
		}
		if is := told(alone, &own.attempt); is != was {
			t.Fatalf("of others this is known:\n%sand told:\n%s\nwithout them:\n%s", judgement(all), was, is)
		}
		if c.decide(lasting).Verdict == policy.Denied {
			return
		}
		until, ends := lasting.Until(new(policy.Decision), &c.attempt, &c.facts)
		if at, end := lasting.Until(new(policy.Decision), &own.attempt, &own.facts); at != until || end != ends {
			t.Fatalf("it may be called until %s (%v), without what is known of others until %s (%v)", until, ends, at, end)
		}
	})
}

// TestTheFutureChangesNothing: a fact that is made and recorded after the call
// says nothing of it; of a consent it is only said that it came too late.
func TestTheFutureChangesNothing(t *testing.T) {
	books := newBooks(policy.Settings{})
	rapid.Check(t, func(t *rapid.T) {
		c := anyCase(t)
		before := c.decide(books)
		added := anyFact(t, "added", c.at, rapid.SampledFrom(policy.Kinds()).Draw(t, "kind"))
		added.At = c.at.Add(time.Duration(rapid.Int64Range(1, 1e15).Draw(t, "later")))
		added.RecordedAt = added.At
		c.facts.All = append(c.facts.All, added)
		after := c.decide(books)
		if after.Verdict != before.Verdict || after.Reason != before.Reason && added.Kind != policy.Consent {
			t.Fatalf("%s of the future was added, and this:\n%sbecame:\n%s", added.Kind, judgement(before), judgement(after))
		}
	})
}

func TestExplainAgreesWithDecide(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		books, c := anyBooks(t), anyCase(t)
		decided, explained := c.decide(books), books.Explain(&c.attempt, &c.facts)
		if judgement(decided) != judgement(explained) {
			t.Fatalf("decided:\n%sexplained:\n%s", judgement(decided), judgement(explained))
		}
		for _, f := range explained.Findings {
			if (f.Result == policy.Deny || f.Result == policy.Flag) && f.Note == "" {
				t.Fatalf("%s says %s without a sentence:\n%s", f.Rule.ID, f.Result, judgement(explained))
			}
		}
	})
}

// TestTheNearestMissIsNamed: of several consents, none of which holds, the
// one whose first defect comes latest in the list gives the reason.
func TestTheNearestMissIsNamed(t *testing.T) {
	books := newBooks(policy.Settings{})
	basis := func(c *madeCase) policy.Reason {
		d := c.decide(books)
		for _, f := range d.Findings {
			if f.Rule.ID == "nl.basis" {
				return f.Reason
			}
		}
		return policy.NoReason
	}
	rapid.Check(t, func(t *rapid.T) {
		c := anyCase(t)
		var consents, withdrawals []policy.Fact
		for i := range rapid.IntRange(1, 4).Draw(t, "consents") {
			f := anyFact(t, fmt.Sprintf("c%d", i), c.at, policy.Consent)
			f.Advertiser = "ours"
			consents = append(consents, f)
		}
		for i := range rapid.IntRange(0, 2).Draw(t, "withdrawals") {
			f := anyFact(t, fmt.Sprintf("w%d", i), c.at, policy.Withdrawal)
			f.Consent = rapid.SampledFrom([]string{"c0", "c1", ""}).Draw(t, "withdrawn")
			withdrawals = append(withdrawals, f)
		}
		nearest := policy.NoReason
		for _, f := range consents {
			c.facts.All = append(slices.Clone(withdrawals), f)
			r := basis(c)
			if r.Allows() {
				return
			}
			nearest = max(nearest, r)
		}
		c.facts.All = slices.Concat(withdrawals, consents)
		if r := basis(c); r != nearest {
			t.Fatalf("the nearest miss is %s, and %s was named", nearest, r)
		}
	})
}

// TestUnknownIsNeverAllow: without any fact, telemarketing to a number that
// may hold a natural person is refused.
func TestUnknownIsNeverAllow(t *testing.T) {
	books := newBooks(policy.Settings{})
	rapid.Check(t, func(t *rapid.T) {
		c := anyCase(t)
		c.facts.All = nil
		d := c.decide(books)
		telemarketing := c.attempt.Campaign == nil || c.attempt.Campaign.Effective().Telemarketing()
		if telemarketing && d.Verdict == policy.Allowed && c.attempt.Called.Class != policy.Protected && !c.attempt.Called.Emergency {
			t.Fatalf("nothing is known, and:\n%s", judgement(d))
		}
	})
}

// TestTheClosedRegisterAppliesToNoCall: the Bel-me-niet Register had its rule
// until the day on which the book begins.
func TestTheClosedRegisterAppliesToNoCall(t *testing.T) {
	for _, r := range newBooks(policy.Settings{}).Rules() {
		if r.ID == "nl.register.bel-me-niet" {
			if last := policy.Date(20210630); !r.Applies(last) || r.Applies(last.AddDays(1)) || Book().From != last.AddDays(1) {
				t.Errorf("it applies until %s, and the book begins on %s", r.To, Book().From)
			}
			return
		}
	}
	t.Error("its rule is gone")
}
