package sipproxy

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"dialgate/sipproxy/message"
)

// TestWhatLeaves: an allowed INVITE leaves as it came, line for line and with
// its body, but for the edits of sip A9; what a peer prefers goes no further,
// what it asserts only when it is trusted, and privacy is never added.
func TestWhatLeaves(t *testing.T) {
	identity := []string{
		`P-Asserted-Identity: "Windkracht" <sip:+31205550100@dialer.example>`, "p-asserted-identity: <tel:+31205550100>",
		"P-Preferred-Identity: <sip:+31205550100@dialer.example>", "p-preferred-identity: <tel:+31205550100>",
		"Remote-Party-ID: <sip:+31205550100@dialer.example>;party=calling;privacy=off", "Privacy: header", "y: e30.e30.c2ln;info=<https://cert.example/c.pem>",
		"x-campaign: energy", "X-Other:  kept   as it is ",
	}
	body := "--x\r\nContent-Type: application/sdp\r\n\r\nv=0\no= not quite SDP\r\n\r\n--x--\r\n\x00\xff"
	for name, trusted := range map[string]bool{"trusted": true, "untrusted": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t, func(o *Options) {
					o.Peers[0].Terms.TrustIdentity = trusted
					o.Peers[0].Terms.Names = []string{"energy"}
				})
				lines := append([]string{
					"f: \"Wind,kracht\"", " <sip:+31205550100@dialer.example>;tag=1", "To: <sip:+31612345678@carrier.example>",
					"Call-ID: leaves", "CSeq: 1 INVITE", "Content-Type: multipart/mixed;boundary=x",
				}, identity...)
				s.dialer.send([]byte("INVITE sip:+31612345678@carrier.example SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK1\r\nMax-Forwards: 70\r\n" +
					strings.Join(lines, "\r\n") + "\r\n\r\n" + body))
				synctest.Wait()
				v := s.carrier.view(s.carrier.received, "INVITE")
				if string(v.Body) != body {
					t.Errorf("the body left as %q", v.Body)
				}
				want := slices.DeleteFunc(slices.Clone(lines), func(line string) bool {
					kind := message.KindOf(strings.SplitN(line, ":", 2)[0])
					return kind == message.XCampaign || kind == message.PPreferredIdentity || kind == message.PAssertedIdentity && !trusted
				})
				head, _, _ := strings.Cut(string(v.Raw), "\r\n\r\n")
				got := slices.DeleteFunc(strings.Split(head, "\r\n")[1:], func(line string) bool {
					kind := message.KindOf(strings.SplitN(line, ":", 2)[0])
					return kind == message.Via || kind == message.RecordRoute || kind == message.MaxForwards
				})
				if !slices.Equal(got, want) {
					t.Errorf("left:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
				}
				s.carrier.act([]string{"486"})
				synctest.Wait()
			})
		})
	}
}
