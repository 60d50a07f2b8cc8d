package store

import (
	"sync"

	"dialgate/policy"
)

// coming are facts on their way to the projection: whoever gives one of them
// again is told that it is known, when the first one is in force.
type coming struct {
	mu     sync.Mutex
	facts  map[factID]*comingFact
	octets map[policy.Number]int64
}

type comingFact struct {
	fact    *policy.Fact
	waiting []chan<- error
}

// factID identifies a fact: ids are unique among the facts of a number.
type factID struct {
	number policy.Number
	id     string
}

func octetsOf(f *policy.Fact) int64 { return int64(len(appendFact(nil, f))) }

func (c *coming) add(f *policy.Fact) {
	size := octetsOf(f)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.facts == nil {
		c.facts, c.octets = map[factID]*comingFact{}, map[policy.Number]int64{}
	}
	c.facts[factID{f.Number, f.ID}] = &comingFact{fact: f}
	c.octets[f.Number] += size
}

// find is the fact with the same number and id, nil if none is on its way.
func (c *coming) find(f *policy.Fact) *policy.Fact {
	c.mu.Lock()
	defer c.mu.Unlock()
	if have := c.facts[factID{f.Number, f.ID}]; have != nil {
		return have.fact
	}
	return nil
}

func (c *coming) octetsOf(n policy.Number) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.octets[n]
}

// await tells ended when the fact with the same number and id has arrived, at
// once when none is on its way.
func (c *coming) await(f *policy.Fact, ended chan<- error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if have := c.facts[factID{f.Number, f.ID}]; have != nil {
		have.waiting = append(have.waiting, ended)
		return
	}
	ended <- nil
}

// end takes out a fact that has arrived, or won't.
func (c *coming) end(f *policy.Fact, err error) {
	size := octetsOf(f)
	c.mu.Lock()
	defer c.mu.Unlock()
	id := factID{f.Number, f.ID}
	for _, waiting := range c.facts[id].waiting {
		waiting <- err // there is room
	}
	delete(c.facts, id)
	if c.octets[f.Number] -= size; c.octets[f.Number] == 0 {
		delete(c.octets, f.Number)
	}
}
