package message

import (
	"bytes"
	"strings"
	"testing"
)

// TestWhatIsKeptHasNoCredentials: whatever their case, folded or repeated, and
// though another header field says the same; all else stays as it came.
func TestWhatIsKeptHasNoCredentials(t *testing.T) {
	const head = "INVITE sip:+31612345678@x SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@x>;tag=1\r\nTo: <sip:b@x>\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\nMax-Forwards: 70\r\nX-Same: Digest response=\"5ec4e7\"\r\n"
	raw := head + "aUTHorization: Digest response=\"5ec4e7\"\r\nProxy-Authorization: Digest username=\"u\",\r\n response=\"f0lded\"\r\nProxy-Authorization: Digest response=\"5ec0nd\"\r\nContent-Length: 2\r\n\r\nhi"
	var v View
	if err := v.Parse([]byte(raw)); err != nil {
		t.Fatal(err)
	}
	want := head + "aUTHorization: (taken out)\r\nProxy-Authorization: (taken out)\r\nProxy-Authorization: (taken out)\r\nContent-Length: 2\r\n\r\nhi"
	if got := string(v.AppendKept(nil, 4096)); got != want {
		t.Errorf("%q\nwant\n%q", got, want)
	}
	for _, most := range []int{0, 1, 200, len(want)} {
		if got := string(v.AppendKept([]byte("before "), most)); got != "before "+want[:most] {
			t.Errorf("%d octets: %q", most, got)
		}
	}
}

// FuzzKept: within its bound, no secret is left, and it is made of the message.
func FuzzKept(f *testing.F) {
	f.Add([]byte("INVITE sip:b@x SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@x>;tag=1\r\nTo: <sip:b@x>\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\nAuthorization: a\r\n b\r\n\r\n"), 100)
	f.Fuzz(func(t *testing.T, raw []byte, most int) {
		var v View
		if v.Parse(bytes.Clone(raw)) != nil || most < 0 {
			return
		}
		kept := v.AppendKept(nil, most)
		if len(kept) > most || len(kept) > len(v.Raw)+len(v.Headers)*len(takenOut) {
			t.Errorf("%d octets of at most %d", len(kept), most)
		}
		whole := v.AppendKept(nil, 1<<20)
		var again View
		if err := again.Parse(bytes.Clone(whole)); err != nil || len(again.Headers) != len(v.Headers) {
			t.Fatalf("what is kept of %q is %q: %v", raw, whole, err)
		}
		for i := range again.Headers {
			name, value := string(again.Headers[i].Name), string(again.Headers[i].Value)
			if strings.EqualFold(name, "Authorization") || strings.EqualFold(name, "Proxy-Authorization") {
				if value != "(taken out)" {
					t.Errorf("%s is %q", name, value)
				}
			} else if value != string(v.Headers[i].Value) {
				t.Errorf("%s became %q", name, value)
			}
		}
	})
}
