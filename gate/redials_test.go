package gate

import (
	"errors"
	"testing"
	"time"

	"dialgate/policy"
)

// A watch keeps what Redials tell.
type watch struct {
	*Redials
	repeats []policy.Repeats
	again   int
	rotated int
	full    int
}

func newWatch(collapse bool) *watch {
	w := &watch{}
	w.Redials = NewRedials(RedialOptions{
		Window: 10 * time.Minute, Collapse: collapse,
		Append:    func(r policy.Repeats) { w.repeats = append(w.repeats, r) },
		Redialled: func(string, policy.Reason) { w.again++ },
		Rotated:   func(string) { w.rotated++ },
		Full:      func() { w.full++ },
	})
	return w
}

// redialGate is a gate that refuses every call to an unknown number, at a time
// of the test's choice.
func redialGate(t *testing.T, l *ledger, w *watch, at *time.Time) *Gate {
	g := newGate(t, &facts{}, l)
	g.o.Redials = w.Redials
	g.o.Now = func() time.Time { return *at }
	return g
}

func TestRepeatedRefusalsAreCounted(t *testing.T) {
	l, w, at := &ledger{}, newWatch(true), now
	g := redialGate(t, l, w, &at)
	first, _ := judge(g, attempt(unknown))
	if first.Decision.Verdict != policy.Denied || first.Repeat {
		t.Fatalf("%+v", first)
	}
	for i := range 12 {
		at = at.Add(time.Second)
		got, times := judge(g, attempt(unknown))
		if times != 1 || got.ID != first.ID || !got.Repeat || got.Decision.Reason != first.Decision.Reason {
			t.Fatalf("repeat %d: %+v, ready %d times", i, got, times)
		}
	}
	if len(l.records) != 1 || w.again != 12 || w.rotated != 0 {
		t.Errorf("%d records, %d repeats, %d rotations", len(l.records), w.again, w.rotated)
	}
	if len(w.repeats) != 2 || w.repeats[0].Count != 1 || w.repeats[1].Count != 10 || w.repeats[1].ID != first.ID {
		t.Errorf("recorded at once: %+v", w.repeats)
	}
	w.Expire(now.Add(10 * time.Minute))
	if len(w.repeats) != 3 || w.repeats[2].Count != 12 || !w.repeats[2].Since.Equal(now) || !w.repeats[2].Until.Equal(at) {
		t.Errorf("when the window closed: %+v", w.repeats)
	}
	at = now.Add(11 * time.Minute)
	if got, _ := judge(g, attempt(unknown)); got.Repeat || len(l.records) != 2 {
		t.Errorf("after the window: %+v, %d records", got, len(l.records))
	}
	w.Close()
	if len(w.repeats) != 3 {
		t.Errorf("nothing was repeated since, and %+v is recorded", w.repeats)
	}
}

// TestOnlyWhatIsOnRecordIsRepeated: until the first refusal is durable, each
// call has a record of its own, and waits for it.
func TestOnlyWhatIsOnRecordIsRepeated(t *testing.T) {
	l, w, at := &ledger{later: true}, newWatch(true), now
	g := redialGate(t, l, w, &at)
	for range 2 {
		if _, times := judge(g, attempt(unknown)); times != 0 {
			t.Fatal("answered before its record was durable")
		}
	}
	if len(l.records) != 2 {
		t.Fatalf("%d records", len(l.records))
	}
	l.waiting[0](errors.New("the disk is full"))
	if got := l.try(g); got.Repeat || len(l.records) != 3 {
		t.Errorf("the first record failed, and the call is one more of it: %+v", got)
	}
	l.waiting[1](nil)
	if got := l.try(g); !got.Repeat || got.ID != l.records[1].ID {
		t.Errorf("%+v", got)
	}
}

// try judges a call whose record, if it has one, never ends.
func (l *ledger) try(g *Gate) policy.Ruling {
	got, _ := judge(g, attempt(unknown))
	return got
}

func TestCallsThatAreNotAlike(t *testing.T) {
	l, w, at := &ledger{}, newWatch(true), now
	g := redialGate(t, l, w, &at)
	judge(g, attempt(unknown))
	other := &policy.CallerNumber{Number: known, Campaigns: []*policy.Campaign{campaign}}
	for _, c := range []struct {
		name   string
		change func(*policy.Attempt)
	}{
		{"hidden caller", func(a *policy.Attempt) { a.Caller.Shown = policy.Number{} }},
		{"other peer", func(a *policy.Attempt) { a.Peer = &policy.PeerTerms{ID: "other"} }},
		{"other campaign", func(a *policy.Attempt) { c := *campaign; c.ID = "gas"; a.Campaign = &c }},
		{"no number", func(a *policy.Attempt) { a.Called = policy.Called{Text: "x"} }},
		{"other caller", func(a *policy.Attempt) { a.Caller.Shown, a.Entry = known, other }},
	} {
		name, a := c.name, attempt(unknown)
		c.change(a)
		before := len(l.records)
		if got, _ := judge(g, a); got.Repeat || len(l.records) != before+1 {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if w.rotated != 1 || w.again != 0 {
		t.Errorf("%d rotations, %d repeats; want one and none", w.rotated, w.again)
	}
	g.o.Rules.Config = "next"
	if got, _ := judge(g, attempt(unknown)); got.Repeat {
		t.Errorf("a refusal by another configuration: %+v", got)
	}
}

// TestRepeatsDoNotTellOfOthers: when another advertiser's fact comes between two
// calls, the second is told no other id than if it had not.
func TestRepeatsDoNotTellOfOthers(t *testing.T) {
	w, a := newWatch(true), attempt(unknown)
	id := policy.RulingID{1}
	before, after := policy.Operational(policy.ReasonNoConsent), policy.Operational(policy.ReasonConsentOtherAdvertiser)
	k, _ := refusalOf(a, &before, "cfg")
	w.see(k, true, now)
	w.recorded(k, before.Reason, id, now)
	k, _ = refusalOf(a, &after, "cfg")
	if first, repeated := w.see(k, true, now.Add(time.Second)); !repeated || first != id {
		t.Errorf("%s, %v", first, repeated)
	}
	if len(w.repeats) != 1 || w.repeats[0].Reason != policy.ReasonNoConsent {
		t.Errorf("%+v", w.repeats)
	}
}

func TestRotationToAnAllowedCallCounts(t *testing.T) {
	w := newWatch(false)
	k := refusal{peer: "dialer", caller: caller, called: unknown}
	w.see(k, true, now)
	k.caller = known
	w.see(k, false, now.Add(time.Second))
	w.see(k, false, now.Add(2*time.Second))
	k.caller = caller
	w.see(k, false, now.Add(10*time.Minute))
	if w.rotated != 1 {
		t.Errorf("%d rotations, want the one within the window", w.rotated)
	}
}

func TestWithoutCollapseEachRefusalHasItsRecord(t *testing.T) {
	l, w, at := &ledger{}, newWatch(false), now
	g := redialGate(t, l, w, &at)
	for range 5 {
		if got, _ := judge(g, attempt(unknown)); got.Repeat {
			t.Errorf("%+v", got)
		}
	}
	if len(l.records) != 5 || w.again != 4 || len(w.repeats) != 0 {
		t.Errorf("%d records, %d repeats noticed, %d recorded", len(l.records), w.again, len(w.repeats))
	}
}

func TestRedialsAreBounded(t *testing.T) {
	w := newWatch(true)
	for i := range maxRedials + 10 {
		n, _ := policy.NumberOfKey(31_610_000_000 + uint64(i))
		k := refusal{peer: "dialer", caller: caller, called: n}
		w.see(k, true, now)
		w.recorded(k, policy.ReasonNoConsent, policy.RulingID{}, now)
	}
	if len(w.refused) != maxRedials || len(w.last) != maxRedials || w.full != 10 {
		t.Errorf("%d refusals, %d callers, %d forgotten", len(w.refused), len(w.last), w.full)
	}
	w.Expire(now.Add(-time.Hour)) // a clock that went back
	if len(w.refused)+len(w.last)+len(w.queue)+len(w.lastOf) != 0 {
		t.Error("the windows are not closed")
	}
}

// BenchmarkRedials is what noticing costs an allowed call, and a refused one
// whose record is durable.
func BenchmarkRedials(b *testing.B) {
	for name, denied := range map[string]bool{"allowed": false, "refused": true} {
		b.Run(name, func(b *testing.B) {
			w, at := newWatch(false), now
			for i := range b.N {
				n, _ := policy.NumberOfKey(31_610_000_000 + uint64(i%100_000))
				k := refusal{peer: "dialer", campaign: "energy", config: "cfg", caller: caller, called: n, told: policy.ReasonNoConsent}
				at = at.Add(time.Millisecond)
				w.see(k, denied, at)
				if denied {
					w.recorded(k, policy.ReasonNoConsent, policy.RulingID{}, at)
				}
			}
		})
	}
}
