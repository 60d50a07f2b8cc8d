package store

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"dialgate/policy"
)

// Of many who give one fact at a time one is told that it is new, and all are
// answered when it is in force; another content under its id is refused.
func TestManyAddTheSameFacts(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "data"), nil)
	defer s.Close()
	const writers, rounds = 16, 30
	var fresh, refused atomic.Int64
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			for i := range rounds {
				n := loadNumber(i)
				f := objection(fmt.Sprint("o", i), n, noon)
				if w == 0 {
					f.Via = "letter"
				}
				results, err := s.Add(context.Background(), f, consent(fmt.Sprint("own", w), n))
				switch {
				case err != nil:
					t.Error(err)
				case results[0].Err != nil:
					refused.Add(1)
				case !results[0].Known:
					fresh.Add(1)
				}
				var known policy.Facts
				if err := s.Facts(n, &known); err != nil || results[1].Err != nil || results[1].Known {
					t.Errorf("%+v, %v", results, err)
				}
				found := 0
				for j := range known.All {
					if id := known.All[j].ID; id == fmt.Sprint("o", i) || id == fmt.Sprint("own", w) {
						found++
					}
				}
				if found != 2 {
					t.Errorf("round %d of writer %d: %d of 2 facts are in force", i, w, found)
				}
			}
		})
	}
	all.Wait()
	// Whether the one that says something else came first decides who is refused.
	if fresh.Load() != rounds || refused.Load() < rounds {
		t.Errorf("%d of %d facts were new, %d refused", fresh.Load(), rounds, refused.Load())
	}
	if got := s.Counts(); got[policy.Objection] != rounds || got[policy.Consent] != writers*rounds {
		t.Error(got)
	}
	if len(s.coming.facts)+len(s.coming.octets) != 0 {
		t.Errorf("%d facts are still on their way, of %d numbers", len(s.coming.facts), len(s.coming.octets))
	}
	if end := s.LedgerEnd(); end != rounds+writers*rounds {
		t.Errorf("the ledger has %d records", end)
	}
}
