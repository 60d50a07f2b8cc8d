package sipproxy

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"hash"
	"net/netip"
	"sync"

	"dialgate/sipproxy/message"
)

// A token in our Record-Route URI proves that a call was judged here: a keyed
// hash over the Call-ID and the tag of who began the call, together with the
// addresses of both sides, to which requests go whose own target is a name,
// and the prints of the numbers that were judged, by which a change is told.
// Without it, a To tag made up by a dialer would walk past the policy.
type tokens struct {
	macs sync.Pool // *mac
}

// A mac is a keyed hash with the memory that it works on.
type mac struct {
	hash.Hash
	text []byte
	out  [sha256.Size]byte
}

// sum is the keyed hash of the text, in memory that the next one takes.
func (m *mac) sum() []byte {
	m.Reset()
	m.Write(m.text)
	return m.Sum(m.out[:0])
}

// tokenParam is the URI parameter that carries the token.
const tokenParam = "dg"

const (
	macSize   = 16
	printSize = 5
)

// prints are keyed hashes of the numbers of a call, by which a later request
// is told that names others. They say nothing to who has no key.
type prints struct {
	from, shown print // of the dialer's side: in From, and what is shown
	other       print // the number at the other end
	peer        print // the dialer itself; none when a call went to an address that is no peer's
}

type print [printSize]byte

// print is the print of a number or short code, "" for none.
func (t *tokens) print(number string) print { return t.printOf("number ", number) }

// peer is the print of a dialer's id.
func (t *tokens) peer(q *peer) print { return t.printOf("peer ", q.Terms.ID) }

func (t *tokens) printOf(kind, text string) (p print) {
	sum := t.wholePrint(kind, text)
	copy(p[:], sum[:])
	return p
}

// wholePrint is a keyed hash of a text of a kind.
func (t *tokens) wholePrint(kind, text string) (sum [sha256.Size]byte) {
	m := t.macs.Get().(*mac)
	defer t.macs.Put(m)
	m.text = append(append(m.text[:0], kind...), text...)
	copy(sum[:], m.sum())
	return sum
}

func newTokens(key []byte) *tokens {
	key = bytes.Clone(key)
	return &tokens{macs: sync.Pool{New: func() any { return &mac{Hash: hmac.New(sha256.New, key)} }}}
}

// appendToken appends the token of a call between a dialer and a carrier.
func (t *tokens) appendToken(b []byte, callID, tag []byte, dialer, carrier netip.AddrPort, of prints) []byte {
	var buf [2*(1+16+2) + 4*printSize + macSize]byte
	payload := appendAddr(appendAddr(buf[:0], dialer), carrier)
	payload = append(append(append(payload, of.from[:]...), of.shown[:]...), of.other[:]...)
	payload = append(payload, of.peer[:]...)
	return base64.RawURLEncoding.AppendEncode(b, t.mac(payload, callID, tag))
}

// mac appends the keyed hash to the payload.
func (t *tokens) mac(payload, callID, tag []byte) []byte {
	m := t.macs.Get().(*mac)
	defer t.macs.Put(m)
	m.text = binary.BigEndian.AppendUint32(append(m.text[:0], payload...), uint32(len(callID)))
	m.text = append(append(m.text, callID...), tag...)
	return append(payload, m.sum()[:macSize]...)
}

// A leg says which side of a judged call a request comes from.
type leg struct {
	fromDialer      bool
	dialer, carrier netip.AddrPort
	prints
}

// check verifies the token of a request in a dialog: its From tag is that of
// who began the call, or its To tag is.
func (t *tokens) check(token []byte, v *message.View) (leg, bool) {
	var buf [128]byte
	if base64.RawURLEncoding.DecodedLen(len(token)) > len(buf) {
		return leg{}, false
	}
	n, err := base64.RawURLEncoding.Decode(buf[:], token)
	if err != nil || n <= macSize {
		return leg{}, false
	}
	payload, mac := buf[:n-macSize], buf[n-macSize:n]
	callID := v.Value(message.CallID)
	for _, fromDialer := range [...]bool{true, false} {
		tag := v.FromTag
		if !fromDialer {
			tag = v.ToTag
		}
		var again [128]byte
		want := t.mac(append(again[:0], payload...), callID, tag)
		if !hmac.Equal(want[len(payload):], mac) {
			continue
		}
		dialer, rest, ok := takeAddr(payload)
		carrier, rest, ok2 := takeAddr(rest)
		if !ok || !ok2 || len(rest) != 4*printSize {
			return leg{}, false
		}
		of := leg{fromDialer: fromDialer, dialer: dialer, carrier: carrier}
		copy(of.from[:], rest)
		copy(of.shown[:], rest[printSize:])
		copy(of.other[:], rest[2*printSize:])
		copy(of.peer[:], rest[3*printSize:])
		return of, true
	}
	return leg{}, false
}

func appendAddr(b []byte, a netip.AddrPort) []byte {
	raw := a.Addr().Unmap().AsSlice()
	b = append(b, byte(len(raw)))
	b = append(b, raw...)
	return binary.BigEndian.AppendUint16(b, a.Port())
}

func takeAddr(b []byte) (a netip.AddrPort, rest []byte, ok bool) {
	if len(b) < 1 || len(b) < 1+int(b[0])+2 {
		return a, nil, false
	}
	n := int(b[0])
	addr, ok := netip.AddrFromSlice(b[1 : 1+n])
	return netip.AddrPortFrom(addr, binary.BigEndian.Uint16(b[1+n:])), b[3+n:], ok
}
