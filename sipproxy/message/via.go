package message

import (
	"bytes"
	"net/netip"
	"strconv"
)

// MagicCookie begins every branch made by RFC 3261 (section 8.1.1.7).
const MagicCookie = "z9hG4bK"

// TopVia is the topmost Via value: who sent the message to us, or, in a
// response, to whom the next hop sends it.
type TopVia struct {
	Transport []byte
	Host      []byte // of sent-by, an IPv6 address without its brackets
	Port      uint16 // of sent-by, 0 when none is given
	Branch    []byte
	Received  []byte // nil when there is none
	RPort     []byte // its value, empty when asked for, nil when not
	MAddr     []byte
	value     []byte // the whole value in Raw
	line      int    // index of its header
	more      bool   // further values follow in the same header field
}

// SentBy is the address of sent-by when it is an IP address.
func (t *TopVia) SentBy() (netip.Addr, bool) {
	a, err := netip.ParseAddr(string(t.Host))
	return a.Unmap(), err == nil
}

func (v *View) topVia() error {
	h := v.Get(Via)
	value, rest, ok := nextValue(h.Value)
	if !ok {
		return bad("Via has an unclosed quote")
	}
	t, ok := parseVia(value)
	if !ok {
		return bad("the topmost Via is malformed")
	}
	t.value, t.line, t.more = value, int(v.first[Via])-1, rest != nil
	v.Top = t
	// The others only have to be closed: they are nobody's business here.
	for i := range v.Headers {
		if v.Headers[i].Kind == Via && !EachValue(v.Headers[i].Value, func(value []byte) bool { return len(value) > 0 }) {
			return bad("Via has an unclosed quote")
		}
	}
	if rest != nil && len(trim(rest)) == 0 {
		return bad("Via ends in a comma")
	}
	return nil
}

// ViaCount is how many Via values the message has.
func (v *View) ViaCount() int {
	n := 0
	for i := range v.Headers {
		if v.Headers[i].Kind == Via {
			EachValue(v.Headers[i].Value, func([]byte) bool { n++; return true })
		}
	}
	return n
}

// EachVia calls f with each Via value until it returns false.
func (v *View) EachVia(f func(t *TopVia) bool) {
	for i := range v.Headers {
		if v.Headers[i].Kind != Via {
			continue
		}
		on := true
		EachValue(v.Headers[i].Value, func(value []byte) bool {
			if t, ok := parseVia(value); ok {
				on = f(&t)
			}
			return on
		})
		if !on {
			return
		}
	}
}

// parseVia reads "SIP / 2.0 / UDP host:port ;params" (RFC 3261 section 20.42).
// White space may stand around the slashes, the colon and the semicolons.
func parseVia(b []byte) (t TopVia, ok bool) {
	protocol, b := token(b)
	if !EqualFold(protocol, "SIP") || !slash(&b) {
		return t, false
	}
	version, b := token(b)
	if string(version) != "2.0" || !slash(&b) {
		return t, false
	}
	t.Transport, b = token(b)
	if len(t.Transport) == 0 || len(b) == 0 || !isSpace(b[0]) {
		return t, false
	}
	b = trim(b)
	hostEnd := bytes.IndexByte(b, ';')
	if hostEnd < 0 {
		hostEnd = len(b)
	}
	if !t.sentBy(trim(b[:hostEnd])) {
		return t, false
	}
	params := b[hostEnd:]
	if !paramsOK(params, "branch") {
		return t, false
	}
	for len(trim(params)) > 0 {
		name, value, rest, ok := nextParam(params)
		if !ok {
			return t, false
		}
		if value == nil {
			value = empty
		}
		switch {
		case EqualFold(name, "branch"):
			t.Branch = value
		case EqualFold(name, "received"):
			t.Received = value
		case EqualFold(name, "rport"):
			t.RPort = value
		case EqualFold(name, "maddr"):
			t.MAddr = value
		}
		params = rest
	}
	return t, true
}

var empty = []byte{}

// sentBy reads host and port.
func (t *TopVia) sentBy(b []byte) bool {
	host, port, ok := splitHostPort(b)
	if !ok {
		return false
	}
	t.Host, t.Port = host, port
	return true
}

// splitHostPort reads host, host:port, [v6] and [v6]:port, with white space
// around the colon. The port is 0 when there is none.
func splitHostPort(b []byte) (host []byte, port uint16, ok bool) {
	rest := []byte(nil)
	if len(b) > 0 && b[0] == '[' {
		end := bytes.IndexByte(b, ']')
		if end < 2 {
			return nil, 0, false
		}
		host, rest = b[1:end], trim(b[end+1:])
		if a, err := netip.ParseAddr(string(host)); err != nil || !a.Is6() {
			return nil, 0, false
		}
	} else {
		colon := bytes.IndexByte(b, ':')
		if colon < 0 {
			colon = len(b)
		}
		host, rest = trim(b[:colon]), trim(b[colon:])
		if len(host) == 0 {
			return nil, 0, false
		}
		for _, c := range host {
			c = lower(c)
			if !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '.' || c == '-' || c == '_') {
				return nil, 0, false
			}
		}
	}
	if len(rest) == 0 {
		return host, 0, true
	}
	if rest[0] != ':' {
		return nil, 0, false
	}
	n, ok := number(trim(rest[1:]), 65535)
	return host, uint16(n), ok && n > 0
}

// token takes the token that b begins with, after white space.
func token(b []byte) (tok, rest []byte) {
	for len(b) > 0 && isSpace(b[0]) {
		b = b[1:]
	}
	i := 0
	for i < len(b) && isToken(b[i]) {
		i++
	}
	return b[:i], b[i:]
}

// slash takes a "/" with white space around it.
func slash(b *[]byte) bool {
	s := *b
	for len(s) > 0 && isSpace(s[0]) {
		s = s[1:]
	}
	if len(s) == 0 || s[0] != '/' {
		return false
	}
	s = s[1:]
	for len(s) > 0 && isSpace(s[0]) {
		s = s[1:]
	}
	*b = s
	return true
}

// appendReceived appends a Via value as its receiver notes where it really
// came from (RFC 3261 section 18.2.1, RFC 3581 section 4): received when the
// source is not what sent-by says or rport was asked for, and rport's value.
func (t *TopVia) appendReceived(b []byte, source netip.AddrPort) []byte {
	addr, isIP := t.SentBy()
	note := !isIP || addr != source.Addr() || t.RPort != nil
	if !note {
		return append(b, t.value...)
	}
	b = appendWithout(b, t.value)
	b = append(b, ";received="...)
	b = source.Addr().AppendTo(b)
	if t.RPort != nil {
		b = append(b, ";rport="...)
		b = strconv.AppendUint(b, uint64(source.Port()), 10)
	}
	return b
}

// appendWithout appends a Via value without its received and rport
// parameters: what stands there was written by its sender and counts for nothing.
func appendWithout(b, value []byte) []byte {
	semi := bytes.IndexByte(value, ';')
	if semi < 0 {
		return append(b, value...)
	}
	b = append(b, trim(value[:semi])...)
	for params := value[semi:]; len(trim(params)) > 0; {
		params = trim(params)
		name, _, rest, ok := nextParam(params)
		if !ok {
			return append(b, params...)
		}
		if !EqualFold(name, "received") && !EqualFold(name, "rport") {
			b = append(b, trim(params[:len(params)-len(rest)])...)
		}
		params = rest
	}
	return b
}

// ResponseTarget is where a response that this Via now tops is sent, when the
// Via was stamped by us (RFC 3261 section 18.2.2, RFC 3581 section 4).
func (t *TopVia) ResponseTarget() (netip.AddrPort, bool) {
	host := t.Host
	if t.Received != nil {
		host = t.Received
	}
	addr, err := netip.ParseAddr(string(host))
	if err != nil {
		return netip.AddrPort{}, false
	}
	port := t.Port
	if n, ok := number(t.RPort, 65535); ok && n > 0 {
		port = uint16(n)
	}
	if port == 0 {
		port = 5060
	}
	return netip.AddrPortFrom(addr.Unmap(), port), true
}
