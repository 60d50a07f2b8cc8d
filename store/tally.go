package store

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/dgraph-io/badger/v4"

	"dialgate/policy"
)

// A tally is how many facts of each kind the projection holds. It is written
// in the transaction that changes it, so that no start counts them: that took
// more than a second a million. Its first place, which is no kind's, is how many
// numbers there are.
type tally [policy.Undo + 1]int64

// countsKey holds the tally: an octet for the kind and 8 for its number, each.
var countsKey = []byte("Mcounts")

func (t *tally) add(f *policy.Facts, sign int64) {
	if len(f.All)+len(f.Calls) > 0 {
		t[0] += sign
	}
	for i := range f.All {
		t[f.All[i].Kind] += sign
	}
}

func (t *tally) append(b []byte) []byte {
	for kind, n := range t {
		if n != 0 {
			b = binary.BigEndian.AppendUint64(append(b, byte(kind)), uint64(n))
		}
	}
	return b
}

func (t *tally) read(b []byte) error {
	*t = tally{}
	for ; len(b) >= 9; b = b[9:] {
		if int(b[0]) >= len(t) {
			return errValue
		}
		t[b[0]] = int64(binary.BigEndian.Uint64(b[1:]))
	}
	if len(b) > 0 {
		return errValue
	}
	return nil
}

func (p *projection) counts() tally {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.tally
}

// loadCounts reads the tally, and counts where an older version has left none.
func (p *projection) loadCounts() error {
	var t tally
	err := p.db.View(func(txn *badger.Txn) error {
		item, err := txn.Get(countsKey)
		if err != nil {
			return err
		}
		return item.Value(t.read)
	})
	if errors.Is(err, badger.ErrKeyNotFound) || err == nil && t != (tally{}) && t[0] == 0 {
		t = tally{}
		err = p.each(func(f *policy.Facts) error {
			t.add(f, 1)
			return nil
		})
	}
	if err != nil {
		return &errRebuild{err.Error()}
	}
	p.mu.Lock()
	p.tally = t
	p.mu.Unlock()
	return nil
}

// What is counted one by one after a crash: beyond that the tables tell how many
// keys they have, and what is in memory is as good as nothing.
const (
	countedAtMost = 2 << 20
	inMemory      = 1 << 19
)

// countsRight holds the tally against the numbers that are there: Badger opens
// without a word when tables are gone and their MANIFEST does not name them,
// and its log still tells of all that came after.
func (p *projection) countsRight() error {
	var t tally
	numbers := int64(0)
	err := p.db.View(func(txn *badger.Txn) error {
		item, err := txn.Get(countsKey)
		if err == nil {
			err = item.Value(t.read)
		}
		if err != nil || t[0] > countedAtMost {
			return err
		}
		o := badger.DefaultIteratorOptions
		o.Prefix, o.PrefetchValues = []byte("F"), false
		it := txn.NewIterator(o)
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			numbers++
		}
		return nil
	})
	switch {
	case errors.Is(err, badger.ErrKeyNotFound):
		return nil // nothing is there yet, or an older version has not counted
	case err != nil:
		return &errRebuild{err.Error()}
	case t[0] > countedAtMost:
		for _, table := range p.db.Tables() {
			numbers += int64(table.KeyCount)
		}
		if numbers+inMemory >= t[0] {
			return nil
		}
	case t[0] == 0 || numbers == t[0]:
		return nil
	}
	return &errRebuild{fmt.Sprintf("it tells of %d numbers, and has %d", t[0], numbers)}
}
