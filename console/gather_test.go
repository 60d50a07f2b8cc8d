package console

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"dialgate/policy"
)

// TestFactsAreGathered: many that come at once wait for few writes, each learns
// what became of its own, and a failure is told to all whom it met.
func TestFactsAreGathered(t *testing.T) {
	calls := 0
	failed := errors.New("the disk is full")
	g := &gatherer{add: func(_ context.Context, facts ...policy.Fact) (out []Added, err error) {
		calls++ // by one goroutine at a time
		time.Sleep(5 * time.Millisecond)
		for _, f := range facts {
			if f.ID == "fails" {
				return nil, failed
			}
			out = append(out, Added{ID: "of " + f.ID})
		}
		return out, nil
	}}
	var wg sync.WaitGroup
	for i := range 500 {
		wg.Go(func() {
			id := fmt.Sprint(i)
			if got, err := g.one(policy.Fact{ID: id}); err != nil || got.ID != "of "+id {
				t.Errorf("%s: %+v, %v", id, got, err)
			}
		})
	}
	wg.Wait()
	if calls > 100 {
		t.Errorf("%d writes for 500 facts", calls)
	}
	if _, err := g.one(policy.Fact{ID: "fails"}); !errors.Is(err, failed) {
		t.Error(err)
	}
	if got, err := g.one(policy.Fact{ID: "later"}); err != nil || got.ID != "of later" {
		t.Error(got, err)
	}
	full := &gatherer{running: true, waiting: make([]*lone, maxLone)}
	if _, err := full.one(policy.Fact{}); err == nil {
		t.Error("one too many waits")
	}
}
