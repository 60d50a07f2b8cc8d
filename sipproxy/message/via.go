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
	TTL       []byte
	value     []byte // the whole value in Raw
	line      int    // index of its header
	more      bool   // further values follow in the same header field
}

// SentBy is the address of sent-by when it is an IP address.
func (t *TopVia) SentBy() (netip.Addr, bool) {
	a, err := netip.ParseAddr(string(t.Host))
	return a.Unmap(), err == nil
}

// Has reports whether it has a parameter.
func (t *TopVia) Has(name string) bool {
	i := bytes.IndexByte(t.value, ';')
	if i < 0 {
		return false
	}
	_, found := Param(t.value[i:], name)
	return found
}

// vias reads the topmost Via. The others only have to be closed: they are
// nobody's business here.
func (v *View) vias() *ParseError {
	h := v.Get(Via)
	if h == nil {
		return nil
	}
	value, rest, ok := firstValue(h.Value)
	if !ok {
		return bad("Via has an unclosed quote")
	}
	top, ok := parseVia(value)
	if ok || len(top.Host) > 0 { // one whose sent-by could be read is enough for a refusal
		v.Top = top
		v.Top.value, v.Top.line, v.Top.more = value, int(v.first[Via])-1, rest != nil
	}
	if !ok {
		return bad("the topmost Via is malformed")
	}
	if !closed(rest) {
		return bad("Via has an unclosed quote or an empty value")
	}
	for i := int(v.first[Via]); i < len(v.Headers); i++ {
		if v.Headers[i].Kind == Via && !closed(v.Headers[i].Value) {
			return bad("Via has an unclosed quote or an empty value")
		}
	}
	return nil
}

// ViaCount is how many Via values the message has.
func (v *View) ViaCount() int { return v.count(Via) }

// count is how many values the header fields of a kind have.
func (v *View) count(k Kind) (n int) {
	for i := range v.Headers {
		if v.Headers[i].Kind == k {
			EachValue(v.Headers[i].Value, func([]byte) bool { n++; return true })
		}
	}
	return n
}

// EachVia calls f with each well-formed Via value until it returns false.
func (v *View) EachVia(f func(t *TopVia) bool) {
	on := true
	for i := 0; i < len(v.Headers) && on; i++ {
		if v.Headers[i].Kind != Via {
			continue
		}
		EachValue(v.Headers[i].Value, func(value []byte) bool {
			if t, ok := parseVia(value); ok {
				on = f(&t)
			}
			return on
		})
	}
}

var empty = []byte{}

// parseVia reads "SIP / 2.0 / UDP host:port ;params" (RFC 3261 section 20.42).
// White space may stand around the slashes, the colon and the semicolons. What
// could be read is there also when it is malformed.
func parseVia(b []byte) (t TopVia, ok bool) {
	name, b := token(b)
	version, b := token(slash(b))
	t.Transport, b = token(slash(b))
	// An empty transport tells that one of the parts before it was missing.
	if !EqualFold(name, "SIP") || len(version) == 0 || len(t.Transport) == 0 || len(b) == 0 || !isSpace(b[0]) {
		return t, false
	}
	end := bytes.IndexByte(b, ';')
	if end < 0 {
		end = len(b)
	}
	if t.Host, t.Port, ok = splitHostPort(trim(b[:end])); !ok {
		return t, false
	}
	for params := b[end:]; len(params) > 0; {
		name, value, rest, ok := nextParam(params)
		if !ok {
			return t, false
		}
		if value == nil {
			value = empty
		}
		var into *[]byte
		switch len(name) {
		case len("ttl"):
			into = keep(name, "ttl", &t.TTL)
		case len("maddr"): // and rport
			if into = keep(name, "rport", &t.RPort); into == nil {
				into = keep(name, "maddr", &t.MAddr)
			}
		case len("branch"):
			into = keep(name, "branch", &t.Branch)
		case len("received"):
			into = keep(name, "received", &t.Received)
		}
		if into != nil {
			if *into != nil {
				return t, false // there twice
			}
			*into = value
		}
		params = rest
	}
	return t, string(version) == "2.0"
}

// keep is into when a parameter's name is the one wanted, else nil.
func keep(name []byte, wanted string, into *[]byte) *[]byte {
	if EqualFold(name, wanted) {
		return into
	}
	return nil
}

// token takes the token that b begins with, after white space.
func token(b []byte) (tok, rest []byte) {
	from := skipSpace(b, 0)
	i := from
	for i < len(b) && isToken(b[i]) {
		i++
	}
	return b[from:i], b[i:]
}

// slash takes a "/" with white space before it; what is left is empty when
// there is none.
func slash(b []byte) []byte {
	i := skipSpace(b, 0)
	if i == len(b) || b[i] != '/' {
		return nil
	}
	return b[i+1:]
}

// splitHostPort reads host, host:port, [v6] and [v6]:port, with white space
// around the colon. The port is 0 when there is none.
func splitHostPort(b []byte) (host []byte, port uint16, ok bool) {
	var rest []byte
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
		end := 0
		for end < len(b) && classes[b[end]]&hostClass != 0 {
			end++
		}
		if host, rest = b[:end], trim(b[end:]); end == 0 {
			return nil, 0, false
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

// appendReceived appends a Via value as its receiver notes where it really
// came from (RFC 3261 section 18.2.1, RFC 3581 section 4): received when the
// source is not what sent-by says or rport was asked for, and rport's value.
// What the sender itself wrote there counts for nothing.
func (t *TopVia) appendReceived(b []byte, source netip.AddrPort) []byte {
	var text [48]byte
	addr := source.Addr().Unmap().AppendTo(text[:0])
	if t.RPort == nil && t.Received == nil && EqualFold(addr, t.Host) {
		return append(b, t.value...)
	}
	b = appendWithout(b, t.value)
	if t.RPort != nil || !EqualFold(addr, t.Host) {
		b = append(append(b, ";received="...), addr...)
	}
	if t.RPort != nil {
		b = append(b, ";rport="...)
		b = strconv.AppendUint(b, uint64(source.Port()), 10)
	}
	return b
}

// appendWithout appends a Via value without its received and rport parameters.
func appendWithout(b, value []byte) []byte {
	semi := bytes.IndexByte(value, ';')
	if semi < 0 {
		return append(b, value...)
	}
	b = append(b, trim(value[:semi])...)
	for params := value[semi:]; len(params) > 0; {
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
