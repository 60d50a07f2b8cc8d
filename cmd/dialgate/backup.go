package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"

	"dialgate/store"
	"dialgate/store/ledger"
)

type backupCmd struct {
	Config         string   `short:"c" help:"Configuration file; default: the embedded one." placeholder:"FILE"`
	Since          string   `help:"Make an increment: only what came after this backup, whose FILE.checkpoint is read." placeholder:"BACKUP"`
	Recipient      []string `help:"Encrypt it for this public key of age (age1...). Repeatable." placeholder:"KEY" sep:"none"`
	RecipientsFile []string `help:"Encrypt it for the public keys in this file. Repeatable." placeholder:"FILE" sep:"none"`
	Pace           int64    `help:"MiB a second at most, so that calls don't feel it; 0: no limit." default:"32"`
	JSON           bool     `help:"As JSON."`
	File           string   `arg:"" help:"Where to write it. A file that is there is not overwritten."`
}

// Help is printed by --help.
func (backupCmd) Help() string {
	return "Example: dialgate backup --recipient age1... monday.backup; a day later: dialgate backup --since monday.backup --recipient age1... tuesday.backup\n" +
		"Beside it is written FILE.checkpoint, which the next increment needs and an auditor can keep; it holds nothing personal.\n" +
		"Not in it: ledger.key and the key of erased numbers. Keep copies of both, apart from the backups and from each other."
}

// checkpointOf is the file beside a backup with the checkpoint of its end.
func checkpointOf(path string) string { return path + ".checkpoint" }

// Run makes a backup.
func (c backupCmd) Run(s streams) error {
	cfg, _, err := loadConfig(c.Config)
	if err != nil {
		return err
	}
	if !store.Exists(cfg.Store.Path) {
		return usageError("there is no store in %s", cfg.Store.Path)
	}
	if c.Pace < 0 {
		return usageError("--pace can't be negative")
	}
	for _, path := range []string{c.File, checkpointOf(c.File)} {
		if _, err := os.Lstat(path); err == nil {
			return usageError("%s is there already: name another file, or move it away", path)
		}
	}
	to, err := c.recipients()
	if err != nil {
		return err
	}
	var since []byte
	if c.Since != "" {
		if since, err = os.ReadFile(checkpointOf(c.Since)); err != nil {
			return usageError("the end of the earlier backup is not known: %v; bring that file back, or make a full backup", err)
		}
	}
	k, err := openKeeper(cfg.Store.Path, storeOptions(cfg))
	if err != nil {
		return err
	}
	end, size, err := c.write(k, to, since)
	if err = errors.Join(err, k.Close()); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(s.out, backedUp{c.File, size, end.Size, len(to) > 0, since != nil})
	}
	what := "backup"
	if since != nil {
		what = "increment"
	}
	fmt.Fprintf(s.out, "%s up to record %d: %d octets in %s\n", what, end.Size, size, c.File)
	if len(to) == 0 {
		fmt.Fprintln(s.out, "it is not encrypted, and holds numbers: give --recipient before it leaves this computer")
	}
	return nil
}

type backedUp struct {
	File      string `json:"file"`
	Octets    int64  `json:"octets"`
	Last      uint64 `json:"last"` // record
	Encrypted bool   `json:"encrypted"`
	Increment bool   `json:"increment"`
}

func (c backupCmd) recipients() (to store.Recipients, err error) {
	texts := c.Recipient
	for _, path := range c.RecipientsFile {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, usageError("%v", err)
		}
		texts = append(texts, string(text))
	}
	for _, text := range texts {
		more, err := store.ParseRecipients(text)
		if err != nil {
			return nil, usageError("%v", err)
		}
		to = append(to, more...)
	}
	return to, nil
}

// write writes the backup and, beside it, the checkpoint of its end.
func (c backupCmd) write(k keeper, to store.Recipients, since []byte) (end ledger.Checkpoint, size int64, err error) {
	err = writeWhole(c.File, func(w io.Writer) error {
		count := &counter{w: w}
		sealed, err := to.Encrypt(count)
		if err == nil {
			end, err = k.Backup(context.Background(), sealed, since, c.Pace<<20)
		}
		if err == nil {
			err = sealed.Close()
		}
		size = count.n
		return err
	})
	if err != nil {
		return end, size, err
	}
	return end, size, writeWhole(checkpointOf(c.File), func(w io.Writer) error { _, err := w.Write(end.Note); return err })
}

// A counter counts what is written, and keeps why it could not be.
type counter struct {
	w   io.Writer
	n   int64
	err error
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	c.err = errors.Join(c.err, err)
	return n, err
}

const (
	maxCheckpoint = 8 << 10 // bounds the checkpoint that an increment begins with
	maxRest       = 4 << 20 // bounds what is read behind the place where a backup is wrong
)

// causeTrailer says behind a backup that is not whole why.
const causeTrailer = "Dialgate-Cause"

// controlBackup streams a backup to who asks on the control socket.
func controlBackup(k ledgerKeeper, w http.ResponseWriter, r *http.Request) {
	since, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxCheckpoint))
	if err != nil {
		http.Error(w, oneLine(err), http.StatusBadRequest)
		return
	}
	if len(since) == 0 {
		since = nil
	}
	pace, err := strconv.ParseInt(r.URL.Query().Get("pace"), 10, 64)
	if err != nil || pace < 0 {
		http.Error(w, "pace is no number", http.StatusBadRequest)
		return
	}
	w.Header().Set("Trailer", causeTrailer)
	count := &counter{w: w}
	if _, err = k.Backup(r.Context(), count, since, pace); err == nil {
		return
	}
	if count.n > 0 {
		w.Header().Set(causeTrailer, oneLine(err)) // the client sees a stream without its end
		return
	}
	http.Error(w, oneLine(err), http.StatusInternalServerError)
}

// Backup copies the node's backup, and looks that it is whole.
func (r *remote) Backup(ctx context.Context, w io.Writer, since []byte, pace int64) (ledger.Checkpoint, error) {
	res, err := r.do(ctx, "POST", "/ledger/backup?pace="+strconv.FormatInt(pace, 10), bytes.NewReader(since))
	if err != nil {
		return ledger.Checkpoint{}, err
	}
	defer res.Body.Close()
	count := &counter{w: w}
	end, err := ledger.CopyBackup(count, res.Body)
	if err == nil || count.err != nil {
		return end, err
	}
	_, _ = io.CopyN(io.Discard, res.Body, maxRest) // what follows is the cause
	if cause := res.Trailer.Get(causeTrailer); cause != "" {
		err = errors.New(cause)
	}
	return end, fmt.Errorf("the running node's backup ended early, or the node was stopped: %w", err)
}

type restoreCmd struct {
	Config    string   `short:"c" help:"Configuration file, which says where the store is to be; default: the embedded one." placeholder:"FILE"`
	Identity  []string `help:"File with the private key of age that an encrypted backup is opened with. Repeatable." placeholder:"FILE" sep:"none"`
	Key       []string `help:"The node's public key, as audit key prints it, or a file that holds it: the backup must be signed with it. Repeat it when the key was changed. Default: the one in the backup, which proves little." placeholder:"KEY" sep:"none"`
	LedgerKey string   `help:"Your copy of the node's ledger.key; without it the node makes a new key." placeholder:"FILE"`
	Erasures  string   `help:"Erasures after the last backup, to be applied again: the directory of the newer ledger, even a damaged one; an audit export of it; or a list with a number and a ground on each line." placeholder:"PATH"`
	JSON      bool     `help:"As JSON."`
	File      string   `arg:"" help:"A full backup."`
	Increment []string `arg:"" optional:"" help:"Its increments, in their order."`
}

// Help is printed by --help.
func (restoreCmd) Help() string {
	return "Example: dialgate restore --identity key.txt --ledger-key ledger.key --erasures old-data sunday.backup monday.backup\n" +
		"The directory of the store must be empty or not there. Everything is held against what was signed before anything is written.\n" +
		"If numbers were erased, the key they are recognised by (store.erasure_key) must be in its place before."
}

// Run restores.
func (c restoreCmd) Run(s streams) error {
	cfg, _, err := loadConfig(c.Config)
	if err != nil {
		return err
	}
	keys, err := readKeys(c.Key)
	if err != nil {
		return err
	}
	o := store.RestoreOptions{Store: storeOptions(cfg), Keys: keys, LedgerKey: c.LedgerKey, Erasures: c.Erasures, Number: localNumber}
	for _, path := range c.Identity {
		text, err := os.ReadFile(path)
		if err != nil {
			return usageError("%v", err)
		}
		ids, err := store.ParseIdentities(bytes.NewReader(text))
		if err != nil {
			return usageError("%s: %v", path, err)
		}
		o.Identities = append(o.Identities, ids...)
	}
	r, err := store.Restore(o, append([]string{c.File}, c.Increment...)...)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(s.out, r)
	}
	fmt.Fprintf(s.out, "restored records %d to %d in %s; they are as they were signed with %s\n", r.First, r.Last, cfg.Store.Path, r.Key)
	if len(keys) == 0 {
		fmt.Fprintln(s.out, "that key was found in the backup: whoever changed the one could change the other; give the key with --key")
	}
	if r.Erased > 0 {
		fmt.Fprintf(s.out, "%d payloads that were erased since were left out\n", r.Erased)
	}
	if c.Erasures == "" {
		fmt.Fprintln(s.out, "numbers that were erased after the last of these backups are there again: erase them before calls are made (dialgate facts erase)")
	} else {
		fmt.Fprintf(s.out, "%d later erasures were applied again\n", r.Applied)
	}
	if r.Lost > 0 {
		fmt.Fprintf(s.out, "WARNING: at least %d records after the backup could not be read in %s; if one of them was an erasure, its number is there again\n", r.Lost, c.Erasures)
	}
	switch {
	case c.LedgerKey != "":
	case r.Applied > 0:
		fmt.Fprintln(s.out, "a new key for the checkpoints was made, and a record says so: give out its public part (dialgate audit key), and keep the old one; who verifies needs both")
	default:
		fmt.Fprintln(s.out, "the node makes a new key for its checkpoints, and records that, unless you put your copy of ledger.key into the directory before its next start")
	}
	return nil
}
