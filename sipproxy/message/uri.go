package message

import "bytes"

// A URI is a sip, sips, tel or urn URI taken apart (RFC 3261 section 19.1.1,
// RFC 3966). Its parts keep their escapes.
type URI struct {
	Scheme  Scheme
	User    []byte // of sip and sips, without a password; of tel the number; of others all after the scheme
	Secret  bool   // a password stands behind the user
	Host    []byte // an IPv6 address without its brackets
	Port    uint16 // 0 when none is given
	Params  []byte // beginning with ";", or empty
	Headers []byte // what follows "?", nil when there is no "?"
}

// A Scheme is a URI scheme that a proxy tells apart.
type Scheme uint8

const (
	OtherScheme Scheme = iota
	SIP
	SIPS
	Tel
	URN
)

// ParseURI takes a URI apart. ok is false when it is malformed; a URI of a
// scheme we do not know is well-formed.
func ParseURI(b []byte) (u URI, ok bool) {
	colon := bytes.IndexByte(b, ':')
	if colon <= 0 || !schemeOK(b) {
		return u, false
	}
	rest := b[colon+1:]
	switch scheme := b[:colon]; {
	case EqualFold(scheme, "sip"):
		u.Scheme = SIP
	case EqualFold(scheme, "sips"):
		u.Scheme = SIPS
	case EqualFold(scheme, "tel"):
		u.Scheme = Tel
		u.User = rest
		if semi := bytes.IndexByte(rest, ';'); semi >= 0 {
			u.User, u.Params = rest[:semi], rest[semi:]
		}
		return u, len(u.User) > 0 && paramsOK(u.Params)
	case EqualFold(scheme, "urn"):
		u.Scheme, u.User = URN, rest
		return u, len(rest) > 0
	default:
		u.User = rest
		return u, len(rest) > 0
	}
	// The user part may hold ";" and "?", so the "@" is found first. A second
	// one is not allowed, and two parsers would take it for two different hosts.
	if at := bytes.IndexByte(rest, '@'); at >= 0 {
		u.User, rest = rest[:at], rest[at+1:]
		if bytes.IndexByte(rest, '@') >= 0 {
			return u, false
		}
		if pw := bytes.IndexByte(u.User, ':'); pw >= 0 {
			if pw+1 < at && !isAll(u.User[pw+1:], userClass) {
				return u, false
			}
			u.User, u.Secret = u.User[:pw], true
		}
		if !isAll(u.User, userClass) {
			return u, false
		}
	}
	if q := bytes.IndexByte(rest, '?'); q >= 0 {
		rest, u.Headers = rest[:q], rest[q+1:]
	}
	hostport := rest
	if semi := bytes.IndexByte(rest, ';'); semi >= 0 {
		hostport, u.Params = rest[:semi], rest[semi:]
	}
	if hasAny(rest, delimClass) {
		return u, false
	}
	u.Host, u.Port, ok = splitHostPort(hostport)
	return u, ok && paramsOK(u.Params)
}

// Param finds a URI parameter.
func (u *URI) Param(name string) (value []byte, found bool) { return Param(u.Params, name) }

// Unescape decodes %-codes exactly once (RFC 3261 section 19.1.2). It returns
// b itself when there are none.
func Unescape(b []byte) []byte {
	if bytes.IndexByte(b, '%') < 0 {
		return b
	}
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		if b[i] == '%' && i+2 < len(b) {
			hi, lo := hexValue(b[i+1]), hexValue(b[i+2])
			if hi < 16 && lo < 16 {
				out = append(out, hi<<4|lo)
				i += 2
				continue
			}
		}
		out = append(out, b[i])
	}
	return out
}

func hexValue(c byte) byte {
	switch c = lower(c); {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	}
	return 16
}
