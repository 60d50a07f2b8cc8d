package store

import (
	"path/filepath"
	"slices"
	"testing"
	"time"

	"dialgate/policy"
	"dialgate/store/ledger"
)

// TestRetentionKeepsWhatIsKnown: records of calls go, facts and earlier calls
// and blocks stay, also when the projection is made anew.
func TestRetentionKeepsWhatIsKnown(t *testing.T) {
	t.Parallel()
	top := t.TempDir()
	dir := filepath.Join(top, "data")
	now := noon
	o := testOptions(dir, nil)
	o.Ledger.SegmentSize = 1 << 12
	o.Now = func() time.Time { return now }
	reopen := func() *Store {
		t.Helper()
		s, err := Open(o)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := reopen()
	dave := policy.MustNumber("+31698765432")
	add(t, s, consent("c1", alice), objection("o1", bob, noon), objection("o2", carol, noon), consent("d1", dave), objection("d2", dave, noon))
	forgetCarol(t, s)
	late := consent("c9", carol)
	late.At = noon.Add(time.Minute)
	add(t, s, late)
	for i := range 40 {
		judged(t, s, policy.Allowed, alice, i)
	}
	var before policy.Facts
	// The applier follows a moment later; a fact after the calls waits for it.
	add(t, s, objection("o9", dave, noon))
	if err := s.Facts(alice, &before); err != nil || len(before.Calls) == 0 {
		t.Fatalf("%d calls, %v", len(before.Calls), err)
	}
	now = noon.AddDate(1, 0, 0)
	judged(t, s, policy.Denied, bob, 41) // so that the newest file is of the same day; it stays
	removed, err := s.Retain(t.Context(), now.AddDate(0, -1, 0))
	if err != nil || removed < 20 || s.ledger.First() != removed+1 {
		t.Fatalf("%d records were removed: %v", removed, err)
	}
	check := func() {
		t.Helper()
		var after policy.Facts
		if err := s.Facts(alice, &after); err != nil {
			t.Fatal(err)
		}
		if !slices.EqualFunc(before.All, after.All, func(a, b policy.Fact) bool { return same(&a, &b) && a.RecordedAt.Equal(b.RecordedAt) }) || !slices.Equal(before.Calls, after.Calls) {
			t.Errorf("%d facts and %d calls before, %d and %d after", len(before.All), len(before.Calls), len(after.All), len(after.Calls))
		}
		if ids := idsOf(t, s, bob); !slices.Equal(ids, []string{"o1"}) {
			t.Errorf("of bob is known %v", ids)
		}
		if ids := idsOf(t, s, carol); len(ids) != 2 || !slices.Contains(ids, "c9") {
			t.Errorf("of the erased number is known %v", ids)
		}
		for _, n := range []policy.Number{alice, bob, carol} {
			p, text, page := prove(t, s, n, time.Time{})
			for _, data := range [][]byte{text, page} {
				if _, _, err := ReadPack(data, s.ledger.PublicKey()); err != nil {
					t.Error(err)
				}
			}
			if n == alice && (len(p.View.Consents) != 1 || len(p.View.Calls) >= 40) {
				t.Errorf("%d consents, %d calls", len(p.View.Consents), len(p.View.Calls))
			}
			if n == carol && len(p.View.Erasures) == 0 {
				t.Error("the erasure is not in the pack")
			}
		}
		r, err := ledger.Verify(filepath.Join(dir, "ledger"), nil, s.ledger.PublicKey())
		if err != nil || len(r.Findings) > 0 || r.Removed != removed {
			t.Errorf("%+v, %v", r, err)
		}
	}
	check()
	s.Close()
	s = reopen()
	check()
	s.Close()
	remove(t, filepath.Join(dir, "state"))
	s = reopen()
	check()
	// What was carried over is erased with the rest.
	if _, err := s.Erase(dave, "asked"); err != nil {
		t.Fatal(err)
	}
	s.Close()
	if got := holders(t, top, dave); got != nil {
		t.Errorf("the number is still in %v", got)
	}
}
