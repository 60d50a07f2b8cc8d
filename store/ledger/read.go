package ledger

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
)

// window is how much of a segment is in memory at a time; it grows for a
// record that is larger.
const window = 1 << 20

// one is how much is read for a record that is read by itself: most are smaller.
const one = 16 << 10

// few is how much is read at first of records that are read one after another:
// a page of decisions needs no more.
const few = 64 << 10

// A frameReader reads the frames of one segment one after another.
type frameReader struct {
	f    io.ReaderAt
	size int64
	at   int64 // of the next frame
	buf  []byte
	from int64 // where buf begins
	pad  int   // zeros behind the last frame

	ahead int64 // how much is read next, 0: a few records
}

// next reads one frame; the record is valid until the one after it is read.
func (r *frameReader) next() (rec Record, err error) {
	if r.at >= r.size {
		return rec, errNoFrame // also of an empty file
	}
	if r.ahead == 0 {
		r.ahead = few
	}
	for want := r.ahead; ; want = int64(r.need()) {
		off := r.at - r.from
		if r.buf != nil && off >= 0 && off <= int64(len(r.buf)) {
			rec, size, err := parseFrame(r.buf[off:])
			if whole := int(off)+size <= len(r.buf) || r.from+int64(len(r.buf)) == r.size; err == nil && whole {
				rec.Place = Place{rec.Seq, r.at}
				size = min(size, len(r.buf)-int(off))
				r.pad = size - len(rec.frame)
				r.at += int64(size)
				return rec, nil
			}
			if off == 0 && int64(len(r.buf)) >= min(int64(r.need()), r.size-r.at) {
				return rec, errNoFrame
			}
		}
		n := min(want, r.size-r.at)
		r.buf = slices.Grow(r.buf[:0], int(n))[:n]
		if _, err := r.f.ReadAt(r.buf, r.at); err != nil {
			return rec, err
		}
		r.from, r.ahead = r.at, min(4*r.ahead, window) // whoever has read on will read on
	}
}

// need is how many octets the frame at the beginning of buf has, if it is one.
func (r *frameReader) need() int {
	if len(r.buf) < headerSize || r.buf[11] != version {
		return window
	}
	payload := min(int(binary.LittleEndian.Uint32(r.buf[12:])), maxPayload+saltSize)
	return max(window, frameSize(int(binary.LittleEndian.Uint16(r.buf[8:])), payload))
}

// All walks the records on disk from a sequence number on. A record is valid
// until the next one is asked for. An error ends the walk.
func (l *Ledger) All(from uint64) iter.Seq2[Record, error] {
	return walk(l.o.Dir, Place{Seq: from}, l.Durable(), nil)
}

// Until walks the records on disk up to one of them.
func (l *Ledger) Until(last uint64) iter.Seq2[Record, error] {
	return walk(l.o.Dir, Place{Seq: 1}, min(last, l.Durable()), nil)
}

// After walks the records on disk that follow one whose place is known.
func (l *Ledger) After(p Place) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		for r, err := range l.From(p) {
			if err == nil && r.Seq == p.Seq {
				continue
			}
			if !yield(r, err) {
				return
			}
		}
	}
}

// From walks the records on disk from one whose place is known.
func (l *Ledger) From(p Place) iter.Seq2[Record, error] {
	return walk(l.o.Dir, p, l.Durable(), nil)
}

// Read reads one record whose place is known.
func (l *Ledger) Read(p Place) (Record, error) {
	if p.Seq > l.Durable() {
		return Record{}, fmt.Errorf("ledger: there is no record %d yet", p.Seq)
	}
	for r, err := range walk(l.o.Dir, p, p.Seq, nil) {
		if err != nil || r.Seq == p.Seq {
			return r, err
		}
	}
	return Record{}, fmt.Errorf("ledger: record %d is not there any more: its segment was removed by retention", p.Seq)
}

// walk reads the segments of a directory from record from.Seq, which lies at
// from.Offset of its segment if that is known, to record last. A payload that
// was zeroed must be named by an erasure before the walk's end, or be one of begun.
func walk(dir string, from Place, last uint64, begun map[uint64]bool) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		zeroed := erasures{begun: begun}
		err := each(dir, from, last, func(r *Record) error {
			if err := zeroed.see(r); err != nil {
				return err
			}
			if r.Seq >= from.Seq && !yield(*r, nil) {
				return errStopped
			}
			return nil
		})
		if errors.Is(err, errStopped) {
			return
		}
		if seq, place := zeroed.unnamed(); err == nil && seq != 0 && from.Seq != last {
			names, _ := segments(dir) // it could be read just now
			err = &DamageError{File: segmentOf(names, seq), Offset: place.Offset, Text: fmt.Sprintf("the payload of record %d is zero, but no erasure names it", seq)}
		}
		if err != nil {
			yield(Record{}, err)
		}
	}
}

// each calls f with the records of walk, and with those that lie before the
// first in its segment when its place there is not known. What f returns ends it.
func each(dir string, from Place, last uint64, f func(*Record) error) error {
	if max(from.Seq, 1) > last {
		return nil
	}
	names, err := segments(dir)
	if err != nil {
		return err
	}
	w := walker{dir: dir, last: last, alone: from.Offset > 0 && from.Seq == last}
	if len(names) > 0 && firstOf(names[0]) > last {
		return nil // all of it was removed
	}
	for i, name := range names {
		if i+1 < len(names) && firstOf(names[i+1]) <= from.Seq {
			continue
		}
		if w.next != 0 && firstOf(name) != w.next {
			return &DamageError{File: w.name, Offset: w.end, Text: fmt.Sprintf("record %d can't be read, and %s begins with %d", w.next, name, firstOf(name))}
		}
		offset := int64(0)
		if w.next == 0 && firstOf(name) <= from.Seq {
			offset = from.Offset
		}
		if err := w.segment(name, offset, from.Seq, f); err != nil {
			return err
		}
		if w.next > last {
			return nil
		}
	}
	return &DamageError{File: w.name, Offset: w.end, Text: fmt.Sprintf("record %d can't be read", max(w.next, from.Seq))}
}

var errStopped = errors.New("the walk was stopped")

// A walker goes through segments in order.
type walker struct {
	dir  string
	last uint64
	next uint64 // the record that comes next, 0 before the first segment
	name string // of the segment
	end  int64

	alone bool // one record is read, whose place is known
}

// segment calls f with the records of a segment from an offset on, until it fails.
func (w *walker) segment(name string, offset int64, from uint64, f func(*Record) error) error {
	file, err := os.Open(filepath.Join(w.dir, name))
	if err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	w.name, w.next = name, firstOf(name)
	if offset > 0 {
		w.next = from
	}
	r := frameReader{f: file, size: info.Size(), at: offset}
	if w.alone {
		r.ahead = one
	}
	var rec Record
	for w.next <= w.last {
		w.end = r.at
		rec, err = r.next()
		if errors.Is(err, errNoFrame) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("ledger: %w", err)
		}
		if rec.Seq != w.next {
			return &DamageError{File: name, Offset: w.end, Text: fmt.Sprintf("record %d stands where %d belongs", rec.Seq, w.next)}
		}
		w.next++
		if err := f(&rec); err != nil {
			return err
		}
	}
	return nil
}

// segmentOf is the name of the segment that a record lies in.
func segmentOf(names []string, seq uint64) string {
	name := ""
	for _, n := range names {
		if firstOf(n) <= seq {
			name = n
		}
	}
	return name
}
