package access

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
	"unicode/utf8"
)

// FileName is the file of tokens and people in a node's directory.
const FileName = "access.json"

// A Token is what is kept of a bearer token: never the token itself.
type Token struct {
	ID         string    `json:"id"`
	Name       string    `json:"name"` // what it is for
	Role       Role      `json:"role"`
	Advertiser string    `json:"advertiser,omitempty"`
	Created    time.Time `json:"created"`
	Expires    time.Time `json:"expires,omitzero"`
	Hash       string    `json:"hash"` // SHA-256 of its secret
}

// A Person is somebody who logs in.
type Person struct {
	Name       string    `json:"name"`
	Role       Role      `json:"role"`
	Advertiser string    `json:"advertiser,omitempty"`
	Created    time.Time `json:"created"`
	Password   string    `json:"password"` // its argon2id
}

type content struct {
	Tokens []Token  `json:"tokens"`
	People []Person `json:"people"`
}

// Bounds, so that nobody fills the file.
const (
	maxTokens = 1000
	maxPeople = 1000
	maxName   = 80
)

// Keys are the tokens and people of one node. They are safe for use by many
// goroutines and, since every change takes a lock on the file, many processes.
type Keys struct {
	path string

	mu   sync.Mutex
	seen os.FileInfo // as it was when it was read, nil: never
	has  content
}

// Open reads the file in a node's directory; where there is none, nobody may
// do anything.
func Open(dir string) (*Keys, error) {
	k := &Keys{path: filepath.Join(dir, FileName)}
	_, err := k.current()
	return k, err
}

// current is the content of the file, read again when it has changed.
func (k *Keys) current() (content, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	info, err := os.Stat(k.path)
	if errors.Is(err, os.ErrNotExist) {
		k.seen, k.has = nil, content{}
		return k.has, nil
	}
	if err != nil {
		return content{}, fmt.Errorf("the tokens can't be read: %w", err)
	}
	if k.seen != nil && os.SameFile(k.seen, info) && k.seen.ModTime().Equal(info.ModTime()) && k.seen.Size() == info.Size() {
		return k.has, nil
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return content{}, fmt.Errorf("%s may be read by others (mode %o); make it 600", k.path, mode)
	}
	data, err := os.ReadFile(k.path)
	if err != nil {
		return content{}, fmt.Errorf("the tokens can't be read: %w", err)
	}
	var has content
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&has); err != nil {
		return content{}, fmt.Errorf("%s can't be read: %w; bring it back from a backup, or remove it and set up access anew", k.path, err)
	}
	k.seen, k.has = info, has
	return has, nil
}

// change lets f change the content, and writes it whole or not at all.
func (k *Keys) change(f func(*content) error) error {
	lock, err := os.OpenFile(k.path+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("the tokens can't be changed: %w", err)
	}
	defer lock.Close() // and with it the lock
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return fmt.Errorf("the tokens can't be changed: %w", err)
	}
	has, err := k.current()
	if err != nil {
		return err
	}
	has = content{slices.Clone(has.Tokens), slices.Clone(has.People)}
	if err := f(&has); err != nil {
		return err
	}
	data, err := json.MarshalIndent(has, "", "  ")
	if err != nil {
		return err
	}
	return replace(k.path, append(data, '\n'))
}

// replace writes a file that only its owner may read, whole or not at all.
func replace(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".access-*") // mode 600
	if err != nil {
		return fmt.Errorf("the tokens can't be written: %w", err)
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return fmt.Errorf("the tokens can't be written: %w", err)
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// CheckName refuses a name that could not be read in a list or a log.
func CheckName(name string) error {
	switch {
	case name == "" || utf8.RuneCountInString(name) > maxName:
		return fmt.Errorf("a name has 1 to %d characters", maxName)
	case !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 }):
		return errors.New("a name has no control characters")
	}
	return nil
}

// tokenBegins marks a token, so that it is known when it is found where it
// does not belong.
const tokenBegins = "dgt_"

// Create makes a token and returns its secret, which is kept nowhere.
func (k *Keys) Create(t Token, now time.Time) (string, Token, error) {
	if err := errors.Join(CheckName(t.Name), CheckRole(t.Role, t.Advertiser)); err != nil {
		return "", Token{}, err
	}
	secret, hash := newSecret()
	id := make([]byte, 6)
	_, _ = rand.Read(id) // never fails
	t.ID, t.Hash, t.Created = hex.EncodeToString(id), hash, now.UTC().Truncate(time.Second)
	err := k.change(func(c *content) error {
		if len(c.Tokens) >= maxTokens {
			return fmt.Errorf("there are %d tokens already; revoke some", maxTokens)
		}
		c.Tokens = append(c.Tokens, t)
		return nil
	})
	if err != nil {
		return "", Token{}, err
	}
	return tokenBegins + t.ID + "_" + secret, t, nil
}

// newSecret is 256 bits of chance and their SHA-256: such a secret can't be
// guessed, so a quick hash serves.
func newSecret() (secret, hash string) {
	raw := make([]byte, 32)
	_, _ = rand.Read(raw) // never fails
	secret = base64.RawURLEncoding.EncodeToString(raw)
	return secret, hashSecret(secret)
}

// NewSecret is 256 bits of chance as text.
func NewSecret() string {
	secret, _ := newSecret()
	return secret
}

func hashSecret(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// Revoke ends a token at once.
func (k *Keys) Revoke(id string) error {
	return k.change(func(c *content) error {
		n := len(c.Tokens)
		c.Tokens = slices.DeleteFunc(c.Tokens, func(t Token) bool { return t.ID == id })
		if len(c.Tokens) == n {
			return fmt.Errorf("there is no token %q", id)
		}
		return nil
	})
}

// Tokens lists the tokens, the oldest first.
func (k *Keys) Tokens() ([]Token, error) {
	c, err := k.current()
	return slices.Clone(c.Tokens), err
}

// People lists those who may log in.
func (k *Keys) People() ([]Person, error) {
	c, err := k.current()
	return slices.Clone(c.People), err
}

// Empty reports whether nobody has access.
func (k *Keys) Empty() (bool, error) {
	c, err := k.current()
	return len(c.Tokens)+len(c.People) == 0, err
}

// ErrUnknown is the answer to a token that is none, is revoked or has expired,
// and to a name and password that do not fit: which of them is not told.
var ErrUnknown = errors.New("not known here, or not any more")

// Bearer tells whose token it is.
func (k *Keys) Bearer(token string, now time.Time) (*Principal, error) {
	c, err := k.current()
	if err != nil {
		return nil, err
	}
	id, secret, ok := strings.Cut(strings.TrimPrefix(token, tokenBegins), "_")
	if !ok || !strings.HasPrefix(token, tokenBegins) {
		return nil, ErrUnknown
	}
	hash := []byte(hashSecret(secret))
	for i := range c.Tokens {
		t := &c.Tokens[i]
		if t.ID != id {
			continue
		}
		if subtle.ConstantTimeCompare(hash, []byte(t.Hash)) != 1 || !t.Expires.IsZero() && !now.Before(t.Expires) {
			return nil, ErrUnknown
		}
		return &Principal{Name: t.Name, Token: t.ID, Role: t.Role, Advertiser: t.Advertiser}, nil
	}
	return nil, ErrUnknown
}
