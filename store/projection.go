package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
	"github.com/dgraph-io/badger/v4/table"

	"dialgate/policy"
)

// A projection is the Badger database that the call path reads.
type projection struct {
	db    *badger.DB
	dir   string
	table atomic.Pointer[factTable] // nil: facts are read from Badger
	clean bool                      // it was closed, and is as it was then

	mu        sync.Mutex
	discarded uint64 // versions before it may go
	tally     tally  // how many facts there are, as on disk
}

// Keys: "F" and a number's 8 octets; "M" and a name for what belongs to all.
var (
	cursorKey = []byte("Mcursor") // the last ledger record that is folded in
	schemaKey = []byte("Mschema") // how the projection is laid out
)

// schema is the layout that this program writes. Another one is made anew from
// the ledger: 2 has entries with the versions of ledger records.
const schema = 2

func factKey(n policy.Number) [9]byte {
	var k [9]byte
	k[0] = 'F'
	binary.BigEndian.PutUint64(k[1:], n.Key())
	return k
}

// Badger opens silently without its tables when its MANIFEST is cut or gone, and
// ends the process on some damaged tables (seen in v4.9.6). So what it held at
// the last clean close stands in a file of ours, its files are read before it
// gets them, and should it die of them all the same, a marker says that an
// opening was begun and not survived.
const (
	markerFile = "opening"
	cleanFile  = "clean"
)

// errRebuild says why a projection is made anew.
type errRebuild struct{ why string }

func (e *errRebuild) Error() string { return "the projection of facts must be made anew: " + e.why }

// openProjection opens the database after looking at its files. An errRebuild
// tells that it can't be trusted.
func openProjection(dir string, log *slog.Logger) (*projection, error) {
	marker := filepath.Join(filepath.Dir(dir), markerFile)
	if _, err := os.Stat(marker); err == nil {
		return nil, &errRebuild{"an earlier start did not survive opening it"}
	}
	closed, err := looksWhole(dir)
	if err != nil {
		return nil, err
	}
	tables, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	if err := tablesWhole(tables); err != nil {
		return nil, err
	}
	if err := os.WriteFile(marker, nil, 0o600); err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	// Managed: the version of an entry is the ledger record that it follows, and
	// a read takes the newest. In Badger's own mode every read tells a goroutine
	// of its beginning and its end, which costs the call path two wake-ups.
	db, err := badger.OpenManaged(badgerOptions(dir, log))
	if err != nil {
		_ = os.Remove(marker) // it failed in order: the next start may try again
		return nil, &errRebuild{err.Error()}
	}
	if err := os.Remove(marker); err != nil {
		return nil, errors.Join(fmt.Errorf("store: %w", err), db.Close())
	}
	return &projection{db: db, dir: dir, clean: closed}, nil
}

// badgerOptions are those of a projection on a machine of two cores: the
// ledger is durable, so Badger need not be; see docs/adr/0002-badger-options.md.
func badgerOptions(dir string, log *slog.Logger) badger.Options {
	return badger.DefaultOptions(dir).
		WithSyncWrites(false).
		WithCompression(options.None).WithBlockCacheSize(0).WithIndexCacheSize(0).
		WithMemTableSize(8 << 20).WithNumMemtables(5).WithNumLevelZeroTables(5).WithNumLevelZeroTablesStall(15).
		WithNumCompactors(2).WithValueThreshold(1 << 20).WithNumVersionsToKeep(1).WithDetectConflicts(false).
		WithBloomFalsePositive(0.01).WithChecksumVerificationMode(options.NoVerification). // tablesWhole has looked
		WithLogger(badgerLog{log})
}

// looksWhole compares the files with what was there at the last clean close; it
// is not clean when that is not known.
func looksWhole(dir string) (closed bool, err error) {
	tables, _ := filepath.Glob(filepath.Join(dir, "*.sst"))
	_, err = os.Stat(filepath.Join(dir, "MANIFEST"))
	if len(tables) > 0 && err != nil {
		return false, &errRebuild{"there are tables but no MANIFEST"}
	}
	if err == nil {
		if err := manifestWhole(dir, tables); err != nil {
			return false, err
		}
	}
	clean, err := os.ReadFile(filepath.Join(dir, cleanFile))
	if err != nil {
		return false, nil // not closed cleanly, or new: the cursor tells how far it is
	}
	for _, line := range strings.Split(strings.TrimSpace(string(clean)), "\n") {
		name, size, _ := strings.Cut(line, " ")
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || fmt.Sprint(info.Size()) != size {
			return false, &errRebuild{fmt.Sprintf("%s is not as the last clean close left it", name)}
		}
	}
	return true, nil
}

// manifestWhole reads the MANIFEST as Badger will, which opens one that was cut
// without a word, and removes the tables that it does not name. A table that was
// just being written when the process was killed is not named either: there the
// projection is made anew for nothing, which is seldom and does no harm.
func manifestWhole(dir string, tables []string) error {
	f, err := os.Open(filepath.Join(dir, badger.ManifestFilename))
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	m, end, err := badger.ReplayManifestFile(f, 0, badger.DefaultOptions(dir))
	if err != nil {
		return &errRebuild{"its MANIFEST can't be read: " + err.Error()}
	}
	if end != info.Size() {
		return &errRebuild{fmt.Sprintf("its MANIFEST has %d octets, and they are whole up to %d", info.Size(), end)}
	}
	for _, path := range tables {
		id, ok := table.ParseFileID(path)
		if ok {
			_, ok = m.Tables[id]
		}
		if !ok {
			return &errRebuild{fmt.Sprintf("its MANIFEST does not name %s", filepath.Base(path))}
		}
	}
	return nil
}

// noteClean writes down the files of a database that has just been closed.
func noteClean(dir string) error {
	files, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil {
		return err
	}
	files = append(files, filepath.Join(dir, "MANIFEST"))
	slices.Sort(files)
	var b strings.Builder
	for _, f := range files {
		info, err := os.Stat(f)
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "%s %d\n", filepath.Base(f), info.Size())
	}
	return os.WriteFile(filepath.Join(dir, cleanFile), []byte(b.String()), 0o600)
}

func (p *projection) close() error {
	err := p.db.Close()
	if t := p.table.Load(); t != nil {
		err = errors.Join(err, t.close())
	}
	if err != nil {
		return err
	}
	return noteClean(p.dir)
}

// dirty forgets the note of the last clean close, before the first write.
func (p *projection) dirty() error {
	err := os.Remove(filepath.Join(p.dir, cleanFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// facts reads all that is known of a number in one read of its own snapshot:
// a transaction kept open would not see a new objection.
func (p *projection) facts(n policy.Number, into *policy.Facts) error {
	into.Number = n
	if t := p.table.Load(); t != nil {
		if err := t.facts(n, into); !errors.Is(err, errOutgrown) {
			return err
		}
	}
	return p.db.View(func(txn *badger.Txn) error { return read(txn, n, into) })
}

// remember reads what is known of all numbers into a table of at most so many
// octets, and keeps it up from then on. Badger is opened anew after that: the
// pages of its files that were read stay in the process's memory until then.
func (p *projection) remember(most int64, log *slog.Logger) error {
	t := newFactTable(most)
	err := p.each(func(f *policy.Facts) error { return t.put(f.Number, f) })
	if err == nil {
		err = t.settle()
	}
	if err != nil {
		_ = t.close() // there is an error that says more
	}
	if errors.Is(err, errOutgrown) {
		log.Info("facts are read from disk: those of all numbers need more memory than store.memory allows", "octets", most)
		return nil
	}
	if err == nil {
		err = p.db.Close()
	}
	if err != nil {
		return err
	}
	db, err := badger.OpenManaged(badgerOptions(p.dir, log))
	if err != nil {
		return errors.Join(fmt.Errorf("store: %w", err), t.close())
	}
	p.db = db
	p.db.SetDiscardTs(p.discarded)
	p.table.Store(t)
	log.Debug("the facts of all numbers are in memory", "octets", t.used.Load())
	return nil
}

func read(txn *badger.Txn, n policy.Number, into *policy.Facts) error {
	key := factKey(n)
	item, err := txn.Get(key[:])
	if errors.Is(err, badger.ErrKeyNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	return item.Value(func(value []byte) error { return readValue(value, n, into) })
}

// size is how many octets are kept of a number.
func (p *projection) size(n policy.Number) (size int64, err error) {
	key := factKey(n)
	err = p.db.View(func(txn *badger.Txn) error {
		item, err := txn.Get(key[:])
		if errors.Is(err, badger.ErrKeyNotFound) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("store: %w", err)
		}
		size = item.ValueSize()
		return nil
	})
	return size, err
}

// cursor is the last ledger record that is folded in, 0 in a new projection.
func (p *projection) cursor() (seq uint64, err error) {
	err = p.db.View(func(txn *badger.Txn) error {
		laidOut, err := getUint64(txn, schemaKey)
		if err != nil {
			return err
		}
		if seq, err = getUint64(txn, cursorKey); err == nil && seq != 0 && laidOut != schema {
			err = fmt.Errorf("its layout is %d, this program's is %d", laidOut, schema)
		}
		return err
	})
	return seq, err
}

func getUint64(txn *badger.Txn, key []byte) (n uint64, err error) {
	item, err := txn.Get(key)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return n, item.Value(func(v []byte) error {
		if len(v) != 8 {
			return errValue
		}
		n = binary.BigEndian.Uint64(v)
		return nil
	})
}

func (p *projection) setCursor(seq uint64) error {
	if seq == 0 {
		return nil // there is nothing yet, and no version 0
	}
	return p.update(seq, func(txn *badger.Txn) error { return putCursor(txn, seq) })
}

func putCursor(txn *badger.Txn, seq uint64) error {
	if err := txn.Set(schemaKey, binary.BigEndian.AppendUint64(nil, schema)); err != nil {
		return err
	}
	return txn.Set(cursorKey, binary.BigEndian.AppendUint64(nil, seq))
}

// update writes with the version of a ledger record; older versions may go. A
// change that comes late gets the version of the last one, since a read takes
// the newest.
func (p *projection) update(version uint64, f func(*badger.Txn) error) error {
	p.mu.Lock()
	version = max(version, p.discarded)
	p.mu.Unlock()
	txn := p.db.NewTransactionAt(math.MaxUint64, true)
	defer txn.Discard()
	if err := f(txn); err != nil {
		return err
	}
	if err := txn.CommitAt(version, nil); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if version > p.discarded {
		p.discarded = version
		p.db.SetDiscardTs(version)
	}
	return nil
}

// each calls f with every number that has facts, in the order of numbers. Their
// memory is used again for the next one.
func (p *projection) each(f func(*policy.Facts) error) error {
	return p.db.View(func(txn *badger.Txn) error {
		opts := badger.DefaultIteratorOptions
		opts.Prefix = []byte("F")
		it := txn.NewIterator(opts)
		defer it.Close()
		var facts policy.Facts
		for it.Rewind(); it.Valid(); it.Next() {
			n, ok := policy.NumberOfKey(binary.BigEndian.Uint64(it.Item().Key()[1:]))
			if !ok {
				return fmt.Errorf("%w: a key holds no number", errValue)
			}
			facts = policy.Facts{Number: n, All: facts.All[:0], Calls: facts.Calls[:0]}
			if err := it.Item().Value(func(v []byte) error { return readValue(v, n, &facts) }); err != nil {
				return err
			}
			if err := f(&facts); err != nil {
				return err
			}
		}
		return nil
	})
}

// badgerLog passes Badger's log on, shortened, one level down: its warnings
// are about its own business.
type badgerLog struct{ log *slog.Logger }

func (l badgerLog) say(level slog.Level, format string, args ...any) {
	const most = 300
	s := strings.TrimSpace(fmt.Sprintf(format, args...))
	if len(s) > most {
		s = s[:most]
	}
	l.log.Log(context.Background(), level, "badger: "+s)
}

func (l badgerLog) Errorf(f string, a ...any)   { l.say(slog.LevelError, f, a...) }
func (l badgerLog) Warningf(f string, a ...any) { l.say(slog.LevelDebug, f, a...) }
func (l badgerLog) Infof(f string, a ...any)    { l.say(slog.LevelDebug, f, a...) }
func (l badgerLog) Debugf(string, ...any)       {}
