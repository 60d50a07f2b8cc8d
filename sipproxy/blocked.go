package sipproxy

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"
	"unicode"

	"dialgate/policy"
	"dialgate/sipproxy/message"
)

// Bounds of what is read of a block.
const (
	maxCard    = 8 << 10 // octets of a JWS
	maxContact = 128     // octets of each text of a contact
	cardAge    = time.Minute
)

// blockOf reads in a final response that the networks behind the carrier
// blocked the call as unwanted: 607 (RFC 8197), 608 with its contact (RFC
// 8688), or 603 with the Reason text of ATIS-1000099. nil: they did not.
// Signatures are not verified and addresses not asked.
func blockOf(v *message.View, now time.Time) *policy.Block {
	switch v.Status {
	case 607:
		return &policy.Block{Kind: policy.Unwanted}
	case 608:
		b := &policy.Block{Kind: policy.Rejected}
		readCard(v, b, now)
		return b
	case 603:
		return analytics(v)
	}
	return nil
}

// analytics reads a Reason of the form SIP;cause=603;text="v=analytics1;url=...".
func analytics(v *message.View) *policy.Block {
	for i := range v.Headers {
		if v.Headers[i].Kind != message.Reason {
			continue
		}
		fields := strings.Split(quotedText(v.Headers[i].Value), ";")
		if !strings.EqualFold(strings.TrimSpace(fields[0]), "v=analytics1") {
			continue
		}
		b := &policy.Block{Kind: policy.Analytics}
		for _, f := range fields[1:] {
			name, value, _ := strings.Cut(strings.TrimSpace(f), "=")
			setContact(&b.Contact, name, value)
		}
		if b.Contact != (policy.Contact{}) {
			b.Card = policy.CardRead
		}
		return b
	}
	return nil
}

// quotedText is the text parameter of a Reason value, without its quotes.
func quotedText(value []byte) string {
	const name = `text="`
	i := indexFold(value, name)
	if i < 0 {
		return ""
	}
	var b strings.Builder
	for rest := value[i+len(name):]; len(rest) > 0 && rest[0] != '"'; rest = rest[1:] {
		if rest[0] == '\\' && len(rest) > 1 {
			rest = rest[1:]
		}
		b.WriteByte(rest[0])
	}
	return b.String()
}

// readCard reads the contact that a 608 names by Call-Info: a signed jCard in
// the header field itself, in the body, or at an address.
func readCard(v *message.View, b *policy.Block, now time.Time) {
	for i := range v.Headers {
		h := &v.Headers[i]
		if h.Kind != message.Other || !message.EqualFold(h.Name, "Call-Info") || !containsFold(h.Value, "purpose=jwscard") {
			continue
		}
		_, uri, ok := bytes.Cut(h.Value, []byte("<"))
		uri, _, closed := bytes.Cut(uri, []byte(">"))
		if !ok || !closed || len(uri) > 2*maxCard {
			b.Card = policy.CardMalformed
			return
		}
		scheme, rest, _ := strings.Cut(string(uri), ":")
		switch strings.ToLower(scheme) {
		case "http", "https":
			b.Card = policy.CardElsewhere
			setContact(&b.Contact, "url", string(uri))
		case "data":
			readJWS(dataOf(rest), b, now)
		case "cid":
			readJWS(v.Body, b, now)
		default:
			b.Card = policy.CardMalformed
		}
		return
	}
}

// dataOf is what a data URI holds (RFC 2397), nil when it can't be read.
func dataOf(rest string) []byte {
	media, data, ok := strings.Cut(rest, ",")
	if !ok {
		return nil
	}
	if !strings.HasSuffix(strings.ToLower(media), ";base64") {
		return []byte(data)
	}
	raw, err := base64.StdEncoding.DecodeString(data)
	if err != nil {
		return nil
	}
	return raw
}

// readJWS reads the payload of a JWS in its compact form (RFC 7515 section 7.1).
func readJWS(jws []byte, b *policy.Block, now time.Time) {
	b.Card = policy.CardMalformed
	parts := bytes.Split(bytes.TrimSpace(jws), []byte("."))
	if len(jws) > maxCard || len(parts) != 3 {
		return
	}
	payload, err := base64.RawURLEncoding.DecodeString(string(parts[1]))
	if err != nil {
		return
	}
	var claim struct {
		IAT   int64             `json:"iat"`
		JCard []json.RawMessage `json:"jcard"`
	}
	if json.Unmarshal(payload, &claim) != nil || len(claim.JCard) != 2 {
		return
	}
	var properties [][]json.RawMessage
	if json.Unmarshal(claim.JCard[1], &properties) != nil {
		return
	}
	if age := now.Sub(time.Unix(claim.IAT, 0)); age > cardAge || age < -cardAge {
		b.Card = policy.CardStale
		return
	}
	for _, p := range properties { // name, parameters, type, value (RFC 7095 section 3.3)
		var name, value string
		if len(p) < 4 || json.Unmarshal(p[0], &name) != nil || json.Unmarshal(p[3], &value) != nil {
			continue // a value of another type than text says nothing here
		}
		setContact(&b.Contact, name, value)
	}
	if b.Contact != (policy.Contact{}) {
		b.Card = policy.CardRead
	}
}

// setContact notes one field of a contact, the first of its name.
func setContact(c *policy.Contact, name, value string) {
	var field *string
	switch strings.ToLower(name) {
	case "fn", "org":
		field = &c.Name
	case "url":
		field = &c.URL
	case "tel":
		field = &c.Tel
	case "email":
		field = &c.Email
	default:
		return
	}
	if *field == "" {
		*field = shownText(value)
	}
}

// shownText keeps of a text what can be shown, and no more than is kept.
func shownText(s string) string {
	var b strings.Builder
	for _, r := range strings.ToValidUTF8(s, "") {
		if !unicode.IsPrint(r) {
			continue
		}
		if b.Len()+len(string(r)) > maxContact {
			break
		}
		b.WriteRune(r)
	}
	return b.String()
}

// noteBlock keeps for the outcome of a call how it was blocked. A call that
// the dialer gave up says nothing about the called person's wish.
func (e *exchange) noteBlock(v *message.View) {
	if e.ended || !e.judged || e.cancelled {
		return
	}
	b := blockOf(v, time.Now())
	if b == nil {
		return
	}
	b.Caller, b.Called = e.attempt.Caller.Shown, e.attempt.Called.Number
	if e.attempt.Peer != nil {
		b.Peer = e.attempt.Peer.ID
	}
	if k := e.attempt.Campaign; k != nil {
		b.Campaign, b.Advertiser = k.ID, k.Advertiser.ID
	}
	e.block = b
}
