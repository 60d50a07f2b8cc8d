//go:build !linux

package ledger

import "time"

// A bell wakes the committer.
type bell struct{ rung chan struct{} }

func newBell() (*bell, error) { return &bell{make(chan struct{}, 1)}, nil }

// ring ends the wait that there is, or else the next one.
func (b *bell) ring() {
	select {
	case b.rung <- struct{}{}:
	default:
	}
}

// wait waits for the bell, at most so long.
func (b *bell) wait(most time.Duration) {
	t := time.NewTimer(most)
	defer t.Stop()
	select {
	case <-b.rung:
	case <-t.C:
	}
}

func (b *bell) close() error { return nil }
