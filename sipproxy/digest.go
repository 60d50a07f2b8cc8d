package sipproxy

import (
	"crypto/md5"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"strconv"

	"dialgate/sipproxy/message"
)

// A Digest is how a peer proves who it is: it knows the password of a user
// (RFC 3261 section 22, RFC 7616, RFC 8760).
type Digest struct {
	User   string
	hashes [algorithmCount]string // HA1, in hex; "": the algorithm is not offered
}

// An Algorithm is one of those that a digest is made by.
type Algorithm uint8

const (
	SHA256 Algorithm = iota // the safer one is offered first (RFC 8760 section 2.3)
	MD5                     // of those who know no other
	algorithmCount
)

var algorithms = [algorithmCount]struct {
	name string // RFC 7616 section 3.3
	hex  func(text string) string
}{
	SHA256: {"SHA-256", func(s string) string { h := sha256.Sum256([]byte(s)); return hex.EncodeToString(h[:]) }},
	MD5:    {"MD5", func(s string) string { h := md5.Sum([]byte(s)); return hex.EncodeToString(h[:]) }},
}

// String hides the hashes, which are as good as the password.
func (d *Digest) String() string { return "digest of " + d.User }

// Knows lets the user be proved by an algorithm, by a password.
func (d *Digest) Knows(a Algorithm, realm, password string) {
	d.hashes[a] = algorithms[a].hex(d.User + ":" + realm + ":" + password)
}

// KnowsHash is Knows by the hash of user, realm and password in hex, so that
// nobody need keep the password.
func (d *Digest) KnowsHash(a Algorithm, ha1 string) { d.hashes[a] = ha1 }

// offers are the algorithms to choose from, the safest first.
func (d *Digest) offers() (all []Algorithm) {
	for a := range algorithmCount {
		if d.hashes[a] != "" {
			all = append(all, a)
		}
	}
	return all
}

// right reports whether credentials are made of the password, for a request of
// this method.
func (d *Digest) right(c *message.Credentials, method []byte) bool {
	a, ok := algorithmOf(c.Algorithm)
	if !ok || d.hashes[a] == "" || string(c.Username) != d.User || !message.EqualFold(c.QOP, "auth") || len(c.CNonce) == 0 || !isCount(c.NC) {
		return false
	}
	h := algorithms[a].hex
	want := h(d.hashes[a] + ":" + string(c.Nonce) + ":" + string(c.NC) + ":" + string(c.CNonce) + ":" + string(c.QOP) + ":" + h(string(method)+":"+string(c.URI)))
	return subtle.ConstantTimeCompare([]byte(want), c.Response) == 1
}

// algorithmOf finds an algorithm by its name; MD5 is meant without one.
func algorithmOf(name []byte) (Algorithm, bool) {
	if name == nil {
		return MD5, true
	}
	for a := range algorithmCount {
		if message.EqualFold(name, algorithms[a].name) {
			return a, true
		}
	}
	return 0, false
}

// isTarget reports whether the URI of credentials is the Request-URI. User
// agents leave out its parameters, which lead nowhere else in a sip URI.
func isTarget(said, uri []byte) bool {
	if string(said) == string(uri) {
		return true
	}
	a, ok := message.ParseURI(said)
	b, ok2 := message.ParseURI(uri)
	return ok && ok2 && a.Scheme == message.SIP && b.Scheme == message.SIP && string(a.User) == string(b.User) && message.EqualFold(a.Host, b.Host) && a.Port == b.Port && len(a.Params) == 0 && a.Headers == nil
}

// isCount reports whether a text is a nonce count: eight digits, not all 0.
func isCount(nc []byte) bool {
	n, err := strconv.ParseUint(string(nc), 16, 32)
	return err == nil && n > 0 && len(nc) == 8
}
