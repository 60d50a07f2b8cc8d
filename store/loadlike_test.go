package store

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dialgate/policy"
)

// What is loaded is what would have been added, with the same answers, and the
// projection that a load leaves is the one that is made of the ledger.
func TestLoadLikeAdd(t *testing.T) {
	t.Parallel()
	for seed := range uint64(2) {
		random := rand.New(rand.NewPCG(seed, 1))
		fact := func() policy.Fact {
			n := loadNumber(random.IntN(300))
			id := fmt.Sprint("f", random.IntN(400))
			switch random.IntN(20) {
			case 0:
				return objection(id, n, noon.Add(time.Duration(random.IntN(3))*time.Hour))
			case 1:
				f := consent(id, n)
				f.Source = "another" // perhaps of a fact that is known
				return f
			}
			return consent(id, n)
		}
		dirs := [2]string{filepath.Join(t.TempDir(), "loaded"), filepath.Join(t.TempDir(), "added")}
		var stores [2]*Store
		for i, dir := range dirs {
			o := testOptions(dir, nil)
			o.foldAtMost = 50
			s, err := Open(o)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { s.Close() }()
			stores[i] = s
		}
		if seed > 0 { // else nothing is known before
			for _, s := range stores {
				add(t, s, consent("f1", loadNumber(1)), objection("f2", loadNumber(2), noon))
				judged(t, s, policy.Allowed, loadNumber(1), 1)
				if _, err := s.Erase(loadNumber(3), "asked"); err != nil {
					t.Fatal(err)
				}
			}
		}
		for range 2 {
			load := stores[0].Load()
			for range 3 {
				facts := make([]policy.Fact, 900) // more than one share
				for i := range facts {
					facts[i] = fact()
				}
				again := append([]policy.Fact(nil), facts...)
				loaded, added := into(t, load, facts...), add(t, stores[1], again...)
				for i := range facts {
					if a, b := loaded[i], added[i]; a.ID != b.ID || a.Known != b.Known || fmt.Sprint(a.Err) != fmt.Sprint(b.Err) {
						t.Fatalf("seed %d: fact %d %+v: %+v when loaded, %+v when added", seed, i, facts[i], a, b)
					}
				}
			}
			if err := load.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if a, b := fmt.Sprint(stores[0].Counts()), fmt.Sprint(stores[1].Counts()); a != b {
			t.Errorf("seed %d: %s loaded, %s added", seed, a, b)
		}
		for i := range 300 {
			if a, b := fmt.Sprint(idsOf(t, stores[0], loadNumber(i))), fmt.Sprint(idsOf(t, stores[1], loadNumber(i))); a != b {
				t.Errorf("seed %d: of number %d are known %s when loaded, %s when added", seed, i, a, b)
			}
		}
	}
}

// A load whose facts go straight into a new projection leaves what reading the
// ledger gives, also when records came before it.
func TestLoadedLikeRebuilt(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	o := testOptions(dir, nil)
	o.foldAtMost = 50
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	add(t, s, consent("before", loadNumber(5)), objection("o", loadNumber(6), noon))
	judged(t, s, policy.Allowed, loadNumber(5), 1)
	load := s.Load()
	facts := make([]policy.Fact, 3000)
	for i := range facts {
		facts[i] = consent(fmt.Sprint("c", i), loadNumber(i%2000))
	}
	into(t, load, facts...)
	if !load.rows.whole(s.ledger.Durable()) {
		t.Error("the rows of the load are not whole")
	}
	if err := load.Close(); err != nil {
		t.Fatal(err)
	}
	rows := rowsIn(t, s.state)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(s.newStateDir()); !os.IsNotExist(err) {
		t.Errorf("the place where a projection is made is still there: %v", err)
	}
	if err := os.RemoveAll(filepath.Join(dir, "state")); err != nil {
		t.Fatal(err)
	}
	if s, err = Open(o); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	sameRows(t, "loaded", rows, rowsIn(t, s.state))
}

// Rows of a load that can't be kept, or that another record has come between,
// are read from the ledger.
func TestLoadedRowsAreGivenUp(t *testing.T) {
	for name, spoil := range map[string]func(s *Store, l *Load){
		"no room":        func(_ *Store, l *Load) { l.rows.changes.dir, l.rows.changes.memory = "/nonexistent", 1 },
		"another record": func(s *Store, _ *Load) { judged(t, s, policy.Denied, bob, 1) },
	} {
		o := testOptions(filepath.Join(t.TempDir(), "data"), nil)
		o.foldAtMost = 50
		s, err := Open(o)
		if err != nil {
			t.Fatal(err)
		}
		load := s.Load()
		facts := make([]policy.Fact, 400)
		for i := range facts {
			facts[i] = consent("c", loadNumber(i))
		}
		into(t, load, facts[:100]...)
		spoil(s, load)
		into(t, load, facts[100:]...)
		if load.rows.whole(s.ledger.Durable()) {
			t.Errorf("%s: the rows are taken for whole", name)
		}
		if err := load.Close(); err != nil {
			t.Fatal(err)
		}
		if got := s.Counts(); got[policy.Consent] != 400 {
			t.Errorf("%s: %v", name, got)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// Large facts go to the ledger by so many octets at a time, and none is left out.
func TestLoadOfLargeFacts(t *testing.T) {
	t.Parallel()
	s, err := Open(Options{Dir: filepath.Join(t.TempDir(), "data")})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	load := s.Load()
	facts := make([]policy.Fact, 300)
	for i := range facts {
		facts[i] = consent("c", loadNumber(i))
		for range 60 {
			facts[i].Products = append(facts[i].Products, strings.Repeat("p", 1000))
		}
	}
	for i, r := range into(t, load, facts...) {
		if r.Err != nil || r.Known || r.ID != "c" {
			t.Fatalf("fact %d: %+v", i, r)
		}
	}
	if err := load.Close(); err != nil {
		t.Fatal(err)
	}
	if got := s.Counts(); got[policy.Consent] != 300 || s.LedgerEnd() != 300 {
		t.Errorf("%v in %d records", got, s.LedgerEnd())
	}
}
