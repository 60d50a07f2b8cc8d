package message

import (
	"bytes"
	"fmt"
)

// headEnd ends the header part: an empty line after any line.
var headEnd = []byte("\n\r\n")

// A Frame tells where the first message of a stream ends (RFC 3261 section
// 18.3). Its zero value is ready for the first octets of a message, and again
// once the message was taken.
type Frame struct {
	searched int // octets that hold no end of the header part
	size     int // of the whole message, 0 while it is not known
}

// Next is the length of the message that b begins with, 0 while there is more
// to come. b holds the same octets as at the last call, and more. An error
// means that nobody can tell where the message ends: nothing after it can be
// read. head is then how much of b belongs to its header part.
func (f *Frame) Next(b []byte) (size, head int, err error) {
	if f.size == 0 {
		end := bytes.Index(b[f.searched:], headEnd)
		if end < 0 {
			if len(b) >= MaxSize {
				return 0, len(b), &ParseError{Status: 400, Text: "the header part is larger than any message may be", Limit: SizeLimit}
			}
			f.searched = max(0, len(b)-len(headEnd)+1)
			return 0, 0, nil
		}
		head = f.searched + end + len(headEnd)
		body, err := bodyLength(b[:head])
		if err != nil {
			return 0, head, err
		}
		if head+body > MaxSize {
			return 0, head, &ParseError{Status: 400, Text: fmt.Sprintf("the message would have %d octets, at most %d are read", head+body, MaxSize), Limit: SizeLimit}
		}
		f.size = head + body
	}
	if len(b) < f.size {
		return 0, 0, nil
	}
	size = f.size
	*f = Frame{}
	return size, 0, nil
}

// bodyLength reads Content-Length, which every message in a stream has exactly
// once. Lines are found and named as [View.Parse] does it.
func bodyLength(head []byte) (int, error) {
	at := bytes.IndexByte(head, '\n') + 1
	length := -1
	for at < len(head)-len(crlf) {
		end, ok := lineEnd(head, at)
		line := head[at:end]
		at = end
		n := 0
		for n < len(line) && isToken(line[n]) {
			n++
		}
		if KindOf(line[:n]) != ContentLength {
			continue
		}
		line = line[n:]
		for len(line) > 0 && (line[0] == ' ' || line[0] == '\t') {
			line = line[1:]
		}
		if !ok || len(line) == 0 || line[0] != ':' {
			return 0, bad("the line of Content-Length is malformed")
		}
		if length >= 0 {
			return 0, bad("there is a second Content-Length")
		}
		n64, ok := number(trim(line[1:]), 1<<31-1)
		if !ok {
			return 0, bad("Content-Length is no number")
		}
		length = int(n64)
	}
	if length < 0 {
		return 0, bad("Content-Length is missing, without which a message in a stream has no end")
	}
	return length, nil
}
