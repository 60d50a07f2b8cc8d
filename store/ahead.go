package store

import (
	"iter"
	"runtime"
	"sync"
)

// A rawRow is a row as it stands in its file.
type rawRow struct {
	line  int
	text  string   // of JSON Lines
	cells []string // of a sheet
	err   error    // why it is no row
}

// How far a file is read ahead of whoever takes its rows. That is more than a
// load takes at a time, so that rows are made while the ledger is written.
const (
	aheadChunks = 32
	chunkRows   = 256
	chunkOctets = 64 << 10
)

// A rowChunk is some rows of a file, in order.
type rowChunk struct {
	sheet  *sheet // nil: they are JSON
	raw    []rawRow
	octets int
	rows   []Row
	err    error         // why the file can't be read beyond them
	made   chan struct{} // rows are there
}

// readAhead splits a file into rows in one goroutine, makes facts of them on
// all cores, and gives them out in the order of the file.
func (in Intake) readAhead(split func(put func(*sheet, rawRow) bool) error) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		a := ahead{quit: make(chan struct{}), free: make(chan *rowChunk, aheadChunks), raw: make(chan *rowChunk, aheadChunks), order: make(chan *rowChunk, aheadChunks)}
		for range aheadChunks {
			a.free <- &rowChunk{made: make(chan struct{}, 1)}
		}
		a.workers.Go(func() { a.split(split) })
		for range runtime.GOMAXPROCS(0) {
			a.workers.Go(func() { a.make(in) })
		}
		defer a.workers.Wait()
		defer close(a.quit)
		for c := range a.order {
			<-c.made
			for i := range c.rows {
				if !yield(c.rows[i], nil) {
					return
				}
			}
			if c.err != nil {
				yield(Row{}, c.err)
				return
			}
			a.free <- c // there is room for all
		}
	}
}

// ahead is the work on a file that is read ahead.
type ahead struct {
	workers sync.WaitGroup
	quit    chan struct{}  // nobody takes rows any more
	free    chan *rowChunk // not in use: there are no others
	raw     chan *rowChunk // to be made rows of
	order   chan *rowChunk // the same, for whoever takes the rows
}

// split fills chunks and sends them out.
func (a *ahead) split(split func(put func(*sheet, rawRow) bool) error) {
	defer close(a.raw)
	defer close(a.order)
	var c *rowChunk
	send := func() {
		if c != nil {
			a.raw <- c
			a.order <- c
			c = nil
		}
	}
	next := func(s *sheet) bool {
		select {
		case c = <-a.free:
		case <-a.quit:
			return false
		}
		c.sheet, c.raw, c.octets, c.err = s, c.raw[:0], 0, nil
		return true
	}
	err := split(func(s *sheet, row rawRow) bool {
		if c == nil && !next(s) {
			return false
		}
		c.raw = append(c.raw, row)
		c.octets += len(row.text)
		for _, cell := range row.cells {
			c.octets += len(cell)
		}
		if len(c.raw) == chunkRows || c.octets >= chunkOctets {
			send()
		}
		return true
	})
	if err != nil && (c != nil || next(nil)) {
		c.err = err
	}
	send()
}

// make makes rows of chunks.
func (a *ahead) make(in Intake) {
	var rows *rowReader
	for c := range a.raw {
		if rows == nil || rows.sheet != c.sheet {
			rows = in.reader(c.sheet)
		}
		c.rows = c.rows[:0]
		for i := range c.raw {
			c.rows = append(c.rows, rows.row(&c.raw[i]))
		}
		c.made <- struct{}{}
	}
}
