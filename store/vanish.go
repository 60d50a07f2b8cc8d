package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// How long what was deleted takes to be gone from Badger's files: vanishBound
// is given for it to leave the memory table; the compaction after it writes
// the database once (seen: 1.6 s in all with 140 MB, on a quiet disk).
const vanishBound = 30 * time.Second

// vanish makes what was deleted up to a version gone from the files on disk. Badger
// keeps it in its write-ahead log until the memory table is full, and in its
// tables until they are compacted. So the memory table is filled and the tree
// flattened, while lookups go on: Badger's own DropPrefix would stop them.
func (p *projection) vanish(version uint64) error {
	for range 8 {
		if err := p.turnOver(version); err != nil {
			return err
		}
		// Badger flattens only what lies on more than one level, or on a full
		// first one: fill that when there is nothing below.
		if levels := p.db.Levels(); slices.ContainsFunc(levels[1:], func(l badger.LevelInfo) bool { return l.NumTables > 0 }) {
			break
		}
	}
	if err := p.db.Flatten(1); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	return p.update(version, func(txn *badger.Txn) error {
		for i := range fillers {
			if err := txn.Delete(fillerKey(i)); err != nil {
				return err
			}
		}
		return txn.Delete(erasingKey)
	})
}

const (
	fillers    = 18           // a memory table and a little
	fillerSize = 1<<20 - 4096 // below the size from which Badger keeps values apart
)

func fillerKey(i int) []byte { return fmt.Appendf(nil, "Mfiller%02d", i) }

// turnOver fills the memory table and waits until its log is gone.
func (p *projection) turnOver(version uint64) error {
	logs, err := filepath.Glob(filepath.Join(p.dir, "*.mem"))
	if err != nil {
		return err
	}
	filler := make([]byte, fillerSize)
	for i := range fillers {
		if err := p.update(version, func(txn *badger.Txn) error { return txn.Set(fillerKey(i), filler) }); err != nil {
			return fmt.Errorf("store: %w", err)
		}
		// Badger makes the next table, and syncs its directory, under the lock
		// that lookups take: then little may be left to write.
		if err := p.syncLogs(); err != nil {
			return err
		}
	}
	for deadline := time.Now().Add(vanishBound); ; time.Sleep(5 * time.Millisecond) {
		left := slices.ContainsFunc(logs, func(path string) bool {
			_, err := os.Stat(path)
			return err == nil
		})
		if !left {
			return nil
		}
		if time.Now().After(deadline) {
			return errors.New("store: Badger has not written its memory table in time")
		}
	}
}

// syncLogs writes the memory table's log to the disk.
func (p *projection) syncLogs() error {
	logs, err := filepath.Glob(filepath.Join(p.dir, "*.mem"))
	if err != nil {
		return err
	}
	for _, path := range logs {
		f, err := os.Open(path)
		if errors.Is(err, os.ErrNotExist) {
			continue // it has just been written as a table
		}
		if err != nil {
			return fmt.Errorf("store: %w", err)
		}
		if err := errors.Join(f.Sync(), f.Close()); err != nil {
			return fmt.Errorf("store: %w", err)
		}
	}
	return nil
}

// vanishing reports whether an erasure was interrupted before it was gone from
// Badger's files.
func (p *projection) vanishing() (is bool, err error) {
	err = p.db.View(func(txn *badger.Txn) error {
		_, err := txn.Get(erasingKey)
		is = err == nil
		if errors.Is(err, badger.ErrKeyNotFound) {
			return nil
		}
		return err
	})
	return is, err
}

// finishErasure makes gone what an erasure, interrupted by a crash, has left
// in Badger's files.
func (s *Store) finishErasure() error {
	is, err := s.state.vanishing()
	if err != nil || !is {
		return err
	}
	s.o.Log.Warn("an erasure was interrupted; what it left in the projection's files is taken out now")
	return s.state.vanish(s.ledger.Durable())
}
