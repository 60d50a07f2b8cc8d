package gate

import (
	"sync"
	"time"

	"dialgate/policy"
)

// Redials notice calls that are made again after a refusal, and calls to the
// same number under another caller number. Every call is judged anew; what may
// be spared is the record: with Collapse, a refusal like one that is on record
// gets that one's id and is counted there. It is safe for use by many goroutines.
type Redials struct {
	o RedialOptions

	mu      sync.Mutex
	refused map[refusal]*repeats
	queue   []refusal // in the order of their windows
	last    map[dialled]refusedCaller
	lastOf  []dialled
	due     []policy.Repeats // to be recorded when the lock is open
}

// RedialOptions of Redials. All but Collapse are required.
type RedialOptions struct {
	Window   time.Duration // from a first refusal on
	Collapse bool
	// Append records how often a refusal was repeated. No call waits for it.
	Append func(policy.Repeats)
	// Redialled and Rotated are told of each repeated refusal, and of each call
	// under another caller number after one; Full of each refusal that could
	// not be remembered.
	Redialled func(peer string, r policy.Reason)
	Rotated   func(peer string)
	Full      func()
}

// maxRedials bounds each table: the refusals of a window.
const maxRedials = 1 << 16

// A refusal is what two calls have in common that are refused alike. A call
// without both numbers is like no other.
type refusal struct {
	peer, campaign, config string
	caller, called         policy.Number
	told                   policy.Reason // so that no id tells that another advertiser's facts changed
}

// A dialled is a number that a peer calls.
type dialled struct {
	peer   string
	called policy.Number
}

type refusedCaller struct {
	caller policy.Number
	at     time.Time
}

// repeats are those of one refusal that is on record.
type repeats struct {
	policy.Repeats
	written int
}

// NewRedials makes Redials.
func NewRedials(o RedialOptions) *Redials {
	return &Redials{o: o, refused: map[refusal]*repeats{}, last: map[dialled]refusedCaller{}}
}

// refusalOf is what a call has in common with others like it, false if nothing.
func refusalOf(a *policy.Attempt, d *policy.Decision, config string) (k refusal, ok bool) {
	if a.Peer == nil || a.Caller.Shown.IsZero() || a.Called.Number.IsZero() {
		return k, false
	}
	k = refusal{peer: a.Peer.ID, config: config, caller: a.Caller.Shown, called: a.Called.Number, told: d.Told()}
	if a.Campaign != nil {
		k.campaign = a.Campaign.ID
	}
	return k, true
}

// see notices a decided call. It returns the id of the recorded refusal that
// the call is one more of, false when the call needs a record of its own.
func (r *Redials) see(k refusal, denied bool, at time.Time) (first policy.RulingID, collapsed bool) {
	r.mu.Lock()
	defer r.unlock()
	r.expire(at)
	d := dialled{k.peer, k.called}
	before, known := r.last[d]
	if known && before.caller != k.caller {
		r.o.Rotated(k.peer)
		r.last[d] = refusedCaller{k.caller, before.at}
	}
	if !denied {
		return first, false
	}
	if !known && len(r.last) < maxRedials {
		r.last[d] = refusedCaller{k.caller, at}
		r.lastOf = append(r.lastOf, d)
	}
	e := r.refused[k]
	if e == nil {
		return first, false
	}
	r.o.Redialled(k.peer, e.Reason)
	if !r.o.Collapse {
		return first, false
	}
	e.Count++
	e.Until = at
	if telling(e.Count) {
		r.write(e)
	}
	return e.ID, true
}

// telling reports whether a count is recorded at once: 1, 10, 100, 1,000 and
// then every 1,000. What came since is lost in a crash.
func telling(n int) bool { return n == 1 || n == 10 || n == 100 || n%1000 == 0 }

// recorded notes a refusal whose record is durable: from now on others can be
// counted there.
func (r *Redials) recorded(k refusal, why policy.Reason, id policy.RulingID, at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.refused[k] != nil: // two at once, each with a record of its own
	case len(r.refused) >= maxRedials:
		r.o.Full()
	default:
		r.refused[k] = &repeats{Repeats: policy.Repeats{ID: id, Reason: why, Since: at, Until: at}}
		r.queue = append(r.queue, k)
	}
}

func (r *Redials) write(e *repeats) {
	e.written = e.Count
	r.due = append(r.due, e.Repeats)
}

// unlock opens the lock and then records what is due: the ledger may be
// waiting for a record whose end needs the lock.
func (r *Redials) unlock() {
	due := r.due
	r.due = nil
	r.mu.Unlock()
	for _, d := range due {
		r.o.Append(d)
	}
}

// Expire closes the windows that are over; those with repeats that are not on
// record yet are recorded.
func (r *Redials) Expire(now time.Time) {
	r.mu.Lock()
	defer r.unlock()
	r.expire(now)
}

func (r *Redials) expire(now time.Time) {
	for len(r.queue) > 0 && r.over(r.refused[r.queue[0]].Since, now) {
		r.close(r.queue[0])
		r.queue = r.queue[1:]
	}
	for len(r.lastOf) > 0 && r.over(r.last[r.lastOf[0]].at, now) {
		delete(r.last, r.lastOf[0])
		r.lastOf = r.lastOf[1:]
	}
}

// over reports whether a window is. A clock that went back closes it too.
func (r *Redials) over(since, now time.Time) bool {
	age := now.Sub(since)
	return age >= r.o.Window || age < -r.o.Window
}

func (r *Redials) close(k refusal) {
	if e := r.refused[k]; e.Count > e.written {
		r.write(e)
	}
	delete(r.refused, k)
}

// Close closes every window.
func (r *Redials) Close() {
	r.mu.Lock()
	defer r.unlock()
	for _, k := range r.queue {
		r.close(k)
	}
	r.queue = nil
}
