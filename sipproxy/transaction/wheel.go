package transaction

import "time"

// The wheel turns one slot a tick. Timers beyond one turn wait for their round.
const (
	tick  = 10 * time.Millisecond
	slots = 4096 // 41 s a turn: most timers fire in their first
)

// A timer is an entry of the wheel, part of what it belongs to: setting one
// allocates nothing.
type timer struct {
	of         owner  // set before the timer is
	next, prev *timer // nil when the timer is not set
	due        int64  // in ticks since the wheel began
}

// An owner is what timers are part of; it tells them apart by their address.
type owner interface{ fired(t *timer) }

// A wheel keeps timers by the tick at which they fire.
type wheel struct {
	start time.Time
	now   int64 // the last tick that was worked off
	count int
	slot  [slots]timer // heads of circular lists
}

func newWheel(start time.Time) *wheel {
	w := &wheel{start: start}
	for i := range w.slot {
		h := &w.slot[i]
		h.next, h.prev = h, h
	}
	return w
}

// set makes the timer fire no earlier than d after now, whether or not it was set.
func (w *wheel) set(t *timer, now time.Time, d time.Duration) {
	w.stop(t)
	due := int64((now.Sub(w.start) + d + tick - 1) / tick)
	t.due = max(due, w.now+1)
	h := &w.slot[t.due%slots]
	t.next, t.prev = h, h.prev
	h.prev.next = t
	h.prev = t
	w.count++
}

// stop takes the timer off the wheel; one that is not set stays so.
func (w *wheel) stop(t *timer) {
	if t.next == nil {
		return
	}
	t.prev.next, t.next.prev = t.next, t.prev
	t.next, t.prev = nil, nil
	w.count--
}

// tickOf is the tick of a time, which is over only with the next.
func (w *wheel) tickOf(now time.Time) int64 { return int64(now.Sub(w.start) / tick) }

// advance fires every timer that is due at now.
func (w *wheel) advance(now time.Time) {
	until := w.tickOf(now)
	if w.count == 0 {
		w.now = until
	}
	for w.now < until {
		w.now++
		h := &w.slot[w.now%slots]
		for t := h.next; t != h; {
			next := t.next
			if t.due <= w.now {
				// A timer's function may set and stop others, in this very slot
				// too, so the list is walked from its head again.
				w.stop(t)
				t.of.fired(t)
				next = h.next
			}
			t = next
		}
	}
}
