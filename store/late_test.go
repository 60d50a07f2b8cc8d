package store

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dialgate/policy"
	"dialgate/store/ledger"
)

// lateCall makes a call that is refused before its record is on disk, or goes
// on, and records the outcome.
func lateCall(t *testing.T, s *Store, r *policy.Record, verdict policy.Verdict) {
	t.Helper()
	to := r.Attempt.Called.Number
	var f policy.Facts
	if err := s.Hold(to, &f); err != nil {
		t.Fatal(err)
	}
	made, _ := r.Attempt.Made()
	s.Release(to, &made)
	late := &policy.Late{Verdict: verdict, Reason: policy.ReasonNotEnforced}
	if verdict == policy.Denied {
		late.Reason, late.Called, late.Made = policy.ReasonLedgerUnavailable, to, made
		s.TakeBack(to, made)
	}
	done := make(chan error, 2)
	s.Append(r, func(err error) bool { done <- err; return verdict == policy.Allowed })
	s.AppendOutcome(&policy.Outcome{ID: r.ID, At: r.At, Code: 603, EndedBy: policy.EndedByGate, Late: late}, func(err error) { done <- err })
	if err := s.wait(done, 2); err != nil {
		t.Fatal(err)
	}
}

// TestALateCallThatWasRefusedIsNoEarlierCall: in flight, in the projection,
// when it follows the ledger and when it is made anew. One that went on is.
func TestALateCallThatWasRefusedIsNoEarlierCall(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir, nil)
	mustCall(t, s, call(alice, "a", 0))
	records := map[string]*policy.Record{}
	for i, callID := range []string{"refused", "went on", "refused again"} {
		r := call(alice, callID, 1000*(i+1))
		r.ID = policy.RulingID{15: byte(i + 1)}
		records[callID] = r
	}
	lateCall(t, s, records["refused"], policy.Denied)
	lateCall(t, s, records["went on"], policy.Allowed)
	lateCall(t, s, records["refused again"], policy.Denied)
	check := func(when string) {
		t.Helper()
		var at []string
		for _, c := range callsTo(t, s, alice) {
			at = append(at, fmt.Sprint(c.At.Sub(noon).Seconds()))
		}
		if got := strings.Join(at, " "); got != "0 2000" {
			t.Errorf("%s: calls after %s s, want 0 2000", when, got)
		}
	}
	check("at once")
	for _, how := range []string{"restarted", "followed again", "made anew"} {
		if how == "followed again" {
			if err := s.settle(s.ledger.Durable()); err != nil {
				t.Fatal(err)
			}
			if err := s.state.setCursor(1); err != nil {
				t.Fatal(err)
			}
			s.broken = os.ErrClosed // so that Close leaves the cursor there
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if how == "made anew" {
			remove(t, filepath.Join(dir, "state"))
		}
		s = open(t, dir, nil)
		check(how)
	}
	defer s.Close()

	p, err := s.Prove(alice, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	var instead []string
	for _, c := range p.View.Calls {
		if c.Outcome != nil && c.Outcome.EndedBy != policy.EndedUnknown.String() {
			instead = append(instead, c.Outcome.Instead)
		}
	}
	if got := strings.Join(instead, " "); got != "ledger-unavailable not-enforced ledger-unavailable" {
		t.Errorf("the proof pack says instead: %s", got)
	}
	data, err := p.HTML()
	if err != nil || !strings.Contains(string(data), "not as decided, but ledger-unavailable") {
		t.Errorf("%v: the page does not say it", err)
	}
	if _, _, err := ReadPack(data); err != nil {
		t.Error(err)
	}

	// The outcomes name the number, so an erasure reaches them.
	if e, err := s.Erase(alice, "asked by letter"); err != nil || e.Calls != 4 {
		t.Fatalf("%+v %v", e, err)
	}
	for r, err := range s.ledger.All(1) {
		if err != nil || strings.Contains(string(r.Payload), alice.Digits()) {
			t.Errorf("record %d still holds the number: %v", r.Seq, err)
		}
	}
	if got := callsTo(t, s, alice); len(got) != 0 {
		t.Errorf("after the erasure: %+v", got)
	}
}

func FuzzNotMade(f *testing.F) {
	f.Add([]byte(`{"id":"x","code":603,"ring_ms":0,"instead":"ledger-unavailable"}`), appendNotMade(nil, &policy.Late{Called: alice, Made: policy.EarlierCall{At: noon, Advertiser: `a"b`, Attempt: 1 << 63}}))
	f.Fuzz(func(t *testing.T, public, payload []byte) {
		to, call, err := notMade(&ledger.Record{Kind: kindOutcome, Public: public, Payload: payload})
		if call != nil && (err != nil || to.IsZero() || call.At.IsZero()) {
			t.Fatalf("%v %+v %v", to, call, err)
		}
	})
}
