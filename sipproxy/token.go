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
// addresses of both sides, to which requests go whose own target is a name.
// Without it, a To tag made up by a dialer would walk past the policy.
type tokens struct {
	macs sync.Pool // hash.Hash
}

// tokenParam is the URI parameter that carries the token.
const tokenParam = "dg"

const macSize = 16

func newTokens(key []byte) *tokens {
	key = bytes.Clone(key)
	return &tokens{macs: sync.Pool{New: func() any { return hmac.New(sha256.New, key) }}}
}

// appendToken appends the token of a call between a dialer and a carrier.
func (t *tokens) appendToken(b []byte, callID, tag []byte, dialer, carrier netip.AddrPort) []byte {
	var buf [2*18 + 2 + macSize]byte
	payload := appendAddr(appendAddr(buf[:0], dialer), carrier)
	return base64.RawURLEncoding.AppendEncode(b, t.mac(payload, callID, tag))
}

// mac appends the keyed hash to the payload.
func (t *tokens) mac(payload, callID, tag []byte) []byte {
	h := t.macs.Get().(hash.Hash)
	defer t.macs.Put(h)
	h.Reset()
	h.Write(payload)
	var size [4]byte
	binary.BigEndian.PutUint32(size[:], uint32(len(callID)))
	h.Write(size[:])
	h.Write(callID)
	h.Write(tag)
	var sum [sha256.Size]byte
	return append(payload, h.Sum(sum[:0])[:macSize]...)
}

// A leg says which side of a judged call a request comes from.
type leg struct {
	fromDialer      bool
	dialer, carrier netip.AddrPort
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
		carrier, _, ok2 := takeAddr(rest)
		return leg{fromDialer, dialer, carrier}, ok && ok2
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
