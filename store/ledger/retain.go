package ledger

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"time"
)

// A Retention is the public part of a record of [KindRetention]: the records up
// to Last were removed. Their hashes stay, so what comes after is proved as before.
type Retention struct {
	Last   uint64 `json:"last"`
	Ground string `json:"ground"`
}

func parseRetention(public []byte) (r Retention, err error) {
	if err := json.Unmarshal(public, &r); err != nil {
		return r, errors.New("a retention's record can't be read")
	}
	return r, nil
}

// First is the first record that is there, 0 in an empty ledger.
func (l *Ledger) First() uint64 {
	names, err := segments(l.o.Dir)
	if err != nil || len(names) == 0 {
		return 0
	}
	return firstOf(names[0])
}

// firstFile holds the number of the first record that is to be there. Without
// it a lost file would look like one that was removed, and what it says of
// numbers would be missing without a word.
const firstFile = "first"

func noteFirst(dir string, seq uint64) error {
	if err := writeNew(filepath.Join(dir, firstFile), fmt.Appendln(nil, seq)); err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	return nil
}

// nothingLost tells why the records before the first one that was found are
// missing, nil if they were removed. A restored ledger, or one of an older
// version, has no note yet: then the record of the removal is looked for, once.
func nothingLost(dir, oldest string, begun map[uint64]bool) error {
	first := firstOf(oldest)
	if first <= 1 {
		return nil
	}
	noted := uint64(1)
	text, err := os.ReadFile(filepath.Join(dir, firstFile))
	if err == nil {
		_, _ = fmt.Sscan(string(text), &noted) // what can't be read is no note
	} else if !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("ledger: %w", err)
	}
	if first <= noted {
		return nil
	}
	for r, err := range walk(dir, Place{Seq: first}, math.MaxUint64, begun) {
		if err != nil {
			break // it is told of in its own place
		}
		if r.Kind != KindRetention {
			continue
		}
		if removed, err := parseRetention(r.Public); err == nil && removed.Last >= first-1 {
			return noteFirst(dir, first)
		}
	}
	return &DamageError{File: oldest, Text: fmt.Sprintf("it begins with record %d; the records before it are missing, and no record says that they were removed", first)}
}

// Oldest is the last record of the oldest segment when all its records are
// older than an instant; 0 when they are not, or when it is written to.
func (l *Ledger) Oldest(before time.Time) (last uint64, err error) {
	names, err := segments(l.o.Dir)
	if err != nil || len(names) < 2 {
		return 0, err
	}
	last = firstOf(names[1]) - 1
	w := walker{dir: l.o.Dir, last: last}
	err = w.segment(names[0], 0, 0, func(r *Record) error {
		if !r.Time.Before(before) {
			return errStopped
		}
		return nil
	})
	if errors.Is(err, errStopped) {
		return 0, nil
	}
	if err == nil && w.next != last+1 {
		err = &DamageError{File: names[0], Offset: w.end, Text: fmt.Sprintf("record %d can't be read", w.next)}
	}
	return last, err
}

// Remove removes the oldest segment, which ends with record last, for good, and
// records that and the ground. The hashes of its records are on disk before.
func (l *Ledger) Remove(last uint64, now time.Time, ground string) error {
	l.erasing.Lock()
	defer l.erasing.Unlock()
	names, err := segments(l.o.Dir)
	if err != nil {
		return err
	}
	if len(names) < 2 || firstOf(names[1]) != last+1 {
		return fmt.Errorf("ledger: record %d does not end the oldest segment", last)
	}
	public, err := json.Marshal(Retention{last, ground})
	if err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	if _, err := l.AppendSync(Record{Time: now, Kind: KindRetention, Public: public}); err != nil {
		return err
	}
	if err := l.ask(request{settle: true}); err != nil {
		return err
	}
	if err := noteFirst(l.o.Dir, last+1); err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(l.o.Dir, names[0])); err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	return syncDir(l.o.Dir)
}
