package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"dialgate/policy"
)

// A Result is what became of one fact.
type Result struct {
	ID    string
	Known bool  // the same fact was there before
	Err   error // why it was refused, nil if it was not
}

// maxAdding bounds the facts that wait between ledger and projection.
const maxAdding = 2048

// Add takes facts: each is durable and in force for the next call when Add
// returns. A fact without an id gets one; a fact that is known already changes
// nothing; one whose id is known with another content is refused, as is one
// from the future. The error is about all of them: the ledger or the
// projection has failed, and nothing can be said of those without an Err.
//
// Many may add at a time. What they add is written together, so that nobody
// waits for the disk longer than it takes to write twice.
func (s *Store) Add(ctx context.Context, facts ...policy.Fact) ([]Result, error) {
	s.adding.RLock()
	defer s.adding.RUnlock()
	if err := s.roomFor(facts); err != nil {
		return make([]Result, len(facts)), err
	}
	results := make([]Result, len(facts))
	defer func() { s.tellObjected(facts, results) }()
	ended := make(chan error, len(facts))
	waiting := 0
	for i := range facts {
		if results[i] = s.addOne(&facts[i], ended); results[i].Err == nil {
			waiting++
		}
		// Wait in time, so that neither the ledger's queue nor the applier's
		// grows without bound.
		if waiting == maxAdding {
			if err := s.wait(ended, waiting); err != nil {
				return results, err
			}
			waiting = 0
			if err := ctx.Err(); err != nil {
				return results, err
			}
		}
	}
	return results, s.wait(ended, waiting)
}

// protective reports whether a fact only ever forbids calls: it is taken in as
// long as there is any room.
func protective(f *policy.Fact) bool {
	return f.Kind == policy.Objection || f.Kind == policy.Withdrawal
}

// roomFor tells why there is no room for facts, nil if there is.
func (s *Store) roomFor(facts []policy.Fact) error {
	for i := range facts {
		if !protective(&facts[i]) {
			return s.disk.lacks(noFacts)
		}
	}
	return nil
}

// addOne takes one fact. Unless it is refused, ended is told when it is in
// force; of a fact that is known, too, since it may be on its way.
func (s *Store) addOne(f *policy.Fact, ended chan<- error) Result {
	s.admitting.Lock()
	defer s.admitting.Unlock()
	r := s.admit(f, &s.coming)
	switch {
	case r.Err != nil:
		return r
	case r.Known:
		s.coming.await(f, ended)
		return r
	}
	s.coming.add(f)
	end := func(err error) {
		s.coming.end(f, err)
		ended <- err
	}
	record := factRecord(f, s.o.Node)
	record.Vital = protective(f)
	s.ledger.Append(record, func(seq uint64, err error) {
		if err != nil {
			end(err)
			return
		}
		s.queue.put(change{seq: seq, fact: f, done: end})
	})
	return r
}

func (s *Store) wait(ended <-chan error, n int) (err error) {
	if n > 0 {
		s.ledger.Hurry()
	}
	for range n {
		err = errors.Join(err, <-ended)
	}
	return err
}

// admit decides what becomes of a fact before it is written.
func (s *Store) admit(f *policy.Fact, coming *coming) Result {
	now := s.o.Now().UTC()
	if r, decided := s.receive(f, now); decided {
		return r
	}
	known, undo, err := s.find(f, coming)
	if err != nil {
		return Result{ID: f.ID, Err: err}
	}
	if known != nil {
		if !same(known, f) {
			return Result{ID: f.ID, Err: fmt.Errorf("a fact with the id %q is known and says something else; facts are never altered, write a new one", f.ID)}
		}
		if undo != nil {
			return s.undone(f, undo, coming)
		}
		return Result{ID: f.ID, Known: true}
	}
	if err := s.room(f, coming); err != nil {
		return Result{ID: f.ID, Err: err}
	}
	f.RecordedAt = now
	return Result{ID: f.ID}
}

// receive gives a fact an id if it has none, and decides what can be decided
// without looking for it.
func (s *Store) receive(f *policy.Fact, now time.Time) (r Result, decided bool) {
	if f.RecordedAt.After(now) {
		return Result{ID: f.ID, Err: errors.New("recorded_at lies in the future")}, true
	}
	if f.ID == "" {
		id, err := uuid.NewV7()
		if err != nil {
			return Result{Err: fmt.Errorf("store: no random number for an id: %w", err)}, true
		}
		f.ID = id.String()
	}
	if b := s.block(f.Number); b != nil {
		if known, err := b.refuse(f); known || err != nil {
			return Result{ID: f.ID, Known: known, Err: err}, true
		}
	}
	return Result{ID: f.ID}, false
}

// What is kept of one number is read for every call to it, and must fit in one
// transaction of Badger's and in its tree. Objections, withdrawals and undos have
// room of their own, so that nothing keeps them out.
const (
	maxOctets     = 512 << 10
	maxProtective = 896 << 10
)

// room tells why there is no room for another fact of its number, nil if there is.
func (s *Store) room(f *policy.Fact, coming *coming) error {
	onTheWay := coming.octetsOf(f.Number) // before what has arrived
	kept, err := s.state.size(f.Number)
	if err != nil {
		return err
	}
	size := octetsOf(f)
	most := int64(maxOctets)
	if f.Kind == policy.Objection || f.Kind == policy.Withdrawal || f.Kind == policy.Undo {
		most = maxProtective
	}
	if kept += onTheWay; kept+size > most {
		return fmt.Errorf("%d octets are kept of the number already, and %d are the most: write shorter facts, or fewer", kept, most)
	}
	return nil
}

// find looks for a fact with the same id among those of its number, and for
// what made it void.
func (s *Store) find(f *policy.Fact, coming *coming) (known, undo *policy.Fact, err error) {
	if known := coming.find(f); known != nil { // else it has arrived, if it was on its way
		return known, nil, nil
	}
	var facts policy.Facts
	if err := s.Facts(f.Number, &facts); err != nil {
		return nil, nil, err
	}
	for i := range facts.All {
		if facts.All[i].ID == f.ID {
			return &facts.All[i], facts.UndoneBy(&facts.All[i]), nil
		}
	}
	return nil, nil, nil
}

// same compares what two facts say, whenever and however they were learnt.
func same(a, b *policy.Fact) bool {
	x, y := *a, *b
	x.RecordedAt, y.RecordedAt = time.Time{}, time.Time{}
	x.Batch, y.Batch = "", ""
	return string(appendFact(nil, &x)) == string(appendFact(nil, &y)) && x.Number == y.Number
}
