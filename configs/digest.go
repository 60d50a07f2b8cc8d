package configs

import (
	"encoding/hex"
	"strings"
)

// check finds what can't prove anybody. Of the secrets nothing is said but
// that they are wrong.
func (d *Digest) check(path string, at func(path, format string, args ...any)) {
	hashes := d.SHA256 + d.MD5
	switch {
	case d.User == "":
		if d.Password+hashes != "" {
			at(path, "has a secret and no user")
		}
		return
	case !quotable(d.User) || strings.Contains(d.User, ":"):
		at(path+".user", "holds a colon, a quote, a backslash or what is no visible ASCII")
	case d.Password == "" && hashes == "":
		at(path, "has no secret: give password, or sha256 and md5")
	case d.Password != "" && hashes != "":
		at(path, "has both a password and hashes; give one")
	case len(d.Algorithms) == 0:
		at(path+".algorithms", "is empty: nothing could be proved")
	}
	for _, h := range []struct {
		key, value string
		size       int
	}{{"sha256", d.SHA256, 32}, {"md5", d.MD5, 16}} {
		if b, err := hex.DecodeString(h.value); h.value != "" && (err != nil || len(b) != h.size) {
			at(path+"."+h.key, "is no hash: want %d hexadecimal digits", 2*h.size)
		}
	}
}

// quotable reports whether a text can stand between quotes as it is.
func quotable(s string) bool {
	for _, c := range []byte(s) {
		if c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return s != ""
}
