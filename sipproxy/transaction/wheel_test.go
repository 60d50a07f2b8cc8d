package transaction

import (
	"testing"
	"time"
)

type counted struct{ n int }

func (c *counted) fired(*timer) { c.n++ }

// TestWheel: a timer fires once, at its time and no earlier, also one that is
// set for more than a turn of the wheel; one that was stopped does not.
func TestWheel(t *testing.T) {
	start := time.Now()
	w := newWheel(start)
	for _, d := range []time.Duration{0, tick, 95 * time.Millisecond, 32 * time.Second, slots * tick, 185 * time.Second} {
		var c, stopped counted
		a, b := timer{of: &c}, timer{of: &stopped}
		now := start.Add(time.Duration(w.now) * tick)
		w.set(&a, now, d)
		w.set(&b, now, d)
		w.stop(&b)
		w.advance(now.Add(d - 1))
		if c.n != 0 {
			t.Errorf("%s: it fired early", d)
		}
		w.advance(now.Add(d + 2*tick))
		w.advance(now.Add(d + 2*slots*tick))
		if c.n != 1 || stopped.n != 0 || w.count != 0 {
			t.Errorf("%s: fired %d times, %d stopped ones, %d are left", d, c.n, stopped.n, w.count)
		}
	}
}

// BenchmarkWheel is what a transaction does with its timers, beside as many
// others as there are at 1,000 calls a second.
func BenchmarkWheel(b *testing.B) {
	start := time.Now()
	w := newWheel(start)
	var c counted
	timers := make([]timer, 64_000)
	for i := range timers {
		timers[i].of = &c
		w.set(&timers[i], start, time.Duration(i)*500*time.Microsecond)
	}
	b.ReportAllocs()
	i, now := 0, start
	for b.Loop() {
		i, now = (i+1)%len(timers), now.Add(500*time.Microsecond)
		t := &timers[i]
		w.set(t, now, 500*time.Millisecond) // again
		w.stop(t)
		w.set(t, now, 32*time.Second) // the end
		w.advance(now)
	}
}
