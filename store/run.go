package store

import (
	"encoding/binary"
	"maps"
	"slices"
	"sort"

	"golang.org/x/sys/unix"
)

// A run is rows packed one behind the other in the order of their keys:
//
//	uvarint   the row's key less that of the row before
//	uvarint   the row's length
//	the row
//
// It is made at once and never changed. It lies outside of the collector's heap,
// which would otherwise let the garbage grow by as much.
type run struct {
	room  []byte // mapped
	rows  []byte // the part of it that is used
	marks []mark // of every 16th row
	count int
}

const perMark = 16

// A mark is where a row begins, and what its key is.
type mark struct {
	key uint64
	at  uint32
}

// find is the row of a key, nil if there is none.
func (r *run) find(key uint64) []byte {
	i := sort.Search(len(r.marks), func(i int) bool { return r.marks[i].key > key }) - 1
	if i < 0 {
		return nil
	}
	w := rowWalk{rows: r.rows[r.marks[i].at:]}
	w.next()
	w.key = r.marks[i].key
	for w.key < key && w.next() {
	}
	if w.key != key {
		return nil
	}
	return w.row
}

// A rowWalk goes through the rows of a run.
type rowWalk struct {
	rows []byte // those that are left
	key  uint64
	row  []byte
}

func (w *rowWalk) next() bool {
	if len(w.rows) == 0 {
		return false
	}
	more, n := binary.Uvarint(w.rows)
	size, m := binary.Uvarint(w.rows[n:])
	from := n + m
	w.key += more
	w.row, w.rows = w.rows[from:from+int(size)], w.rows[from+int(size):]
	return true
}

// with is a run with some rows changed or added, and without those that are empty.
func (r *run) with(changed map[uint64][]byte) (next run, err error) {
	most := len(r.rows)
	for _, row := range changed {
		most += len(row) + 2*binary.MaxVarintLen64
	}
	if most == 0 {
		return run{}, nil
	}
	// What is not written to takes no memory.
	next.room, err = unix.Mmap(-1, 0, most, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return run{}, errOutgrown
	}
	next.rows = next.room[:0]
	next.marks = make([]mark, 0, (r.count+len(changed))/perMark+1)
	last := uint64(0)
	add := func(key uint64, row []byte) {
		if len(row) == 0 {
			return
		}
		if next.count%perMark == 0 {
			next.marks = append(next.marks, mark{key, uint32(len(next.rows))})
		}
		next.rows = binary.AppendUvarint(next.rows, key-last)
		next.rows = binary.AppendUvarint(next.rows, uint64(len(row)))
		next.rows = append(next.rows, row...)
		next.count++
		last = key
	}
	keys := slices.Sorted(maps.Keys(changed))
	for w := (rowWalk{rows: r.rows}); w.next(); {
		for len(keys) > 0 && keys[0] < w.key {
			add(keys[0], changed[keys[0]])
			keys = keys[1:]
		}
		if len(keys) > 0 && keys[0] == w.key {
			continue // it comes with the next, or at the end
		}
		add(w.key, w.row)
	}
	for _, key := range keys {
		add(key, changed[key])
	}
	return next, nil
}

func (r *run) size() int64 { return int64(len(r.rows)) + int64(len(r.marks))*16 }

// free gives the memory back.
func (r *run) free() error {
	if r.room == nil {
		return nil
	}
	return unix.Munmap(r.room)
}
