package trace

import (
	"bytes"
	"encoding/binary"
)

// handshake passes over the HTTP request or response that opens a WebSocket
// connection (RFC 6455 section 4); another one ends what is looked at.
func (f *framer) handshake() int {
	end := bytes.Index(f.buf, emptyLine)
	if end < 0 {
		if len(f.buf) > maxHeader {
			f.reset()
		}
		return 0
	}
	head := bytes.ToLower(f.buf[:end+2])
	if !bytes.Contains(head, []byte("\r\nupgrade: websocket\r\n")) {
		f.carries = unknown
		return len(f.buf)
	}
	f.carries = webSocket
	return end + len(emptyLine)
}

// frame takes one WebSocket frame (RFC 6455 section 5.2; RFC 7118: one SIP
// message is one WebSocket message). 0: it is not whole yet.
func (f *framer) frame(packet int) int {
	b := f.buf
	if len(b) < 2 {
		return 0
	}
	last, compressed, opcode := b[0]&0x80 != 0, b[0]&0x40 != 0, b[0]&0x0f
	masked, n, head := b[1]&0x80 != 0, uint64(b[1]&0x7f), 2
	switch {
	case n == 126 && len(b) >= 4:
		n, head = uint64(binary.BigEndian.Uint16(b[2:])), 4
	case n == 127 && len(b) >= 10:
		n, head = binary.BigEndian.Uint64(b[2:]), 10
	case n > 125:
		return 0
	}
	if masked {
		head += 4
	}
	if n > maxMessage || len(f.joined)+int(n) > maxMessage {
		f.problem(f.from, "begins a WebSocket message of more than %d octets; the rest of the connection can't be read", maxMessage)
		f.reset()
		f.carries = encrypted
		return 0
	}
	whole := head + int(n)
	if len(b) < whole {
		return 0
	}
	payload := b[head:whole]
	if masked {
		for i := range payload {
			payload[i] ^= b[head-4+i&3]
		}
	}
	if opcode >= 8 {
		return whole // a control frame
	}
	if compressed {
		f.problem(packet, "is a compressed WebSocket message, which can't be read")
		return whole
	}
	if !last || len(f.joined) > 0 {
		f.joined = append(f.joined, payload...)
		f.begun += len(payload)
		if !last {
			return whole
		}
		payload = f.joined
	}
	if beginsSIP(payload, false) {
		f.give(payload, packet, "")
	}
	f.begun -= len(f.joined)
	f.joined = nil
	return whole
}
