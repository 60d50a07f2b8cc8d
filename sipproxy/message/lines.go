package message

import "bytes"

// headerFields finds the lines of all header fields. A line that is malformed
// is an error, but those after it are read all the same, so that a refusal can
// be built of them.
func (v *View) headerFields() *ParseError {
	err := v.lines(false)
	section := v.Raw[v.head:v.bodyAt]
	// Nearly every header is free of NUL and of CRs that end no line, which is
	// told at once for all lines; else each line is looked at for itself.
	if bytes.IndexByte(section, 0) >= 0 || bytes.Count(section, crlf[:1]) != bytes.Count(section, crlf[1:]) {
		v.Headers, v.first = v.Headers[:0], [kindCount]int16{}
		return v.lines(true)
	}
	return err
}

// lines notes every header line up to the empty one, the clean ones only when
// it is suspicious. Of several faults the first is told.
func (v *View) lines(suspicious bool) (err *ParseError) {
	fail := func(n int, fault string) {
		if err == nil {
			err = bad("header line %d %s", n, fault)
		}
	}
	at := v.head
	for n := 1; at < len(v.Raw); n++ {
		end, ok := lineEnd(v.Raw, at)
		if ok && end == at+len(crlf) {
			v.bodyAt = end
			v.Body = v.Raw[end:]
			return err
		}
		if !ok || suspicious && !cleanLine(v.Raw[at:end]) {
			fail(n, "is not ended by CR LF, is folded to nothing, or holds a NUL, a bare CR or a bare LF")
		} else if len(v.Headers) == MaxHeaders {
			fail(n, "is one too many")
			err.Limit = HeaderLimit
			break
		} else if fault := v.headerLine(at, end); fault != "" {
			fail(n, fault)
		}
		at = end
	}
	v.bodyAt = at
	return first(err, bad("the header has no end"))
}

// lineEnd is the index past the end of the header field at raw[at:], folded
// lines included. ok is false when one of them does not end in CR LF, or is
// folded and holds nothing but blanks: some take that for the end of the header.
func lineEnd(raw []byte, at int) (end int, ok bool) {
	end, ok = at, true
	for {
		n := bytes.IndexByte(raw[end:], '\n')
		if n < 0 {
			return len(raw), false
		}
		ok = ok && n > 0 && raw[end+n-1] == '\r' && (end == at || len(trim(raw[end:end+n-1])) > 0)
		empty := end == at && n == 1
		end += n + 1
		if empty || end == len(raw) || raw[end] != ' ' && raw[end] != '\t' {
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

// headerLine notes one header field; fault says what is wrong with it, "" when
// nothing is.
func (v *View) headerLine(start, end int) (fault string) {
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
		return "does not begin with a name and a colon"
	}
	k := KindOf(name)
	v.Headers = append(v.Headers, Header{Kind: k, Name: name, Value: trim(line[n+1:]), start: uint16(start), end: uint16(end)})
	if k == Other {
		return ""
	}
	if v.first[k] == 0 {
		v.first[k] = int16(len(v.Headers))
	} else if single[k] {
		return "is a second " + kindNames[k]
	}
	return ""
}
