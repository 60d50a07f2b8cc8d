package console

import (
	"context"
	"fmt"
	"net/http"
	"sync"

	"dialgate/policy"
)

// A gatherer adds facts that come one by one, from many at once, together: those
// that come while others are on their way to the disk are the next batch, so
// that each waits for the disk hardly longer than it would alone.
type gatherer struct {
	add func(ctx context.Context, facts ...policy.Fact) ([]Added, error)

	mu      sync.Mutex
	waiting []*lone
	running bool
}

// A lone fact waits for what becomes of it.
type lone struct {
	fact  policy.Fact
	added Added
	err   error
	done  chan struct{}
}

const maxLone = 1000 // facts that wait

// one adds one fact.
func (g *gatherer) one(f policy.Fact) (Added, error) {
	l := &lone{fact: f, done: make(chan struct{})}
	g.mu.Lock()
	if len(g.waiting) >= maxLone {
		g.mu.Unlock()
		return Added{}, problem(http.StatusServiceUnavailable, fmt.Sprintf("%d facts wait already; send many in one request, as %s", maxLone, ndjsonType))
	}
	g.waiting = append(g.waiting, l)
	if !g.running {
		g.running = true
		go g.run()
	}
	g.mu.Unlock()
	<-l.done
	return l.added, l.err
}

// run adds what waits until nothing does.
func (g *gatherer) run() {
	var facts []policy.Fact
	for {
		g.mu.Lock()
		batch := g.waiting[:min(len(g.waiting), factBatch)]
		g.waiting = g.waiting[len(batch):]
		if len(batch) == 0 {
			g.waiting, g.running = nil, false
			g.mu.Unlock()
			return
		}
		g.mu.Unlock()
		facts = facts[:0]
		for _, l := range batch {
			facts = append(facts, l.fact)
		}
		results, err := g.add(context.Background(), facts...) // whoever has left may have been told nothing, the fact stays
		for i, l := range batch {
			if l.err = err; err == nil {
				l.added = results[i]
			}
			close(l.done)
		}
	}
}
