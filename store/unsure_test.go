package store

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dialgate/policy"
)

// TestWhatACrashLeavesOpen: a call that the ledger allows and of whose end it
// says nothing may have gone out or not. After a crash that is on record, once,
// and stays so however the projection is made; an erasure reaches it.
func TestWhatACrashLeavesOpen(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir, nil)
	ended, died := call(alice, "ended", 0), call(alice, "died", 1000)
	ended.ID, died.ID = policy.RulingID{15: 1}, policy.RulingID{15: 2}
	mustCall(t, s, ended)
	mustCall(t, s, died)
	done := make(chan error, 1)
	s.AppendOutcome(&policy.Outcome{ID: ended.ID, At: ended.At, Code: 486}, func(err error) { done <- err })
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	unsure := func(when string, want ...bool) {
		t.Helper()
		calls := callsTo(t, s, alice)
		if len(calls) != len(want) {
			t.Fatalf("%s: %+v", when, calls)
		}
		for i, c := range calls {
			if c.Unsure != want[i] {
				t.Errorf("%s: %+v", when, calls)
			}
		}
	}
	unsure("while it runs", false, false)
	end := s.LedgerEnd()
	reopen := func(crash func()) {
		t.Helper()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		crash()
		s = open(t, dir, nil)
	}
	reopen(func() {})
	if unsure("after a clean stop", false, false); s.LedgerEnd() != end {
		t.Errorf("%d records became %d", end, s.LedgerEnd())
	}
	crash := func() {
		if err := os.Remove(filepath.Join(dir, "state", cleanFile)); err != nil {
			t.Fatal(err)
		}
	}
	reopen(crash)
	if unsure("after a crash", false, true); s.LedgerEnd() != end+1 {
		t.Errorf("%d records became %d", end, s.LedgerEnd())
	}
	reopen(crash)
	reopen(func() { remove(t, filepath.Join(dir, "state")) })
	if unsure("made anew", false, true); s.LedgerEnd() != end+1 {
		t.Errorf("the call was given %d outcomes", s.LedgerEnd()-end)
	}
	if err := s.settle(s.ledger.Durable()); err != nil {
		t.Fatal(err)
	}
	if err := s.state.setCursor(1); err != nil {
		t.Fatal(err)
	}
	s.broken = os.ErrClosed // so that Close leaves the cursor there
	reopen(func() {})
	unsure("followed again", false, true)

	defer func() { s.Close() }()
	if e, err := s.Erase(alice, "asked by letter"); err != nil || e.Calls != 2 {
		t.Fatalf("%+v %v", e, err)
	}
	for r, err := range s.ledger.All(1) {
		if err != nil || strings.Contains(string(r.Payload), alice.Digits()) {
			t.Errorf("record %d still holds the number: %v", r.Seq, err)
		}
	}
	if _, o, err := s.Decision(2); err != nil || o == nil || o.EndedBy != policy.EndedUnknown.String() {
		t.Errorf("%+v %v", o, err)
	}
}

// TestAnUnsureCallIsNoFirstCall that trimming keeps: the next one is.
func TestAnUnsureCallIsNoFirstCall(t *testing.T) {
	f := policy.Facts{Calls: []policy.EarlierCall{{At: noon, Advertiser: "a", Unsure: true}, {At: noon.Add(1), Advertiser: "a"}, {At: noon.Add(2), Advertiser: "a"}}}
	for i, want := range []bool{false, true, false} {
		if firstCall(&f, i) != want {
			t.Errorf("call %d is the first: %v", i, !want)
		}
	}
}
