package access

import (
	"sync"
	"time"
)

// A Throttle makes those wait who guess. After a few failures each further one
// doubles the wait, by address and by name; the wait for a name is short, so
// that nobody can lock somebody else out for long. Without a name it goes by
// the address alone: who guesses there keeps nobody waiting elsewhere.
type Throttle struct {
	mu   sync.Mutex
	keys map[string]*failures
}

type failures struct {
	count int
	last  time.Time // the latest
	until time.Time // before it, nothing is tried
}

const (
	freeTries    = 5
	firstWait    = time.Second
	longestWait  = 15 * time.Minute // of an address
	longestName  = 30 * time.Second
	forgotten    = time.Hour // after so long without a failure the count begins anew
	maxThrottled = 4096
)

// NewThrottle makes a Throttle.
func NewThrottle() *Throttle { return &Throttle{keys: map[string]*failures{}} }

func throttleKeys(address, name string) []string {
	if name == "" {
		return []string{"a" + address}
	}
	return []string{"a" + address, "n" + name}
}

// Try is how long somebody has to wait before the next try, 0 if not at all. A
// try that may be made is noted as a failure at once, so that many together get
// no further than one after the other; Worked takes it back.
func (t *Throttle) Try(address, name string, now time.Time) (wait time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	keys := throttleKeys(address, name)
	for _, key := range keys {
		if f := t.keys[key]; f != nil {
			wait = max(wait, f.until.Sub(now))
		}
	}
	if wait > 0 {
		return wait
	}
	for i, key := range keys {
		f := t.keys[key]
		if f == nil {
			t.makeRoom()
			f = &failures{}
			t.keys[key] = f
		}
		if now.Sub(f.last) > forgotten {
			f.count = 0
		}
		f.count, f.last = f.count+1, now
		if over := f.count - freeTries; over >= 0 {
			most := longestWait
			if i == 1 {
				most = longestName
			}
			f.until = now.Add(min(firstWait<<min(over, 20), most))
		}
	}
	return 0
}

// Worked forgets the failures.
func (t *Throttle) Worked(address, name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, key := range throttleKeys(address, name) {
		delete(t.keys, key)
	}
}

// makeRoom forgets one: of some, chosen by chance, the one whose wait is over
// first. To look at all would cost whoever waits for the table too much.
func (t *Throttle) makeRoom() {
	if len(t.keys) < maxThrottled {
		return
	}
	var first string
	var until time.Time
	looked := 0
	for key, f := range t.keys {
		if first == "" || f.until.Before(until) {
			first, until = key, f.until
		}
		if looked++; looked == 20 {
			break
		}
	}
	delete(t.keys, first)
}
