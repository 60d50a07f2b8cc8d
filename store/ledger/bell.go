package ledger

import "time"

// A bell wakes the committer.
type bell interface {
	// ring ends the wait that there is, or else the next one.
	ring()
	// wait waits for the bell, at most so long, and may end early.
	wait(most time.Duration)
	close() error
}

// newBell makes the bell for a committer: in memory mode it waits for long, and
// a thread that waits in the kernel for more than ten milliseconds loses its
// processor each time, after which the runtime's monitor looks for others every
// 20 us for a while. Waits of a linger are better spent in the kernel.
func newBell(memory bool) (bell, error) {
	if memory {
		return newTold(), nil
	}
	return newKernel()
}

// A told bell is one that the runtime knows of.
type told struct{ rung chan struct{} }

func newTold() *told { return &told{make(chan struct{}, 1)} }

func (b *told) ring() {
	select {
	case b.rung <- struct{}{}:
	default:
	}
}

func (b *told) wait(most time.Duration) {
	t := time.NewTimer(most)
	defer t.Stop()
	select {
	case <-b.rung:
	case <-t.C:
	}
}

func (b *told) close() error { return nil }
