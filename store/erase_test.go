package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"

	"dialgate/policy"
	"dialgate/store/ledger"
)

var carol = policy.MustNumber("+31687654321")

// holders are the files under a directory that hold a number: its digits, or
// its key. Where Badger took a file away meanwhile, what it held may stand in
// one that was passed before, and the search begins again.
func holders(t *testing.T, dir string, n policy.Number) []string {
	t.Helper()
	for {
		names, err := holdersNow(dir, n)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		return names
	}
}

func holdersNow(dir string, n policy.Number) (names []string, err error) {
	key := binary.BigEndian.AppendUint64(nil, n.Key())
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		most := int64(1 << 30)
		if strings.HasSuffix(path, ".vlog") {
			most = 1 << 20 // open, it is a sparse file of gigabytes; closed, it is short
		}
		b, err := io.ReadAll(io.LimitReader(f, most))
		if bytes.Contains(b, []byte(n.Digits()[2:])) || bytes.Contains(b, key) {
			names = append(names, filepath.Base(path))
		}
		return err
	})
	return names, err
}

// crowd adds facts of many others, so that the number lies among them.
func crowd(t *testing.T, s *Store, n int) {
	t.Helper()
	var facts []policy.Fact
	for i := range n {
		// Not next to the number: Badger keeps keys by what differs from the one before.
		other, _ := policy.NumberOfKey(31_687_000_000 + uint64(i)*7919)
		facts = append(facts, consent(fmt.Sprint("x", i), other))
	}
	add(t, s, facts...)
}

const ground = "letter of 3 November, file 17"

// eraseCarol erases for good; forgetCarol leaves Badger's files to themselves,
// which takes a second less.
func eraseCarol(t *testing.T, s *Store) Erased {
	t.Helper()
	e, err := s.Erase(carol, ground)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func forgetCarol(t *testing.T, s *Store) Erased {
	t.Helper()
	e, err := s.erase(carol, ground)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestAnErasedNumberIsNowhere(t *testing.T) {
	t.Parallel()
	const crowded = 5000
	top := t.TempDir()
	dir := filepath.Join(top, "data")
	s := open(t, dir, nil)
	crowd(t, s, crowded)
	add(t, s, consent("c1", carol), objection("o1", carol, noon), objection("o2", bob, noon))
	judged(t, s, policy.Allowed, carol, 1)
	judged(t, s, policy.Denied, carol, 2)
	judged(t, s, policy.Denied, bob, 3)
	if len(holders(t, top, carol)) < 2 {
		t.Fatal("the search finds nothing even before")
	}
	e := eraseCarol(t, s)
	if e.Facts != 2 || e.Calls != 2 || e.Kept != 1 {
		t.Errorf("%+v", e)
	}
	if got := holders(t, top, carol); got != nil {
		t.Errorf("the number is still in %v", got)
	}
	t.Logf("gone after %d ms", e.GoneMS)
	check := func() {
		t.Helper()
		ids := idsOf(t, s, carol)
		if len(ids) != 1 || !strings.HasPrefix(ids[0], "kept-") {
			t.Errorf("of the number is known %v", ids)
		}
		if len(idsOf(t, s, bob)) != 1 {
			t.Error("others are gone too")
		}
		if f, err := s.History(carol); err != nil || len(f.All) != 1 {
			t.Errorf("the history is %+v, %v", f.All, err)
		}
		erased := 0
		for d, err := range s.Decisions(1) {
			if err != nil {
				t.Fatal(err)
			}
			if d.Erased && d.To == "" && d.Verdict != "" && !d.At.IsZero() {
				erased++
			}
		}
		if erased != 2 {
			t.Errorf("%d decisions are erased", erased)
		}
		p, text, page := prove(t, s, carol, time.Time{})
		if len(p.View.Erasures) != 1 || len(p.View.Consents)+len(p.View.Calls) != 0 {
			t.Errorf("the pack of an erased number: %+v", p.View)
		}
		for _, data := range [][]byte{text, page} {
			if _, _, err := ReadPack(data); err != nil {
				t.Error(err)
			}
		}
		r, err := ledger.Verify(filepath.Join(dir, "ledger"), nil, s.ledger.PublicKey())
		if err != nil || len(r.Findings) != 0 || r.Erased != 5 {
			t.Errorf("the ledger does not verify: %+v, %v", r, err)
		}
	}
	check()
	if s.Counts()[policy.Consent] != int64(crowded) {
		t.Errorf("counts are %v", s.Counts())
	}
	for range 2 { // closed and opened, then with a projection made anew
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if got := holders(t, top, carol); got != nil {
			t.Errorf("the number is in %v after closing", got)
		}
		s = open(t, dir, nil)
		check()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		remove(t, filepath.Join(dir, "state"))
		s = open(t, dir, nil)
	}
	check()
	s.Close()
}

func TestAnErasedNumberStaysBlocked(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir(), nil)
	defer s.Close()
	kept := objection("o1", carol, noon)
	listed := policy.Fact{ID: "l1", Kind: policy.Listed, Number: carol, List: "register", At: noon, Until: noon.AddDate(1, 0, 0)}
	add(t, s, consent("c1", carol), kept, listed)
	forgetCarol(t, s)
	later := consent("c9", carol)
	later.At = time.Now().Add(time.Minute)
	another := objection("o5", carol, noon.AddDate(0, 0, -2))
	r := add(t, s, consent("c1", carol), consent("c2", carol), kept, later, another)
	for i := range 2 {
		if r[i].Err == nil || !strings.Contains(r[i].Err.Error(), "was erased on") {
			t.Errorf("an old fact of an erased number: %+v", r[i])
		}
	}
	if !r[2].Known || r[3].Err != nil || r[3].Known || r[4].Err != nil || r[4].Known {
		t.Errorf("%+v", r)
	}
	var f policy.Facts
	if err := s.Facts(carol, &f); err != nil {
		t.Fatal(err)
	}
	kinds := map[policy.Kind]int{}
	for _, x := range f.All {
		kinds[x.Kind]++
		if x.Number != carol {
			t.Errorf("%+v", x)
		}
	}
	if kinds[policy.Objection] != 2 || kinds[policy.Listed] != 1 || kinds[policy.Consent] != 1 {
		t.Errorf("%v", kinds)
	}
	// Erased once more: the block keeps what it kept.
	if e := forgetCarol(t, s); e.Facts != 2 || e.Kept < 3 {
		t.Errorf("the second erasure: %+v", e)
	}
}

func TestWhatAnErasureRefuses(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir(), nil)
	defer s.Close()
	for _, ground := range []string{"", "  ", "asked by 06-87654321", "asked by +31 6 8765 4321", strings.Repeat("x", 1001)} {
		if _, err := s.Erase(carol, ground); err == nil {
			t.Errorf("the ground %q was taken", ground)
		}
	}
	if e := forgetCarol(t, s); e.Facts+e.Calls+e.Kept != 0 {
		t.Errorf("of an unknown number was erased %+v", e)
	}
}

// TestNoKeyNoStart: without the key, or with another one, an erased person
// would be called again.
func TestNoKeyNoStart(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	s := open(t, dir, nil)
	add(t, s, objection("o1", carol, noon))
	forgetCarol(t, s)
	s.Close()
	path := dir + "-erasure.key"
	key, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, rebuilt := range []bool{false, true} {
		if rebuilt {
			remove(t, filepath.Join(dir, "state"))
		}
		remove(t, path)
		if _, err := Open(testOptions(dir, nil)); err == nil || !strings.Contains(err.Error(), "store.erasure_key") {
			t.Errorf("without the key: %v", err)
		}
		if err := os.WriteFile(path, []byte(strings.Repeat("ab", 32)), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(testOptions(dir, nil)); err == nil || !strings.Contains(err.Error(), "another key") {
			t.Errorf("with another key: %v", err)
		}
	}
	if err := os.WriteFile(path, key, 0o600); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, nil)
	defer s.Close()
	if ids := idsOf(t, s, carol); len(ids) != 1 {
		t.Errorf("%v", ids)
	}
}

// TestACrashAfterTheLedgersErasure: the ledger has erased, and the projection
// does not know yet.
func TestACrashAfterTheLedgersErasure(t *testing.T) {
	t.Parallel()
	top := t.TempDir()
	dir := filepath.Join(top, "data")
	s := open(t, dir, nil)
	add(t, s, consent("c1", carol), objection("o1", carol, noon), consent("c2", bob))
	judged(t, s, policy.Allowed, carol, 1)
	if err := s.catchUpIndex(0); err != nil {
		t.Fatal(err)
	}
	before := filepath.Join(top, "before")
	s.Close()
	if err := os.CopyFS(before, os.DirFS(filepath.Join(dir, "state"))); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, nil)
	eraseCarol(t, s)
	s.Close()
	remove(t, filepath.Join(dir, "state"))
	if err := os.Rename(before, filepath.Join(dir, "state")); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	s = open(t, dir, &log)
	if ids := idsOf(t, s, carol); len(ids) != 1 || !strings.HasPrefix(ids[0], "kept-") {
		t.Errorf("of the number is known %v", ids)
	}
	if len(idsOf(t, s, bob)) != 1 || !strings.Contains(log.String(), "interrupted") {
		t.Errorf("%s", log.String())
	}
	s.Close()
	if got := holders(t, top, carol); got != nil {
		t.Errorf("the number is still in %v", got)
	}
}

// TestLookupsGoOnDuringAnErasure: no call waits for Badger to compact.
func TestLookupsGoOnDuringAnErasure(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir(), nil)
	defer s.Close()
	crowd(t, s, 5000)
	add(t, s, consent("c1", carol))
	stop, worst := make(chan struct{}), make(chan time.Duration, 1)
	go func() {
		var most time.Duration
		for {
			select {
			case <-stop:
				worst <- most
				return
			default:
			}
			start := time.Now()
			var f policy.Facts
			if err := s.Facts(bob, &f); err != nil {
				t.Error(err)
			}
			most = max(most, time.Since(start))
		}
	}()
	e := eraseCarol(t, s)
	close(stop)
	most := <-worst
	t.Logf("gone after %d ms; the slowest lookup took %v", e.GoneMS, most)
	if most > 2*time.Second {
		t.Errorf("a lookup took %v", most)
	}
	err := s.state.db.View(func(txn *badger.Txn) error {
		_, err := txn.Get(erasingKey)
		return err
	})
	if !errors.Is(err, badger.ErrKeyNotFound) {
		t.Errorf("the erasure is not over: %v", err)
	}
}
