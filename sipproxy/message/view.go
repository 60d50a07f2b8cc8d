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
	Target URI    // the Request-URI taken apart
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
	MaxHeaders = 512
)

// A ParseError says why a message is refused.
type ParseError struct {
	// Status is what a request deserves: 400, 416 or 505. 0: it is a response
	// or nothing of SIP, so nothing can be answered and it is dropped.
	Status int
	Text   string
	// Limit is which of our limits the message is beyond.
	Limit Limit
}

// A Limit is one of the bounds of what is read.
type Limit uint8

const (
	NoLimit     Limit = iota
	SizeLimit         // of the message, MaxSize octets
	HeaderLimit       // of its header lines, MaxHeaders
)

func (e *ParseError) Error() string { return "message: " + e.Text }

func bad(format string, args ...any) *ParseError {
	return &ParseError{Status: 400, Text: fmt.Sprintf(format, args...)}
}

// first is the error to report of two.
func first(a, b *ParseError) *ParseError {
	if a != nil {
		return a
	}
	return b
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

// Parse reads a datagram. It keeps raw. Its error is a *[ParseError]; the view
// then holds what was understood all the same, which may be enough to answer
// (see [View.CanAnswer]).
func (v *View) Parse(raw []byte) error {
	headers := v.Headers[:0]
	*v = View{Raw: raw, Headers: headers, MaxForwards: -1, ContentLength: -1}
	if len(raw) > MaxSize {
		return &ParseError{Text: "larger than any datagram", Limit: SizeLimit}
	}
	// Empty lines before a message are ignored (RFC 3261 section 7.5).
	for bytes.HasPrefix(v.Raw, crlf) {
		v.Raw = v.Raw[len(crlf):]
	}
	err := v.startLine()
	if v.head == 0 {
		return err
	}
	err = first(err, v.headerFields())
	err = first(err, v.check())
	if err = first(err, v.frame()); err != nil {
		if !v.IsRequest() {
			err.Status = 0
		}
		return err
	}
	return nil
}

var crlf = []byte("\r\n")

// startLine reads the request or status line (RFC 3261 sections 7.1, 7.2).
// It leaves head at 0 when this is no line of SIP.
func (v *View) startLine() *ParseError {
	end := bytes.Index(v.Raw, crlf)
	if end < 0 {
		return &ParseError{Text: "no line of a message"}
	}
	line := v.Raw[:end]
	if bytes.HasPrefix(line, []byte("SIP/")) {
		if !v.statusLine(line) {
			return &ParseError{Text: "no status line of SIP/2.0"}
		}
		v.head = end + len(crlf)
		return nil
	}
	sp := bytes.IndexByte(line, ' ')
	if sp <= 0 || !isAll(line[:sp], tokenClass) {
		return &ParseError{Text: "the first line is no request line"}
	}
	v.head = end + len(crlf)
	v.Method = line[:sp]
	return v.requestLine(line[sp+1:])
}

// requestLine reads what follows the method: the Request-URI and the version.
func (v *View) requestLine(rest []byte) *ParseError {
	sp := bytes.LastIndexByte(rest, ' ')
	if sp < 0 {
		return bad("the request line has no version")
	}
	v.URI = rest[:sp]
	version := rest[sp+1:]
	switch {
	case len(version) < 5 || !EqualFold(version[:4], "SIP/"):
		return bad("the request line does not end in a version")
	case !EqualFold(version, "SIP/2.0"):
		return &ParseError{Status: 505, Text: "the version is not SIP/2.0"}
	case len(v.URI) == 0 || hasAny(v.URI, delimClass):
		return bad("the Request-URI is empty or holds white space or a delimiter")
	}
	var ok bool
	v.Target, ok = ParseURI(v.URI)
	switch {
	case !ok:
		return bad("the Request-URI is malformed")
	case v.Target.Scheme == OtherScheme:
		return &ParseError{Status: 416, Text: "the Request-URI's scheme is none of sip, sips, tel and urn"}
	case v.Target.Headers != nil:
		return bad("the Request-URI holds header fields") // RFC 3261 section 19.1.1, table 1
	}
	return nil
}

// statusLine reads a status line; false: it is none.
func (v *View) statusLine(line []byte) bool {
	if len(line) < 11 || string(line[:8]) != "SIP/2.0 " || len(line) > 11 && line[11] != ' ' {
		return false
	}
	n, ok := number(line[8:11], 699)
	if !ok || n < 100 {
		return false
	}
	if len(line) > 12 {
		v.Phrase = line[12:]
	}
	v.Status = int(n)
	return bytes.IndexByte(v.Phrase, 0) < 0 && bytes.IndexByte(v.Phrase, '\r') < 0 && bytes.IndexByte(v.Phrase, '\n') < 0
}

// frame compares Content-Length with what the datagram holds (RFC 3261
// section 18.3): more octets than announced are cut off, fewer are an error.
func (v *View) frame() *ParseError {
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
