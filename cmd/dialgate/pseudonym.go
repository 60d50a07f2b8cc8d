package main

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"net/netip"
	"strings"

	"dialgate/policy"
	"dialgate/sipproxy"
	"dialgate/sipproxy/message"
)

// A pseudonymiser rewrites SIP messages so that nobody in them can be told,
// while they are judged as before. What it writes has the length and shape of
// what it read: a digit for a digit, a letter for a letter. Under one key the
// same number, name, address or token always becomes the same other one, and
// two different ones never become the same.
type pseudonymiser struct {
	key   []byte
	world *world
}

// encipher replaces each octet of text by one of its kind, depending on the
// key, on context, and on what stands before it in the text. It is a bijection.
func (p *pseudonymiser) encipher(context string, text []byte) []byte {
	out := bytes.Clone(text)
	state := p.hash([]byte(context))
	for i, c := range text {
		shift := state[0]
		switch {
		case c >= '0' && c <= '9':
			out[i] = '0' + (c-'0'+shift%10)%10
		case c >= 'a' && c <= 'z':
			out[i] = 'a' + (c-'a'+shift%26)%26
		case c >= 'A' && c <= 'Z':
			out[i] = 'A' + (c-'A'+shift%26)%26
		case c >= 0x80:
			out[i] = 'x' // no alphabet keeps its shape
		default:
			continue
		}
		state = p.hash(append(state[1:], c))
	}
	return out
}

func (p *pseudonymiser) hash(b []byte) []byte {
	h := hmac.New(sha256.New, p.key)
	_, _ = h.Write(b) // never fails
	return h.Sum(nil)
}

// minNumber is the fewest digits that could tell a person; shorter codes such
// as 112 are kept, since their meaning is what is judged.
const minNumber = 6

// number replaces the digits of a number. All its written forms become forms
// of the same other number, of the same country, length and class.
func (p *pseudonymiser) number(digits []byte, plus bool) []byte {
	if sipproxy.Hides(digits) {
		return digits
	}
	whole, known := p.e164(digits, plus)
	if known && p.world.domain.Directory.Caller(whole) != nil {
		return digits // the company's own, as the configuration lists it
	}
	canonical := digits
	if known {
		canonical = []byte(whole.Digits())
	}
	n := min(6, max(3, len(canonical)-5))
	head, tail := canonical[:len(canonical)-n], canonical[len(canonical)-n:]
	// Walking on until the class is the same keeps it a bijection.
	for range 1000 {
		tail = p.encipher("number "+string(head), tail)
		other, ok := policy.NumberOfDigits(string(head) + string(tail))
		same := !known || ok && p.world.reader.Plans.Class(other) == p.world.reader.Plans.Class(whole) && p.world.domain.Directory.Caller(other) == nil
		if same && !sipproxy.Hides(tail) && !bytes.Equal(tail, canonical[len(head):]) {
			break
		}
	}
	return append(bytes.Clone(digits[:len(digits)-n]), tail...)
}

// e164 reads digits as a caller might have written them.
func (p *pseudonymiser) e164(digits []byte, plus bool) (policy.Number, bool) {
	s := string(digits)
	switch {
	case plus:
		return policy.NumberOfDigits(s)
	case strings.HasPrefix(s, "00"):
		return policy.NumberOfDigits(s[2:])
	case strings.HasPrefix(s, "0"):
		return p.world.reader.Home.National(s)
	}
	return policy.NumberOfDigits(s)
}

// address replaces an IP address by one of the same shape. Loopback and the
// unspecified address tell nothing and stay.
func (p *pseudonymiser) address(a netip.Addr) netip.Addr {
	if a.IsLoopback() || a.IsUnspecified() || !a.IsValid() {
		return a
	}
	b, context := a.AsSlice(), p.hash([]byte("address"))
	for i := range b {
		context = p.hash(append(context, a.AsSlice()[i]))
		switch {
		case a.Is4():
			low, high := shape(b[i], i == 0)
			b[i] = byte(low + (int(b[i])-low+int(context[0]))%(high-low+1))
		case i >= 2:
			b[i] ^= context[0]
		}
	}
	out, _ := netip.AddrFromSlice(b)
	return out
}

// shape is the range of octets that are written with as many digits. The first
// octet of an address stays a unicast one, and none begins a loopback address.
func shape(c byte, first bool) (low, high int) {
	switch {
	case first && c >= 224:
		return 224, 255
	case first && c >= 128:
		return 128, 223
	case c >= 100 && !first:
		return 100, 255
	case c >= 100:
		return 100, 126
	case c >= 10:
		return 10, 99
	case first && c == 0:
		return 0, 0
	case first:
		return 1, 9
	}
	return 0, 9
}

// message rewrites one message, of any length and however malformed.
func (p *pseudonymiser) message(raw []byte) []byte {
	head, body := raw, []byte(nil)
	if end := bytes.Index(raw, []byte("\r\n\r\n")); end >= 0 {
		head, body = raw[:end+4], raw[end+4:]
	}
	out := make([]byte, 0, len(raw))
	first, kind := true, message.Other
	for len(head) > 0 {
		line := head
		if end := bytes.IndexByte(head, '\n'); end >= 0 {
			line = head[:end+1]
		}
		head = head[len(line):]
		text := bytes.TrimRight(line, "\r\n")
		switch {
		case first && len(text) > 0:
			out, first = append(out, p.startLine(text)...), false
		case len(text) > 0 && (text[0] == ' ' || text[0] == '\t'):
			out = append(out, p.value(kind, text)...)
		default:
			colon := bytes.IndexByte(text, ':')
			kind = message.Other
			if colon >= 0 {
				kind = message.KindOf(bytes.TrimRight(text[:colon], " \t"))
				out = append(out, text[:colon+1]...)
				if plain(text[:colon]) {
					out = append(out, text[colon+1:]...)
				} else {
					out = append(out, p.value(kind, text[colon+1:])...)
				}
			} else {
				out = append(out, p.encipher("line", text)...)
			}
		}
		out = append(out, line[len(text):]...)
	}
	return append(out, p.body(body)...)
}

// startLine rewrites the Request-URI or the reason phrase.
func (p *pseudonymiser) startLine(text []byte) []byte {
	a, b := bytes.IndexByte(text, ' '), bytes.LastIndexByte(text, ' ')
	switch {
	case a < 0:
		return text
	case bytes.HasPrefix(text, []byte("SIP/")):
		b = min(len(text), a+4)
		return append(bytes.Clone(text[:b]), p.encipher("phrase", text[b:])...)
	case a == b:
		b = len(text)
	}
	return append(append(bytes.Clone(text[:a]), p.words(text[a:b])...), text[b:]...)
}

// plainHeaders say nothing of a person.
var plainHeaders = words("cseq max-forwards content-length l content-type c expires allow supported k require proxy-require privacy min-se session-expires x accept " +
	"accept-encoding allow-events u event o rseq date content-encoding e content-disposition mime-version x-campaign")

func plain(name []byte) bool {
	return plainHeaders[strings.ToLower(string(bytes.TrimRight(name, " \t")))]
}

func words(list string) map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(list) {
		m[w] = true
	}
	return m
}

// value rewrites the value of a header field: addresses by their parts, all
// else, of which no rule asks, octet by octet.
func (p *pseudonymiser) value(kind message.Kind, text []byte) []byte {
	switch kind {
	case message.Via, message.From, message.To, message.Contact, message.Route, message.RecordRoute, message.PAssertedIdentity, message.PPreferredIdentity,
		message.RemotePartyID, message.Diversion, message.HistoryInfo, message.ReferTo:
		return p.words(text)
	}
	return p.encipher("token", text)
}

// kept are the words of addresses and their parameters that the protocol
// defines. A name before "=" is one of them always.
var kept = words("sip sips tel urn service sos udp tcp tls ws wss sctp lr rport ob hide alias phone ip user yes no full off id header session none critical " +
	"unconditional no-answer user-busy unknown calling called pass fail invalid transport branch tag maddr ttl received party privacy screen reason counter index " +
	"phone-context isub ext cause text protocol z9hg4bk")

// words rewrites a text word by word.
func (p *pseudonymiser) words(text []byte) []byte {
	out := make([]byte, 0, len(text))
	token := false // the next word is a tag or branch
	for i := 0; i < len(text); {
		if text[i] == '[' {
			end := bytes.IndexByte(text[i:], ']')
			if a, err := netip.ParseAddr(string(text[i+1 : max(i+1, i+end)])); err == nil {
				out = append(append(append(out, '['), p.address(a).String()...), ']')
				i += end + 1
				continue
			}
		}
		if n, digits := numberAt(text[i:]); n > 0 && !token {
			plus := bytes.HasSuffix(out, []byte("+")) || len(out) >= 3 && bytes.EqualFold(out[len(out)-3:], []byte("%2B"))
			out = append(out, p.spread(text[i:i+n], p.number(digits, plus))...)
			i += n
			continue
		}
		if text[i] == '%' && i+2 < len(text) { // an escaped octet is no part of a word
			out = append(out, text[i:i+3]...)
			i += 3
			continue
		}
		n := wordAt(text[i:])
		if n == 0 {
			token = token && text[i] == '='
			out = append(out, text[i])
			i++
			continue
		}
		word := text[i : i+n]
		i += n
		name := i < len(text) && text[i] == '='
		if rest, ok := bytes.CutPrefix(word, []byte("z9hG4bK")); token && ok {
			out = append(append(out, "z9hG4bK"...), p.encipher("token", rest)...)
		} else if a, err := netip.ParseAddr(string(word)); err == nil {
			out = append(out, p.address(a).String()...)
		} else if token || !name && !keeps(word) {
			out = append(out, p.encipher("word", word)...)
		} else {
			out = append(out, word...)
		}
		folded := strings.ToLower(string(word))
		token = name && (folded == "tag" || folded == "branch")
	}
	return out
}

// keeps reports whether a word stays as it is.
func keeps(word []byte) bool {
	return kept[strings.ToLower(string(word))] || sipproxy.Hides(word) || len(word) < minNumber && onlyDigits(word) || string(word) == "2.0" || string(word) == "SIP"
}

func onlyDigits(b []byte) bool {
	return len(bytes.TrimLeft(b, "0123456789")) == 0
}

// wordAt is how long the word is that begins here: letters, digits, and what
// joins them in names, hosts and addresses.
func wordAt(b []byte) (n int) {
	for n < len(b) && (b[n] >= '0' && b[n] <= '9' || b[n]|0x20 >= 'a' && b[n]|0x20 <= 'z' || b[n] >= 0x80 || n > 0 && strings.IndexByte("-._", b[n]) >= 0) {
		n++
	}
	return n
}

// numberAt is how long the number is that begins here, visual separators
// (RFC 3966 section 3) and escaped digits included, and its digits. 0: there is
// none.
func numberAt(b []byte) (n int, digits []byte) {
	dots := 0
	for i := 0; i < len(b); {
		c, size := b[i], 1
		if c == '%' && i+2 < len(b) && b[i+1] == '3' && b[i+2] >= '0' && b[i+2] <= '9' {
			c, size = b[i+2], 3
		}
		switch {
		case c >= '0' && c <= '9':
			digits = append(digits, c)
			n = i + size
		case i == 0 || strings.IndexByte("-.() ", c) < 0:
			i = len(b)
			continue
		case c == '.':
			dots++
		}
		i += size
	}
	_, err := netip.ParseAddr(string(b[:n]))
	if len(digits) < minNumber || err == nil || n < len(b) && b[n]|0x20 >= 'a' && b[n]|0x20 <= 'z' {
		return 0, nil
	}
	return n, digits
}

// spread writes other digits into a number as it was written.
func (p *pseudonymiser) spread(text, digits []byte) []byte {
	out := bytes.Clone(text)
	for i := 0; i < len(out) && len(digits) > 0; i++ {
		if out[i] == '%' {
			i += 2
		}
		if out[i] >= '0' && out[i] <= '9' {
			out[i], digits = digits[0], digits[1:]
		}
	}
	return out
}

// body rewrites a body. Of session descriptions the lines stay by which media
// are told, since a fax is judged by them; nothing else stays.
func (p *pseudonymiser) body(b []byte) []byte {
	out := make([]byte, 0, len(b))
	for len(b) > 0 {
		line := b
		if end := bytes.IndexByte(b, '\n'); end >= 0 {
			line = b[:end+1]
		}
		b = b[len(line):]
		switch {
		case bytes.HasPrefix(line, []byte("v=0")), bytes.HasPrefix(line, []byte("m=")), bytes.HasPrefix(line, []byte("t=0 0")),
			bytes.HasPrefix(line, []byte("a=rtpmap:")), bytes.HasPrefix(line, []byte("a=sendrecv")):
			out = append(out, line...)
		case bytes.HasPrefix(line, []byte("c=IN IP4 ")):
			out = append(append(out, line[:9]...), p.words(line[9:])...)
		case len(line) > 2 && line[1] == '=':
			out = append(append(out, line[:2]...), p.encipher("sdp", line[2:])...)
		default:
			out = append(out, p.encipher("body", line)...)
		}
	}
	return out
}
