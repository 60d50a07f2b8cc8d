package access

import (
	"sync"
	"time"
)

// A Throttle makes those wait who guess. After a few failures each further one
// doubles the wait, by address and by name; the wait for a name is short, so
// that nobody can lock somebody else out for long.
type Throttle struct {
	mu   sync.Mutex
	keys map[string]*failures
}

type failures struct {
	count int
	until time.Time // before it, nothing is tried
}

const (
	freeTries    = 5
	firstWait    = time.Second
	longestWait  = 15 * time.Minute // of an address
	longestName  = 30 * time.Second
	maxThrottled = 4096
)

// NewThrottle makes a Throttle.
func NewThrottle() *Throttle { return &Throttle{keys: map[string]*failures{}} }

func throttleKeys(address, name string) [2]string { return [2]string{"a" + address, "n" + name} }

// Wait is how long somebody has to wait before the next try, 0 if not at all.
func (t *Throttle) Wait(address, name string, now time.Time) (wait time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, key := range throttleKeys(address, name) {
		if f := t.keys[key]; f != nil {
			wait = max(wait, f.until.Sub(now))
		}
	}
	return wait
}

// Failed notes a failure.
func (t *Throttle) Failed(address, name string, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, key := range throttleKeys(address, name) {
		f := t.keys[key]
		if f == nil {
			t.makeRoom(now)
			f = &failures{}
			t.keys[key] = f
		}
		f.count++
		if over := f.count - freeTries; over >= 0 {
			most := longestWait
			if i == 1 {
				most = longestName
			}
			f.until = now.Add(min(firstWait<<min(over, 20), most))
		}
	}
}

// Worked forgets the failures.
func (t *Throttle) Worked(address, name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, key := range throttleKeys(address, name) {
		delete(t.keys, key)
	}
}

// makeRoom forgets those whose wait is over, or else the one that is over first.
func (t *Throttle) makeRoom(now time.Time) {
	if len(t.keys) < maxThrottled {
		return
	}
	first := ""
	for key, f := range t.keys {
		if !f.until.After(now) {
			delete(t.keys, key)
			continue
		}
		if first == "" || f.until.Before(t.keys[first].until) {
			first = key
		}
	}
	if len(t.keys) >= maxThrottled {
		delete(t.keys, first)
	}
}
