package main

import (
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"dialgate/policy"
)

// TestAnObjectionEndsARingingCall: the whole way from a fact that is recorded
// to the phone that stops ringing.
func TestAnObjectionEndsARingingCall(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	carrier := listenUDP(t)
	text := strings.Replace(fmt.Sprintf(reloadText, "safe", "windkracht", filepath.Join(dir, "data")), "192.0.2.1:5060", carrier.LocalAddr().String(), 1)
	path := filepath.Join(dir, "dialgate.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	w, err := loadAccepted(path)
	if err != nil {
		t.Fatal(err)
	}
	tuesday := time.Date(2026, 11, 24, 14, 0, 0, 0, calledZone())
	n, err := startNode(w, nodeOptions{now: func() time.Time { return tuesday }, log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := n.close(); err != nil {
			t.Error(err)
		}
	}()
	called := policy.MustNumber("+31612345678")
	consent := policy.Fact{ID: "c1", Kind: policy.Consent, Number: called, Advertiser: "windkracht", At: tuesday.AddDate(0, -1, 0), Purposes: []policy.Purpose{policy.Commercial},
		Products: []string{"energy"}, Channels: []policy.CallMode{policy.Live}, Method: "web-form", VerifiedAt: tuesday.AddDate(0, -1, 0), VerifiedBy: "sms",
		Evidence: policy.Evidence{URI: "u", SHA256: strings.Repeat("ab", 32), TextVersion: "v3", TextSHA256: strings.Repeat("cd", 32), Person: "p1"}}
	if r, err := n.store.Add(t.Context(), consent); err != nil || r[0].Err != nil {
		t.Fatal(err, r)
	}

	dialer := listenUDP(t)
	gate := net.UDPAddrFromAddrPort(n.sip[0])
	write(t, dialer, gate, "INVITE sip:+31612345678@127.0.0.1;user=phone SIP/2.0\r\nVia: SIP/2.0/UDP "+dialer.LocalAddr().String()+";branch=z9hG4bK-1\r\nMax-Forwards: 70\r\n"+
		"From: <sip:+31205550100@dialer.example>;tag=d\r\nTo: <sip:+31612345678@carrier.example>\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\nContact: <sip:d@"+dialer.LocalAddr().String()+">\r\nContent-Length: 0\r\n\r\n")
	invite := hear(t, carrier, "INVITE ")
	write(t, carrier, gate, respondTo(invite, "180 Ringing"))
	hear(t, dialer, "SIP/2.0 180")

	objection := policy.Fact{ID: "o1", Kind: policy.Objection, Number: called, Advertiser: "*", At: tuesday}
	if r, err := n.store.Add(t.Context(), objection); err != nil || r[0].Err != nil {
		t.Fatal(err, r)
	}
	cancel := hear(t, carrier, "CANCEL ")
	if !strings.Contains(cancel, `text="objected"`) {
		t.Errorf("%s", cancel)
	}
	write(t, carrier, gate, respondTo(cancel, "200 OK"))
	write(t, carrier, gate, respondTo(invite, "487 Request Terminated"))
	if got := hear(t, dialer, "SIP/2.0 603"); !strings.Contains(got, "objected") {
		t.Errorf("%s", got)
	}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		p, err := n.store.Prove(called, time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		if len(p.View.Calls) == 1 && p.View.Calls[0].Outcome != nil {
			if c := p.View.Calls[0]; c.Decision.Verdict != "allow" || c.Outcome.EndedBy != "objection" || c.Outcome.Code != 603 {
				t.Errorf("%+v, %+v", c.Decision, c.Outcome)
			}
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the outcome is not recorded")
		}
	}
}

func listenUDP(t *testing.T) *net.UDPConn {
	t.Helper()
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func write(t *testing.T, c *net.UDPConn, to *net.UDPAddr, text string) {
	t.Helper()
	if _, err := c.WriteToUDP([]byte(text), to); err != nil {
		t.Fatal(err)
	}
}

// hear reads until a message begins as wanted.
func hear(t *testing.T, c *net.UDPConn, begins string) string {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	var seen []string
	for buf := make([]byte, 64<<10); ; {
		n, _, err := c.ReadFromUDP(buf)
		if err != nil {
			t.Fatalf("no %s: %v; seen %q", begins, err, seen)
		}
		if strings.HasPrefix(string(buf[:n]), begins) {
			return string(buf[:n])
		}
		seen = append(seen, string(buf[:n]))
	}
}

var copied = regexp.MustCompile(`(?m)^(Via|From|To|Call-ID|CSeq): .*\r\n`)

// respondTo answers a request as an agent does.
func respondTo(request, status string) string {
	headers := strings.Join(copied.FindAllString(request, -1), "")
	return "SIP/2.0 " + status + "\r\n" + strings.Replace(headers, "@carrier.example>", "@carrier.example>;tag=c", 1) + "Content-Length: 0\r\n\r\n"
}
