package ledger

import (
	"runtime"
	"time"
)

// later is how long a record that nobody waits for lets others come, with which
// it is written.
const later = 50 * time.Millisecond

// memoryBeat is how many lingers a record waits for others in memory mode.
const memoryBeat = 20

// pending is what is written and synced together.
type pending struct {
	octets []byte // frames
	frames []frame
	asked  []request
	last   bool // nothing is appended any more
}

// beat is how long records that wait for each other do.
func (l *Ledger) beat() time.Duration {
	if l.o.Memory {
		return memoryBeat * l.o.Linger
	}
	return l.o.Linger
}

// writeBy has what is there written at a time. l.mu is held.
func (l *Ledger) writeBy(at time.Time) {
	if l.due.IsZero() || at.Before(l.due) {
		l.due = at
	}
	if at.Before(l.wakes) {
		l.wakes = time.Time{}
		l.bell.ring()
	}
}

// writeSoon has a record written that was just appended: at once if it comes by
// itself, else when those that come within a moment are there. l.mu is held.
func (l *Ledger) writeSoon(r *Record) {
	switch {
	case !l.due.IsZero() && (r.Later || l.o.Memory): // it goes with the others
	case l.o.Memory:
		at := time.Now().Add(l.beat())
		if !l.wakes.IsZero() && l.wakes.Before(at) {
			at = l.wakes
		}
		l.writeBy(at)
	case r.Later:
		l.writeBy(time.Now().Add(later))
	default:
		l.writeBy(l.synced.Add(l.o.Linger))
	}
}

// commit writes and syncs what has come in, again and again. In memory mode it
// writes at a slow beat and syncs only what it signs.
func (l *Ledger) commit() {
	defer close(l.done)
	var b pending
	var t turn
	for !b.last {
		b = l.await(b)
		t.end()
		if len(b.frames) > 0 {
			l.write(b.octets, b.frames)
			l.prepare()
		}
		for _, r := range b.asked {
			r.done <- l.answer(r)
		}
	}
	_ = l.sign() // it has logged
}

// await waits until something is to be written and takes all that is there.
// What was written before is memory for what comes meanwhile. What is to be
// signed is signed.
func (l *Ledger) await(written pending) pending {
	clear(written.frames)
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(written.frames) > 0 {
		l.synced = time.Now()
	}
	for {
		now := time.Now()
		if sign := l.evidence.due; !sign.IsZero() && !now.Before(sign) {
			l.mu.Unlock()
			_ = l.sign() // it has logged
			l.mu.Lock()
			continue
		}
		if !l.due.IsZero() && !now.Before(l.due) {
			b := pending{l.pending, l.frames, l.asked, l.closed}
			l.pending, l.frames, l.asked, l.due = written.octets[:0], written.frames[:0], nil, time.Time{}
			return b
		}
		l.wakes = now.Add(time.Hour)
		for _, at := range [...]time.Time{l.due, l.evidence.due, l.synced.Add(l.beat())} {
			// The last of these: while records come thick none needs to ring.
			if now.Before(at) && at.Before(l.wakes) {
				l.wakes = at
			}
		}
		wait := l.wakes.Sub(now)
		l.mu.Unlock()
		l.bell.wait(wait)
		l.mu.Lock()
		l.wakes = time.Time{}
	}
}

// A turn is how long the committer's goroutine runs and waits without giving way.
type turn struct{ began time.Time }

// end lets the runtime see a new turn every few milliseconds. A goroutine that
// has had the same one for ten counts as one that does not give way, and loses
// its processor at every system call.
func (t *turn) end() {
	const most = 8 * time.Millisecond
	if now := time.Now(); now.Sub(t.began) > most {
		t.began = now
		runtime.Gosched()
	}
}
