package store

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"

	"dialgate/policy"
)

func loadNumber(i int) policy.Number {
	n, _ := policy.NumberOfKey(31_600_000_000 + uint64(i))
	return n
}

func into(t *testing.T, l *Load, facts ...policy.Fact) []Result {
	t.Helper()
	results, err := l.Add(context.Background(), facts...)
	if err != nil {
		t.Fatal(err)
	}
	return results
}

// What was acknowledged in a load is there after a crash in the middle of it,
// and an objection that was there before outweighs a stale row.
func TestLoadSurvivesACrash(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	o := testOptions(dir, nil)
	o.foldAtMost = 100
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	add(t, s, objection("o", loadNumber(7), noon))
	load := s.Load()
	const rows = 500
	facts := make([]policy.Fact, rows)
	for i := range facts {
		facts[i] = consent(fmt.Sprint("c", i), loadNumber(i)) // a month before the objection
	}
	for _, r := range into(t, load, facts...) {
		if r.Err != nil || r.Known {
			t.Fatalf("%+v", r)
		}
	}
	copied := filepath.Join(t.TempDir(), "data") // as a crash leaves it
	copyTree(t, dir, copied)
	if err := load.Close(); err != nil {
		t.Fatal(err)
	}
	o.Dir = copied
	crashed, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	defer crashed.Close()
	for name, s := range map[string]*Store{"closed": s, "crashed": crashed} {
		if got := s.Counts(); got[policy.Consent] != rows || got[policy.Objection] != 1 {
			t.Errorf("%s: %v", name, got)
		}
		if ids := idsOf(t, s, loadNumber(7)); strings.Join(ids, " ") != "c7 o" {
			t.Errorf("%s: %v, and the last one counts", name, ids)
		}
		if ids := idsOf(t, s, loadNumber(rows-1)); len(ids) != 1 {
			t.Errorf("%s: %v", name, ids)
		}
		load := s.Load() // run again, an import goes on
		for _, r := range into(t, load, facts...) {
			if r.Err != nil || !r.Known {
				t.Fatalf("%s: %+v", name, r)
			}
		}
		if err := load.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestLoadTellsWhatIsKnown(t *testing.T) {
	s, err := Open(testOptions(filepath.Join(t.TempDir(), "data"), nil))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	load := s.Load()
	first := consent("c", alice)
	other := first
	other.Source = "elsewhere"
	future := consent("f", alice)
	future.RecordedAt = time.Now().Add(time.Hour)
	got := into(t, load, first, first, future, consent("c", bob), other, consent("d", bob))
	if got[0].Known || got[0].Err != nil || !got[1].Known || got[2].Err == nil || got[3].Known || got[4].Err == nil || got[5].Known || got[5].Err != nil {
		t.Errorf("%+v", got)
	}
	if !load.ended {
		t.Error("the load went on after a fact that it can't judge")
	}
	if again := into(t, load, first, consent("e", bob)); !again[0].Known || again[1].Known {
		t.Errorf("%+v", again)
	}
	if err := load.Close(); err != nil {
		t.Fatal(err)
	}
	if ids := idsOf(t, s, bob); len(ids) != 3 {
		t.Error(ids)
	}
	// What is kept of one number has its bound here too.
	load = s.Load()
	for i := range 600 {
		f := consent(fmt.Sprint("n", i), alice)
		f.Evidence.Note = strings.Repeat("x", 1024)
		if r := into(t, load, f); r[0].Err != nil {
			if i < 400 {
				t.Errorf("fact %d: %v", i, r[0].Err)
			}
			break
		} else if i == 599 {
			t.Error("more is kept of a number than a read can take")
		}
	}
	if err := load.Close(); err != nil {
		t.Fatal(err)
	}
}

// A store whose ledger can't be written loads nothing, and says so.
func TestLoadOfAClosedLedger(t *testing.T) {
	s, err := Open(testOptions(filepath.Join(t.TempDir(), "data"), nil))
	if err != nil {
		t.Fatal(err)
	}
	load := s.Load()
	if err := s.ledger.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := load.Add(context.Background(), consent("c", alice)); err == nil {
		t.Error("a fact was acknowledged")
	}
	if err := errors.Join(load.Close(), s.Close()); err != nil {
		t.Fatal(err)
	}
}

// A projection of before the tally was kept is counted once.
func TestCountsOfAnOlderProjection(t *testing.T) {
	o := testOptions(filepath.Join(t.TempDir(), "data"), nil)
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	add(t, s, consent("c", alice), objection("o", bob, noon))
	if err := s.state.update(2, func(txn *badger.Txn) error { return txn.Delete(countsKey) }); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = Open(o); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if got := s.Counts(); got[policy.Consent] != 1 || got[policy.Objection] != 1 {
		t.Error(got)
	}
}
