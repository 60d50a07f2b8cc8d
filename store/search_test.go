package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"dialgate/policy"
)

// decided records one decision and returns when it is on disk.
func decided(t *testing.T, s *Store, i int, to policy.Number, reason policy.Reason) {
	t.Helper()
	d := policy.Operational(reason)
	a := &policy.Attempt{CallID: fmt.Sprint(i), Called: policy.Called{Number: to}, Peer: &policy.PeerTerms{ID: fmt.Sprint("peer", i%2)}}
	done := make(chan error, 1)
	s.Append(&policy.Record{ID: policy.RulingID{byte(i >> 8), byte(i), 1}, At: noon.Add(time.Duration(i) * time.Second), Attempt: a, Decision: &d, Answer: 403}, func(err error) bool { done <- err; return true })
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// walk turns the pages of a search and returns the Call-IDs found.
func walk(t *testing.T, s *Store, q Search) (ids []string) {
	t.Helper()
	for range 10_000 {
		page, err := s.Search(q)
		if err != nil {
			t.Fatal(err)
		}
		if len(page.Decisions) > q.Most {
			t.Fatalf("a page of %d", len(page.Decisions))
		}
		for _, d := range page.Decisions {
			ids = append(ids, d.CallID)
		}
		if page.Next == 0 {
			return ids
		}
		q.Before = page.Next
	}
	t.Fatal("the search does not end")
	return nil
}

// TestSearchTurnsEveryPage: each decision is found once, the newest first, with
// every filter and every size of page, before and after the places are noted.
func TestSearchTurnsEveryPage(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir(), nil)
	defer s.Close()
	const n = 2600
	reasons := []policy.Reason{policy.ReasonNoConsent, policy.ReasonObjected, policy.ReasonCallerAnonymous}
	numbers := []policy.Number{alice, bob}
	done := make(chan error, n)
	for i := range n {
		if i%500 == 7 {
			add(t, s, objection(fmt.Sprint("o", i), bob, noon)) // other records lie between
		}
		d := policy.Operational(reasons[i%3])
		a := &policy.Attempt{CallID: fmt.Sprint(i), Called: policy.Called{Number: numbers[i%2]}, Peer: &policy.PeerTerms{ID: fmt.Sprint("peer", i%2)}}
		s.Append(&policy.Record{At: noon.Add(time.Duration(i) * time.Second), Attempt: a, Decision: &d}, func(err error) bool { done <- err; return true })
	}
	for range n {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	for _, indexed := range []bool{false, true} {
		if indexed {
			if err := s.catchUpIndex(0); err != nil {
				t.Fatal(err)
			}
			if p, err := s.placeNear(1030); err != nil || p.Seq != 1024 || p.Offset == 0 {
				t.Errorf("the place of record 1024 was not noted: %+v, %v", p, err)
			}
			// What is not noted yet is read for from the last place that is.
			if p, err := s.placeNear(1_000_000); err != nil || p.Seq != 2048 || p.Offset == 0 {
				t.Errorf("the newest records are read for from %+v, %v", p, err)
			}
		}
		for name, q := range map[string]struct {
			Search
			wants func(i int) bool
		}{
			"all":    {Search{}, func(int) bool { return true }},
			"reason": {Search{Reason: "objected"}, func(i int) bool { return i%3 == 1 }},
			"peer":   {Search{Peer: "peer1", Verdict: "deny"}, func(i int) bool { return i%2 == 1 }},
			"number": {Search{Number: bob}, func(i int) bool { return i%2 == 1 }},
			"time":   {Search{From: noon.Add(100 * time.Second), To: noon.Add(200 * time.Second)}, func(i int) bool { return i >= 100 && i < 200 }},
			"none":   {Search{Verdict: "allow"}, func(int) bool { return false }},
		} {
			for _, most := range []int{60, 1000} {
				q.Most = most
				got := walk(t, s, q.Search)
				var want []string
				for i := n - 1; i >= 0; i-- {
					if q.wants(i) {
						want = append(want, fmt.Sprint(i))
					}
				}
				if fmt.Sprint(got) != fmt.Sprint(want) {
					t.Errorf("%s, %d a page: %d decisions, want %d", name, most, len(got), len(want))
				}
			}
		}
	}
}

// TestOneDecisionWithItsOutcome is found by its record.
func TestOneDecisionWithItsOutcome(t *testing.T) {
	s := open(t, t.TempDir(), nil)
	defer s.Close()
	decided(t, s, 1, bob, policy.ReasonNoConsent)
	decided(t, s, 2, bob, policy.ReasonObjected)
	done := make(chan error, 1)
	s.AppendOutcome(&policy.Outcome{ID: policy.RulingID{0, 2, 1}, At: noon, Code: 603, EndedBy: policy.EndedByGate}, func(err error) { done <- err })
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if d, o, err := s.Decision(2); err != nil || d.Reason != "objected" || o == nil || o.Code != 603 {
		t.Errorf("%+v %+v %v", d, o, err)
	}
	if d, o, err := s.Decision(1); err != nil || d.Reason != "no-consent" || o != nil {
		t.Errorf("%+v %+v %v", d, o, err)
	}
	for _, seq := range []uint64{0, 3, 99} {
		if _, _, err := s.Decision(seq); !errors.Is(err, ErrNoDecision) {
			t.Errorf("%d: %v", seq, err)
		}
	}
}

// TestLookUpsAreRecordedAndErased: who looked stays on record, at whom is gone
// with the number, and a proof pack tells of neither.
func TestLookUpsAreRecordedAndErased(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir(), nil)
	defer s.Close()
	add(t, s, objection("o1", bob, noon))
	for _, n := range []policy.Number{bob, alice, {}} {
		if err := s.LookedUp(LookUp{By: `An "de" Vries`, Role: "analyst", What: "number", Number: n, Count: 1}); err != nil {
			t.Fatal(err)
		}
	}
	p, err := s.Prove(bob, time.Time{})
	if err != nil || len(p.Records) != 1 {
		t.Errorf("%d records in the pack, %v", len(p.Records), err)
	}
	if _, err := s.Erase(bob, "request of 24 November"); err != nil {
		t.Fatal(err)
	}
	var got []string
	for before := uint64(0); ; {
		looks, next, err := s.LookUps(before, 2)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range looks {
			got = append(got, l.By+" "+l.Number)
		}
		if before = next; next == 0 {
			break
		}
	}
	if want := fmt.Sprint([]string{`An "de" Vries `, `An "de" Vries ` + alice.E164(), `An "de" Vries `}); fmt.Sprint(got) != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestLooksCostASearchNothing: a number that was looked at ten thousand times is
// found as quickly as any, also when the projection was made anew.
func TestLooksCostASearchNothing(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, nil)
	decided(t, s, 1, alice, policy.ReasonNoConsent)
	for range 20 {
		if err := s.LookedUp(LookUp{By: "an", Role: "analyst", What: "number", Number: alice, Count: 1}); err != nil {
			t.Fatal(err)
		}
	}
	decided(t, s, 2, alice, policy.ReasonNoConsent)
	check := func(when string) {
		t.Helper()
		calls, err := s.placesOf(alice, false)
		if err != nil || len(calls) != 2 {
			t.Errorf("%s: %d places are read for two calls, %v", when, len(calls), err)
		}
		if all, err := s.placesOf(alice, true); err != nil || len(all) != 22 {
			t.Errorf("%s: %d places in all, %v", when, len(all), err)
		}
	}
	check("as they came")
	if err := errors.Join(s.Close(), os.RemoveAll(filepath.Join(dir, "state"))); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, nil)
	defer s.Close()
	check("made anew")
}

// TestManyFactsHideNoDecision: what lies before an import of tens of thousands of
// rows is found at once, more records back than one page looks at.
func TestManyFactsHideNoDecision(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir, nil)
	defer func() { s.Close() }()
	for i := range 3 {
		decided(t, s, i, alice, policy.ReasonNoConsent)
	}
	if err := s.LookedUp(LookUp{By: "an", Role: "analyst", What: "number", Number: alice, Count: 1}); err != nil {
		t.Fatal(err)
	}
	var batch []policy.Fact
	for i := range searchLook + 5000 {
		n, _ := policy.NumberOfKey(31_610_000_000 + uint64(i))
		if batch = append(batch, objection(fmt.Sprint("o", i), n, noon)); len(batch) == 2000 || i == searchLook+4999 {
			add(t, s, batch...)
			batch = batch[:0]
		}
		if i == searchLook/2 { // what was noted holds after a restart in the middle of 1024
			s.Close()
			s = open(t, dir, nil)
		}
	}
	decided(t, s, 3, bob, policy.ReasonNoConsent)
	if err := s.catchUpIndex(0); err != nil {
		t.Fatal(err)
	}
	page, err := s.Search(Search{Most: 10})
	if err != nil || len(page.Decisions) != 4 || page.Next != 0 || page.Decisions[3].CallID != "0" {
		t.Errorf("%d decisions, next %d, %v", len(page.Decisions), page.Next, err)
	}
	looks, next, err := s.LookUps(0, 10)
	if err != nil || len(looks) != 1 || next != 0 {
		t.Errorf("%d looks, next %d, %v", len(looks), next, err)
	}
}

// TestReasonsOfAllThatWasDecided: each decision once, whatever lies between, in
// steps of a bounded size, before and after the places are noted.
func TestReasonsOfAllThatWasDecided(t *testing.T) {
	s := open(t, t.TempDir(), nil)
	defer s.Close()
	if next, err := s.Reasons(0, func(time.Time, policy.Reason) { t.Error("of an empty ledger") }); next != 0 || err != nil {
		t.Error(next, err)
	}
	reasons := []policy.Reason{policy.ReasonNoConsent, policy.ReasonObjected, policy.ReasonCallerAnonymous}
	for i := range 20 {
		if i == 10 { // whole steps hold no decision
			var between []policy.Fact
			for j := range 3 * searchChunk {
				between = append(between, objection(fmt.Sprint("o", j), bob, noon))
			}
			add(t, s, between...)
		}
		decided(t, s, i, alice, reasons[i%3])
	}
	for _, indexed := range []bool{false, true} {
		if indexed {
			if err := s.catchUpIndex(0); err != nil {
				t.Fatal(err)
			}
		}
		got := map[time.Time]policy.Reason{}
		steps := 0
		for before := uint64(0); steps == 0 || before != 0; steps++ {
			var err error
			if before, err = s.Reasons(before, func(at time.Time, r policy.Reason) { got[at.UTC()] = r }); err != nil || steps > 10 {
				t.Fatal(steps, err)
			}
		}
		for i := range 20 {
			if r, there := got[noon.Add(time.Duration(i)*time.Second).UTC()]; !there || r != reasons[i%3] {
				t.Errorf("decision %d: %s, %t", i, r, there)
			}
		}
		if len(got) != 20 || steps != 4 {
			t.Errorf("%d decisions in %d steps", len(got), steps)
		}
	}
}
