package message

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

func TestCredentials(t *testing.T) {
	for text, want := range map[string]string{
		`Digest username="a", realm="r"`:                          "a r",
		`digest realm=r,username=a`:                               "a r",
		"DIGEST\t username = \"a\\\"b\\\\\" ,\r\n realm=\"r, s\"": `a"b\ r, s`,
		`Digest username="", realm="r"`:                           " r",
		`Digest username="a", realm="r", unknown=x, other="y,z"`:  "a r",
		`Basic username="a", realm="r"`:                           "",
		`Digest`:                                                  "",
		`Digest `:                                                 "",
		`Digest username="a", username="b"`:                       "",
		`Digest username="a`:                                      "",
		`Digest username="a" realm="r"`:                           "",
		`Digest username="a",`:                                    "",
		`Digest username`:                                         "",
		`Digest username=`:                                        "",
		`Digest =a`:                                               "",
		`Digest username=<a>`:                                     "",
		`Digestusername="a"`:                                      "",
	} {
		c, ok := ParseCredentials([]byte(text))
		got := fmt.Sprintf("%s %s", c.Username, c.Realm)
		if ok != (want != "") || ok && got != want {
			t.Errorf("%q: %q, %v; want %q", text, got, ok, want)
		}
	}
}

// FuzzCredentials: what is read is what was said, whatever was said; and only
// the line for the realm is taken out.
func FuzzCredentials(f *testing.F) {
	f.Add([]byte(`Digest username="a", realm="r", nonce="n", uri="sip:x", response="r", algorithm=MD5, cnonce="c", qop=auth, nc=00000001`))
	f.Add([]byte("digest realm=r,\r\n username=\"a\\\"b\""))
	f.Add([]byte(`Basic x`))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, ok := ParseCredentials(b)
		if !ok {
			return
		}
		line := "Digest x=y"
		for name, value := range map[string][]byte{"username": c.Username, "realm": c.Realm, "nonce": c.Nonce, "uri": c.URI, "response": c.Response, "algorithm": c.Algorithm, "cnonce": c.CNonce, "qop": c.QOP, "nc": c.NC} {
			if value != nil {
				line += fmt.Sprintf(`, %s="%s"`, name, strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(string(value)))
			}
		}
		again, ok := ParseCredentials([]byte(line))
		if !ok || !bytes.Equal(again.Username, c.Username) || !bytes.Equal(again.Realm, c.Realm) || !bytes.Equal(again.URI, c.URI) || !bytes.Equal(again.Nonce, c.Nonce) || !bytes.Equal(again.NC, c.NC) {
			t.Errorf("%q reads as %q, and that, said again, as %q, %v", b, c, again, ok)
		}
		var v View
		raw := append([]byte("BYE sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bKx\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>;tag=2\r\nCall-ID: x\r\nCSeq: 1 BYE\r\nproxy-authorization: "), b...)
		raw = append(raw, "\r\nX: y\r\n\r\n"...)
		if v.Parse(raw) != nil || len(c.Realm) == 0 {
			return
		}
		out := v.AppendForward(nil, &Edits{Realm: string(c.Realm)})
		if bytes.Contains(out, []byte("proxy-authorization")) || !bytes.Contains(out, []byte("\r\nX: y\r\n")) {
			t.Errorf("left:\n%s", out)
		}
		if out := v.AppendForward(nil, &Edits{Realm: string(c.Realm) + "x"}); !bytes.Equal(out, v.Raw) {
			t.Errorf("another realm's went:\n%s", out)
		}
	})
}
