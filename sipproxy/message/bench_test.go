package message

import "testing"

// dialerInvite is what a common open-source PBX sends, 862 octets with its offer.
const dialerInvite = "INVITE sip:+31612345678@203.0.113.80 SIP/2.0\r\n" +
	"Via: SIP/2.0/UDP 192.0.2.10:5060;rport;branch=z9hG4bKPj3f1c9a52-7c1e-4d0f-9a55-0d1c2b3a4f5e\r\n" +
	"From: \"Windkracht\" <sip:+31205550100@192.0.2.10>;tag=8d7e6f5a-4b3c-4d2e-9f10-a1b2c3d4e5f6\r\n" +
	"To: <sip:+31612345678@203.0.113.80>\r\n" +
	"Contact: <sip:dialer@192.0.2.10:5060>\r\n" +
	"Call-ID: 5c6d7e8f-1a2b-4c3d-8e4f-5a6b7c8d9e0f\r\n" +
	"CSeq: 21342 INVITE\r\n" +
	"Allow: OPTIONS, INVITE, ACK, BYE, CANCEL, UPDATE, PRACK, REFER, NOTIFY, INFO, MESSAGE\r\n" +
	"Supported: 100rel, timer, replaces, norefersub\r\n" +
	"Session-Expires: 1800\r\n" +
	"Min-SE: 90\r\n" +
	"P-Asserted-Identity: \"Windkracht\" <sip:+31205550100@192.0.2.10>\r\n" +
	"Max-Forwards: 70\r\n" +
	"User-Agent: PBX\r\n" +
	"Content-Type: application/sdp\r\n" +
	"Content-Length:   163\r\n\r\n" +
	"v=0\r\no=- 174523 174523 IN IP4 192.0.2.10\r\ns=PBX\r\nc=IN IP4 192.0.2.10\r\nt=0 0\r\n" +
	"m=audio 11532 RTP/AVP 8 101\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\n"

func BenchmarkParse(b *testing.B) {
	raw := []byte(dialerInvite)
	var v View
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		if err := v.Parse(raw); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkForward(b *testing.B) {
	v := parse(b, dialerInvite)
	e := Edits{Source: source, Via: []byte("SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKours"), MaxForwards: 69}
	e.RecordRoute[0] = []byte("<sip:192.0.2.1;lr;t=abc>")
	out := make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		out = v.AppendForward(out[:0], &e)
	}
	parse(b, string(out))
}

func BenchmarkResponse(b *testing.B) {
	v := parse(b, dialerInvite)
	r := Response{Status: 403, Phrase: "Forbidden", ToTag: []byte("dg1"), Source: source}
	out := make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		out = v.AppendResponse(out[:0], &r)
	}
	parse(b, string(out))
}

// TestNothingIsAllocated holds what the call path relies on.
func TestNothingIsAllocated(t *testing.T) {
	raw, out := []byte(dialerInvite), make([]byte, 0, 4096)
	var v View
	e := Edits{Source: source, Via: []byte("SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKours"), MaxForwards: 69}
	r := Response{Status: 403, Phrase: "Forbidden", ToTag: []byte("dg1"), Source: source}
	if err := v.Parse(raw); err != nil { // the header table grows once
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(100, func() {
		_ = v.Parse(raw)
		out = v.AppendForward(out[:0], &e)
		out = v.AppendResponse(out[:0], &r)
		out = v.AppendCANCEL(out[:0], nil)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
