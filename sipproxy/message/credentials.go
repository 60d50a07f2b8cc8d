package message

// Credentials are what a Proxy-Authorization header field of the scheme Digest
// says (RFC 3261 section 25.1, RFC 7616 section 3.4), without quotes.
type Credentials struct {
	Username, Realm, Nonce, URI, Response, Algorithm, CNonce, QOP, NC []byte
}

// ParseCredentials reads the text of a Proxy-Authorization header field; not
// ok: it is of another scheme, malformed, or says one thing twice.
func ParseCredentials(b []byte) (c Credentials, ok bool) {
	const scheme = "Digest"
	b = trim(b)
	if len(b) <= len(scheme) || !EqualFold(b[:len(scheme)], scheme) || !isSpace(b[len(scheme)]) {
		return c, false
	}
	into := map[string]*[]byte{"username": &c.Username, "realm": &c.Realm, "nonce": &c.Nonce, "uri": &c.URI, "response": &c.Response,
		"algorithm": &c.Algorithm, "cnonce": &c.CNonce, "qop": &c.QOP, "nc": &c.NC}
	for rest := b[len(scheme):]; len(rest) > 0; {
		name, value, after, ok := nextDirective(rest)
		if !ok {
			return c, false
		}
		if to := into[lowerText(name)]; to != nil {
			if *to != nil {
				return c, false
			}
			*to = value
		}
		rest = after
	}
	return c, true
}

// nextDirective takes the first name=value of a list with commas. The rest is
// empty after the last one.
func nextDirective(b []byte) (name, value, rest []byte, ok bool) {
	from := skipSpace(b, 0)
	i := from
	for i < len(b) && isToken(b[i]) {
		i++
	}
	name = b[from:i]
	if i = skipSpace(b, i); len(name) == 0 || i == len(b) || b[i] != '=' {
		return nil, nil, nil, false
	}
	from = skipSpace(b, i+1)
	i = from
	switch {
	case i < len(b) && b[i] == '"':
		n := quotedEnd(b[from:])
		if n < 0 {
			return nil, nil, nil, false
		}
		i += n
		value = unquoted(b[from+1 : i-1])
	default:
		for i < len(b) && isToken(b[i]) {
			i++
		}
		if value = b[from:i]; len(value) == 0 {
			return nil, nil, nil, false
		}
	}
	switch i = skipSpace(b, i); {
	case i == len(b):
		return name, value, nil, true
	case b[i] == ',' && i+1 < len(b):
		return name, value, b[i+1:], true
	}
	return nil, nil, nil, false
}

// unquoted is what stands between quotes without its escapes. It is never nil.
func unquoted(b []byte) []byte {
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		if b[i] == '\\' && i+1 < len(b) {
			i++
		}
		out = append(out, b[i])
	}
	return out
}

func lowerText(b []byte) string {
	out := make([]byte, len(b))
	for i, c := range b {
		out[i] = lower(c)
	}
	return string(out)
}

// isFor reports whether a Proxy-Authorization header field is meant for a realm.
func isFor(value []byte, realm string) bool {
	c, ok := ParseCredentials(value)
	return ok && string(c.Realm) == realm
}
