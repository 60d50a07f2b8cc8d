package transaction

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestTimersFireWhoeverTurnsTheWheel: on their tick while messages come, between
// which the wheel is turned, and when none have come at all; a little later just
// after messages have ceased.
func TestTimersFireWhoeverTurnsTheWheel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(DefaultTimers(), 8, nil)
		done := make(chan struct{})
		go l.Run(done)
		defer close(done)
		late := func(d time.Duration) (by time.Duration) {
			fired := make(chan time.Duration, 1)
			due := time.Now().Add(d)
			l.Lock()
			l.Set(new(Timer), d, func() { fired <- time.Since(due) })
			l.Unlock()
			return <-fired
		}
		if by := late(95 * time.Millisecond); by < 0 || by > tick {
			t.Errorf("in silence it fired %s late", by)
		}
		var between time.Duration // the latest of what fired between messages
		ceased := make(chan struct{})
		go func() {
			for {
				select {
				case <-ceased:
					return
				case <-time.After(4 * time.Millisecond):
					l.Turn()
				}
			}
		}()
		for range 20 {
			between = max(between, late(95*time.Millisecond))
		}
		if between < 0 || between > tick {
			t.Errorf("between messages one fired %s late", between)
		}
		close(ceased)
		if by := late(5 * time.Millisecond); by < 0 || by > lull+tick {
			t.Errorf("after the last message it fired %s late", by)
		}
		if by := late(95 * time.Millisecond); by < 0 || by > tick {
			t.Errorf("in silence again it fired %s late", by)
		}
	})
}
