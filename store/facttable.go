package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/bits"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"dialgate/policy"
)

// A factTable holds the value of every number in memory, so that the call path
// finds facts without looking through Badger's tables, a tenth of what a call
// costs. It holds what the projection holds: it is read from it at the start,
// and the applier, the only writer of both, changes it before anybody is told
// that a change is in force. One that outgrows its bound is given up, and facts
// are read from Badger again.
//
// Rows lie outside of the collector's heap: a million numbers take 80 MB, which
// it would otherwise let the garbage grow by.
type factTable struct {
	shapes *shapes
	most   int64 // octets
	used   atomic.Int64
	row    []byte
	parts  [64]factPart
}

// factPart is open addressing with linear probing over a part of the numbers.
type factPart struct {
	mu    sync.RWMutex
	keys  []uint64 // of numbers; 0: free
	rows  []uint32 // where each one's row lies on the shelf
	count int
	shelf shelf
	large map[uint64][]byte // rows too large for the shelf
	heap  int64             // octets of these
	gone  bool
}

// errOutgrown: the table has outgrown its bound, or was given up for that.
var errOutgrown = errors.New("store: there is no room for the facts in memory")

func newFactTable(most int64) *factTable { return &factTable{shapes: newShapes(), most: most} }

// spread is a number's hash: its first 6 bits tell the part, the others the slot.
func spread(key uint64) uint64 { return key * 0x9e3779b97f4a7c15 }

func (t *factTable) part(key uint64) *factPart { return &t.parts[spread(key)>>58] }

func (p *factPart) home(key uint64) int {
	slot, _ := bits.Mul64(spread(key)<<6, uint64(len(p.keys)))
	return int(slot)
}

func (p *factPart) next(i int) int {
	if i++; i == len(p.keys) {
		return 0
	}
	return i
}

// find is a number's slot, or the free one where it belongs.
func (p *factPart) find(key uint64) int {
	i := p.home(key)
	for p.keys[i] != key && p.keys[i] != 0 {
		i = p.next(i)
	}
	return i
}

// facts reads all that is known of a number.
func (t *factTable) facts(n policy.Number, into *policy.Facts) error {
	p := t.part(n.Key())
	p.mu.RLock()
	defer p.mu.RUnlock()
	switch {
	case p.gone:
		return errOutgrown
	case len(p.keys) == 0:
		return nil
	}
	i := p.find(n.Key())
	if p.keys[i] == 0 {
		return nil
	}
	row := p.large[n.Key()]
	if p.rows[i] != largeRow {
		row = p.shelf.get(p.rows[i])
	}
	return t.shapes.readRow(row, n, into)
}

// put replaces what is known of a number; nothing takes it out. One goroutine puts.
func (t *factTable) put(n policy.Number, f *policy.Facts) error {
	key := n.Key()
	p := t.part(key)
	t.row = t.shapes.appendRow(t.row[:0], f)
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.octets()
	if err := p.put(key, t.row, len(f.All)+len(f.Calls) == 0); err != nil {
		return err
	}
	if t.used.Add(p.octets()-before) > t.most {
		return errOutgrown
	}
	return nil
}

func (p *factPart) put(key uint64, row []byte, nothing bool) error {
	if p.count >= len(p.keys)*7/8 {
		p.grow()
	}
	i := p.find(key)
	if p.keys[i] != 0 {
		if p.rows[i] != largeRow {
			p.shelf.free(p.rows[i])
		}
		p.heap -= int64(len(p.large[key]))
		delete(p.large, key)
	}
	switch {
	case nothing && p.keys[i] == 0:
		return nil
	case nothing:
		p.remove(i)
		return nil
	case p.keys[i] == 0:
		p.count++
	}
	p.keys[i], p.rows[i] = key, largeRow
	if len(row) > mostOnShelf {
		if p.large == nil {
			p.large = map[uint64][]byte{}
		}
		p.large[key] = bytes.Clone(row)
		p.heap += int64(len(row))
		return nil
	}
	at, err := p.shelf.put(row)
	p.rows[i] = at
	return err
}

func (p *factPart) grow() {
	keys, rows := p.keys, p.rows
	p.keys = make([]uint64, max(16, len(keys)*5/4))
	p.rows = make([]uint32, len(p.keys))
	for i, key := range keys {
		if key != 0 {
			j := p.find(key)
			p.keys[j], p.rows[j] = key, rows[i]
		}
	}
}

// remove frees a slot, and moves up what lies behind it for want of it.
func (p *factPart) remove(i int) {
	p.count--
	from := func(a, b int) int { return (b - a + len(p.keys)) % len(p.keys) }
	for j := p.next(i); p.keys[j] != 0; j = p.next(j) {
		if from(p.home(p.keys[j]), j) >= from(i, j) {
			p.keys[i], p.rows[i] = p.keys[j], p.rows[j]
			i = j
		}
	}
	p.keys[i] = 0
}

func (p *factPart) octets() int64 {
	return int64(len(p.keys))*12 + int64(len(p.shelf.chunks))*chunkSize + p.heap
}

// close gives the memory back; who reads after that is told.
func (t *factTable) close() (err error) {
	for i := range t.parts {
		p := &t.parts[i]
		p.mu.Lock()
		for _, c := range p.shelf.chunks {
			err = errors.Join(err, unix.Munmap(c))
		}
		p.keys, p.rows, p.shelf, p.large, p.gone = nil, nil, shelf{}, nil, true
		p.mu.Unlock()
	}
	return err
}

// A shelf keeps rows in blocks of 16 octets, each row behind its length. The
// room of a row that has gone is given to the next one of as many blocks.
type shelf struct {
	chunks [][]byte
	end    uint32 // the first block that was never used
	gaps   [mostBlocks + 1][]uint32
}

const (
	block       = 16
	chunkSize   = 256 << 10
	perChunk    = chunkSize / block
	mostBlocks  = 64
	mostOnShelf = mostBlocks*block - 2
	largeRow    = ^uint32(0)
)

func blocks16(row int) int { return (row + 2 + block - 1) / block }

func (s *shelf) at(where uint32) []byte {
	return s.chunks[where/perChunk][where%perChunk*block:]
}

func (s *shelf) get(where uint32) []byte {
	b := s.at(where)
	return b[2 : 2+binary.LittleEndian.Uint16(b)]
}

func (s *shelf) free(where uint32) {
	n := blocks16(len(s.get(where)))
	s.gaps[n] = append(s.gaps[n], where)
}

func (s *shelf) put(row []byte) (where uint32, err error) {
	n := blocks16(len(row))
	if gaps := s.gaps[n]; len(gaps) > 0 {
		where, s.gaps[n] = gaps[len(gaps)-1], gaps[:len(gaps)-1]
	} else {
		if room := perChunk - s.end%perChunk; s.end%perChunk != 0 && room < uint32(n) {
			s.end += room // a row lies in one chunk
		}
		if int(s.end/perChunk) == len(s.chunks) {
			c, err := unix.Mmap(-1, 0, chunkSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
			if err != nil {
				return largeRow, errOutgrown
			}
			s.chunks = append(s.chunks, c)
		}
		where = s.end
		s.end += uint32(n)
	}
	b := s.at(where)
	binary.LittleEndian.PutUint16(b, uint16(len(row)))
	copy(b[2:], row)
	return where, nil
}
