package ledger

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// A Checkpoint is a signed statement of what the ledger holds: the first Size
// records have the tree hash Root.
//
//	dialgate ledger
//	SIZE
//	ROOT, base64
//	TIME, RFC 3339
//
//	— dialgate SIGNATURE
type Checkpoint struct {
	Size uint64
	Root tlog.Hash
	Time time.Time
	Note []byte // as it was signed
}

const (
	checkpointsFile = "checkpoints"
	origin          = "dialgate ledger"
	keyName         = "dialgate"
	maxCheckpoint   = 4 << 10
	// A checkpoint is signed a second after its first record, or earlier when
	// so many have come.
	checkpointEvery   = time.Second
	checkpointRecords = 4096
)

func signCheckpoint(s note.Signer, size uint64, root tlog.Hash, now time.Time) (Checkpoint, error) {
	c := Checkpoint{Size: size, Root: root, Time: now.UTC().Truncate(time.Millisecond)}
	text := fmt.Sprintf("%s\n%d\n%s\n%s\n", origin, size, root, c.Time.Format(time.RFC3339Nano))
	var err error
	c.Note, err = note.Sign(&note.Note{Text: text}, s)
	return c, err
}

// OpenCheckpoint reads a checkpoint and checks that one of the keys signed it.
func OpenCheckpoint(signed []byte, keys ...Key) (c Checkpoint, err error) {
	list := make([]note.Verifier, len(keys))
	for i, k := range keys {
		list[i] = k.v
	}
	if len(signed) > maxCheckpoint {
		return c, errors.New("a checkpoint is too long")
	}
	n, err := note.Open(signed, note.VerifierList(list...))
	if err != nil {
		var unknown *note.UnverifiedNoteError
		if errors.As(err, &unknown) {
			return c, errOtherKey
		}
		return c, errors.New("a checkpoint's signature is not valid")
	}
	for _, sig := range n.Sigs {
		// One signature has one text form here, so that a changed octet shows.
		if _, err := base64.StdEncoding.Strict().DecodeString(sig.Base64); err != nil {
			return c, errCheckpoint
		}
	}
	if c, err = parseCheckpoint(n.Text); err != nil {
		return c, err
	}
	c.Note = signed
	return c, nil
}

// ReadCheckpoint reads a checkpoint without looking at its signature.
func ReadCheckpoint(signed []byte) (c Checkpoint, err error) {
	if len(signed) > maxCheckpoint {
		return c, errCheckpoint
	}
	text, _, _ := bytes.Cut(signed, []byte("\n\n"))
	if c, err = parseCheckpoint(string(text) + "\n"); err == nil {
		c.Note = bytes.Clone(signed)
	}
	return c, err
}

var errCheckpoint = errors.New("a checkpoint can't be read")

func parseCheckpoint(text string) (c Checkpoint, err error) {
	lines := strings.Split(text, "\n")
	if len(lines) != 5 || lines[0] != origin || lines[4] != "" {
		return c, errCheckpoint
	}
	if c.Size, err = strconv.ParseUint(lines[1], 10, 63); err != nil || c.Size == 0 || strconv.FormatUint(c.Size, 10) != lines[1] {
		return c, errCheckpoint
	}
	root, err := base64.StdEncoding.Strict().DecodeString(lines[2])
	if err != nil || len(root) != tlog.HashSize {
		return c, errCheckpoint
	}
	c.Root = tlog.Hash(root)
	if c.Time, err = time.Parse(time.RFC3339Nano, lines[3]); err != nil {
		return c, errCheckpoint
	}
	return c, nil
}

// A Key is a public key that checkpoints are verified with.
type Key struct {
	text string
	v    note.Verifier
}

// ParseKey reads a public key as [Ledger.PublicKey] prints it.
func ParseKey(s string) (Key, error) {
	s = strings.TrimSpace(s)
	v, err := note.NewVerifier(s)
	if err != nil {
		return Key{}, errors.New("not a public key: want dialgate+HEX+BASE64 as `dialgate audit key` prints it")
	}
	return Key{s, v}, nil
}

// String is the key's text form.
func (k Key) String() string { return k.text }

// The node's key. The private part never lies beside the segments, so that
// whoever copies the ledger does not copy it; the public part does.
const publicKeyFile = "key.pub"

// openKey reads the signing key of a node, and makes one at the first start.
func openKey(path string) (s note.Signer, made bool, err error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		private, public, gerr := note.GenerateKey(rand.Reader, keyName)
		if gerr != nil {
			return nil, false, fmt.Errorf("ledger: no key could be made: %w", gerr)
		}
		made = true
		text = []byte(public + "\n" + private + "\n")
		err = writeNew(path, text)
	}
	if err != nil {
		return nil, false, fmt.Errorf("ledger: the key that checkpoints are signed with: %w", err)
	}
	_, private, _ := strings.Cut(string(text), "\n")
	if s, err = note.NewSigner(strings.TrimSpace(private)); err != nil {
		return nil, false, fmt.Errorf("ledger: %s holds no key; restore it from a backup, or move it away and a new one is made", path)
	}
	return s, made, nil
}

// publicKey is the public part of a key file that openKey has read.
func publicKey(path string) (Key, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return Key{}, fmt.Errorf("ledger: %w", err)
	}
	public, _, _ := strings.Cut(string(text), "\n")
	return ParseKey(public)
}

// writeNew writes a whole file or none, on disk when it returns.
func writeNew(path string, data []byte) error {
	tmp := path + ".new"
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(tmp, path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// appendCheckpoint adds a checkpoint to the file, after its whole ones.
func appendCheckpoint(f *os.File, at int64, c *Checkpoint) (end int64, err error) {
	n, err := f.WriteAt(append(bytes.Clone(c.Note), '\n'), at)
	return at + int64(n), err
}

// lastCheckpoint finds the last whole checkpoint of a file and where it ends.
// What comes after it was torn by a crash: so is what follows a gap in the last
// minute, which a loss of power can leave. It looks at no signature.
func lastCheckpoint(f *os.File) (c Checkpoint, end int64, err error) {
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return c, 0, err
	}
	from := max(0, size-4*maxCheckpoint)
	tail := make([]byte, size-from)
	if _, err := f.ReadAt(tail, from); err != nil && size > from {
		return c, 0, err
	}
	at := 0
	if from > 0 { // what it begins with may be cut anywhere: the next begins behind an empty line
		at = bytes.Index(tail, []byte("\n\n"+origin+"\n")) + 2
	}
	for {
		signed, rest, ok := cutCheckpoint(tail[at:])
		if !ok || !bytes.HasPrefix(signed, []byte(origin+"\n")) {
			break
		}
		text, _, _ := bytes.Cut(signed, []byte("\n\n"))
		got, err := parseCheckpoint(string(text) + "\n")
		if err != nil || !isNote(signed) {
			break
		}
		at = len(tail) - len(rest)
		c, end = got, from+int64(at)
		c.Note = bytes.Clone(signed)
	}
	if end == 0 && from > 0 {
		return c, 0, &DamageError{File: checkpointsFile, Offset: from, Text: "no checkpoint can be read in its end"}
	}
	return c, end, nil
}

// isNote reports whether octets have the form of a signed note, whoever signed it.
func isNote(b []byte) bool {
	_, err := note.Open(b, note.VerifierList())
	var unknown *note.UnverifiedNoteError
	return errors.As(err, &unknown)
}

// errOtherKey: another key has signed.
var errOtherKey = errors.New("a checkpoint is not signed with the key")

// cutCheckpoint cuts the first note off a run of them: a text, an empty line,
// signatures, an empty line.
func cutCheckpoint(b []byte) (signed, rest []byte, ok bool) {
	text := bytes.Index(b, []byte("\n\n"))
	if text < 0 {
		return nil, nil, false
	}
	signatures := bytes.Index(b[text+2:], []byte("\n\n"))
	if signatures < 0 {
		return nil, nil, false
	}
	end := text + 2 + signatures + 1
	return b[:end], b[end+1:], true
}
