package message

import (
	"bytes"
	"fmt"
)

// A View is the byte view of one message. Its slices point into Raw and are
// valid as long as Raw is. The zero View is ready for Parse.
type View struct {
	Raw  []byte // the message: start line, header fields, empty line, body
	Body []byte

	// a request's start line
	Method []byte
	URI    []byte // the Request-URI
	// a response's start line
	Status int // 0 in a request
	Phrase []byte

	Headers []Header // every header field in order

	Top           TopVia
	FromTag       []byte
	ToTag         []byte
	CSeqNumber    uint32
	CSeqMethod    []byte
	MaxForwards   int // -1 when there is none
	ContentLength int // -1 when there is none

	first  [kindCount]int16 // index of the first header of a kind plus one
	head   int              // offset of the first header field
	bodyAt int              // offset of the body
}

// Limits of what is read. A message beyond them is refused, never cut.
const (
	MaxSize    = 65535
	maxHeaders = 512
)

// A ParseError says why a message is refused.
type ParseError struct {
	// Status is what a request deserves; 0: nothing can be answered, drop it.
	Status int
	Text   string
}

func (e *ParseError) Error() string { return "message: " + e.Text }

func bad(format string, args ...any) error {
	return &ParseError{Status: 400, Text: fmt.Sprintf(format, args...)}
}

// IsKeepAlive reports whether a datagram is one of the fillers that user
// agents send to keep a path open (RFC 5626 section 3.5.1, and a lone NUL).
func IsKeepAlive(b []byte) bool {
	if len(b) > 4 {
		return false
	}
	for _, c := range b {
		if c != '\r' && c != '\n' && c != 0 {
			return false
		}
	}
	return true
}

// IsRequest reports whether the message is a request.
func (v *View) IsRequest() bool { return v.Status == 0 }

// IsMethod reports whether a request has this method. Methods are case-sensitive.
func (v *View) IsMethod(name string) bool { return string(v.Method) == name }

// Get is the first header field of a kind, nil if there is none.
func (v *View) Get(k Kind) *Header {
	if i := v.first[k]; i > 0 {
		return &v.Headers[i-1]
	}
	return nil
}

// Value is the text of the first header field of a kind, nil if there is none.
func (v *View) Value(k Kind) []byte {
	if h := v.Get(k); h != nil {
		return h.Value
	}
	return nil
}

// Parse reads a datagram. It keeps raw. On an error the view holds what was
// understood up to there, which may be enough to answer (see CanAnswer).
func (v *View) Parse(raw []byte) error {
	headers := v.Headers[:0]
	*v = View{Raw: raw, Headers: headers, MaxForwards: -1, ContentLength: -1}
	if len(raw) > MaxSize {
		return &ParseError{Text: "larger than any datagram"}
	}
	// Empty lines before a message are ignored (RFC 3261 section 7.5).
	at := 0
	for at+1 < len(raw) && raw[at] == '\r' && raw[at+1] == '\n' {
		at += 2
	}
	v.Raw = raw[at:]
	startErr := v.startLine()
	if v.head == 0 {
		return startErr
	}
	if err := v.headerFields(); err != nil {
		return first(startErr, err)
	}
	if err := v.check(); err != nil {
		return first(startErr, err)
	}
	if startErr != nil {
		return startErr
	}
	return v.frame()
}

// first is the error to report of two; a response is only ever dropped.
func first(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

// startLine reads the request or status line (RFC 3261 sections 7.1, 7.2).
func (v *View) startLine() error {
	end := bytes.Index(v.Raw, crlf)
	if end < 0 {
		return &ParseError{Text: "no line of a message"}
	}
	line := v.Raw[:end]
	v.head = end + 2
	if bytes.HasPrefix(line, []byte("SIP/")) {
		return v.statusLine(line)
	}
	sp := bytes.IndexByte(line, ' ')
	last := bytes.LastIndexByte(line, ' ')
	if sp <= 0 {
		v.head = 0
		return &ParseError{Text: "the first line is no request line"}
	}
	for _, c := range line[:sp] {
		if !isToken(c) {
			v.head = 0
			return &ParseError{Text: "the method is no token"}
		}
	}
	v.Method = line[:sp]
	if last == sp {
		return bad("the request line has no version")
	}
	v.URI = line[sp+1 : last]
	version := line[last+1:]
	switch {
	case len(version) < 5 || !EqualFold(version[:4], "SIP/"):
		return bad("the request line does not end in a version")
	case !EqualFold(version, "SIP/2.0"):
		return &ParseError{Status: 505, Text: "the version is not SIP/2.0"}
	}
	if len(v.URI) == 0 {
		return bad("the request line has no Request-URI")
	}
	for _, c := range v.URI {
		if c <= ' ' || c == '<' || c == '>' || c == '"' || c == 0x7f {
			return bad("the Request-URI holds white space or a delimiter")
		}
	}
	return nil
}

func (v *View) statusLine(line []byte) error {
	drop := &ParseError{Text: "no status line of SIP/2.0"}
	if len(line) < 11 || !EqualFold(line[:8], "SIP/2.0 ") {
		v.head = 0
		return drop
	}
	for i := 8; i < 11; i++ {
		d := line[i] - '0'
		if d > 9 {
			v.head = 0
			return drop
		}
		v.Status = v.Status*10 + int(d)
	}
	if v.Status < 100 || v.Status > 699 || len(line) > 11 && line[11] != ' ' {
		v.head = 0
		return drop
	}
	if len(line) > 12 {
		v.Phrase = line[12:]
	}
	return nil
}

var crlf = []byte("\r\n")

// headerFields finds the lines of all header fields.
func (v *View) headerFields() error {
	raw, at := v.Raw, v.head
	for {
		if at >= len(raw) {
			return bad("the header has no end")
		}
		if bytes.HasPrefix(raw[at:], crlf) {
			v.bodyAt = at + 2
			v.Body = raw[v.bodyAt:]
			return nil
		}
		end := lineEnd(raw, at)
		if end < 0 {
			return bad("a header line is not ended by CR LF, or holds a NUL, a bare CR or a bare LF")
		}
		if err := v.headerLine(at, end); err != nil {
			return err
		}
		at = end
	}
}

// lineEnd is the index past the CRLF that ends the header field at raw[at:],
// folded lines included; -1 when it is not ended or holds NUL, bare CR or LF.
func lineEnd(raw []byte, at int) int {
	for i := at; ; {
		n := bytes.IndexByte(raw[i:], '\n')
		if n < 0 {
			return -1
		}
		end := i + n
		if end == at || raw[end-1] != '\r' || bytes.IndexByte(raw[i:end-1], '\r') >= 0 || holdsNUL(raw[i:end]) {
			return -1
		}
		end++
		if end < len(raw) && (raw[end] == ' ' || raw[end] == '\t') {
			i = end
			continue
		}
		return end
	}
}

// holdsNUL reports whether a line holds a NUL other than as the quoted pair
// "\ NUL", which the grammar allows (RFC 3261 section 25.1).
func holdsNUL(line []byte) bool {
	for i := bytes.IndexByte(line, 0); i >= 0; {
		if i == 0 || line[i-1] != '\\' {
			return true
		}
		n := bytes.IndexByte(line[i+1:], 0)
		if n < 0 {
			return false
		}
		i += 1 + n
	}
	return false
}

// headerLine notes one header field.
func (v *View) headerLine(start, end int) error {
	line := v.Raw[start : end-2]
	colon := bytes.IndexByte(line, ':')
	if colon <= 0 {
		return bad("header line %d has no name", len(v.Headers)+1)
	}
	name := line[:colon]
	for len(name) > 0 && (name[len(name)-1] == ' ' || name[len(name)-1] == '\t') {
		name = name[:len(name)-1] // HCOLON allows white space before the colon
	}
	if len(name) == 0 {
		return bad("header line %d has no name", len(v.Headers)+1)
	}
	for _, c := range name {
		if !isToken(c) {
			return bad("the name of header line %d is no token", len(v.Headers)+1)
		}
	}
	if len(v.Headers) == maxHeaders {
		return bad("more than %d header lines", maxHeaders)
	}
	k := KindOf(name)
	v.Headers = append(v.Headers, Header{Kind: k, Name: name, Value: trim(line[colon+1:]), start: start, end: end})
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

// frame compares Content-Length with what the datagram holds (RFC 3261
// section 18.3): more octets than announced are cut off, fewer are an error.
func (v *View) frame() error {
	if v.ContentLength < 0 {
		return nil
	}
	if v.ContentLength > len(v.Body) {
		return bad("Content-Length is %d, but only %d octets follow", v.ContentLength, len(v.Body))
	}
	v.Body = v.Body[:v.ContentLength]
	v.Raw = v.Raw[:v.bodyAt+v.ContentLength]
	return nil
}
