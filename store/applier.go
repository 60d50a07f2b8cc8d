package store

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"time"
)

// gather is how long the applier lets calls come together. A write of one call
// costs as much as one of twenty, and so does waking up for it. What waits is
// known to [Store.Hold] all the same.
const gather = 40 * time.Millisecond

// maxWaiting bounds the calls that wait for the applier.
const maxWaiting = 1 << 16

var errBehind = fmt.Errorf("store: %d calls wait for the projection, which can't keep up", maxWaiting)

// A queue holds changes on their way from the ledger to the applier. Nobody who
// puts one there waits: whoever adds facts waits for them to be applied, which
// bounds these, and calls are bounded by maxWaiting.
type queue struct {
	wake chan struct{} // somebody waits for a change, or the queue is closed
	beat *time.Timer   // calls have gathered

	mu      sync.Mutex
	waiting []change
	armed   bool // beat
	closed  bool
}

func newQueue() *queue {
	q := &queue{wake: make(chan struct{}, 1), beat: time.NewTimer(time.Hour)}
	q.beat.Stop()
	return q
}

// put adds a change; false: there is no room. One that somebody waits for is
// taken at once, with all that came before.
func (q *queue) put(c change) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if c.done == nil && len(q.waiting) >= maxWaiting {
		return false
	}
	q.waiting = append(q.waiting, c)
	switch {
	case c.done != nil:
		q.hurry()
	case !q.armed:
		q.armed = true
		q.beat.Reset(gather)
	}
	return true
}

func (q *queue) hurry() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// close lets take give out what is left, and nothing more.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.hurry()
}

// take waits for changes and gives them out in the order of the ledger; more is
// false when these were the last. empty is memory for the next ones.
func (q *queue) take(empty []change) (batch []change, more bool) {
	select {
	case <-q.wake:
	case <-q.beat.C:
	}
	q.mu.Lock()
	batch, q.waiting = q.waiting, empty
	if q.armed {
		q.armed = false
		q.beat.Stop()
	}
	more = !q.closed
	q.mu.Unlock()
	// Who appends to a ledger in memory mode comes here by itself, perhaps
	// after one whose record is later.
	slices.SortStableFunc(batch, func(a, b change) int { return cmp.Compare(a.seq, b.seq) })
	return batch, more
}

// follow is the applier: the only writer of the projection.
func (s *Store) follow(cursor uint64) {
	defer close(s.applied)
	defer s.parked.end()
	var batch []change
	for more := true; more; {
		batch, more = s.queue.take(batch)
		if s.disk.level.Load() == onlyInDanger {
			s.parked.park(batch)
			clear(batch)
			batch = batch[:0]
			continue
		}
		if s.parked.any.Load() {
			batch = append(slices.Clip(s.parked.changes), batch...)
		}
		// The cursor stays behind by one batch, so that it does not pass a record
		// whose change is a moment late. What is folded in twice changes nothing.
		if s.fold(batch, cursor) {
			s.parked.clear()
		}
		for i := range batch {
			cursor = max(cursor, batch[i].seq)
		}
		clear(batch)
		batch = batch[:0]
	}
}

// fold applies a batch and tells whoever waits for it. Once one has failed no
// later one is applied: the cursor would pass what is missing, and the next
// start would not look for it.
func (s *Store) fold(batch []change, cursor uint64) (folded bool) {
	if len(batch) == 0 {
		return false
	}
	if n := protectiveFirst(batch); n > 0 {
		s.fold(batch[:n], cursor)
		batch = batch[n:]
	}
	s.mu.RLock()
	err := s.broken
	s.mu.RUnlock()
	if err == nil {
		if err = s.state.apply(batch, cursor); err != nil {
			s.fail(err)
		}
	}
	for i := range batch {
		c := &batch[i]
		if c.call != nil && err == nil {
			s.flight.drop(c.to, *c.call)
		}
		if c.done != nil {
			c.done(err)
		}
	}
	return err == nil
}

// protectiveFirst puts facts that protect nobody, as the rows of an import,
// behind the objections and calls, so that these don't wait for them, and tells
// how many are before them. Facts can be folded in in any order; they don't pass
// over anything but calls and facts.
func protectiveFirst(batch []change) (n int) {
	last := func(c *change) bool { return c.fact != nil && !c.fact.Protects() }
	protective := false
	for i := range batch {
		c := &batch[i]
		if c.fact == nil && c.call == nil {
			return 0
		}
		protective = protective || c.fact != nil && !last(c)
		if !last(c) {
			n++
		}
	}
	if !protective || n == len(batch) {
		return 0
	}
	slices.SortStableFunc(batch, func(a, b change) int {
		switch x, y := last(&a), last(&b); {
		case x == y:
			return 0
		case x:
			return 1
		}
		return -1
	})
	return n
}

// fail ends the following of the ledger.
func (s *Store) fail(err error) {
	s.mu.Lock()
	first := s.broken == nil
	if first {
		s.broken = err
	}
	s.mu.Unlock()
	if first {
		s.o.Log.Error("the facts can't follow the ledger; calls are refused until the next start", "error", err)
	}
}

// settle waits until the projection holds all that was put up to a record.
func (s *Store) settle(seq uint64) error {
	done := make(chan error, 1)
	s.queue.put(change{seq: seq, done: func(err error) { done <- err }})
	return <-done
}

// note hands a call to the applier.
func (s *Store) note(c change) {
	if !s.queue.put(c) {
		s.fail(errBehind)
	}
}
