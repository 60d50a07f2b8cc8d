package ledger

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// A segment is one file of the log.
type segment struct {
	f    *os.File
	name string
	size int64
	end  int64 // where the next frame goes
}

func segmentName(first uint64) string { return fmt.Sprintf("%020d.seg", first) }

// makeSegment makes a segment of zeros that has no name of its own yet. Filled
// tells that they are written: allocated blocks still cost a journal entry when
// a sync first finds something in them; written zeros do not.
func makeSegment(path string, size int64, filled bool) (*segment, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	fail := func(err error) (*segment, error) {
		f.Close()
		os.Remove(path)
		return nil, err
	}
	if err := reserve(f, size); err != nil {
		return fail(fmt.Errorf("no room for a segment of %d octets: %w", size, err))
	}
	zeros := make([]byte, 64<<10) // which stay in the processor's cache
	for at := int64(0); filled && at < size; at += int64(len(zeros)) {
		if _, err := f.WriteAt(zeros[:min(int64(len(zeros)), size-at)], at); err != nil {
			return fail(err)
		}
	}
	if err := f.Sync(); err != nil {
		return fail(err)
	}
	return &segment{f: f, size: size}, nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// openSegment opens a segment for writing; where it ends is not yet known.
func openSegment(path string) (*segment, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, err
	}
	return &segment{f: f, name: filepath.Base(path), size: info.Size()}, nil
}

func (s *segment) write(b []byte) error {
	n, err := s.f.WriteAt(b, s.end)
	if err != nil {
		return err
	}
	s.end += int64(n)
	return nil
}

// cut zeroes everything from an offset on, as a new segment has it.
func (s *segment) cut(end int64) error {
	s.end = end
	tail := make([]byte, 64<<10)
	for at := end; at < s.size; at += int64(len(tail)) {
		n, _ := s.f.ReadAt(tail[:min(int64(len(tail)), s.size-at)], at)
		if isZero(tail[:n]) {
			continue
		}
		if _, err := s.f.WriteAt(make([]byte, n), at); err != nil {
			return err
		}
	}
	return s.f.Sync()
}

func (s *segment) close() error { return s.f.Close() }

func isZero(b []byte) bool {
	for len(b) > len(zeros) {
		if !bytes.Equal(b[:len(zeros)], zeros[:]) {
			return false
		}
		b = b[len(zeros):]
	}
	return bytes.Equal(b, zeros[:len(b)])
}

var zeros [4096]byte

// roll ends the current segment and begins the next.
func (l *Ledger) roll(first uint64, least int64) error {
	next, err := l.takeNext(first, least)
	if next == nil && err == nil {
		if next, err = makeSegment(filepath.Join(l.o.Dir, segmentName(first)+".new"), max(l.o.SegmentSize, least), !l.o.Memory); err == nil {
			err = l.name(next, first)
		}
	}
	if err != nil {
		return err
	}
	if l.file != nil {
		if err := l.o.Sync(l.file.f); err != nil {
			next.close()
			os.Remove(filepath.Join(l.o.Dir, next.name))
			return err
		}
		if err := l.file.close(); err != nil {
			return err
		}
	}
	l.file = next
	return nil
}

// segments lists the segment files in order.
func segments(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	var names []string
	for _, e := range entries {
		if name := e.Name(); strings.HasSuffix(name, ".seg") && len(name) == len(segmentName(0)) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// firstOf is the first sequence number of a segment by its name.
func firstOf(name string) uint64 {
	n, _ := strconv.ParseUint(strings.TrimSuffix(name, ".seg"), 10, 64) // the name was made by segmentName, else 0 fits nowhere
	return n
}

// recover finds the end of the log and cuts a torn tail.
func (l *Ledger) recover() error {
	if err := l.cutLeftovers(); err != nil {
		return err
	}
	names, err := segments(l.o.Dir)
	if err != nil || len(names) == 0 {
		return err
	}
	if err := contiguous(l.o.Dir, names); err != nil {
		return err
	}
	if err := nothingLost(l.o.Dir, names[0], l.begun); err != nil {
		return err
	}
	last := names[len(names)-1]
	s, err := openSegment(filepath.Join(l.o.Dir, last))
	if err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	data, err := s.written()
	if err != nil {
		s.close()
		return fmt.Errorf("ledger: %w", err)
	}
	zeroed := erasures{begun: l.begun}
	var unreadable error
	next, end, err := scan(data, firstOf(last), func(r Record) bool {
		unreadable = zeroed.see(&r)
		return unreadable == nil
	})
	if err = errors.Join(unreadable, err); err != nil {
		s.close()
		return &DamageError{File: last, Offset: end, Text: err.Error()}
	}
	if seq, place := zeroed.unnamed(); seq != 0 {
		// Of a batch that a crash has torn, the header may be there and the payload not.
		next, end = seq, place.Offset
	}
	if !isZero(data[end:]) {
		if at := laterFrame(data[end:], next); at >= 0 {
			s.close()
			return &DamageError{File: last, Offset: end, Text: fmt.Sprintf("record %d can't be read, but a later one follows at octet %d", next, end+int64(at))}
		}
		l.o.Log.Warn("the ledger ended in a record that was not written whole; it was never acknowledged and is cut off", "file", last, "octet", end, "record", next)
		if err := s.cut(end); err != nil {
			s.close()
			return fmt.Errorf("ledger: %w", err)
		}
	}
	s.end = end
	l.file, l.seq, l.durable, l.first = s, next-1, next-1, firstOf(names[0])
	return nil
}

// zeroStep is how much of a segment is looked at once for what is written there.
const zeroStep = 1 << 20

// written reads a segment but for the zeros at its end, which are most of a new
// one.
func (s *segment) written() ([]byte, error) {
	step := make([]byte, min(zeroStep, s.size))
	end := s.size
	for end > 0 {
		from := max(0, end-zeroStep)
		if _, err := s.f.ReadAt(step[:end-from], from); err != nil {
			return nil, err
		}
		if !isZero(step[:end-from]) {
			break
		}
		end = from
	}
	// A frame that ends there may be followed by zeros of its own.
	data := make([]byte, min(s.size, end+align))
	_, err := s.f.ReadAt(data, 0)
	return data, err
}

// cutLeftovers removes segments whose making was interrupted.
func (l *Ledger) cutLeftovers() error {
	leftover, _ := filepath.Glob(filepath.Join(l.o.Dir, "*.seg.new"))
	for _, name := range leftover {
		if err := os.Remove(name); err != nil {
			return fmt.Errorf("ledger: %w", err)
		}
	}
	return nil
}

// contiguous checks that each segment begins with the record of its name and
// ends right before the next one: that none is missing or stands in the place
// of another. It reads only their ends.
func contiguous(dir string, names []string) error {
	for i, name := range names[:len(names)-1] {
		first, last, err := ends(filepath.Join(dir, name))
		if err != nil {
			return fmt.Errorf("ledger: %w", err)
		}
		if first != firstOf(name) {
			return &DamageError{File: name, Text: fmt.Sprintf("it begins with record %d", first)}
		}
		if next := firstOf(names[i+1]); last+1 != next {
			return &DamageError{File: name, Text: fmt.Sprintf("it ends with record %d, and %s begins with %d", last, names[i+1], next)}
		}
	}
	return nil
}

// ends are the first and the last record that can be read in a segment, 0 for none.
func ends(path string) (first, last uint64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0, 0, err
	}
	r := frameReader{f: f, size: info.Size()}
	rec, err := r.next()
	if errors.Is(err, errNoFrame) {
		return 0, 0, nil
	}
	if err != nil {
		return 0, 0, err
	}
	first = rec.Seq
	const most = headerSize + maxPublic + saltSize + maxPayload + align
	// The last record is mostly near the end: at a start this is done with every file.
	for to, step := info.Size(), int64(one); to > 0; to, step = to-step, min(4*step, window) {
		from := max(0, to-step)
		buf := make([]byte, min(to+most, info.Size())-from)
		if _, err := f.ReadAt(buf, from); err != nil {
			return 0, 0, err
		}
		for at := int(to-from-1) &^ (align - 1); at >= 0; at -= align {
			if len(buf)-at < headerSize || buf[at+11] != version {
				continue
			}
			if rec, _, err := parseFrame(buf[at:]); err == nil {
				return first, rec.Seq, nil
			}
		}
	}
	return first, 0, nil
}

// scan walks the frames of a segment's data that begins with record first. It
// returns the sequence number after the last whole frame and where that ends.
func scan(data []byte, first uint64, f func(Record) bool) (next uint64, end int64, err error) {
	next = first
	for {
		r, size, perr := parseFrame(data[end:])
		if perr != nil {
			return next, end, nil
		}
		if r.Seq != next {
			return next, end, fmt.Errorf("record %d stands where %d belongs", r.Seq, next)
		}
		r.Place = Place{r.Seq, end}
		if !f(r) {
			return next, end, nil
		}
		next++
		end += int64(size)
		if end > int64(len(data)) {
			end = int64(len(data))
		}
	}
}

// laterFrame looks for a whole frame of a later batch than that of record
// next. If there is one, next was on disk once, since a batch is written only
// when the one before it is synced. Frames of next's own batch may be there
// without it: a crash tears a batch anywhere, and nobody was told of it.
func laterFrame(data []byte, next uint64) int {
	for at := align; at+headerSize <= len(data); at += align {
		if data[at+11] != version {
			continue
		}
		if seq := binary.LittleEndian.Uint64(data[at+16:]); seq <= next || seq > next+1<<32 {
			continue
		}
		if r, _, err := parseFrame(data[at:]); err == nil && r.batch > next {
			return at
		}
	}
	return -1
}
