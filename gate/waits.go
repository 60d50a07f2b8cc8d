package gate

import (
	"sync"
	"sync/atomic"
	"time"

	"dialgate/policy"
)

// A wait is a decision on its way to the disk. The ledger and the clock both
// may end it; whoever comes first does, and ready is called once.
type wait struct {
	g       *Gate
	attempt *policy.Attempt // not to be read once ready was called
	ruling  policy.Ruling
	ready   func(policy.Ruling)
	due     time.Time // zero: it waits as long as the disk takes
	ended   atomic.Bool

	// of a refusal that others may be one more of
	repeatable bool
	alike      refusal
	at         time.Time

	next *wait
}

// recorded is told by the ledger that the record is on disk, or why it is not.
// The decision stands unless the clock was first, and the call was refused.
func (w *wait) recorded(err error) (stands bool) {
	if err == nil && w.repeatable {
		w.g.o.Redials.recorded(w.alike, w.ruling.Decision.Reason, w.ruling.ID, w.at)
	}
	if !w.ended.CompareAndSwap(false, true) {
		return w.g.o.Permit[policy.ReasonLedgerUnavailable] // else late has refused it
	}
	if err != nil {
		w.ruling.Decision = w.g.operational(policy.ReasonLedgerUnavailable, w.ruling.Decision)
		w.g.o.Unrecorded(&w.ruling.Decision, err)
	}
	w.ready(w.ruling)
	return true
}

// late answers a call whose time is up. The record that still may come to the
// disk says that it was allowed; the ruling tells the outcome's record of what
// was done instead.
func (w *wait) late() {
	if w.ruling.Decision.Verdict == policy.Allowed {
		d := w.g.operational(policy.ReasonLedgerUnavailable, w.ruling.Decision)
		late := &policy.Late{Verdict: d.Verdict, Reason: d.Reason}
		if made, counts := w.attempt.Made(); counts && d.Verdict == policy.Denied {
			late.Called, late.Made = w.attempt.Called.Number, made
			w.g.o.Facts.TakeBack(late.Called, made)
		}
		w.ruling.Decision, w.ruling.Late = d, late
	}
	w.g.o.Unrecorded(&w.ruling.Decision, nil)
	w.ready(w.ruling)
}

// waits are the waits of a gate, those first whose time is up first. Most are
// over long before; they leave from the head as others come, so that the list
// holds no more than what is on its way, and the timer runs once in a while.
type waits struct {
	mu          sync.Mutex
	first, last *wait
	timer       *time.Timer
	armed       bool
}

// sweepEvery is how long the waits that are due are let come together.
const sweepEvery = 10 * time.Millisecond

func (q *waits) add(w *wait) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.first != nil && q.first.ended.Load() {
		q.drop()
	}
	if q.last == nil {
		q.first = w
	} else {
		q.last.next = w
	}
	q.last = w
	if !q.armed {
		q.arm(time.Until(w.due))
	}
}

// arm has the list looked at. The lock is held.
func (q *waits) arm(in time.Duration) {
	q.armed = true
	if in = max(in, sweepEvery); q.timer == nil {
		q.timer = time.AfterFunc(in, q.sweep)
		return
	}
	q.timer.Reset(in)
}

// drop takes the first wait off the list. The lock is held.
func (q *waits) drop() *wait {
	w := q.first
	if q.first = w.next; q.first == nil {
		q.last = nil
	}
	w.next = nil
	return w
}

// sweep ends the waits whose time is up.
func (q *waits) sweep() {
	var late []*wait
	now := time.Now()
	q.mu.Lock()
	for q.first != nil && (q.first.ended.Load() || !now.Before(q.first.due)) {
		if w := q.drop(); w.ended.CompareAndSwap(false, true) {
			late = append(late, w)
		}
	}
	if q.armed = q.first != nil; q.armed {
		q.arm(q.first.due.Sub(now))
	}
	q.mu.Unlock()
	for _, w := range late {
		w.late()
	}
}
