package store

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"dialgate/policy"
	"dialgate/store/ledger"
)

// A laterErasure is an erasure's record of a newer ledger.
type laterErasure struct {
	at      time.Time
	erases  []uint64
	ground  string
	payload []byte
}

// eraseAgain applies erasures that came after the last backup to a restored store.
func (o *RestoreOptions) eraseAgain(tmp string, r *Restored) error {
	info, err := os.Stat(o.Erasures)
	if err != nil {
		return err
	}
	if info.IsDir() {
		dir := o.Erasures
		if Exists(dir) {
			dir = filepath.Join(dir, "ledger")
		}
		torn := false
		err := o.eraseAsRecorded(tmp, r, false, func(see func(*ledger.Record, []byte) error) error {
			torn, err = ledger.Salvage(dir, func(rec *ledger.Record) error { return see(rec, rec.Leaf()) })
			return err
		})
		if torn {
			r.Lost++ // at least
		}
		return err
	}
	f, err := os.Open(o.Erasures)
	if err != nil {
		return err
	}
	defer f.Close()
	in := bufio.NewReader(f)
	start, err := in.Peek(len(exportStart))
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if string(start) != exportStart {
		return o.eraseListed(tmp, r, in)
	}
	return o.eraseAsRecorded(tmp, r, true, func(see func(*ledger.Record, []byte) error) error {
		key, err := ledger.ParseKey(r.Key)
		if err != nil {
			return err
		}
		_, err = readExport(in, see, key)
		return err
	})
}

// exportStart is what every export begins with.
const exportStart = `{"format":"` + ExportFormat

// eraseAsRecorded erases what the records of a newer ledger say. Those that
// both have must be the same, else the numbers of the records mean others; one
// that is signed with the same key needs none.
func (o *RestoreOptions) eraseAsRecorded(tmp string, r *Restored, signed bool, each func(see func(*ledger.Record, []byte) error) error) error {
	l, err := ledger.Open(ledger.Options{Dir: filepath.Join(tmp, "ledger"), Key: filepath.Join(tmp, ledgerKeyFile), SegmentSize: o.Store.Ledger.SegmentSize, Log: o.Store.Log})
	if err != nil {
		return err
	}
	blocks := &Store{o: o.Store}
	var later []laterErasure
	shared, next := 0, r.Last+1
	err = each(func(rec *ledger.Record, leaf []byte) error {
		if rec.Seq <= r.Last {
			shared++
			same, err := l.Holds(rec.Seq, leaf)
			if err == nil && !same {
				err = fmt.Errorf("record %d is another one than in the backup: it is of another ledger", rec.Seq)
			}
			return err
		}
		r.Lost += rec.Seq - next
		next = rec.Seq + 1
		if rec.Kind != ledger.KindErasure {
			return nil
		}
		if err := blocks.keyFits(rec); err != nil {
			return err
		}
		e, err := ledger.ParseErasure(rec.Public)
		later = append(later, laterErasure{rec.Time, e.Erases, e.Ground, bytes.Clone(rec.Payload)})
		return err
	})
	if err == nil && shared == 0 && (!signed || next == r.Last+1) {
		err = errors.New("it shares no record with the backup, so it can't be told whether it is of the same ledger; give an export of all of it, or a list")
	}
	for i := 0; i < len(later) && err == nil; i++ {
		err = later[i].apply(l, r)
	}
	return errors.Join(err, l.Close())
}

// apply erases once more what an erasure named, as far as it was restored.
func (e *laterErasure) apply(l *ledger.Ledger, r *Restored) error {
	named := map[uint64]bool{}
	first := r.Last
	for _, seq := range e.erases {
		if seq >= r.First && seq <= r.Last {
			named[seq] = true
			first = min(first, seq)
		}
	}
	var places []ledger.Place
	if len(named) > 0 {
		for rec, err := range l.All(first) {
			if err != nil {
				return err
			}
			if named[rec.Seq] {
				places = append(places, rec.Place)
			}
			if len(places) == len(named) {
				break
			}
		}
	}
	if len(places) == 0 && len(e.payload) == 0 {
		return nil // it goes on from the record before it
	}
	if _, err := l.Erase(places, e.at, e.ground, e.payload); err != nil {
		return err
	}
	if len(e.payload) > 0 {
		r.Applied++
	}
	return nil
}

// eraseListed erases the numbers of a list: one a line, a number and behind a
// space or a tab the ground. Lines that begin with # are comments.
func (o *RestoreOptions) eraseListed(tmp string, r *Restored, in io.Reader) error {
	list, err := o.readList(in)
	if err != nil {
		return err
	}
	options := o.Store
	options.Dir, options.Keep, options.Ledger.Memory = tmp, 0, false
	s, err := Open(options)
	if err != nil {
		return err
	}
	err = s.eraseAll(list, r)
	if err == nil && r.Applied > 0 {
		err = s.state.vanish(s.ledger.Durable())
	}
	return errors.Join(err, s.Close())
}

// A listed is one line of a list of erasures.
type listed struct {
	number policy.Number
	ground string
}

func (o *RestoreOptions) readList(in io.Reader) (list []listed, err error) {
	sc := bufio.NewScanner(in)
	for line := 1; sc.Scan(); line++ {
		text := strings.TrimSpace(sc.Text())
		if text == "" || text[0] == '#' {
			continue
		}
		number, ground, _ := strings.Cut(strings.ReplaceAll(text, "\t", " "), " ")
		n, err := o.Number(number)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", line, err)
		}
		ground = strings.TrimSpace(ground)
		if err := checkGround(n, ground); err != nil {
			return nil, fmt.Errorf("line %d: %w", line, err)
		}
		list = append(list, listed{n, ground})
	}
	return list, sc.Err()
}

// eraseAll erases the numbers of a list. What is blocked and of which nothing
// else is known was erased before the backup.
func (s *Store) eraseAll(list []listed, r *Restored) error {
	for _, e := range list {
		known := false
		err := s.recordsOf(e.number, func(*ledger.Record) error { known = true; return nil })
		if err != nil {
			return err
		}
		if !known && s.block(e.number) != nil {
			continue
		}
		if _, err := s.erase(e.number, e.ground); err != nil {
			return err
		}
		r.Applied++
	}
	return nil
}
