package dns

import (
	"sync"
	"time"
)

// maxEntries bounds what is kept. The names of carriers, and what leads from
// them to addresses, are far fewer.
const maxEntries = 4096

// A cache keeps what was answered, also beyond its time: when nobody answers
// any more, it is better than nothing (RFC 8767).
type cache struct {
	mu      sync.Mutex
	entries map[question]entry
}

// An entry is an answer with its time.
type entry struct {
	reply
	asked time.Time
	holds time.Duration
	old   bool // its time is over, and it is used all the same
}

// fresh is how long an answer is used before it is asked for again: for nine
// tenths of its time, so that another one is there before it ends.
func (e *entry) fresh() time.Duration { return e.holds - e.holds/10 }

func (c *cache) get(q question) (entry, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.entries[q]
	return e, ok
}

// put keeps an answer; when there is no more room, the oldest goes.
func (c *cache) put(q question, e entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, there := c.entries[q]; !there && len(c.entries) >= maxEntries {
		var oldest question
		at := e.asked
		for q, e := range c.entries {
			if !e.asked.After(at) {
				oldest, at = q, e.asked
			}
		}
		delete(c.entries, oldest)
	}
	c.entries[q] = e
}

// size is how many answers are kept.
func (c *cache) size() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.entries)
}
