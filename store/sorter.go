package store

import (
	"bufio"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
)

// A sorter sorts rows that memory need not hold: by two integers, each row
// with a few octets of its own. What is too much for its memory goes to files
// without names.
type sorter struct {
	dir    string
	memory int // octets; 0: sorterMemory
	arena  []byte
	rows   []sortedRow
	runs   []*os.File
}

type sortedRow struct {
	hi, lo   uint64
	at, size uint32 // of its octets in the arena
}

const sorterMemory = 64 << 20

func (s *sorter) add(hi, lo uint64, value []byte) error {
	most := cmp.Or(s.memory, sorterMemory)
	if len(s.rows) > 0 && len(s.arena)+len(value)+24*len(s.rows) > most {
		if err := s.spill(); err != nil {
			return fmt.Errorf("store: rows can't be sorted on disk: %w", err)
		}
	}
	s.rows = append(s.rows, sortedRow{hi, lo, uint32(len(s.arena)), uint32(len(value))})
	s.arena = append(s.arena, value...)
	return nil
}

func (s *sorter) sort() {
	slices.SortFunc(s.rows, func(a, b sortedRow) int { return cmp.Or(cmp.Compare(a.hi, b.hi), cmp.Compare(a.lo, b.lo)) })
}

func (s *sorter) value(r *sortedRow) []byte { return s.arena[r.at : r.at+r.size] }

// spill writes what is in memory as one sorted run.
func (s *sorter) spill() error {
	f, err := os.CreateTemp(s.dir, "run")
	if err != nil {
		return err
	}
	s.runs = append(s.runs, f)
	if err := os.Remove(f.Name()); err != nil { // it holds numbers: nothing is left of it after a crash
		return err
	}
	s.sort()
	w := bufio.NewWriterSize(f, 1<<20)
	var head [20]byte
	for i := range s.rows {
		r := &s.rows[i]
		binary.BigEndian.PutUint64(head[:], r.hi)
		binary.BigEndian.PutUint64(head[8:], r.lo)
		binary.BigEndian.PutUint32(head[16:], r.size)
		_, _ = w.Write(head[:]) // Flush tells
		_, _ = w.Write(s.value(r))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	s.arena, s.rows = s.arena[:0], s.rows[:0]
	_, err = f.Seek(0, io.SeekStart)
	return err
}

// each calls f with every row in order; the value is valid until f returns.
func (s *sorter) each(f func(hi, lo uint64, value []byte) error) error {
	if len(s.runs) == 0 {
		s.sort()
		for i := range s.rows {
			r := &s.rows[i]
			if err := f(r.hi, r.lo, s.value(r)); err != nil {
				return err
			}
		}
		return nil
	}
	if err := s.spill(); err != nil {
		return fmt.Errorf("store: rows can't be sorted on disk: %w", err)
	}
	s.arena, s.rows = nil, nil
	var runs []*sortedRun
	for _, file := range s.runs {
		r := &sortedRun{r: bufio.NewReaderSize(file, 256<<10)}
		if err := r.next(); err != nil {
			return err
		}
		runs = append(runs, r)
	}
	for {
		var least *sortedRun
		for _, r := range runs {
			if !r.done && (least == nil || cmp.Or(cmp.Compare(r.hi, least.hi), cmp.Compare(r.lo, least.lo)) < 0) {
				least = r
			}
		}
		if least == nil {
			return nil
		}
		if err := f(least.hi, least.lo, least.value); err != nil {
			return err
		}
		if err := least.next(); err != nil {
			return err
		}
	}
}

func (s *sorter) close() (err error) {
	for _, f := range s.runs {
		err = errors.Join(err, f.Close())
	}
	return err
}

// A sortedRun is one run as it is read back.
type sortedRun struct {
	r      *bufio.Reader
	hi, lo uint64
	value  []byte
	done   bool
}

func (r *sortedRun) next() error {
	var head [20]byte
	_, err := io.ReadFull(r.r, head[:])
	if errors.Is(err, io.EOF) {
		r.done = true
		return nil
	}
	if err == nil {
		r.hi, r.lo = binary.BigEndian.Uint64(head[:]), binary.BigEndian.Uint64(head[8:])
		size := int(binary.BigEndian.Uint32(head[16:]))
		r.value = slices.Grow(r.value[:0], size)[:size]
		_, err = io.ReadFull(r.r, r.value)
	}
	if err != nil {
		return fmt.Errorf("store: sorted rows can't be read back: %w", err)
	}
	return nil
}
