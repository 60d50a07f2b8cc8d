package store

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"filippo.io/age"

	"dialgate/store/ledger"
)

// Backup writes a backup of the ledger, which is all there is: the projection
// is made of it. since is the checkpoint that an earlier backup ended with, for
// an increment; nil for a full one. pace bounds the octets a second, 0 does
// not. Neither the key of the checkpoints nor that of erased numbers is in it.
// Calls, facts and erasures go on; retention waits.
func (s *Store) Backup(ctx context.Context, w io.Writer, since []byte, pace int64) (ledger.Checkpoint, error) {
	s.retaining.Lock()
	defer s.retaining.Unlock()
	order := ledger.BackupOrder{Node: s.o.Node, Now: s.o.Now(), Pace: pace}
	if since != nil {
		c, err := ledger.ReadCheckpoint(since)
		if err != nil {
			return c, fmt.Errorf("the end of the earlier backup: %w", err)
		}
		order.Since = &c
	}
	return s.ledger.Backup(ctx, w, order)
}

// Recipients are whom a backup is encrypted for.
type Recipients []age.Recipient

// ParseRecipients reads recipients, one a line; lines with # are comments.
func ParseRecipients(text string) (Recipients, error) {
	r, err := age.ParseRecipients(strings.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("no recipient: want age1..., as age-keygen prints it: %w", err)
	}
	return r, nil
}

// Encrypt returns a writer that encrypts for them, and does nothing when there
// are none. Closing it ends the encryption and leaves w open.
func (r Recipients) Encrypt(w io.Writer) (io.WriteCloser, error) {
	if len(r) == 0 {
		return nopCloser{w}, nil
	}
	return age.Encrypt(w, r...)
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

// Identities are what an encrypted backup is decrypted with.
type Identities []age.Identity

// ParseIdentities reads private keys as age-keygen writes them.
func ParseIdentities(in io.Reader) (Identities, error) {
	ids, err := age.ParseIdentities(in)
	if err != nil {
		return nil, fmt.Errorf("no identity: want the file that age-keygen wrote: %w", err)
	}
	return ids, nil
}

// backupFile is a backup in a file, perhaps encrypted.
func backupFile(path string, ids Identities) ledger.BackupFile {
	return ledger.BackupFile{Name: path, Open: func() (io.ReadCloser, error) {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		in, err := decrypt(f, ids)
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		return &readCloser{in, f}, nil
	}}
}

type readCloser struct {
	io.Reader
	io.Closer
}

const (
	agePrefix = "age-encryption.org/"
	ageArmor  = "-----BEGIN AGE"
)

func decrypt(f io.Reader, ids Identities) (io.Reader, error) {
	in := bufio.NewReaderSize(f, 64<<10)
	start, err := in.Peek(len(agePrefix))
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if bytes.HasPrefix(start, []byte(ageArmor)) {
		return nil, errors.New("it is armoured: decrypt it with `age -d` first")
	}
	if string(start) != agePrefix {
		return in, nil
	}
	if len(ids) == 0 {
		return nil, errors.New("it is encrypted: give the file with the private key with --identity")
	}
	plain, err := age.Decrypt(in, ids...)
	var none *age.NoIdentityMatchError
	if errors.As(err, &none) {
		return nil, errors.New("it is encrypted for others: none of the identities given opens it")
	}
	if err != nil {
		return nil, fmt.Errorf("it can't be decrypted and is damaged or cut short; copy it again from where it was kept, or take another backup: %w", err)
	}
	return &decrypted{plain}, nil
}

// decrypted says what to do about damage that decryption finds.
type decrypted struct{ in io.Reader }

func (d *decrypted) Read(b []byte) (int, error) {
	n, err := d.in.Read(b)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		err = fmt.Errorf("it is damaged; copy it again from where it was kept, or take another backup: %w", err)
	}
	return n, err
}
