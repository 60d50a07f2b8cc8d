package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"filippo.io/age"

	"dialgate/store"
	"dialgate/store/ledger"
)

type backupCmd struct {
	Config    string   `short:"c" help:"Configuration file; default: the embedded one." placeholder:"FILE"`
	Since     string   `help:"An earlier backup: only what came after it is written." placeholder:"FILE"`
	Recipient []string `help:"Encrypt for the holder of this key (age1...), as age does; may be given several times." placeholder:"KEY"`
	JSON      bool     `help:"As JSON."`
	File      string   `arg:"" help:"Where to write it. FILE.checkpoint beside it is what a later backup goes on from."`
}

// Help is printed by --help.
func (backupCmd) Help() string {
	return "Example: dialgate backup --recipient age1... monday.backup\n" +
		"         dialgate backup --recipient age1... --since monday.backup tuesday.backup\n" +
		"Takes it of a running node too. It holds no key: keep ledger.key of store.path and the key of erased numbers apart from it.\n" +
		"Make one that goes on from the last after every erasure, so that a restored store does not know the person again."
}

// A backedUp is what backup prints.
type backedUp struct {
	File    string  `json:"file"`
	First   uint64  `json:"first"`
	Last    uint64  `json:"last"`
	Octets  int64   `json:"octets"`
	Seconds float64 `json:"seconds"`
	Sealed  bool    `json:"encrypted"`
}

// Run writes a backup whole or not at all.
func (c backupCmd) Run(s streams) error {
	var to []age.Recipient
	for _, text := range c.Recipient {
		r, err := age.ParseRecipients(strings.NewReader(text))
		if err != nil {
			return usageError("--recipient %s is no key of age: %v", text, err)
		}
		to = append(to, r...)
	}
	var after []byte
	if c.Since != "" {
		var err error
		if after, err = os.ReadFile(c.Since + ".checkpoint"); err != nil {
			return usageError("--since needs the checkpoint that lies beside a backup: %v; make a whole backup", err)
		}
	}
	for _, path := range []string{c.File, c.File + ".checkpoint"} {
		if _, err := os.Lstat(path); err == nil {
			return usageError("%s is there already; backups are not overwritten, choose another name", path)
		}
	}
	start := time.Now()
	done := backedUp{File: c.File, Sealed: len(to) > 0}
	err := withKeeper(c.Config, func(k keeper) (err error) { return c.write(k, after, to, &done) })
	if err != nil {
		return err
	}
	done.Seconds = time.Since(start).Seconds()
	if c.JSON {
		return printJSON(s.out, done)
	}
	fmt.Fprintf(s.out, "%s: records %d to %d, %d octets in %.1f s\n", done.File, done.First, done.Last, done.Octets, done.Seconds)
	if !done.Sealed {
		fmt.Fprintln(s.err, "dialgate: it is not encrypted, and holds telephone numbers in full; use --recipient for what leaves the host")
	}
	return nil
}

// write takes the backup and checks it while it comes.
func (c backupCmd) write(k keeper, after []byte, to []age.Recipient, done *backedUp) (err error) {
	tmp := c.File + ".new"
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(tmp)
			os.Remove(c.File + ".checkpoint")
		}
	}()
	sealed, err := store.SealBackup(f, to)
	if err != nil {
		return err
	}
	r, w := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := k.Backup(w, after)
		w.CloseWithError(err) // nil: the end
		ended <- err
	}()
	head, end, err := ledger.CheckBackup(io.TeeReader(r, sealed))
	r.CloseWithError(io.ErrClosedPipe)
	if failed := <-ended; failed != nil && err != nil {
		err = failed
	}
	if err = errors.Join(err, sealed.Close()); err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	done.First, done.Last, done.Octets = head.First, end.Size, info.Size()
	if err := errors.Join(f.Sync(), f.Close(), os.WriteFile(c.File+".checkpoint", end.Note, 0o600), os.Rename(tmp, c.File)); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(c.File))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

type restoreCmd struct {
	Config     string   `short:"c" help:"Configuration file; default: the embedded one." placeholder:"FILE"`
	Identity   string   `help:"File of the key that the backups were encrypted for, as age-keygen makes it." placeholder:"FILE"`
	Key        []string `help:"The node's public key, as audit key prints it, or a file of it; without it the backups are taken at their word." placeholder:"KEY"`
	SigningKey string   `help:"The node's ledger.key, so that it goes on signing with it; default: a new one." placeholder:"FILE"`
	Erased     string   `help:"The ledger's directory of the lost store, even a damaged one: what was erased there after the last backup is erased again." placeholder:"DIR"`
	JSON       bool     `help:"As JSON."`
	Files      []string `arg:"" help:"A whole backup and those that go on from it, in their order."`
}

// Help is printed by --help.
func (restoreCmd) Help() string {
	return "Example: dialgate restore --identity backup.key --signing-key ledger.key monday.backup tuesday.backup\n" +
		"Makes the store that the configuration names, whose directory must be empty, and verifies every record against what the node has signed.\n" +
		"Erasures after the last backup are in no backup: give --erased, or erase those numbers again before the node starts."
}

// Run makes a store of backups.
func (c restoreCmd) Run(s streams) error {
	cfg, _, err := loadConfig(c.Config)
	if err != nil {
		return err
	}
	from := store.Restoring{Erased: c.Erased}
	if from.Keys, err = readKeys(c.Key); err != nil {
		return err
	}
	if c.SigningKey != "" {
		if from.SigningKey, err = os.ReadFile(c.SigningKey); err != nil {
			return usageError("--signing-key: %v", err)
		}
	}
	with, err := c.identities()
	if err != nil {
		return err
	}
	for _, path := range c.Files {
		f, err := os.Open(path)
		if err != nil {
			return usageError("%v", err)
		}
		defer f.Close()
		in, err := store.OpenBackup(f, with)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		from.Backups = append(from.Backups, in)
	}
	start := time.Now()
	done, err := store.Restore(storeOptions(cfg), from)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(s.out, done)
	}
	fmt.Fprintf(s.out, "restored %s: records %d to %d as they were signed, %d facts, %d records erased, in %.1f s\n",
		cfg.Store.Path, done.First, done.Records, done.Facts, done.Erased, time.Since(start).Seconds())
	if c.Erased == "" {
		fmt.Fprintln(s.err, "dialgate: numbers that were erased after the last backup are known again; erase them before the node starts, or restore with --erased")
	} else {
		fmt.Fprintf(s.out, "%d erasures after the last backup were done again\n", done.Later)
	}
	if done.NewKey {
		fmt.Fprintln(s.err, "dialgate: checkpoints are signed with a new key from here on; keep the old public key, it proves what came before")
	}
	return nil
}

func (c restoreCmd) identities() ([]age.Identity, error) {
	if c.Identity == "" {
		return nil, nil
	}
	f, err := os.Open(c.Identity)
	if err != nil {
		return nil, usageError("--identity: %v", err)
	}
	defer f.Close()
	with, err := age.ParseIdentities(f)
	if err != nil {
		return nil, usageError("--identity %s holds no key of age: %v", c.Identity, err)
	}
	return with, nil
}
