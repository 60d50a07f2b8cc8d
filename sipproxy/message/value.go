package message

import "bytes"

// nextValue walks the comma-separated values of one header field's text (RFC 3261
// section 7.3.1). A comma inside quotes or angle brackets separates nothing.
// It returns the first value and the rest; ok is false when quotes or brackets
// are not closed. The rest is nil after the last value.
func nextValue(b []byte) (value, rest []byte, ok bool) {
	quoted, angle := false, false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case quoted:
			if c == '\\' {
				i++
			} else if c == '"' {
				quoted = false
			}
		case c == '"':
			quoted = true
		case c == '<':
			if angle {
				return nil, nil, false
			}
			angle = true
		case c == '>':
			if !angle {
				return nil, nil, false
			}
			angle = false
		case c == ',' && !angle:
			return trim(b[:i]), b[i+1:], true
		}
	}
	return trim(b), nil, !quoted && !angle
}

// EachValue calls f with every comma-separated value of a header field's text
// until f returns false. It reports whether quotes and brackets are closed.
func EachValue(b []byte, f func(value []byte) bool) bool {
	for b != nil {
		value, rest, ok := nextValue(b)
		if !ok {
			return false
		}
		if !f(value) {
			return true
		}
		b = rest
	}
	return true
}

// An Address is a name-addr or addr-spec with its header parameters (RFC 3261
// section 20.10).
type Address struct {
	Display []byte // as it stands, quotes included
	URI     []byte
	Params  []byte // what follows, beginning with ";", or empty
	Angle   bool   // the URI stood in angle brackets
}

// ParseAddress splits one value of From, To, Route and their like. Without
// angle brackets, what follows the first ";" belongs to the header, and a URI
// with "?" or "," is not allowed.
func ParseAddress(b []byte) (a Address, ok bool) {
	b = trim(b)
	i := 0
	if len(b) > 0 && b[0] == '"' {
		end := quotedEnd(b)
		if end < 0 {
			return a, false
		}
		i = end
	}
	open := bytes.IndexByte(b[i:], '<')
	if open < 0 {
		if i > 0 {
			return a, false // a quoted name without an address
		}
		uri, params := b, []byte(nil)
		if semi := bytes.IndexByte(b, ';'); semi >= 0 {
			uri, params = trim(b[:semi]), b[semi:]
		}
		if len(uri) == 0 || bytes.ContainsAny(uri, "?, \t\r\n\"<>") {
			return a, false
		}
		return Address{URI: uri, Params: params}, true
	}
	open += i
	shut := bytes.IndexByte(b[open:], '>')
	if shut < 0 {
		return a, false
	}
	shut += open
	a = Address{Display: trim(b[:open]), URI: b[open+1 : shut], Params: trim(b[shut+1:]), Angle: true}
	if len(a.URI) == 0 || bytes.ContainsAny(a.URI, " \t\r\n<\"") || len(a.Params) > 0 && a.Params[0] != ';' {
		return a, false
	}
	return a, displayOK(a.Display)
}

// displayOK asks for a quoted string or tokens (RFC 3261 section 25.1);
// a name in octets above 127 without quotes is common and harmless.
func displayOK(d []byte) bool {
	if len(d) > 0 && d[0] == '"' {
		return quotedEnd(d) == len(d)
	}
	for _, c := range d {
		if !isToken(c) && !isSpace(c) && c < 0x80 {
			return false
		}
	}
	return true
}

// quotedEnd is the index past the closing quote of the quoted string that b
// begins with, -1 if it is not closed.
func quotedEnd(b []byte) int {
	for i := 1; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return -1
}

// nextParam takes the first ";name=value" of b. The value keeps its quotes.
func nextParam(b []byte) (name, value, rest []byte, ok bool) {
	b = trim(b)
	if len(b) == 0 || b[0] != ';' {
		return nil, nil, nil, false
	}
	b = trim(b[1:])
	end, eq := len(b), -1
scan:
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '"':
			n := quotedEnd(b[i:])
			if n < 0 {
				return nil, nil, nil, false
			}
			i += n - 1
		case '=':
			if eq < 0 {
				eq = i
			}
		case ';':
			end = i
			break scan
		}
	}
	if eq < 0 || eq > end {
		return trim(b[:end]), nil, b[end:], true
	}
	return trim(b[:eq]), trim(b[eq+1 : end]), b[end:], true
}

// Param finds a parameter in a text that begins with ";". The second result
// tells whether it is there; its value may be empty.
func Param(params []byte, name string) (value []byte, found bool) {
	for len(params) > 0 {
		n, v, rest, ok := nextParam(params)
		if !ok {
			return nil, false
		}
		if EqualFold(n, name) {
			return v, true
		}
		params = rest
	}
	return nil, false
}

// paramsOK reports whether a text is a well-formed list of parameters in which
// none of the given names is there twice.
func paramsOK(params []byte, once string) bool {
	seen := 0
	for len(trim(params)) > 0 {
		n, _, rest, ok := nextParam(params)
		if !ok || len(n) == 0 {
			return false
		}
		for _, c := range n {
			if !isToken(c) {
				return false
			}
		}
		if EqualFold(n, once) {
			seen++
		}
		params = rest
	}
	return seen <= 1
}
