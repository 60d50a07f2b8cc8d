package message

import "bytes"

// nextValue takes the first of the comma-separated values of one header
// field's text (RFC 3261 section 7.3.1). A comma inside quotes or angle
// brackets separates nothing. ok is false when quotes or brackets are not
// closed. The rest is nil after the last value.
func nextValue(b []byte) (value, rest []byte, ok bool) {
	quoted, angle := false, false
	for i := 0; i < len(b); i++ {
		c := b[i]
		if quoted {
			if c == '\\' {
				i++
			} else if c == '"' {
				quoted = false
			}
			continue
		}
		if classes[c]&listClass == 0 {
			continue
		}
		switch {
		case c == '"':
			quoted = true
		case c == '<' || c == '>':
			if angle == (c == '<') {
				return nil, nil, false
			}
			angle = !angle
		case !angle:
			return trim(b[:i]), b[i+1:], true
		}
	}
	return trim(b), nil, !quoted && !angle
}

// firstValue is nextValue for those who read the value strictly afterwards: a
// text without a comma is not looked into.
func firstValue(b []byte) (value, rest []byte, ok bool) {
	if bytes.IndexByte(b, ',') < 0 {
		return trim(b), nil, true
	}
	return nextValue(b)
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
	Display []byte // as it stands, quotes included; see DisplayName
	URI     []byte
	Params  []byte // what follows, beginning with ";", or empty
	Angle   bool   // the URI stood in angle brackets
}

// ParseAddress splits one value of From, To, Route and their like. Without
// angle brackets, what follows the first ";" belongs to the header, and a URI
// with "?" or "," is not allowed.
func ParseAddress(b []byte) (a Address, ok bool) {
	b = trim(b)
	name := 0 // where a quoted display name ends
	if len(b) > 0 && b[0] == '"' {
		if name = quotedEnd(b); name < 0 {
			return a, false
		}
	}
	open := bytes.IndexByte(b[name:], '<')
	if open < 0 {
		uri, params := b, []byte(nil)
		if semi := bytes.IndexByte(b, ';'); semi >= 0 {
			uri, params = trim(b[:semi]), b[semi:]
		}
		// A quoted name wants an address in brackets.
		ok = name == 0 && len(uri) > 0 && !hasAny(uri, delimClass) && bytes.IndexByte(uri, ',') < 0 && bytes.IndexByte(uri, '?') < 0
		return Address{URI: uri, Params: params}, ok
	}
	open += name
	shut := bytes.IndexByte(b[open:], '>')
	if shut < 0 {
		return a, false
	}
	shut += open
	a = Address{Display: trim(b[:open]), URI: b[open+1 : shut], Params: trim(b[shut+1:]), Angle: true}
	ok = len(a.URI) > 0 && !hasAny(a.URI, delimClass) && (len(a.Params) == 0 || a.Params[0] == ';') && displayOK(a.Display)
	return a, ok
}

// displayOK asks for a quoted string or tokens (RFC 3261 section 25.1);
// a name in octets above 127 without quotes is common and harmless.
func displayOK(d []byte) bool {
	if len(d) > 0 && d[0] == '"' {
		return quotedEnd(d) == len(d)
	}
	for _, c := range d {
		if c < 0x80 && classes[c]&(tokenClass|spaceClass) == 0 {
			return false
		}
	}
	return true
}

// DisplayName is the display name as a person reads it: without its quotes,
// its escapes and its outer blanks. Only an escape makes a copy of it.
func (a *Address) DisplayName() []byte {
	d := a.Display
	if len(d) < 2 || d[0] != '"' {
		return d
	}
	if d = d[1 : len(d)-1]; bytes.IndexByte(d, '\\') < 0 {
		return trim(d)
	}
	out := make([]byte, 0, len(d))
	for i := 0; i < len(d); i++ {
		if d[i] == '\\' && i+1 < len(d) {
			i++
		}
		out = append(out, d[i])
	}
	return trim(out)
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

// nextParam takes the first ";name" or ";name=value" of b, with white space
// around the signs. The value keeps its quotes. The rest is empty or begins
// with the next ";".
func nextParam(b []byte) (name, value, rest []byte, ok bool) {
	i := skipSpace(b, 0)
	if i == len(b) || b[i] != ';' {
		return nil, nil, nil, false
	}
	from := skipSpace(b, i+1)
	for i = from; i < len(b) && isToken(b[i]); i++ {
	}
	name = b[from:i]
	if i = skipSpace(b, i); i < len(b) && b[i] == '=' {
		from = skipSpace(b, i+1)
		i = from
		if from < len(b) && b[from] == '"' {
			n := quotedEnd(b[from:])
			if n < 0 {
				return nil, nil, nil, false
			}
			i += n
		} else {
			for i < len(b) && classes[b[i]]&valueClass != 0 {
				i++
			}
		}
		value = b[from:i]
		i = skipSpace(b, i)
	}
	return name, value, b[i:], len(name) > 0 && (i == len(b) || b[i] == ';')
}

func skipSpace(b []byte, i int) int {
	for i < len(b) && isSpace(b[i]) {
		i++
	}
	return i
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

// EachParam calls f with every parameter of a text that begins with ";". It
// reports whether the text is well-formed.
func EachParam(params []byte, f func(name, value []byte)) bool {
	for len(params) > 0 {
		n, v, rest, ok := nextParam(params)
		if !ok {
			return false
		}
		f(n, v)
		params = rest
	}
	return true
}

// paramsOK reports whether a text is a well-formed list of parameters.
func paramsOK(params []byte) bool {
	for len(params) > 0 {
		_, _, rest, ok := nextParam(params)
		if !ok {
			return false
		}
		params = rest
	}
	return true
}
