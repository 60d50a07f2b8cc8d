package trace

import (
	"bytes"
	"strconv"
)

// beginsSIP reports whether octets begin as a SIP message does: a status line,
// or a request line (RFC 3261 section 7.1). RTP, DNS and the like fail at the
// first octet. A faulty version does not hide an INVITE: that it is faulty is
// for whoever judges it. cut: the line may end where the capture does.
func beginsSIP(b []byte, cut bool) bool {
	for len(b) > 1 && b[0] == '\r' && b[1] == '\n' {
		b = b[2:]
	}
	if len(b) < 12 || !isMethodOctet(b[0]) {
		return false
	}
	n := bytes.IndexByte(b, '\n')
	switch {
	case n >= 0:
		return startsMessage(bytes.TrimRight(b[:n], "\r"), true)
	case cut:
		return startsMessage(b, false)
	}
	return false
}

// startsMessage reports whether a line, without its end, is a start line. Of
// one that is not whole only an INVITE is believed.
func startsMessage(line []byte, whole bool) bool {
	if len(line) < 12 || !isMethodOctet(line[0]) {
		return false
	}
	if bytes.HasPrefix(line, []byte("SIP/2.0 ")) {
		return line[8] >= '1' && line[8] <= '6'
	}
	sp := 0
	for sp < len(line) && isMethodOctet(line[sp]) {
		sp++
	}
	if sp > 32 || sp+1 >= len(line) || line[sp] != ' ' {
		return false
	}
	rest := line[sp+1:]
	if string(line[:sp]) == "INVITE" && (hasScheme(rest, "sip:") || hasScheme(rest, "sips:") || hasScheme(rest, "tel:") || hasScheme(rest, "urn:")) {
		return true
	}
	version := rest[bytes.LastIndexByte(rest, ' ')+1:]
	return whole && len(version) >= 7 && len(version) <= 16 && bytes.EqualFold(version[:4], []byte("SIP/")) && len(version) < len(rest)
}

// isMethodOctet reports whether an octet may stand in a method (RFC 3261
// section 25.1, token).
func isMethodOctet(c byte) bool {
	switch {
	case c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z', c >= '0' && c <= '9':
		return true
	}
	switch c {
	case '-', '.', '!', '%', '*', '_', '+', '`', '\'', '~':
		return true
	}
	return false
}

func hasScheme(b []byte, scheme string) bool {
	return len(b) >= len(scheme) && bytes.EqualFold(b[:len(scheme)], []byte(scheme))
}

// contentLength is what the header announces of a body, 0 when it says
// nothing: in a stream nothing else ends a message (RFC 3261 section 18.3). ok
// is false when the announcement is no number.
func contentLength(header []byte) (n int, ok bool) {
	for len(header) > 0 {
		line := header
		if end := bytes.IndexByte(header, '\n'); end >= 0 {
			line, header = header[:end], header[end+1:]
		} else {
			header = nil
		}
		colon := bytes.IndexByte(line, ':')
		if colon < 0 {
			continue
		}
		name := bytes.TrimRight(line[:colon], " \t")
		if !bytes.EqualFold(name, []byte("Content-Length")) && !bytes.EqualFold(name, []byte("l")) {
			continue
		}
		v, err := strconv.ParseUint(string(bytes.TrimSpace(line[colon+1:])), 10, 31)
		return int(v), err == nil
	}
	return 0, true
}

// A protocol is what a stream was seen to carry.
type protocol uint8

const (
	unknown protocol = iota
	sip
	webSocketHandshake
	webSocket
	encrypted
)

// A framer cuts a stream into messages.
type framer struct {
	*streams
	stream  *stream
	carries protocol
	buf     []byte // begins where a message or frame does
	skip    int    // octets that are passed over
	from    int    // the packet in which buf begins
	joined  []byte // WebSocket: the message's earlier frames
}

// add takes the octets that come next. What does not begin as anything known
// is looked at anew in the next segment: programs write a message at a time.
func (f *framer) add(data []byte, packet int) {
	if f.skip > 0 {
		n := min(f.skip, len(data))
		f.skip -= n
		data = data[n:]
	}
	if len(f.buf) == 0 {
		if f.carries == unknown || f.carries == sip {
			data = bytes.TrimLeft(data, "\r\n\x00") // keep-alives (RFC 5626 section 3.5.1)
		}
		f.from = packet
	}
	if len(data) == 0 || f.carries == encrypted {
		return
	}
	if f.carries == unknown && !f.recognise(data, packet) {
		return
	}
	f.buf = append(f.buf, data...)
	f.begun += len(data)
	for len(f.buf) > 0 && !f.stop {
		var used int
		switch f.carries {
		case sip:
			used = f.message(packet)
		case webSocketHandshake:
			used = f.handshake()
		case webSocket:
			used = f.frame(packet)
		}
		if used == 0 {
			break
		}
		f.use(used, packet)
	}
	if f.begun > maxStreamed {
		f.problem(f.from, "begins a message in a TCP stream; too many others are unfinished to wait for its end")
		f.reset()
	}
}

// use takes octets off the buffer.
func (f *framer) use(n, packet int) {
	f.begun -= len(f.buf)
	f.skip += max(0, n-len(f.buf))
	f.buf = f.buf[min(n, len(f.buf)):]
	if f.carries == sip {
		f.buf = bytes.TrimLeft(f.buf, "\r\n\x00")
		if len(f.buf) > 0 && !mayBegin(f.buf) {
			f.buf, f.carries = nil, unknown
		}
	}
	f.begun += len(f.buf)
	f.from = packet
	if len(f.buf) == 0 {
		f.buf = nil
	}
}

// reset forgets what was begun.
func (f *framer) reset() {
	f.begun -= len(f.buf) + len(f.joined)
	*f = framer{streams: f.streams, stream: f.stream}
}

// mayBegin reports whether octets are a message's beginning, perhaps too
// short a piece to be sure.
func mayBegin(b []byte) bool {
	if bytes.IndexByte(b[:min(len(b), maxHeader)], '\n') >= 0 {
		return beginsSIP(b, false)
	}
	for i, c := range b[:min(len(b), 32)] {
		if c == ' ' || c == '/' && i > 0 {
			return i > 0
		}
		if !isMethodOctet(c) {
			return false
		}
	}
	return true
}

// recognise tells what a stream carries by the beginning of a segment.
func (f *framer) recognise(data []byte, packet int) bool {
	switch {
	case beginsSIP(data, true):
		f.carries = sip
	case bytes.HasPrefix(data, []byte("GET ")), bytes.HasPrefix(data, []byte("HTTP/1.1 101")):
		f.carries = webSocketHandshake
	case len(data) > 5 && data[0] == 0x16 && data[1] == 3 && (data[5] == 1 || data[5] == 2): // a Client or Server Hello
		f.carries = encrypted
		if data[5] == 1 {
			f.problem(packet, "begins a TLS connection to %s, which can't be read", f.stream.dst)
		}
	default:
		return false
	}
	return true
}

var emptyLine = []byte("\r\n\r\n")

// message gives the message at the beginning of the buffer and says how long
// it is; 0: it is not whole yet.
func (f *framer) message(packet int) int {
	end := bytes.Index(f.buf, emptyLine)
	if end < 0 {
		if len(f.buf) > maxHeader {
			f.problem(f.from, "begins a message whose header is longer than %d octets", maxHeader)
			f.reset()
		}
		return 0
	}
	head := end + len(emptyLine)
	body, ok := contentLength(f.buf[:head])
	switch {
	case !ok:
		// Where it ends can't be told, but what it says can be judged.
		f.give(f.buf[:head], packet, "")
		f.carries = unknown
		return len(f.buf)
	case head+body > maxMessage:
		f.problem(f.from, "begins a message of %d octets; at most %d are read", head+body, maxMessage)
		return head + body
	case len(f.buf) < head+body:
		return 0
	}
	f.give(f.buf[:head+body], packet, "")
	return head + body
}

func (f *framer) give(data []byte, packet int, cut string) {
	carrier := TCP
	if f.carries == webSocket {
		carrier = WS
	}
	f.streams.message(Message{Time: f.at, Source: f.stream.src, Destination: f.stream.dst, Transport: carrier, Packet: packet, Bytes: data, Cut: cut})
}

// gap is told that octets of the stream are missing.
func (f *framer) gap(missing uint32) {
	switch {
	case int64(missing) <= int64(f.skip):
		f.skip -= int(missing)
		return
	case f.carries == webSocket || f.carries == webSocketHandshake:
		f.problem(f.stream.packet, "%d octets are missing in a WebSocket connection; the rest of it can't be read", missing)
		f.reset()
		f.carries = encrypted
		return
	case len(f.buf) > 0:
		f.give(f.buf, f.from, "part of it was not captured")
	}
	if f.carries != encrypted {
		f.reset()
	}
}

// end is told that nothing more comes.
func (f *framer) end() {
	if len(f.buf) > 0 && f.carries == sip && beginsSIP(f.buf, true) {
		f.give(f.buf, f.from, "the TCP stream ends before it does")
	}
	f.reset()
}
