package store

import (
	"sync"
	"sync/atomic"

	"dialgate/policy"
)

// parked are changes that are in the ledger and wait for room on the disk
// before they go into the projection. Their facts bind calls all the same. They
// are few: below the floor only objections and withdrawals are taken in.
type parked struct {
	any     atomic.Bool
	mu      sync.RWMutex
	changes []change
	facts   map[policy.Number][]*policy.Fact
}

// park takes a batch from the applier and tells whoever waits for a fact. Who
// waits for the projection itself is told that there is no room.
func (p *parked) park(batch []change) {
	p.mu.Lock()
	for _, c := range batch {
		if c.fact != nil {
			if p.facts == nil {
				p.facts = map[policy.Number][]*policy.Fact{}
			}
			p.facts[c.fact.Number] = append(p.facts[c.fact.Number], c.fact)
			defer c.done(nil)
			c.done = nil
		}
		if c.fact == nil && c.call == nil && c.erase == nil && c.registers == nil {
			defer c.done(ErrNoRoom)
			continue
		}
		p.changes = append(p.changes, c)
	}
	p.any.Store(len(p.changes) > 0)
	p.mu.Unlock()
}

// of is a number's parked facts. Whoever asks does so before it reads the
// projection: what leaves for there meanwhile is then found twice, never not at
// all.
func (p *parked) of(n policy.Number) []*policy.Fact {
	if !p.any.Load() {
		return nil
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.facts[n]
}

// clear forgets what is in the projection.
func (p *parked) clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.changes, p.facts = nil, nil
	p.any.Store(false)
}

// end tells who still waits that the projection will not follow.
func (p *parked) end() {
	for _, c := range p.changes {
		if c.done != nil {
			c.done(ErrNoRoom)
		}
	}
}

// addParked adds a number's parked facts to what the projection told.
func addParked(into *policy.Facts, facts []*policy.Fact) {
	for _, f := range facts {
		merge(into, &change{fact: f})
	}
}
