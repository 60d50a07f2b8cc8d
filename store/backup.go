package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"filippo.io/age"

	"dialgate/store/ledger"
)

// A backup is one of the ledger: everything else is made anew from it. Neither
// key is in it. The one that checkpoints are signed with and the one that erased
// numbers are recognised by are kept apart, or who finds a backup could write
// history and try out numbers.

// Backup writes the ledger, or what came after an earlier backup's checkpoint,
// while calls and facts go on.
func (s *Store) Backup(w io.Writer, after []byte) error { return s.ledger.Backup(w, after) }

// SealBackup encrypts what is written for the holders of keys, in the form of
// age. Without recipients it is written as it is. Closing it ends the form.
func SealBackup(w io.Writer, to []age.Recipient) (io.WriteCloser, error) {
	if len(to) == 0 {
		return plain{w}, nil
	}
	sealed, err := age.Encrypt(w, to...)
	if err != nil {
		return nil, fmt.Errorf("store: the backup can't be encrypted: %w", err)
	}
	return sealed, nil
}

type plain struct{ io.Writer }

func (plain) Close() error { return nil }

// OpenBackup decrypts a backup with one of the identities; without any it is
// read as it is.
func OpenBackup(r io.Reader, with []age.Identity) (io.Reader, error) {
	if len(with) == 0 {
		return r, nil
	}
	opened, err := age.Decrypt(r, with...)
	var none *age.NoIdentityMatchError
	switch {
	case errors.As(err, &none):
		return nil, errors.New("the backup was encrypted for other keys than that of --identity")
	case err != nil:
		return nil, fmt.Errorf("the backup is no encrypted one, or is damaged: %w", err)
	}
	return opened, nil
}

// Restoring says what a store is made of.
type Restoring struct {
	Backups    []io.Reader  // a whole one and those that go on from it, in their order
	Keys       []ledger.Key // of the node that made them; none: they are taken at their word
	SigningKey []byte       // that node's ledger.key; nil: a new one is made
	// Erased is the directory of a newer copy of the same ledger, even a damaged
	// one: what was erased in it after the last backup is erased here too. "": none.
	Erased string
}

// A Restored tells what a restored store holds.
type Restored struct {
	Records uint64 `json:"records"`
	First   uint64 `json:"first"`
	Erased  int    `json:"erased"`       // records whose payload is gone
	Later   int    `json:"later_erased"` // erasures taken over from a newer copy
	Facts   int64  `json:"facts"`
	NewKey  bool   `json:"new_key"` // checkpoints are signed with a new key from here on
}

// Restore makes a store in o.Dir, which must be empty or not there, of backups.
// It is made beside that and moved there when all of it is verified, so that
// nothing half restored is ever found there.
func Restore(o Options, from Restoring) (done Restored, err error) {
	if entries, err := os.ReadDir(o.Dir); err == nil && len(entries) > 0 {
		return done, fmt.Errorf("store: %s is not empty; move it away, or name another directory under store.path", o.Dir)
	} else if err != nil && !errors.Is(err, os.ErrNotExist) {
		return done, fmt.Errorf("store: %w", err)
	}
	target := filepath.Clean(o.Dir)
	o.ErasureKey, o.Dir = o.erasureKeyPath(), target+".restoring"
	// What a restore that was killed has left is nothing.
	if err := os.RemoveAll(o.Dir); err != nil {
		return done, fmt.Errorf("store: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(o.Dir))
		}
	}()
	dir := filepath.Join(o.Dir, "ledger")
	report, err := restoreLedger(dir, from)
	if err != nil {
		return done, err
	}
	done = Restored{Records: report.Last, First: report.First, Erased: report.Erased, NewKey: from.SigningKey == nil}
	if from.SigningKey != nil {
		if err := writeSynced(filepath.Join(o.Dir, "ledger.key"), from.SigningKey); err != nil {
			return done, fmt.Errorf("store: %w", err)
		}
	}
	if done.Later, err = eraseLater(o, from.Erased, report.Last); err != nil {
		return done, err
	}
	if err := ledger.RemoveRetained(dir); err != nil {
		return done, err
	}
	s, err := Open(o)
	if err != nil {
		return done, err
	}
	for _, n := range s.Counts() {
		done.Facts += n
	}
	if err := s.Close(); err != nil {
		return done, err
	}
	if err := os.Remove(target); err != nil && !errors.Is(err, os.ErrNotExist) {
		return done, fmt.Errorf("store: %w", err)
	}
	if err := os.Rename(o.Dir, target); err != nil {
		return done, fmt.Errorf("store: %w", err)
	}
	parent, err := os.Open(filepath.Dir(target))
	if err != nil {
		return done, fmt.Errorf("store: %w", err)
	}
	return done, errors.Join(parent.Sync(), parent.Close())
}

func restoreLedger(dir string, from Restoring) (*ledger.Report, error) {
	r, err := ledger.NewRestorer(dir, from.Keys...)
	if err != nil {
		return nil, err
	}
	for i, b := range from.Backups {
		if err := r.Add(b); err != nil {
			if len(from.Backups) > 1 {
				err = fmt.Errorf("backup %d: %w", i+1, err)
			}
			return nil, err
		}
	}
	return r.Finish()
}

// eraseLater opens the restored ledger, which completes its hashes, and erases
// what a newer copy says was erased after record last.
func eraseLater(o Options, newer string, last uint64) (n int, err error) {
	o.Ledger.Dir, o.Ledger.Key = filepath.Join(o.Dir, "ledger"), filepath.Join(o.Dir, "ledger.key")
	var later []ledger.LaterErasure
	if newer != "" {
		if later, err = ledger.LaterErasures(newer, o.Ledger.Dir, last); err != nil {
			return 0, err
		}
	}
	l, err := ledger.Open(o.Ledger)
	if err != nil {
		return 0, err
	}
	for _, e := range later {
		if err = takeOverErasure(l, o.Ledger.Dir, &e, last); err != nil {
			break
		}
		n++
	}
	return n, errors.Join(err, l.Close())
}

func takeOverErasure(l *ledger.Ledger, dir string, e *ledger.LaterErasure, last uint64) error {
	var b Block
	if err := json.Unmarshal(e.Payload, &b); err != nil {
		return fmt.Errorf("store: an erasure of the newer copy can't be read: %w", err)
	}
	kept := b.Records[:0]
	for _, seq := range b.Records {
		if seq <= last { // the others are not in this ledger
			kept = append(kept, seq)
		}
	}
	b.Records = kept
	payload, err := json.Marshal(&b)
	if err != nil {
		return err
	}
	wanted := map[uint64]bool{}
	for _, seq := range e.Erases {
		wanted[seq] = seq <= last
	}
	places, err := ledger.PlacesOf(dir, wanted)
	if err != nil {
		return err
	}
	_, err = l.Erase(places, e.Time, e.Ground, payload)
	return err
}
