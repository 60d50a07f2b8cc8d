package store

import (
	"slices"
	"sync"
	"sync/atomic"

	"dialgate/policy"
)

// inFlight holds the calls that were allowed and are not in the projection
// yet: their records are on the way to the disk, or wait for the applier. It
// is bounded by the queues of both.
//
// A number's part is locked while a decision about it is made, so that the
// next one counts the call. The projection is read before, without the lock.
type inFlight [64]flightPart

type flightPart struct {
	mu     sync.Mutex
	calls  map[policy.Number][]policy.EarlierCall
	folded atomic.Uint64 // how many calls have left for the projection
}

func (f *inFlight) part(n policy.Number) *flightPart {
	return &f[n.Key()*0x9e3779b97f4a7c15>>58] // Fibonacci hashing: numbers of one campaign run on
}

// add counts a call from now on. The part is locked.
func (p *flightPart) add(n policy.Number, call policy.EarlierCall) {
	if p.calls == nil {
		p.calls = map[policy.Number][]policy.EarlierCall{}
	}
	p.calls[n] = append(p.calls[n], call)
}

// drop forgets a call that stands in the projection, or that was refused after
// all since its record failed.
func (f *inFlight) drop(n policy.Number, call policy.EarlierCall) {
	p := f.part(n)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.folded.Add(1)
	calls := p.calls[n]
	i := slices.Index(calls, call)
	switch {
	case i < 0: // it was recorded without having been held
	case len(calls) == 1:
		delete(p.calls, n)
	default:
		p.calls[n] = slices.Delete(calls, i, i+1)
	}
}

// calls is a copy of the calls to a number that are in flight, nil when there
// are none.
func (f *inFlight) calls(n policy.Number) []policy.EarlierCall {
	p := f.part(n)
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.calls[n])
}

// Hold reads all that is known of a number, with the calls that were allowed a
// moment ago, and keeps other holders of the number waiting until Release. It
// holds nothing after an error.
func (s *Store) Hold(n policy.Number, into *policy.Facts) error {
	p := s.flight.part(n)
	before := p.folded.Load()
	if err := s.Facts(n, into); err != nil {
		return err
	}
	p.mu.Lock()
	if p.folded.Load() != before {
		// A call has left for the projection since that was read, and could
		// stand in neither: read again, now that none can leave.
		*into = policy.Facts{}
		if err := s.Facts(n, into); err != nil {
			p.mu.Unlock()
			return err
		}
	}
	for _, call := range p.calls[n] {
		MergeCall(into, &call)
	}
	return nil
}

// Release ends a Hold. The call that was made, if any, counts from now on.
func (s *Store) Release(n policy.Number, made *policy.EarlierCall) {
	p := s.flight.part(n)
	if made != nil {
		p.add(n, *made)
	}
	p.mu.Unlock()
}

// TakeBack forgets a call that was refused after all. Its record may still come
// to the disk: its outcome's record says then that it was not made.
func (s *Store) TakeBack(n policy.Number, made policy.EarlierCall) { s.flight.drop(n, made) }
