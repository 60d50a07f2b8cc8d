package gate

import (
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"dialgate/policy"
)

const within = time.Second

// lateGate is a gate whose ledger makes nothing durable by itself.
func lateGate(t *testing.T, f *facts, l *ledger, permit ...policy.Reason) *Gate {
	t.Helper()
	l.later = true
	g := newGate(t, f, l, permit...)
	g.o.Within = within
	return g
}

// TestALateRecord: a call is answered once its time is up, exactly once and by
// the operator's choice, and what the ledger says later changes nothing.
func TestALateRecord(t *testing.T) {
	for name, c := range map[string]struct {
		to      policy.Number
		permit  []policy.Reason
		err     error // of the record, when it comes
		verdict policy.Verdict
		reason  policy.Reason
		late    bool // the outcome is to tell
		taken   bool // it does not count as a call
		stands  bool
	}{
		"refused":                      {to: known, verdict: policy.Denied, reason: policy.ReasonLedgerUnavailable, late: true, taken: true},
		"refused, the record fails":    {to: known, err: errors.New("broken"), verdict: policy.Denied, reason: policy.ReasonLedgerUnavailable, late: true, taken: true},
		"permitted":                    {to: known, permit: []policy.Reason{policy.ReasonLedgerUnavailable}, verdict: policy.Allowed, reason: policy.ReasonNotEnforced, late: true, stands: true},
		"permitted for another reason": {to: known, permit: []policy.Reason{policy.ReasonFactsUnavailable}, verdict: policy.Denied, reason: policy.ReasonLedgerUnavailable, late: true, taken: true},
		"a refusal keeps its reason":   {to: unknown, verdict: policy.Denied, reason: policy.ReasonNoConsent},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, l := &facts{known: known}, &ledger{}
				g := lateGate(t, f, l, c.permit...)
				var told, times atomic.Int64
				g.o.Unrecorded = func(*policy.Decision, error) { told.Add(1) }
				var got policy.Ruling
				began := time.Now()
				g.Judge(attempt(c.to), func(r policy.Ruling) {
					got = r
					times.Add(1)
				})
				time.Sleep(within - time.Nanosecond)
				synctest.Wait()
				if times.Load() != 0 {
					t.Fatalf("it was answered after %s", time.Since(began))
				}
				time.Sleep(sweepEvery)
				synctest.Wait()
				if times.Load() != 1 || told.Load() != 1 || got.Decision.Verdict != c.verdict || got.Decision.Reason != c.reason {
					t.Fatalf("%d rulings, %d times told: %s %s, want %s %s", times.Load(), told.Load(), got.Decision.Verdict, got.Decision.Reason, c.verdict, c.reason)
				}
				if (got.Late != nil) != c.late || c.late && (got.Late.Verdict != c.verdict || got.Late.Reason != c.reason) {
					t.Errorf("the outcome is to tell of %+v", got.Late)
				}
				if c.taken != (len(f.taken) == 1 && f.taken[0] == f.made[0] && got.Late.Made == f.made[0] && got.Late.Called == known) {
					t.Errorf("taken back: %+v of %+v, late %+v", f.taken, f.made, got.Late)
				}
				if stands := l.waiting[0](c.err); stands != c.stands {
					t.Errorf("the decision stands: %t", stands)
				}
				if times.Load() != 1 || told.Load() != 1 {
					t.Errorf("%d rulings, %d times told once the record was there", times.Load(), told.Load())
				}
			})
		})
	}
}

// TestWaits: of many calls each gets one ruling, those whose record comes in
// time by it, and nothing stays on the list.
func TestWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, l := &facts{known: known}, &ledger{}
		g := lateGate(t, f, l)
		const calls = 1000
		var rulings [calls]policy.Reason
		for i := range calls {
			g.Judge(attempt(known), func(r policy.Ruling) {
				if rulings[i] != policy.NoReason {
					t.Errorf("call %d has two rulings", i)
				}
				rulings[i] = r.Decision.Reason
			})
			if i%3 != 0 { // the disk takes two of three
				l.waiting[i](nil)
			}
			time.Sleep(5 * time.Millisecond)
		}
		time.Sleep(2 * within)
		synctest.Wait()
		for i, got := range rulings {
			want := policy.ReasonConsent
			if i%3 == 0 {
				want = policy.ReasonLedgerUnavailable
			}
			if got != want {
				t.Fatalf("call %d: %s, want %s", i, got, want)
			}
		}
		if g.waits.first != nil || g.waits.last != nil || g.waits.armed {
			t.Error("calls are still waited for")
		}
	})
}

// TestNobodyWaitsForWhatIsRecorded: while the disk is quick the list holds no
// more than the last call.
func TestNobodyWaitsForWhatIsRecorded(t *testing.T) {
	f, l := &facts{known: known}, &ledger{}
	g := lateGate(t, f, l)
	g.o.Within = time.Hour
	for i := range 100 {
		judge(g, attempt(known))
		l.waiting[i](nil)
	}
	if w := g.waits.first; w == nil || w.next != nil || g.waits.last != w {
		t.Error("recorded decisions are still on the list")
	}
	g.waits.timer.Stop()
}
