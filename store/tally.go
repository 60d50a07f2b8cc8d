package store

import (
	"encoding/binary"
	"errors"

	"github.com/dgraph-io/badger/v4"

	"dialgate/policy"
)

// A tally is how many facts of each kind the projection holds. It is written
// in the transaction that changes it, so that no start counts them: that took
// more than a second a million.
type tally [policy.Undo + 1]int64

// countsKey holds the tally: an octet for the kind and 8 for its number, each.
var countsKey = []byte("Mcounts")

func (t *tally) add(f *policy.Facts, sign int64) {
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
	if errors.Is(err, badger.ErrKeyNotFound) {
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
