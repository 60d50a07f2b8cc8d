package nl

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"dialgate/policy"
)

var (
	zone    = Book().Zone
	called  = policy.MustNumber("+31612345678")
	caller  = policy.MustNumber("+31205550100")
	general = &policy.Advertiser{ID: "a"}
	charity = &policy.Advertiser{ID: "a", Sector: policy.Charity}
)

// lasting are the rules without hours and holidays, by which Until is asked.
func lasting(t testing.TB) *policy.Books {
	t.Helper()
	books, err := policy.NewBooks(policy.Settings{Without: []string{"nl.hours", "nl.holidays"}}, Book())
	if err != nil {
		t.Fatal(err)
	}
	return books
}

// attempt is a call of an advertiser that only the facts can refuse.
func attempt(a *policy.Advertiser, purpose policy.Purpose, at time.Time) *policy.Attempt {
	k := &policy.Campaign{ID: "k", Advertiser: a, Purpose: purpose, Products: []string{"p"}, ObjectionOffered: true}
	return &policy.Attempt{
		At: at, Peer: &policy.PeerTerms{ID: "dialer", AllCampaigns: true}, Campaign: k,
		Caller: policy.Caller{Shown: caller, Class: policy.Geographic}, Entry: &policy.CallerNumber{Number: caller, Campaigns: []*policy.Campaign{k}},
		Called: policy.Called{Number: called, Class: policy.Mobile},
	}
}

func instant(t testing.TB, s string) time.Time {
	t.Helper()
	at, err := time.ParseInLocation("2006-01-02 15:04:05", s, zone)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func goodConsent(at time.Time) policy.Fact {
	return policy.Fact{ID: "consent", Kind: policy.Consent, Number: called, Advertiser: "a", At: at, VerifiedAt: at,
		Purposes: []policy.Purpose{policy.Commercial}, Products: []string{"p"}, Channels: []policy.CallMode{policy.Live}, Evidence: policy.Evidence{Person: "x", SHA256: "y"}}
}

func TestUntil(t *testing.T) {
	consentAt := instant(t, "2026-02-01 10:00:00")
	consent := goodConsent(consentAt)
	with := func(f policy.Fact, change func(*policy.Fact)) policy.Fact { change(&f); return f }
	used := []policy.EarlierCall{{At: consentAt.AddDate(0, 1, 0), Advertiser: "a", Allowed: true}}
	relationship := policy.Fact{ID: "r", Kind: policy.Relationship, Number: called, Advertiser: "a", At: instant(t, "2023-01-01 00:00:00"), Type: policy.Subscription,
		Started: 20230101, Products: []string{"p"}, CollectedInSale: true, ObjectionOffered: true}
	gift := with(relationship, func(f *policy.Fact) {
		f.Type, f.Started, f.At = policy.Gift, 20240229, instant(t, "2024-02-29 12:00:00")
	})
	for name, c := range map[string]struct {
		of      *policy.Advertiser
		purpose policy.Purpose
		at      string
		facts   []policy.Fact
		calls   []policy.EarlierCall
		change  func(*policy.Attempt)
		want    string // "": no end
	}{
		"a consent that no call followed yet":                 {at: "2026-03-01 12:00:00", facts: []policy.Fact{consent}, want: "2026-08-02 00:00:00"},
		"a consent that was used in time":                     {at: "2026-03-02 12:00:00", facts: []policy.Fact{consent}, calls: used},
		"a consent that states by when":                       {at: "2026-03-01 12:00:00", facts: []policy.Fact{with(consent, func(f *policy.Fact) { f.FirstCallBy = policy.Date(20271231).End(zone) })}, want: "2028-01-01 00:00:00"},
		"a consent with an end":                               {at: "2026-03-02 12:00:00", facts: []policy.Fact{with(consent, func(f *policy.Fact) { f.ValidUntil = policy.Date(20261231).End(zone) })}, calls: used, want: "2027-01-01 00:00:00"},
		"an objection that is dated later":                    {at: "2026-03-02 12:00:00", facts: []policy.Fact{consent, {ID: "o", Kind: policy.Objection, Number: called, Advertiser: "*", At: instant(t, "2026-05-01 09:00:00")}}, calls: used, want: "2026-05-01 09:00:00"},
		"another consent takes over":                          {at: "2026-03-02 12:00:00", facts: []policy.Fact{with(consent, func(f *policy.Fact) { f.ID, f.ValidUntil = "first", policy.Date(20260401).End(zone) }), with(consent, func(f *policy.Fact) { f.ValidUntil = policy.Date(20260601).End(zone) })}, calls: used, want: "2026-06-02 00:00:00"},
		"a customer until the exception ends":                 {at: "2026-05-01 12:00:00", facts: []policy.Fact{relationship}, want: "2026-07-01 00:00:00"},
		"a customer of long ago, until three years are over":  {at: "2025-12-01 12:00:00", facts: []policy.Fact{with(relationship, func(f *policy.Fact) { f.Ended = 20230315 })}, want: "2026-03-15 00:00:00"},
		"a giver on a leap day, until three years are over":   {of: charity, purpose: policy.Charitable, at: "2026-12-01 12:00:00", facts: []policy.Fact{gift}, want: "2027-02-28 00:00:00"},
		"a legal person":                                      {at: "2026-03-01 12:00:00", facts: []policy.Fact{{ID: "s", Kind: policy.Subscriber, Number: called, Subscriber: policy.Legal, At: consentAt}}},
		"a request with an end":                               {purpose: policy.Requested, at: "2026-03-01 12:00:00", facts: []policy.Fact{{ID: "c", Kind: policy.Callback, Number: called, Advertiser: "a", At: consentAt, ValidUntil: policy.Date(20260310).End(zone)}}, want: "2026-03-11 00:00:00"},
		"a caller number with a last day":                     {at: "2026-03-02 12:00:00", facts: []policy.Fact{consent}, calls: used, change: func(a *policy.Attempt) { a.Entry.ValidTo = 20260430 }, want: "2026-05-01 00:00:00"},
		"before proof was asked for, of a consent without":    {at: "2022-03-02 12:00:00", facts: []policy.Fact{with(consent, func(f *policy.Fact) { f.At, f.Evidence = instant(t, "2022-02-01 10:00:00"), policy.Evidence{} })}, want: "2022-06-29 00:00:00"},
		"before it had to be verified, of one that never was": {at: "2025-06-02 12:00:00", facts: []policy.Fact{with(consent, func(f *policy.Fact) { f.At, f.VerifiedAt = instant(t, "2025-05-01 10:00:00"), time.Time{} })}, want: "2025-07-01 00:00:00"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.of == nil {
				c.of = general
			}
			if c.purpose == policy.NoPurpose {
				c.purpose = policy.Commercial
			}
			books := lasting(t)
			a := attempt(c.of, c.purpose, instant(t, c.at))
			if c.change != nil {
				c.change(a)
			}
			facts := policy.Facts{Number: called, All: c.facts, Calls: c.calls}
			facts.Sort()
			if d := books.Explain(a, &facts); d.Verdict != policy.Allowed {
				t.Fatalf("refused: %s by %s", d.Reason, d.Rule())
			}
			at, ends := books.Until(new(policy.Decision), a, &facts)
			got := ""
			if ends {
				got = at.In(zone).Format("2006-01-02 15:04:05")
			}
			if got != c.want {
				t.Errorf("until %q, want %q", got, c.want)
			}
		})
	}
}

// TestUntilIsWhereTheVerdictTurns: at that instant the call is refused, and at
// no instant before it that anybody thinks of.
func TestUntilIsWhereTheVerdictTurns(t *testing.T) {
	books := lasting(t)
	scratch := new(policy.Decision)
	allowed := 0
	rapid.Check(t, func(rt *rapid.T) {
		start := instant(t, "2021-07-01 12:00:00")
		day := func(label string) time.Time {
			return start.Add(time.Duration(rapid.IntRange(0, 8*365*24).Draw(rt, label)) * time.Hour)
		}
		of := rapid.SampledFrom([]*policy.Advertiser{general, charity}).Draw(rt, "advertiser")
		a := attempt(of, rapid.SampledFrom([]policy.Purpose{policy.Commercial, policy.Charitable, policy.Requested}).Draw(rt, "purpose"), day("at"))
		facts := policy.Facts{Number: called}
		for range rapid.IntRange(1, 5).Draw(rt, "facts") {
			f := goodConsent(day("fact at"))
			f.ID = "f" + string(rune('0'+len(facts.All)))
			f.Purposes = append(f.Purposes, policy.Charitable)
			switch f.Kind = rapid.SampledFrom(policy.Kinds()).Draw(rt, "kind"); f.Kind {
			case policy.Relationship:
				f.Type, f.Started, f.CollectedInSale, f.ObjectionOffered = policy.RelationshipType(rapid.IntRange(1, 8).Draw(rt, "type")), policy.DateOf(f.At), true, true
			case policy.Subscriber:
				f.Subscriber = policy.SubscriberKind(rapid.IntRange(1, 3).Draw(rt, "subscriber"))
			case policy.Listed:
				f.List, f.Until = "l", day("until")
			case policy.Objection:
				f.At = f.At.AddDate(4, 0, 0)
			default:
				if rapid.Bool().Draw(rt, "ends") {
					f.ValidUntil = day("valid until")
				}
				f.AfterObjection = rapid.Bool().Draw(rt, "after objection")
			}
			facts.All = append(facts.All, f)
		}
		facts.Sort()
		if books.Decide(a, &facts).Verdict != policy.Allowed {
			return
		}
		allowed++
		at, ends := books.Until(scratch, a, &facts)
		later := *a
		if ends {
			if later.At = at; books.Decide(&later, &facts).Verdict == policy.Allowed {
				rt.Fatalf("still allowed at %s", at)
			}
		} else {
			at = a.At.AddDate(20, 0, 0)
		}
		for i := range 300 {
			later.At = at.Add(-1 - time.Duration(i)*(at.Sub(a.At)/300))
			if later.At.Before(a.At) {
				break
			}
			if d := books.Explain(&later, &facts); d.Verdict == policy.Denied {
				rt.Fatalf("allowed at %s until %s (it ends: %t), but refused at %s: %s", a.At, at, ends, later.At, d.Reason)
			}
		}
	})
	if allowed < 5 {
		t.Errorf("only %d allowed calls", allowed)
	}
}
