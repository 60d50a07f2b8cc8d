package nl_test

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"dialgate/policy"
)

// TestTheNearestChoiceCounts: the longest prefix, then the peer, then the campaign.
func TestTheNearestChoiceCounts(t *testing.T) {
	all := func(rule string, m policy.Mode) policy.Choice { return policy.Choice{Rule: rule, Mode: m} }
	peer := func(rule, id string, m policy.Mode) policy.Choice {
		return policy.Choice{Rule: rule, Peer: id, Mode: m}
	}
	campaign := func(rule, id string, m policy.Mode) policy.Choice {
		return policy.Choice{Rule: rule, Campaign: id, Mode: m}
	}
	for name, c := range map[string]struct {
		choices []policy.Choice
		want    policy.Mode
	}{
		"none":                             {nil, policy.Enforce},
		"all":                              {[]policy.Choice{all("nl", policy.Off)}, policy.Off},
		"longer prefix":                    {[]policy.Choice{all("nl", policy.Off), all("nl.hours", policy.Shadow)}, policy.Shadow},
		"half a word is no prefix":         {[]policy.Choice{all("nl.holidays", policy.Shadow), all("nl", policy.Off)}, policy.Off},
		"peer before all":                  {[]policy.Choice{all("nl.hours", policy.Off), peer("nl.hours", "dialer-a", policy.Shadow)}, policy.Shadow},
		"campaign before all":              {[]policy.Choice{all("nl.hours", policy.Off), campaign("nl.hours", "energy", policy.Shadow)}, policy.Shadow},
		"peer before campaign":             {[]policy.Choice{peer("nl.hours", "dialer-a", policy.Off), campaign("nl.hours", "energy", policy.Shadow)}, policy.Off},
		"longer prefix before peer":        {[]policy.Choice{peer("nl", "dialer-a", policy.Off), all("nl.hours", policy.Shadow)}, policy.Shadow},
		"longer campaign before peer":      {[]policy.Choice{peer("nl", "dialer-a", policy.Off), campaign("nl.hours", "energy", policy.Shadow)}, policy.Shadow},
		"another peer":                     {[]policy.Choice{peer("nl.hours", "dialer-b", policy.Off)}, policy.Enforce},
		"another campaign, shorter for us": {[]policy.Choice{campaign("nl.hours", "solar", policy.Off), all("nl", policy.Shadow)}, policy.Shadow},
		"of a peer the longer":             {[]policy.Choice{peer("nl", "dialer-a", policy.Off), peer("nl.hours", "dialer-a", policy.Shadow)}, policy.Shadow},
	} {
		t.Run(name, func(t *testing.T) {
			a, facts := lawful()
			a.At = a.At.AddDate(0, 0, -1) // a Sunday
			for range 2 {
				if got := hours(t, newBooks(t, policy.Settings{Choices: c.choices}), a, facts); got != c.want {
					t.Errorf("got %s, want %s", got, c.want)
				}
				for i, j := 0, len(c.choices)-1; i < j; i, j = i+1, j-1 { // the order they are given in is nothing
					c.choices[i], c.choices[j] = c.choices[j], c.choices[i]
				}
			}
		})
	}
}

// hours is the mode of the finding of nl.hours, and holds the verdict to it.
func hours(t testing.TB, books *policy.Books, a *policy.Attempt, facts *policy.Facts) policy.Mode {
	t.Helper()
	d := books.Decide(a, facts)
	for _, f := range d.Findings {
		if f.Rule.ID != "nl.hours" {
			continue
		}
		want := policy.ReasonNotEnforced
		if f.Mode == policy.Enforce {
			want = policy.ReasonOutsideHours
		}
		if d.Reason != want || d.Rule() != "nl.hours" {
			t.Fatalf("in mode %s: %s by %s", f.Mode, d.Reason, d.Rule())
		}
		if w := d.Waived(); f.Mode != policy.Enforce && (w != policy.Waiver{Reason: policy.ReasonOutsideHours, Rule: "nl.hours", By: f.Mode.String()}) {
			t.Fatalf("waived: %+v", w)
		}
		return f.Mode
	}
	t.Fatal("nl.hours found nothing")
	return 0
}

// TestUnknownPeerAndCampaignGetTheModeForAll: no choice for somebody reaches
// a call of nobody known.
func TestUnknownPeerAndCampaignGetTheModeForAll(t *testing.T) {
	books := newBooks(t, policy.Settings{Choices: []policy.Choice{
		{Rule: "base", Campaign: "energy", Mode: policy.Off}, {Rule: "base", Peer: "dialer-a", Mode: policy.Off}}})
	a, facts := lawful()
	a.Peer, a.Campaign = nil, nil
	if d := books.Decide(a, facts); d.Verdict != policy.Denied || d.Reason != policy.ReasonPeerUnknown {
		t.Errorf("got %s %s", d.Verdict, d.Reason)
	}
}

// TestAConditionInShadowCountsAsMet and keeps its finding, also for one
// campaign alone.
func TestAConditionInShadowCountsAsMet(t *testing.T) {
	books := newBooks(t, policy.Settings{Choices: []policy.Choice{{Rule: "nl.consent.verified", Campaign: "energy", Mode: policy.Shadow}}})
	a, facts := lawful()
	facts.All[0].VerifiedAt = facts.All[0].VerifiedAt.AddDate(1, 0, 0)
	d := books.Decide(a, facts)
	if w := d.Waived(); d.Verdict != policy.Allowed || w.Reason != policy.ReasonConsentUnverified || w.Rule != "nl.consent.verified" || w.By != "shadow" {
		t.Errorf("got %s %s, waived %+v", d.Verdict, d.Reason, w)
	}
	other := *energy
	other.ID = "solar"
	a.Campaign, a.Entry = &other, &policy.CallerNumber{Number: caller, Campaigns: []*policy.Campaign{&other}}
	if d := books.Decide(a, facts); d.Verdict != policy.Denied || d.Reason != policy.ReasonConsentUnverified {
		t.Errorf("another campaign: got %s %s", d.Verdict, d.Reason)
	}
}

// anyNumber draws a Dutch number.
func anyNumber(t *rapid.T, label string) policy.Number {
	n, ok := policy.NumberOfKey(rapid.Uint64Range(31100000000, 31999999999).Draw(t, label))
	if !ok {
		t.Fatal("no number")
	}
	return n
}

// TestAShareIsStableAndOnlyGrows: a number that is in a share is in every
// greater one, of every rule; none is in an empty share and each in the whole.
func TestAShareIsStableAndOnlyGrows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, facts := lawful()
		a.At = a.At.AddDate(0, 0, -1)
		a.Called.Number = anyNumber(t, "number")
		in := false
		for _, percent := range []int{0, 1, 10, rapid.IntRange(11, 98).Draw(t, "percent"), 99, 100} {
			books, err := policy.NewBooks(policy.Settings{Choices: []policy.Choice{{Rule: "nl.hours", Mode: policy.Enforce, Spared: 100 - percent}}}, theBook)
			if err != nil {
				t.Fatal(err)
			}
			d := books.Decide(a, facts)
			now := d.Reason == policy.ReasonOutsideHours
			if again := books.Decide(a, facts); again.Reason != d.Reason {
				t.Fatalf("%d%%: first %s, then %s", percent, d.Reason, again.Reason)
			}
			if in && !now || percent == 0 && now || percent == 100 && !now {
				t.Fatalf("%s at %d%%: enforced %v, before %v", a.Called.Number, percent, now, in)
			}
			in = now
		}
	})
}

// TestSharesOfNothingAndAll: 0 per cent is shadow, 100 per cent is enforce, to
// the last finding.
func TestSharesOfNothingAndAll(t *testing.T) {
	rules := []string{"nl", "nl.hours", "nl.consent", "nl.consent.verified", "base.caller", "nl.basis"}
	rapid.Check(t, func(t *rapid.T) {
		rule := rapid.SampledFrom(rules).Draw(t, "rule")
		a, facts := lawful()
		a.Called.Number = policy.MustNumber(fmt.Sprintf("+316%08d", rapid.IntRange(10000000, 59999999).Draw(t, "number")))
		a.At = a.At.Add(time.Duration(rapid.IntRange(0, 7*24).Draw(t, "hours later")) * time.Hour)
		if rapid.Bool().Draw(t, "unverified") {
			facts.All[0].VerifiedAt = a.At.AddDate(1, 0, 0)
		}
		if rapid.Bool().Draw(t, "hidden") {
			a.Called.Hides = "131"
		}
		for spared, mode := range map[int]policy.Mode{100: policy.Shadow, 0: policy.Enforce} {
			share, err := policy.NewBooks(policy.Settings{Choices: []policy.Choice{{Rule: rule, Mode: policy.Enforce, Spared: spared}}}, theBook)
			if err != nil {
				t.Fatal(err)
			}
			plain, err := policy.NewBooks(policy.Settings{Modes: map[string]policy.Mode{rule: mode}}, theBook)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := outline(share.Decide(a, facts)), outline(plain.Decide(a, facts)); !reflect.DeepEqual(got, want) {
				t.Fatalf("%s, %d%% spared:\n%v\n%s:\n%v", rule, spared, got, mode, want)
			}
		}
	})
}

func outline(d policy.Decision) []string {
	out := []string{d.Verdict.String(), d.Reason.String(), d.Rule()}
	for _, f := range d.Findings {
		out = append(out, fmt.Sprint(f.Rule.ID, f.Mode, f.Result, f.Reason))
	}
	return out
}

// TestPercentilesAreEven: numbers that follow each other, as those of a call
// list do, are spread evenly. 100,000 numbers put 1,000 into each percentile,
// with a standard deviation of 31.5; six of them are allowed.
func TestPercentilesAreEven(t *testing.T) {
	for _, step := range []uint64{1, 7, 10, 1000} {
		var count [100]int
		for i := range uint64(100000) {
			n, _ := policy.NumberOfKey(31600000000 + i*step)
			count[n.Percentile()]++
		}
		for p, n := range count {
			if n < 1000-189 || n > 1000+189 {
				t.Errorf("step %d: percentile %d has %d numbers of 100000", step, p, n)
			}
		}
	}
}

// TestPercentilesNeverChange: another hash would move numbers to the other
// side of a share that is in force.
func TestPercentilesNeverChange(t *testing.T) {
	for number, want := range map[string]int{"+31612345678": 45, "+31612345679": 12, "+31201234567": 17} {
		if got := policy.MustNumber(number).Percentile(); got != want {
			t.Errorf("%s: %d, want %d", number, got, want)
		}
	}
}

func BenchmarkDecideWithChoices(b *testing.B) {
	books := newBooks(b, policy.Settings{Choices: []policy.Choice{
		{Rule: "nl", Mode: policy.Enforce, Spared: 90}, {Rule: "nl", Campaign: "solar", Mode: policy.Shadow}, {Rule: "nl.hours", Peer: "dialer-b", Mode: policy.Off}}})
	a, facts := lawful()
	b.ReportAllocs()
	for b.Loop() {
		if d := books.Decide(a, facts); d.Reason != policy.ReasonConsent {
			b.Fatal(d.Reason)
		}
	}
}
