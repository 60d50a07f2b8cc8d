package sipproxy

import (
	"bytes"
	"reflect"
	"strings"
	"testing"

	"dialgate/policy"
	"dialgate/sipproxy/message"
)

const audioOffer = "v=0\r\no=- 1 1 IN IP4 192.0.2.10\r\ns=-\r\nc=IN IP4 192.0.2.10\r\nt=0 0\r\n" +
	"m=audio 4000 RTP/AVP 8 101\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\n"

// TestOfferIsBounded: however many streams and codecs are offered, in however
// many parts, a record keeps few of them.
func TestOfferIsBounded(t *testing.T) {
	session, _, _ := strings.Cut(audioOffer, "m=")
	stream := "m=audio 4000 RTP/AVP" + strings.Repeat(" 8", 40) + "\r\nm=image 4000 udptl" + strings.Repeat(" t38", 40) + "\r\n"
	many := session + strings.Repeat(stream, 40)
	part := "--x\r\nContent-Type: application/sdp\r\n\r\n" + many + "\r\n"
	for contentType, body := range map[string]string{"application/sdp": many, "multipart/mixed;boundary=x": strings.Repeat(part, 4) + "--x--"} {
		media, fault := readOffer([]byte(contentType), []byte(body), mostNested)
		if fault != "" || len(media) != mostMedia {
			t.Fatalf("%s: %d media, fault %q", contentType, len(media), fault)
		}
		for _, m := range media {
			if len(m.Codecs) != mostCodecs {
				t.Errorf("%s: %d codecs of %s", contentType, len(m.Codecs), m.Kind)
			}
		}
	}
}

// TestPartsNestNoDeeper: multipart in multipart is followed a few levels down.
func TestPartsNestNoDeeper(t *testing.T) {
	contentType, body := "application/sdp", audioOffer
	for depth := 1; depth <= mostNested+1; depth++ {
		boundary := strings.Repeat("b", depth)
		body = "--" + boundary + "\r\nContent-Type: " + contentType + "\r\n\r\n" + body + "\r\n--" + boundary + "--\r\n"
		contentType = "multipart/mixed;boundary=" + boundary
		media, fault := readOffer([]byte(contentType), []byte(body), mostNested)
		if found, want := len(media) == 1 && fault == "", depth <= mostNested; found != want {
			t.Errorf("%d levels deep: %v, fault %q", depth, media, fault)
		}
	}
}

// FuzzOffer reads any body as an offer. Laws: it never panics; whatever the
// parser takes for image media or T.38 is a fax, strict or not; what offers
// fax offers it also with more lines before it and with lines that end
// otherwise; a record's texts are short and hold no number.
func FuzzOffer(f *testing.F) {
	for _, raw := range goldenInvites(f) {
		var v message.View
		if v.Parse(raw) == nil && len(v.Body) > 0 {
			f.Add(string(v.Value(message.ContentType)), v.Body)
		}
	}
	f.Add("application/sdp", []byte(audioOffer+"a=rtpmap:98 \rt38/8000\r\n"))
	r := goldenReader(f)
	lenient, strict := goldenPeer(f, r, ""), goldenPeer(f, r, "sdp: strict")
	skips := *r
	skips.SkipMedia = true
	f.Fuzz(func(t *testing.T, contentType string, body []byte) {
		if strings.ContainsAny(contentType, "\r\n\x00") {
			return
		}
		raw := append([]byte("INVITE sip:+31612345678@h SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:+31205550100@h>;tag=1\r\n"+
			"To: <sip:x@h>\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\nContent-Type: "+contentType+"\r\n\r\n"), body...)
		var v message.View
		if v.Parse(raw) != nil {
			return
		}
		var a, b policy.Attempt
		r.Read(&v, lenient, &a)
		r.Read(&v, strict, &b)
		if a.Malformed != "" || a.Fax != b.Fax {
			t.Fatalf("strict or not, the offer is read as %+v and %+v", a, b)
		}
		var c, d policy.Attempt
		skips.Read(&v, lenient, &c)
		skips.Read(&v, strict, &d)
		if c.Malformed != a.Malformed || c.Fax != a.Fax || d.Malformed != b.Malformed {
			t.Fatalf("with its media the offer is read as %+v and %+v, without as %+v and %+v", a, b, c, d)
		}
		if noted := a.Caller.Mark(policy.MarkNote) != nil && strings.Contains(a.Caller.Mark(policy.MarkNote).Means, "offer"); noted && b.Malformed == "" {
			t.Fatal("a fault was noted but not refused")
		}
		for _, m := range a.Media {
			if !a.Fax && isFax(m) {
				t.Fatalf("%s is no fax", m)
			}
			for _, codec := range m.Codecs {
				if len(codec) > 128 || number7.MatchString(codec) {
					t.Fatalf("codec %q", codec)
				}
			}
		}
		if len(a.Media) > mostMedia {
			t.Fatalf("%d media", len(a.Media))
		}
		if media, ok := usualOffer(v.Body); ok {
			if want, fault := describe(string(v.Body)); fault != "" || !reflect.DeepEqual(media, want) {
				t.Fatalf("without the parser the offer is %v, with it %v, %s", media, want, fault)
			}
		}
		if offersFax(body) {
			for _, form := range [][]byte{
				append([]byte("x=\n"), body...), bytes.ReplaceAll(body, []byte("\n"), []byte("\r")), append(body[:len(body):len(body)], "\nv=0"...),
			} {
				if !offersFax(form) {
					t.Fatalf("a fax is none as %q", form)
				}
			}
		}
	})
}

// TestUsualOffer: what dialers send is read without the parser.
func TestUsualOffer(t *testing.T) {
	for offer, want := range map[string]bool{
		audioOffer:                               true,
		strings.ReplaceAll(audioOffer, "\r", ""): true,
		audioOffer + "a=sendrecv\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n": true,
		audioOffer + "a=broken":                           false,
		strings.Replace(audioOffer, "s=-", "i=-", 1):      false,
		strings.Replace(audioOffer, "4000", "70000", 1):   false,
		strings.Replace(audioOffer, "8 101", "8  101", 1): false,
	} {
		media, ok := usualOffer([]byte(offer))
		if ok != want {
			t.Errorf("%q is read: %v", offer, ok)
		}
		if parsed, _ := describe(offer); ok && !reflect.DeepEqual(media, parsed) {
			t.Errorf("%q: %v, the parser reads %v", offer, media, parsed)
		}
	}
}

func BenchmarkOffer(b *testing.B) {
	kind, body := []byte("application/sdp"), []byte(audioOffer)
	b.ReportAllocs()
	for b.Loop() {
		if media, _ := readOffer(kind, body, mostNested); len(media) != 1 {
			b.Fatal(media)
		}
	}
}

func BenchmarkOffersFax(b *testing.B) {
	body := []byte(audioOffer)
	b.ReportAllocs()
	for b.Loop() {
		if offersFax(body) {
			b.Fatal("audio is a fax")
		}
	}
}
