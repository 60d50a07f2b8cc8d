package access

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
)

// The cost of a password: the least that OWASP's cheat sheet on the storage of
// passwords names, since the node has calls to judge. Guesses are throttled
// besides.
const (
	argonTime    = 2
	argonMemory  = 19 << 10 // KiB
	argonThreads = 1
	argonSalt    = 16
	argonKey     = 32

	minPassword = 12
	maxPassword = 256
)

// CheckPassword tells what is wrong with a new password.
func CheckPassword(password string) error {
	if n := utf8.RuneCountInString(password); n < minPassword || len(password) > maxPassword {
		return fmt.Errorf("a password has at least %d characters, and at most %d octets", minPassword, maxPassword)
	}
	return nil
}

// hashPassword is the password in the usual text form of argon2id.
func hashPassword(password string) string {
	salt := make([]byte, argonSalt)
	_, _ = rand.Read(salt) // never fails
	return encodeHash(salt, argon2.IDKey([]byte(password), salt, argonTime, argonMemory, argonThreads, argonKey))
}

func encodeHash(salt, key []byte) string {
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, argonMemory, argonTime, argonThreads,
		base64.RawStdEncoding.EncodeToString(salt), base64.RawStdEncoding.EncodeToString(key))
}

// fits reports whether a password is the one that was hashed.
func fits(hash, password string) bool {
	parts := strings.Split(hash, "$")
	if len(parts) != 6 {
		return false
	}
	salt, err := base64.RawStdEncoding.DecodeString(parts[4])
	if err != nil {
		return false
	}
	key := argon2.IDKey([]byte(password), salt, argonTime, argonMemory, argonThreads, argonKey)
	return subtle.ConstantTimeCompare([]byte(encodeHash(salt, key)), []byte(hash)) == 1
}

// nobody's password takes as long to compare as anybody's.
var nobody = encodeHash(make([]byte, argonSalt), make([]byte, argonKey))

// one lets one password be compared at a time: each costs 19 MiB and a
// good part of a processor for some 50 ms, which the calls need more.
var one = make(chan struct{}, 1)

// SetPerson adds somebody, or gives them another role or password.
func (k *Keys) SetPerson(p Person, password string, now time.Time) error {
	if err := errors.Join(CheckName(p.Name), CheckRole(p.Role, p.Advertiser), CheckPassword(password)); err != nil {
		return err
	}
	one <- struct{}{}
	p.Password = hashPassword(password)
	<-one
	p.Created = now.UTC().Truncate(time.Second)
	return k.change(func(c *content) error {
		i := slices.IndexFunc(c.People, func(have Person) bool { return have.Name == p.Name })
		switch {
		case i >= 0:
			p.Created = c.People[i].Created
			c.People[i] = p
		case len(c.People) >= maxPeople:
			return fmt.Errorf("there are %d people already; remove some", maxPeople)
		default:
			c.People = append(c.People, p)
		}
		return nil
	})
}

// RemovePerson takes somebody's access away at once.
func (k *Keys) RemovePerson(name string) error {
	return k.change(func(c *content) error {
		n := len(c.People)
		c.People = slices.DeleteFunc(c.People, func(p Person) bool { return p.Name == name })
		if len(c.People) == n {
			return fmt.Errorf("there is nobody called %q", name)
		}
		return nil
	})
}

// Password tells who logs in with a name and a password. It takes as long for
// a name that nobody has.
func (k *Keys) Password(name, password string) (*Principal, error) {
	c, err := k.current()
	if err != nil {
		return nil, err
	}
	hash, i := nobody, slices.IndexFunc(c.People, func(p Person) bool { return p.Name == name })
	if i >= 0 {
		hash = c.People[i].Password
	}
	if len(password) > maxPassword {
		password = password[:maxPassword]
	}
	one <- struct{}{}
	ok := fits(hash, password)
	<-one
	if !ok || i < 0 {
		return nil, ErrUnknown
	}
	return principal(&c.People[i]), nil
}

// person is somebody as they are now, or ErrUnknown.
func (k *Keys) person(name string) (*Principal, error) {
	c, err := k.current()
	if err != nil {
		return nil, err
	}
	for i := range c.People {
		if c.People[i].Name == name {
			return principal(&c.People[i]), nil
		}
	}
	return nil, ErrUnknown
}

func principal(p *Person) *Principal {
	return &Principal{Name: p.Name, Role: p.Role, Advertiser: p.Advertiser}
}
