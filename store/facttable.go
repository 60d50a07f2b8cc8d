package store

import (
	"bytes"
	"errors"
	"sync"
	"sync/atomic"

	"dialgate/policy"
)

// A factTable holds the value of every number in memory, so that the call path
// finds facts without looking through Badger's tables, a tenth of what a call
// costs. It holds what the projection holds: it is read from it at the start,
// and the applier, the only writer of both, changes it before anybody is told
// that a change is in force. One that outgrows its bound is given up, and facts
// are read from Badger again.
type factTable struct {
	shapes *shapes
	most   int64 // octets
	used   atomic.Int64
	row    []byte
	parts  [64]factPart

	// loose is of how many packed rows one may be changed before a part is packed
	// again.
	loose int
}

const (
	looseWhenRead = 4 // at the start all numbers come
	looseBesides  = 16
	looseAtLeast  = 64
)

// factPart has the numbers of one hash. Most rows lie packed; those that have
// changed since lie beside them.
type factPart struct {
	mu      sync.RWMutex
	packed  run
	changed map[uint64][]byte // by the key of the number; empty: nothing is known of it any more
	octets  int64             // of changed
	gone    bool
}

// errOutgrown: the table has outgrown its bound, or was given up for that.
var errOutgrown = errors.New("store: there is no room for the facts in memory")

func newFactTable(most int64) *factTable {
	t := &factTable{shapes: newShapes(), most: most, loose: looseWhenRead}
	for i := range t.parts {
		t.parts[i].changed = map[uint64][]byte{}
	}
	return t
}

func (t *factTable) part(key uint64) *factPart {
	return &t.parts[key*0x9e3779b97f4a7c15>>58] // Fibonacci hashing: numbers of one campaign run on
}

// facts reads all that is known of a number.
func (t *factTable) facts(n policy.Number, into *policy.Facts) error {
	key := n.Key()
	p := t.part(key)
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.gone {
		return errOutgrown
	}
	row, changed := p.changed[key]
	if !changed {
		row = p.packed.find(key)
	}
	if len(row) == 0 {
		return nil
	}
	return t.shapes.readRow(row, n, into)
}

// put replaces what is known of a number. One goroutine puts.
func (t *factTable) put(n policy.Number, f *policy.Facts) error {
	t.row = t.row[:0]
	if len(f.All)+len(f.Calls) > 0 {
		t.row = t.shapes.appendRow(t.row, f)
	}
	p := t.part(n.Key())
	before := p.size()
	p.change(n.Key(), bytes.Clone(t.row))
	if len(p.changed) > max(looseAtLeast, p.packed.count/t.loose) {
		if err := p.pack(); err != nil {
			return err
		}
	}
	if t.used.Add(p.size()-before) > t.most {
		return errOutgrown
	}
	return nil
}

// settle packs all parts: the facts have been read, and few change from now on.
func (t *factTable) settle() error {
	t.loose = looseBesides
	for i := range t.parts {
		p := &t.parts[i]
		before := p.size()
		if err := p.pack(); err != nil {
			return err
		}
		p.changed = map[uint64][]byte{} // it was larger
		t.used.Add(p.size() - before)
	}
	return nil
}

func (p *factPart) change(key uint64, row []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if before, changed := p.changed[key]; changed {
		p.octets -= sizeOfChanged(before)
	}
	p.changed[key] = row
	p.octets += sizeOfChanged(row)
}

// sizeOfChanged is about what a row takes that is not packed, with its place in the map.
func sizeOfChanged(row []byte) int64 { return int64(len(row)) + 56 }

func (p *factPart) size() int64 { return p.packed.size() + p.octets }

// pack puts what has changed among the packed rows. Readers go on with those
// there are until it is done.
func (p *factPart) pack() error {
	next, err := p.packed.with(p.changed)
	if err != nil {
		return err
	}
	p.mu.Lock()
	before := p.packed
	p.packed, p.octets = next, 0
	clear(p.changed)
	p.mu.Unlock()
	return before.free()
}

// close gives the memory back; who reads after that is told.
func (t *factTable) close() (err error) {
	for i := range t.parts {
		p := &t.parts[i]
		p.mu.Lock()
		err = errors.Join(err, p.packed.free())
		p.packed, p.changed, p.gone = run{}, nil, true
		p.mu.Unlock()
	}
	return err
}
