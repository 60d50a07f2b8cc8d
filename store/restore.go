package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"dialgate/policy"
	"dialgate/store/ledger"
)

// RestoreOptions of Restore.
type RestoreOptions struct {
	Store      Options
	Keys       []ledger.Key // that the backups must be signed with; none: those they hold
	Identities Identities   // for encrypted backups
	// LedgerKey is a copy of the node's private key, which is not in a backup.
	// "": the node makes a new one at its next start.
	LedgerKey string
	// Erasures is where later erasures stand: a ledger's directory, even a
	// damaged one, an export of the ledger, or a list. "": there are none.
	Erasures string
	// Number reads a number of a list.
	Number func(string) (policy.Number, error)
}

// A Restored says what a restore has made.
type Restored struct {
	Key     string `json:"key"` // that the last backup was signed with
	First   uint64 `json:"first"`
	Last    uint64 `json:"last"`
	Erased  int    `json:"erased"`  // payloads left out: an erasure in a later backup names them
	Applied int    `json:"applied"` // erasures that came after the last backup and were applied
	Lost    uint64 `json:"lost"`    // records after the last backup that Erasures lacks: at least so many
}

// Restore makes a store anew from a full backup and its increments, in a
// directory that is empty or not there. Until all is verified and on disk there
// is nothing under its name. The projection is made at the next start.
func Restore(o RestoreOptions, backups ...string) (r Restored, err error) {
	dir := filepath.Clean(o.Store.Dir)
	o.Store.ErasureKey = o.Store.erasureKeyPath()
	if o.Store.Log == nil {
		o.Store.Log = slog.New(slog.DiscardHandler)
	}
	tmp, put, err := besides(dir)
	if err != nil {
		return r, fmt.Errorf("restore: %w", err)
	}
	unlock, err := beginRestore(tmp)
	if err != nil {
		return r, err
	}
	r, err = o.restore(tmp, backups, unlock)
	if err == nil {
		err = put()
	}
	if err != nil {
		return r, errors.Join(err, unlock(), os.RemoveAll(tmp))
	}
	return r, nil
}

// besides is where a store is written before it stands in its directory, and
// what puts it there. A directory that is there may be a mount, which can't be
// renamed over: it is written inside of it then.
func besides(dir string) (tmp string, put func() error, err error) {
	tmp = dir + ".restoring"
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return tmp, func() error { return errors.Join(os.Rename(tmp, dir), syncDir(filepath.Dir(dir))) }, nil
	}
	if err != nil {
		return "", nil, err
	}
	tmp = filepath.Join(dir, "restoring")
	for _, e := range entries {
		if e.Name() != filepath.Base(tmp) { // of a restore that was killed
			return "", nil, fmt.Errorf("%s is not empty: move what is there away, or name another directory under store.path", dir)
		}
	}
	return tmp, func() error { return moveInto(dir, tmp) }, nil
}

// moveInto moves what is in a directory into another one, the ledger first:
// with it the store is there, and the node can make the rest.
func moveInto(dir, tmp string) error {
	if err := os.Rename(filepath.Join(tmp, "ledger"), filepath.Join(dir, "ledger")); err != nil {
		return err
	}
	entries, err := os.ReadDir(tmp)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := os.Rename(filepath.Join(tmp, e.Name()), filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return errors.Join(os.Remove(tmp), syncDir(dir))
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// beginRestore makes the directory that is written to. What an interrupted
// restore has left there goes, unless it still runs.
func beginRestore(tmp string) (unlock func() error, err error) {
	at := filepath.Join(tmp, "ledger")
	if _, err := os.Stat(at); err == nil {
		lock, err := ledger.Lock(at)
		if err != nil {
			return nil, err
		}
		if err := errors.Join(lock.Close(), os.RemoveAll(tmp)); err != nil {
			return nil, fmt.Errorf("restore: %w", err)
		}
	}
	if err := os.MkdirAll(at, 0o700); err != nil {
		return nil, fmt.Errorf("restore: %w", err)
	}
	lock, err := ledger.Lock(at)
	if err != nil {
		return nil, err
	}
	open := true
	return func() error {
		if !open {
			return nil
		}
		open = false
		return lock.Close()
	}, nil
}

// restore writes the store, which is unlocked when it returns without an error.
func (o *RestoreOptions) restore(tmp string, paths []string, unlock func() error) (r Restored, err error) {
	files := make([]ledger.BackupFile, len(paths))
	for i, path := range paths {
		files[i] = backupFile(path, o.Identities)
	}
	blocks := &Store{o: o.Store} // only to read the key of erased numbers
	made, err := ledger.Restore(filepath.Join(tmp, "ledger"), ledger.RestoreOptions{
		SegmentSize: o.Store.Ledger.SegmentSize, Keys: o.Keys, Seen: blocks.keyFits}, files)
	if err != nil {
		return r, err
	}
	r = Restored{Key: made.Key.String(), First: made.First, Last: made.Last, Erased: made.Erased}
	if o.LedgerKey != "" {
		if err := copyLedgerKey(o.LedgerKey, filepath.Join(tmp, ledgerKeyFile), made.Key); err != nil {
			return r, err
		}
	}
	if err := unlock(); err != nil {
		return r, err
	}
	if o.Erasures != "" {
		if err := o.eraseAgain(tmp, &r); err != nil {
			return r, fmt.Errorf("the erasures of %s: %w", o.Erasures, err)
		}
	}
	return r, syncDir(tmp)
}

// keyFits fails when a record is an erasure whose number the key at hand does
// not recognise: an erased person would be called again.
func (s *Store) keyFits(r *ledger.Record) error {
	if r.Kind != ledger.KindErasure || len(r.Payload) == 0 {
		return nil
	}
	var b Block
	if err := json.Unmarshal(r.Payload, &b); err != nil {
		return fmt.Errorf("record %d holds no erasure", r.Seq)
	}
	key, err := s.erasureKey(false)
	if err != nil {
		return err
	}
	if b.KeyCheck != keyCheck(key) {
		return fmt.Errorf("%s holds another key than the one that numbers were erased with; bring that one back", s.o.erasureKeyPath())
	}
	return nil
}

// copyLedgerKey copies the node's private key, if it is the one.
func copyLedgerKey(from, to string, want ledger.Key) error {
	text, err := os.ReadFile(from)
	if err != nil {
		return fmt.Errorf("the ledger's key: %w", err)
	}
	public, _, _ := strings.Cut(string(text), "\n")
	if key, err := ledger.ParseKey(public); err != nil || key.String() != want.String() {
		return fmt.Errorf("%s is not the key that the last backup was signed with: give a copy of that node's ledger.key, or none, and the node makes a new one", from)
	}
	return writeSynced(to, text)
}
