package ledger

import (
	"errors"
	"os"
	"path/filepath"
	"time"
)

// ErrNoRoom is why a record is refused while the disk has no room for another
// segment. What is left of the one in use is kept for vital records.
var ErrNoRoom = errors.New("the disk is nearly full")

// nextFile is the next segment while it has no name yet; it is no segment after a crash.
const nextFile = "next.seg.new"

// retryNext is how long it takes to try again to make a segment.
const retryNext = time.Second

// prepare has the next segment made when half of the current one is used: so
// nobody waits for that, and a full disk shows while there is room.
func (l *Ledger) prepare() {
	if l.file == nil || l.file.end < l.file.size/2 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.next == nil && !l.making && !l.closed {
		l.making = true
		l.makers.Go(l.makeNext)
	}
}

// makeNext makes the next segment, however long that takes. Meanwhile, once it
// has failed, only vital records are taken.
func (l *Ledger) makeNext() {
	for {
		s, err := makeSegment(filepath.Join(l.o.Dir, nextFile), l.o.SegmentSize, !l.o.Memory)
		l.mu.Lock()
		first := err != nil && !l.short
		again := err == nil && l.short
		l.next, l.short, l.making = s, err != nil, err != nil
		closed := l.closed
		l.mu.Unlock()
		if first {
			l.o.Log.Error("there is no room for the ledger's next file: what is left of this one is kept for objections and withdrawals", "error", err)
		}
		if again {
			l.o.Log.Info("there is room for the ledger's next file again")
		}
		if err == nil || closed {
			return
		}
		select {
		case <-l.done:
			return
		case <-time.After(retryNext):
		}
	}
}

// takeNext gives the next segment its name, nil when there is none that is large enough.
func (l *Ledger) takeNext(first uint64, least int64) (*segment, error) {
	l.mu.Lock()
	s := l.next
	if s == nil || s.size < least {
		l.mu.Unlock()
		return nil, nil
	}
	l.next = nil
	l.mu.Unlock()
	return s, l.name(s, first)
}

// name puts a segment in its place, or removes it.
func (l *Ledger) name(s *segment, first uint64) error {
	from := s.f.Name()
	s.name = segmentName(first)
	to := filepath.Join(l.o.Dir, s.name)
	err := os.Rename(from, to)
	if err == nil {
		from = to
		err = syncDir(l.o.Dir)
	}
	if err != nil {
		return errors.Join(err, s.f.Close(), os.Remove(from))
	}
	return nil
}

// closeNext gives back what was prepared and is not needed.
func (l *Ledger) closeNext() {
	l.makers.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.next != nil {
		l.next.close()
		os.Remove(filepath.Join(l.o.Dir, nextFile))
		l.next = nil
	}
}
