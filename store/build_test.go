package store

import (
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"
	"pgregory.net/rapid"

	"dialgate/policy"
)

// rowsIn is everything that a projection holds, but for what only one way of
// making it leaves.
func rowsIn(t testing.TB, p *projection) map[string]string {
	t.Helper()
	rows := map[string]string{}
	err := p.db.View(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.DefaultIteratorOptions)
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			key := string(it.Item().Key())
			if key == string(indexCursor) || key == string(erasingKey) {
				continue
			}
			v, err := it.Item().ValueCopy(nil)
			if err != nil {
				return err
			}
			rows[key] = hex.EncodeToString(v)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

func sameRows(t testing.TB, what string, got, want map[string]string) {
	t.Helper()
	for key, v := range want {
		if got[key] != v {
			t.Errorf("%s: %q is %q, want %q", what, key, got[key], v)
		}
	}
	for key := range got {
		if _, ok := want[key]; !ok {
			t.Errorf("%s: %q is there", what, key)
		}
	}
}

// A projection that is built in one go holds what one holds that has folded in
// the records of the ledger one by one.
func TestBuiltLikeFollowed(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	s, err := Open(testOptions(dir, nil))
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	number := func() policy.Number {
		n, _ := policy.NumberOfKey(31_612_345_600 + random.Uint64N(40))
		return n
	}
	kinds := []func(id string, n policy.Number) policy.Fact{consent, func(id string, n policy.Number) policy.Fact {
		return objection(id, n, noon.Add(time.Duration(random.IntN(9))*time.Minute))
	}}
	for i := range 400 {
		switch random.IntN(8) {
		case 0:
			if i%5 == 0 {
				if _, err := s.erase(number(), "asked"); err != nil {
					t.Fatal(err)
				}
			}
		case 1, 2:
			judged(t, s, policy.Verdict(random.IntN(2)), number(), i)
		default:
			add(t, s, kinds[random.IntN(2)](fmt.Sprint("f", random.IntN(60)), number()))
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(dir, "state")); err != nil {
		t.Fatal(err)
	}
	if s, err = Open(testOptions(dir, nil)); err != nil { // it folds in so few one by one
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.catchUpIndex(0); err != nil {
		t.Fatal(err)
	}
	followed, counts := rowsIn(t, s.state), s.Counts()
	s.pause()
	s.state.db.Close()
	if err := s.rebuild(nil); err != nil {
		t.Fatal(err)
	}
	if err := s.resume(); err != nil {
		t.Fatal(err)
	}
	sameRows(t, "built", rowsIn(t, s.state), followed)
	if fmt.Sprint(s.Counts()) != fmt.Sprint(counts) {
		t.Errorf("%v facts, want %v", s.Counts(), counts)
	}
}

func TestSorter(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		s := sorter{dir: dir, memory: rapid.IntRange(1, 400).Draw(t, "memory")}
		rows := rapid.SliceOf(rapid.Custom(func(t *rapid.T) [2]uint64 {
			return [2]uint64{rapid.Uint64Range(0, 9).Draw(t, "hi"), rapid.Uint64().Draw(t, "lo")}
		})).Draw(t, "rows")
		for _, r := range rows {
			if err := s.add(r[0], r[1], fmt.Appendf(nil, "%d/%d", r[0], r[1])); err != nil {
				t.Fatal(err)
			}
		}
		var last [2]uint64
		n := 0
		err := s.each(func(hi, lo uint64, value []byte) error {
			if hi < last[0] || hi == last[0] && lo < last[1] || string(value) != fmt.Sprintf("%d/%d", hi, lo) {
				t.Errorf("%d/%d %q follows %v", hi, lo, value, last)
			}
			last = [2]uint64{hi, lo}
			n++
			return nil
		})
		if err != nil || n != len(rows) {
			t.Errorf("%d rows of %d, %v", n, len(rows), err)
		}
		if err := s.close(); err != nil {
			t.Fatal(err)
		}
	})
}
