package ledger

import (
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// evidence is what makes a log that nobody can change unnoticed of one that
// is only on disk: the tree and the checkpoints. All but head is the
// committer's own.
type evidence struct {
	tree      *tree
	key       note.Signer
	public    Key
	file      *os.File  // the checkpoints
	end       int64     // where the next one goes
	due       time.Time // the next one, zero: there is nothing to sign
	settledIn string    // the segment in which the hashes were synced last
	changed   bool      // the last checkpoint was signed with another key
	before    string    // that key, as far as is known
	behind    bool      // the tree lacks records, since its file could not be written

	head Checkpoint // the last one; under the ledger's mu
}

// openEvidence opens the tree and the checkpoints, brings the tree up to the
// log, and holds it against what was signed last.
func (l *Ledger) openEvidence() (err error) {
	e := &l.evidence
	defer func() {
		if err != nil {
			l.closeEvidence()
		}
	}()
	made := false
	if e.key, made, err = openKey(l.o.Key); err != nil {
		return err
	}
	if e.public, err = publicKey(l.o.Key); err != nil {
		return err
	}
	if made {
		l.o.Log.Info("made the key that the ledger's checkpoints are signed with; give its public part to whoever is to check them", "file", l.o.Key, "public", e.public.String())
	}
	before := l.keyBefore()
	if err := os.WriteFile(filepath.Join(l.o.Dir, publicKeyFile), []byte(e.public.String()+"\n"), 0o600); err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	if e.file, err = os.OpenFile(filepath.Join(l.o.Dir, checkpointsFile), os.O_CREATE|os.O_RDWR, 0o600); err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	if e.head, e.end, err = lastCheckpoint(e.file); err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	if err := e.file.Truncate(e.end); err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	if e.head.Size > l.durable {
		return &DamageError{File: checkpointsFile, Offset: e.end,
			Text: fmt.Sprintf("it was signed at %s that there are %d records, and only %d are left", e.head.Time.Format(time.RFC3339), e.head.Size, l.durable)}
	}
	if e.head.Size > 0 {
		switch _, err := OpenCheckpoint(e.head.Note, e.public); {
		case errors.Is(err, errOtherKey):
			e.changed, e.before = true, before
		case err != nil:
			return &DamageError{File: checkpointsFile, Offset: e.end, Text: "the last checkpoint: " + err.Error()}
		}
	}
	if e.tree, err = openTree(l.o.Dir, l.o.Sync); err != nil {
		return err
	}
	return l.openHashes()
}

// openHashes computes what the file of hashes lacks, and all of it when it does
// not fit what was signed.
func (l *Ledger) openHashes() error {
	e := &l.evidence
	from := min(e.tree.sure, l.durable)
	if from < e.tree.sure {
		e.tree.sure = from // the log was cut: what comes next has other hashes
	}
	err := l.hashFrom(from)
	if err == nil {
		err = l.fits()
	}
	if err == nil || l.first > 1 || from == 0 {
		return err
	}
	l.o.Log.Warn("the ledger's hashes are not right and are computed anew", "because", err)
	e.tree.sure = 0
	if err := l.hashFrom(0); err != nil {
		return err
	}
	return l.fits()
}

// hashFrom brings the tree from its first size records up to the log.
func (l *Ledger) hashFrom(size uint64) error {
	t := l.evidence.tree
	if size+1 < l.first {
		return &DamageError{File: hashesFile, Text: fmt.Sprintf("it covers %d records, and those up to %d were removed by retention", size, l.first-1)}
	}
	if err := t.begin(size); err != nil {
		return err
	}
	for r, err := range walk(l.o.Dir, Place{Seq: size + 1}, l.durable, l.begun) {
		if err != nil {
			return err
		}
		if err := t.add(r.frame); err != nil {
			return fmt.Errorf("ledger: %w", err)
		}
	}
	if err := t.write(); err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	return nil
}

// fits holds the tree against the last checkpoint.
func (l *Ledger) fits() error {
	e := &l.evidence
	if e.head.Size == 0 {
		return nil
	}
	root, err := tlog.TreeHash(int64(e.head.Size), hashReader{e.tree.f})
	if err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	if root != e.head.Root {
		return &DamageError{File: checkpointsFile, Offset: e.end,
			Text: fmt.Sprintf("the first %d records are not those that were signed at %s; `dialgate audit verify` names the first that was changed", e.head.Size, e.head.Time.Format(time.RFC3339))}
	}
	return nil
}

func (l *Ledger) closeEvidence() {
	if t := l.evidence.tree; t != nil {
		t.settling.Lock() // until it is over
		defer t.settling.Unlock()
		t.f.Close()
	}
	if l.evidence.file != nil {
		l.evidence.file.Close()
	}
}

// follow adds a batch that is on disk to the tree, and signs when it is time.
func (l *Ledger) follow(buf []byte, frames []frame) {
	e := &l.evidence
	for i := 0; i < len(frames) && !e.behind; i++ {
		if err := e.tree.add(buf[:frames[i].size]); err != nil {
			l.fallBehind(err)
		}
		buf = buf[frames[i].size:]
	}
	if !e.behind && e.tree.size >= l.Checkpoint().Size+checkpointRecords {
		_ = l.sign() // it has logged
		return
	}
	if e.due.IsZero() {
		e.due = time.Now().Add(checkpointEvery)
	}
}

// fallBehind notes that the tree can't follow at the moment. The records are
// safe; the next checkpoint catches up.
func (l *Ledger) fallBehind(err error) {
	if !l.evidence.behind {
		l.o.Log.Error("the ledger's hashes can't be written; records are kept, but are not covered by a checkpoint until they can", "error", err)
	}
	l.evidence.behind = true
}

// sign appends a checkpoint for all that is on disk.
func (l *Ledger) sign() error {
	e := &l.evidence
	e.due = time.Time{}
	l.mu.Lock()
	durable, head := l.durable, e.head
	l.mu.Unlock()
	if durable == head.Size {
		return nil
	}
	err := l.signUp(durable)
	if err != nil {
		l.fallBehind(err)
		e.due = time.Now().Add(checkpointEvery)
		return fmt.Errorf("ledger: no checkpoint could be signed: %w", err)
	}
	if e.behind {
		e.behind = false
		l.o.Log.Info("the ledger's hashes are complete again", "records", durable)
	}
	return nil
}

func (l *Ledger) signUp(durable uint64) error {
	e := &l.evidence
	if e.behind {
		l.mu.Lock()
		from := e.head.Size
		l.mu.Unlock()
		if err := l.hashFrom(from); err != nil {
			return err
		}
	}
	if l.o.Memory && l.file != nil {
		// What is signed is on disk, in this mode too.
		if err := l.o.Sync(l.file.f); err != nil {
			return err
		}
	}
	if err := e.tree.write(); err != nil {
		return err
	}
	c, err := signCheckpoint(e.key, durable, e.tree.root(), time.Now())
	if err != nil {
		return err
	}
	end, err := appendCheckpoint(e.file, e.end, &c)
	if err != nil {
		return err
	}
	e.end = end
	l.mu.Lock()
	e.head = c
	l.mu.Unlock()
	// Once in a segment the hashes are synced, so that a start after a crash
	// computes no more than those of two.
	if l.file != nil && l.file.name != e.settledIn {
		e.settledIn = l.file.name
		e.tree.settleSoon()
	}
	return nil
}

// Checkpoint is the last checkpoint, zero when there is none yet.
func (l *Ledger) Checkpoint() Checkpoint {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.evidence.head
}

// Seal writes what waits and signs a checkpoint that covers it.
func (l *Ledger) Seal() (Checkpoint, error) {
	if err := l.ask(request{}); err != nil {
		return Checkpoint{}, err
	}
	return l.Checkpoint(), nil
}

// A request to the committer: a checkpoint at once, and perhaps the hashes synced.
type request struct {
	settle bool
	done   chan error
}

func (l *Ledger) ask(r request) error {
	r.done = make(chan error, 1)
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return ErrClosed
	}
	l.asked = append(l.asked, r)
	l.writeBy(time.Now())
	l.mu.Unlock()
	return <-r.done
}

func (l *Ledger) answer(r request) error {
	if err := l.sign(); err != nil || !r.settle {
		return err
	}
	if err := l.evidence.tree.settle(); err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	return nil
}

// PublicKey is the key that the ledger's checkpoints are verified with. Give
// it to whoever is to check: found beside the ledger it proves little.
func (l *Ledger) PublicKey() Key { return l.evidence.public }

// Prove makes the proof that a record is among those of a checkpoint.
func (l *Ledger) Prove(seq uint64, c Checkpoint) (Proof, error) {
	if seq == 0 || seq > c.Size {
		return nil, fmt.Errorf("ledger: record %d is not covered by a checkpoint of %d", seq, c.Size)
	}
	p, err := tlog.ProveRecord(int64(c.Size), int64(seq)-1, hashReader{l.evidence.tree.f})
	if err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	return Proof(p), nil
}

// ProveConsistency makes the proof that the records of an older checkpoint are
// the first of those of a newer one.
func (l *Ledger) ProveConsistency(older, newer Checkpoint) (Proof, error) {
	if older.Size == 0 || older.Size > newer.Size {
		return nil, fmt.Errorf("ledger: a tree of %d records is no beginning of one of %d", older.Size, newer.Size)
	}
	p, err := tlog.ProveTree(int64(newer.Size), int64(older.Size), hashReader{l.evidence.tree.f})
	if err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	return Proof(p), nil
}

// A Proof is a list of hashes that lead from a record, or from an older
// checkpoint, to a checkpoint (RFC 6962 sections 2.1.1 and 2.1.2).
type Proof []tlog.Hash

// Check checks that a record, given by its leaf, is number seq of a checkpoint.
func (p Proof) Check(c Checkpoint, seq uint64, leaf []byte) error {
	if seq == 0 || seq > c.Size {
		return fmt.Errorf("record %d is not covered by a checkpoint of %d", seq, c.Size)
	}
	if tlog.CheckRecord(tlog.RecordProof(p), int64(c.Size), c.Root, int64(seq)-1, tlog.RecordHash(leaf)) != nil {
		return fmt.Errorf("record %d is not the one that was signed", seq)
	}
	return nil
}

// CheckConsistency checks that an older checkpoint's records are the first of a newer one's.
func (p Proof) CheckConsistency(older, newer Checkpoint) error {
	if older.Size == 0 || older.Size > newer.Size || tlog.CheckTree(tlog.TreeProof(p), int64(newer.Size), newer.Root, int64(older.Size), older.Root) != nil {
		return fmt.Errorf("the %d records signed earlier are not the first of the %d signed later", older.Size, newer.Size)
	}
	return nil
}

// AppendText implements [encoding.TextAppender]: base64 of all hashes.
func (p Proof) AppendText(b []byte) ([]byte, error) {
	all := make([]byte, 0, len(p)*tlog.HashSize)
	for i := range p {
		all = append(all, p[i][:]...)
	}
	return base64.StdEncoding.AppendEncode(b, all), nil
}

// MarshalText implements [encoding.TextMarshaler].
func (p Proof) MarshalText() ([]byte, error) { return p.AppendText(nil) }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (p *Proof) UnmarshalText(text []byte) error {
	all, err := base64.StdEncoding.Strict().AppendDecode(nil, text)
	const most = 128 * tlog.HashSize // a tree of 2^64 records has 64 levels
	if err != nil || len(all)%tlog.HashSize != 0 || len(all) > most {
		return errors.New("a proof can't be read")
	}
	*p = (*p)[:0]
	for ; len(all) > 0; all = all[tlog.HashSize:] {
		*p = append(*p, tlog.Hash(all[:tlog.HashSize]))
	}
	return nil
}
