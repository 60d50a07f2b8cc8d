package message

import "bytes"

var headerEnd = []byte("\r\n\r\n")

// headerFields finds the lines of all header fields. A line that is malformed
// is an error, but those after it are read all the same, so that a refusal can
// be built of them.
func (v *View) headerFields() (err *ParseError) {
	last := len(v.Raw) // where the header fields end
	// The line end of the start line may be half of the empty line.
	if n := bytes.Index(v.Raw[v.head-len(crlf):], headerEnd); n >= 0 {
		last = v.head + n
		v.bodyAt = last + len(crlf)
		v.Body = v.Raw[v.bodyAt:]
	} else {
		err = bad("the header has no end")
		v.bodyAt = last
	}
	// Nearly every header is free of NUL and of CRs that end no line, which is
	// told at once for all lines; else each line is looked at for itself.
	section := v.Raw[v.head:last]
	suspect := bytes.IndexByte(section, 0) >= 0 || bytes.Count(section, crlf[:1]) != bytes.Count(section, crlf[1:])
	for at := v.head; at < last; {
		end, ok := lineEnd(v.Raw[:last], at)
		if suspect && ok {
			ok = cleanLine(v.Raw[at:end])
		}
		if !ok {
			err = first(err, bad("header line %d is not ended by CR LF, or holds a NUL, a bare CR or a bare LF", len(v.Headers)+1))
		} else {
			err = first(err, v.headerLine(at, end))
		}
		at = end
	}
	return err
}

// lineEnd is the index past the end of the header field at raw[at:], folded
// lines included. ok is false when one of them does not end in CR LF.
func lineEnd(raw []byte, at int) (end int, ok bool) {
	end, ok = at, true
	for {
		n := bytes.IndexByte(raw[end:], '\n')
		if n < 0 {
			return len(raw), false
		}
		ok = ok && n > 0 && raw[end+n-1] == '\r'
		end += n + 1
		if end == len(raw) || raw[end] != ' ' && raw[end] != '\t' {
			return end, ok
		}
	}
}

// cleanLine reports whether a line holds no CR but before an LF, and no NUL
// but in the quoted pair "\ NUL", which the grammar allows (RFC 3261 section 25.1).
func cleanLine(line []byte) bool {
	for i, c := range line {
		switch {
		case c == 0 && (i == 0 || line[i-1] != '\\'):
			return false
		case c == '\r' && (i+1 == len(line) || line[i+1] != '\n'):
			return false
		}
	}
	return true
}

// headerLine notes one header field.
func (v *View) headerLine(start, end int) *ParseError {
	line := v.Raw[start : end-len(crlf)]
	n := 0
	for n < len(line) && isToken(line[n]) {
		n++
	}
	name := line[:n]
	for n < len(line) && (line[n] == ' ' || line[n] == '\t') {
		n++ // HCOLON allows white space before the colon
	}
	if len(name) == 0 || n == len(line) || line[n] != ':' {
		return bad("header line %d does not begin with a name and a colon", len(v.Headers)+1)
	}
	if len(v.Headers) == maxHeaders {
		return bad("more than %d header lines", maxHeaders)
	}
	k := KindOf(name)
	v.Headers = append(v.Headers, Header{Kind: k, Name: name, Value: trim(line[n+1:]), start: uint16(start), end: uint16(end)})
	if k == Other {
		return nil
	}
	if v.first[k] == 0 {
		v.first[k] = int16(len(v.Headers))
	} else if single[k] {
		return bad("%s is there twice", k)
	}
	return nil
}
