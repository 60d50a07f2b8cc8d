package trace

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strings"
)

// A texter reads messages out of text, line by line: the message logs of SIPp,
// what sngrep saves, debug prints of Kamailio and Asterisk, and messages that
// simply stand one after the other. Whatever stands between messages is looked
// at for time and addresses, and passed over.
type texter struct {
	*sink
	in   *bufio.Reader
	o    Options
	line int
	head heading // what was said since the last message

	seen    bool // a message was found
	state   state
	message Message
	buf     []byte
	indent  string // stands before every line of the message, as in YAML
	bare    bool   // the text lost the CRs of its line ends
	bodyAt  int
	body    int // octets of body announced, -1: until something else begins
	headers int
}

// A state is where in a message the next line stands.
type state uint8

const (
	between state = iota
	inHeader
	inBody
)

func readText(in *bufio.Reader, o Options, s *sink) {
	t := texter{sink: s, in: in, o: o}
	for !s.stop {
		line, long, err := t.readLine()
		if err != nil && err != io.EOF {
			t.ended("the text can't be read further")
			s.ends(t.line+1, "%s", cause(err))
			return
		}
		if len(line) > 0 {
			t.line++
			t.take(line, long)
		}
		if err == io.EOF {
			break
		}
	}
	t.ended("the text ends before it does")
	if !t.seen && !s.stop {
		s.ends(0, "holds no SIP message")
	}
}

// readLine reads a line with its end. Of one that is too long the beginning is
// kept and the rest passed over.
func (t *texter) readLine() (line []byte, long bool, err error) {
	line, err = t.in.ReadSlice('\n')
	for err == bufio.ErrBufferFull {
		if !long {
			line, long = bytes.Clone(line[:maxLine]), true
		}
		_, err = t.in.ReadSlice('\n')
	}
	return line, long || len(line) > maxLine, err
}

// take takes one line.
func (t *texter) take(line []byte, long bool) {
	if t.state == between {
		t.outside(line, long)
		return
	}
	text := bytes.TrimRight(line, "\r\n")
	switch {
	case long:
		t.finish(fmt.Sprintf("line %d is longer than %d octets", t.line, maxLine))
	case t.state == inHeader:
		t.header(line, text)
	default:
		t.content(line, text)
	}
}

// outside takes a line between messages.
func (t *texter) outside(line []byte, long bool) {
	text := bytes.TrimRight(line, "\r\n")
	if long || len(text) == 0 {
		return
	}
	if bytes.Contains(text, []byte("#012")) {
		t.escaped(text)
		return
	}
	at := startLine(text)
	if at < 0 {
		if bytes.ContainsAny(text, "0123456789") {
			t.head.read(string(text), t.o.Zone)
		}
		return
	}
	if prefix := string(text[:at]); strings.TrimSpace(prefix) == "" {
		t.indent = prefix
	} else {
		t.head.read(prefix, t.o.Zone)
		t.indent = ""
	}
	t.state, t.headers = inHeader, 0
	t.bare = !bytes.HasSuffix(line, []byte("\r\n"))
	t.message = Message{Time: t.head.at, Source: t.head.source, Destination: t.head.destination, Transport: t.head.transport, Packet: t.line}
	t.buf = append(t.buf[:0], text[at:]...)
	t.buf = append(t.buf, "\r\n"...)
}

// escaped takes a line into which a system log wrote a whole message.
func (t *texter) escaped(text []byte) {
	whole := strings.NewReplacer("#015#012", "\r\n", "#012", "\r\n", "#011", "\t").Replace(string(text))
	for _, line := range strings.SplitAfter(whole, "\n") {
		if line != "" && !strings.Contains(line, "#012") {
			t.take([]byte(line), false)
		}
	}
	t.ended("the line of the log ends before it does")
}

// startLine is where in a line a message's start line begins, -1: nowhere. A
// log may write something before it.
func startLine(text []byte) int {
	trimmed := bytes.TrimLeft(text, " \t")
	at := len(text) - len(trimmed)
	if startsMessage(trimmed, true) {
		return at
	}
	if !bytes.HasSuffix(text, []byte(" SIP/2.0")) {
		return -1
	}
	uri := bytes.LastIndexByte(text[:len(text)-len(" SIP/2.0")], ' ')
	if uri < 0 || !hasScheme(text[uri+1:], "sip:") && !hasScheme(text[uri+1:], "sips:") && !hasScheme(text[uri+1:], "tel:") {
		return -1
	}
	method := uri
	for method > 0 && text[method-1] >= 'A' && text[method-1] <= 'Z' {
		method--
	}
	if method == uri {
		return -1
	}
	return method
}

// header takes a line of the header.
func (t *texter) header(line, text []byte) {
	text = bytes.TrimPrefix(text, []byte(t.indent))
	if len(text) == 0 {
		t.beginBody()
		return
	}
	folded := text[0] == ' ' || text[0] == '\t'
	colon := bytes.IndexByte(text, ':')
	switch {
	case t.headers == 0 && (colon <= 0 || folded || rule(text)):
		t.state = between // a log that only mentions a start line
		t.take(line, false)
		return
	case !folded && (rule(text) || startsMessage(text, true)):
		t.ended("its header has no end")
		t.take(line, false)
		return
	}
	t.headers++
	t.buf = append(append(t.buf, text...), t.lineEnd(line)...)
	if len(t.buf) > maxHeader {
		t.finish(fmt.Sprintf("its header is longer than %d octets", maxHeader))
	}
}

// lineEnd is the end of a line as it was sent.
func (t *texter) lineEnd(line []byte) string {
	if t.bare || bytes.HasSuffix(line, []byte("\r\n")) {
		return "\r\n"
	}
	if bytes.HasSuffix(line, []byte("\n")) {
		return "\n"
	}
	return ""
}

func (t *texter) beginBody() {
	t.buf = append(t.buf, "\r\n"...)
	t.bodyAt, t.state = len(t.buf), inBody
	n, ok := contentLength(t.buf)
	switch {
	case !ok:
		t.finish("")
		return
	case n == 0 && !bytes.Contains(bytes.ToLower(t.buf), []byte("\r\ncontent-length")) && bytes.Contains(bytes.ToLower(t.buf), []byte("\r\nc")):
		// Nothing announces the body's length, but there may be one.
		n = -1
	case n > maxMessage:
		t.finish(fmt.Sprintf("it announces a body of %d octets; at most %d are read", n, maxMessage))
		return
	}
	if t.body = n; n == 0 {
		t.finish("")
	}
}

// content takes a line of the body.
func (t *texter) content(line, text []byte) {
	if marks(text) || bytes.HasPrefix(text, []byte("INVITE ")) && startLine(text) == 0 || t.body < 0 && (rule(text) || startLine(text) == 0) {
		t.ended("its body is cut")
		t.take(line, false)
		return
	}
	text = bytes.TrimPrefix(text, []byte(t.indent))
	t.buf = append(append(t.buf, text...), t.lineEnd(line)...)
	have := len(t.buf) - t.bodyAt
	switch {
	case have > maxMessage:
		t.finish(fmt.Sprintf("its body is longer than %d octets", maxMessage))
	case t.body >= 0 && have >= t.body:
		// The next message may follow without a line end between them.
		rest := bytes.Clone(bytes.TrimLeft(t.buf[t.bodyAt+t.body:], "\r\n"))
		t.buf = t.buf[:t.bodyAt+t.body]
		t.finish("")
		if len(rest) > 0 {
			t.take(rest, false)
		}
	}
}

// ended is told that the text of the message at hand is over. why says what
// is missing if more was to come.
func (t *texter) ended(why string) {
	switch {
	case t.state == inBody && t.body < 0: // nothing but this ends it
		t.buf = append(bytes.TrimRight(t.buf, "\r\n"), "\r\n"...)
		if len(t.buf) < t.bodyAt {
			t.buf = append(t.buf, "\r\n"...)
		}
		why = ""
	case t.state == inBody && t.bare:
		if missing := t.body - (len(t.buf) - t.bodyAt); missing <= 2 { // an editor took the last line end
			t.buf = append(t.buf, "\r\n"[2-missing:]...)
			why = ""
		}
	case t.state == inHeader && t.bare && t.headers > 0:
		if n, ok := contentLength(t.buf); ok && n == 0 { // likewise the empty line
			t.buf = append(t.buf, "\r\n"...)
			why = ""
		}
	}
	t.finish(why)
}

// finish gives the message at hand. cut says why it is not whole, if it isn't.
func (t *texter) finish(cut string) {
	if t.state == between {
		return
	}
	t.state, t.head, t.seen = between, heading{}, true
	t.message.Bytes, t.message.Cut = t.buf, cut
	t.sink.message(t.message)
}

// rule reports whether a line is a ruler that programs draw between messages.
func rule(text []byte) bool {
	if len(text) < 4 {
		return false
	}
	switch text[0] {
	case '-', '=', '~', '|', '*', '#':
		return text[1] == text[0] && text[2] == text[0] && text[3] == text[0]
	}
	return bytes.HasPrefix(text, []byte("<---"))
}

// marks reports whether a line is surely written by a program between
// messages, wherever it stands.
func marks(text []byte) bool {
	return bytes.HasPrefix(text, []byte("<--- ")) || bytes.HasPrefix(text, []byte("<-----")) ||
		bytes.HasPrefix(text, []byte("-----------------------------------------------")) ||
		bytes.HasPrefix(text, []byte("||||||||||||||||")) || bytes.HasPrefix(text, []byte("===================="))
}
