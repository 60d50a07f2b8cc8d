package store

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"dialgate/policy"
)

// A pace bounds how fast imports go into a store that calls are judged by.
type pace struct {
	mu   sync.Mutex
	next time.Time // when the next facts may go in
}

const (
	// importChunk is how many facts go in at once: an objection waits for one
	// chunk at most.
	importChunk = 100
	// From so many tables of level 0 on an import waits: Badger stops all
	// writers at 15.
	importTables = 8
	importWait   = 10 * time.Millisecond
)

// Import is Add for the facts of a file. They go in by small chunks, in a store
// with an import rate with pauses between them, in which calls and objections
// have the machine.
func (s *Store) Import(ctx context.Context, facts ...policy.Fact) ([]Result, error) {
	results := make([]Result, 0, len(facts))
	for some := range slices.Chunk(facts, importChunk) {
		err := s.disk.lacks(noImports)
		if s.o.ImportRate > 0 && err == nil {
			err = s.yield(ctx, len(some))
		}
		if err == nil {
			var added []Result
			added, err = s.Add(ctx, some...)
			results = append(results, added...)
		}
		if err != nil {
			return append(results, make([]Result, len(facts)-len(results))...), err
		}
	}
	return results, nil
}

// yield waits until n facts of an import may go in.
func (s *Store) yield(ctx context.Context, n int) error {
	s.pace.mu.Lock()
	now := time.Now()
	wait := s.pace.next.Sub(now)
	s.pace.next = now.Add(max(wait, 0) + time.Duration(n)*time.Second/time.Duration(s.o.ImportRate))
	s.pace.mu.Unlock()
	for wait > 0 || s.state.db.Levels()[0].NumTables >= importTables {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(max(wait, importWait)):
		}
		wait = 0
	}
	return nil
}

// Check tells what Add would make of facts, and changes nothing.
func (s *Store) Check(ctx context.Context, facts ...policy.Fact) ([]Result, error) {
	s.adding.Lock()
	defer s.adding.Unlock()
	results := make([]Result, len(facts))
	var before coming // those that would be added
	for i := range facts {
		f := facts[i]
		if results[i] = s.admit(&f, &before); results[i].Err == nil && !results[i].Known {
			before.add(&f)
		}
	}
	return results, errors.Join(ctx.Err(), s.Ready())
}
