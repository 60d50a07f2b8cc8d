package sipproxy

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"dialgate/policy"
	"dialgate/sipproxy/message"
)

var blockedAt = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// jws is a signed jCard whose signature nobody looks at.
func jws(payload string) string {
	enc := base64.RawURLEncoding.EncodeToString
	return enc([]byte(`{"alg":"ES256","typ":"vcard+json","x5u":"https://c.example/c.pem"}`)) + "." + enc([]byte(payload)) + "." + enc([]byte("signature"))
}

const jcard = `{"iat":%d,"jcard":["vcard",[["version",{},"text","4.0"],["fn",{},"text","Block Desk"],["email",{"type":"work"},"text","desk@block.example"],["tel",{},"uri","tel:+12015550123"],["adr",{},"text",["","","x"]]]]}`

func response(status, header, body string) string {
	return fmt.Sprintf("SIP/2.0 %s\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK-1\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>;tag=2\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\n%sContent-Length: %d\r\n\r\n%s",
		status, header, len(body), body)
}

func TestBlockOf(t *testing.T) {
	fresh, old := fmt.Sprintf(jcard, blockedAt.Unix()-5), fmt.Sprintf(jcard, blockedAt.Unix()-3600)
	desk := policy.Contact{Name: "Block Desk", Email: "desk@block.example", Tel: "tel:+12015550123"}
	card := func(uri string) string { return "Call-Info: <" + uri + ">;purpose=jwscard\r\n" }
	for name, c := range map[string]struct {
		status, header, body string
		want                 *policy.Block
	}{
		"busy":            {"486 Busy Here", "", "", nil},
		"decline":         {"603 Decline", "Reason: SIP;cause=603;text=\"no\"\r\n", "", nil},
		"unwanted":        {"607 Unwanted", "", "", &policy.Block{Kind: policy.Unwanted}},
		"no card":         {"608 Rejected", "Call-Info: <https://x.example/a.png>;purpose=icon\r\n", "", &policy.Block{Kind: policy.Rejected}},
		"card":            {"608 Rejected", card("data:application/jose," + jws(fresh)), "", &policy.Block{Kind: policy.Rejected, Card: policy.CardRead, Contact: desk}},
		"card in base 64": {"608 Rejected", card("data:application/jose;base64," + base64.StdEncoding.EncodeToString([]byte(jws(fresh)))), "", &policy.Block{Kind: policy.Rejected, Card: policy.CardRead, Contact: desk}},
		"card in body":    {"608 Rejected", card("cid:card@block.example"), jws(fresh), &policy.Block{Kind: policy.Rejected, Card: policy.CardRead, Contact: desk}},
		"card elsewhere":  {"608 Rejected", card("https://block.example/jws"), "", &policy.Block{Kind: policy.Rejected, Card: policy.CardElsewhere, Contact: policy.Contact{URL: "https://block.example/jws"}}},
		"old card":        {"608 Rejected", card("data:application/jose," + jws(old)), "", &policy.Block{Kind: policy.Rejected, Card: policy.CardStale}},
		"card of no JSON": {"608 Rejected", card("data:application/jose," + jws("{")), "", &policy.Block{Kind: policy.Rejected, Card: policy.CardMalformed}},
		"card of no form": {"608 Rejected", card("data:application/jose"), "", &policy.Block{Kind: policy.Rejected, Card: policy.CardMalformed}},
		"great card":      {"608 Rejected", card("cid:x"), jws(strings.Repeat(" ", maxCard) + fresh), &policy.Block{Kind: policy.Rejected, Card: policy.CardMalformed}},
		"analytics": {"603 Network Blocked", "Reason: Q.850;cause=21;text=\"v=analytics1;url=https://r.example/;email=a@r.example\";location=RLN\r\n", "",
			&policy.Block{Kind: policy.Analytics, Card: policy.CardRead, Contact: policy.Contact{URL: "https://r.example/", Email: "a@r.example"}}},
		"analytics without contact": {"603 Network Blocked", "Reason: SIP;cause=603;text=\"v=analytics1\"\r\n", "", &policy.Block{Kind: policy.Analytics}},
		"analytics, too long": {"603 Network Blocked", "Reason: SIP;cause=603;text=\"v=analytics1;url=" + strings.Repeat("x", 500) + "\"\r\n", "",
			&policy.Block{Kind: policy.Analytics, Card: policy.CardRead, Contact: policy.Contact{URL: strings.Repeat("x", maxContact)}}},
	} {
		var v message.View
		if err := v.Parse([]byte(response(c.status, c.header, c.body))); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got := blockOf(&v, blockedAt)
		if (got == nil) != (c.want == nil) || got != nil && *got != *c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

// TestObjector: only a 607 to a call with both numbers, for an advertiser, is
// somebody's word.
func TestObjector(t *testing.T) {
	whole := policy.Block{Kind: policy.Unwanted, Caller: policy.MustNumber("+31205550100"), Called: policy.MustNumber("+31612345678"), Advertiser: "windkracht"}
	if n, advertiser, ok := whole.Objector(); !ok || n != whole.Called || advertiser != "windkracht" {
		t.Errorf("%v %q %t", n, advertiser, ok)
	}
	for name, change := range map[string]func(*policy.Block){
		"hidden caller": func(b *policy.Block) { b.Caller = policy.Number{} }, "no number called": func(b *policy.Block) { b.Called = policy.Number{} },
		"for nobody": func(b *policy.Block) { b.Advertiser = "" }, "608": func(b *policy.Block) { b.Kind = policy.Rejected }, "603+": func(b *policy.Block) { b.Kind = policy.Analytics },
	} {
		b := whole
		change(&b)
		if _, _, ok := b.Objector(); ok {
			t.Errorf("%s: an objection", name)
		}
	}
}

// FuzzBlockOf: whatever a carrier answers, reading it ends, and what is kept
// is bounded and can be shown.
func FuzzBlockOf(f *testing.F) {
	f.Add("608 Rejected", "<data:application/jose,"+jws(fmt.Sprintf(jcard, blockedAt.Unix()))+">;purpose=jwscard", "")
	f.Add("603 Network Blocked", `SIP;cause=603;text="v=analytics1;url=\"`, "")
	f.Add("608 Rejected", "<cid:x>;purpose=jwscard", "a.b.c")
	f.Fuzz(func(t *testing.T, status, value, body string) {
		var v message.View
		if v.Parse([]byte(response(status, "Call-Info: "+value+"\r\nReason: "+value+"\r\n", body))) != nil || v.IsRequest() {
			return
		}
		b := blockOf(&v, blockedAt)
		if b == nil {
			return
		}
		for _, s := range []string{b.Contact.Name, b.Contact.URL, b.Contact.Tel, b.Contact.Email} {
			if len(s) > maxContact || s != shownText(s) {
				t.Errorf("kept %q", s)
			}
		}
	})
}
