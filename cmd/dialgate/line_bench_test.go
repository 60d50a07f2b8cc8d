package main

import (
	"bytes"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"dialgate/policy"
)

const lineConfig = `
node: line
listen: {udp: [{address: "127.0.0.1:0"}]}
peers: [{id: dialer, sources: [127.0.0.1], campaigns: ["*"], trust_identity: true}]
carriers: [{id: carrier, targets: ["%s"]}]
advertisers: [{id: windkracht, name: Windkracht BV}]
campaigns: [{id: energy, advertiser: windkracht, purpose: commercial, products: [energy], callers: ["+31205550100"], objection_offered: true}]
rules: {nl.hours: off, nl.holidays: off}
store: {path: %q}
ledger: {mode: memory}
api: {address: "127.0.0.1:0"}
log: {file: %q}
`

const lineInvite = `INVITE sip:+%d@%s;user=phone SIP/2.0
Via: SIP/2.0/UDP %s;branch=z9hG4bK-line-%08d
Max-Forwards: 70
From: "Campaign 7" <sip:+31205550100@%s>;tag=d%08d
To: <sip:+%d@%s>
Call-ID: %08d@dialer.invalid
CSeq: 1 INVITE
Contact: <sip:dialer@%s;transport=UDP>
P-Asserted-Identity: <sip:+31205550100@127.0.0.1>
User-Agent: bench-dialer
Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE
Supported: timer, 100rel
Session-Expires: 1800
Content-Type: application/sdp
Content-Length: %d

`

const lineOffer = `v=0
o=dialer 53655765 2353687637 IN IP4 127.0.0.1
s=-
c=IN IP4 127.0.0.1
t=0 0
m=audio 20000 RTP/AVP 8 0 101
a=rtpmap:8 PCMA/8000
a=rtpmap:0 PCMU/8000
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-15
a=ptime:20
a=sendrecv
`

// BenchmarkLine is a call on its whole way, over sockets, one after the other:
// a refused one (INVITE, 403, ACK), and one that the carrier answers 486. What
// the two ends take is in the figures, but they allocate next to nothing.
func BenchmarkLine(b *testing.B) {
	for _, kind := range []struct{ name, want string }{{"refused", "403"}, {"busy", "486"}} {
		b.Run(kind.name, func(b *testing.B) {
			runtime.GOMAXPROCS(runtime.NumCPU() + 2)
			defer runtime.GOMAXPROCS(runtime.NumCPU())
			dialer, carrier := lineSocket(b), lineSocket(b)
			dir := b.TempDir()
			config := filepath.Join(dir, "dialgate.yaml")
			writeFile(b, config, fmt.Sprintf(lineConfig, carrier.LocalAddr(), filepath.Join(dir, "data"), filepath.Join(dir, "log")))
			w, err := loadWorld(config)
			if err != nil {
				b.Fatal(err)
			}
			log, err := newLog(w.cfg.Log, streams{})
			if err != nil {
				b.Fatal(err)
			}
			defer log.close()
			n, err := startNode(w, nodeOptions{now: time.Now, log: slog.New(log.Handler()), keep: 1})
			if err != nil {
				b.Fatal(err)
			}
			defer func() {
				if err := n.close(); err != nil {
					b.Error(err)
				}
			}()
			go answerBusy(carrier)
			if kind.name == "busy" {
				lineConsents(b, n, b.N)
			}
			invites := make([][]byte, b.N)
			at, offer := dialer.LocalAddr(), strings.ReplaceAll(lineOffer, "\n", "\r\n")
			for i := range invites {
				called := lineNumber(i)
				text := strings.ReplaceAll(fmt.Sprintf(lineInvite, called, n.sip[0], at, i, at, i, called, n.sip[0], i, at, len(offer)), "\n", "\r\n")
				invites[i] = []byte(text + offer)
			}
			b.ReportAllocs()
			b.ResetTimer()
			for _, invite := range invites {
				lineCall(b, dialer, n.sip[0], invite, kind.want)
			}
		})
	}
}

func lineSocket(b *testing.B) *net.UDPConn {
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { c.Close() })
	return c
}

func lineNumber(i int) int { return 31610000000 + i }

// lineConsents puts consent on file for the numbers that are called.
func lineConsents(b *testing.B, n *node, most int) {
	at, facts := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), make([]policy.Fact, most)
	for i := range facts {
		facts[i] = policy.Fact{Kind: policy.Consent, Number: policy.MustNumber(fmt.Sprint("+", lineNumber(i))), At: at, Advertiser: "windkracht",
			Purposes: []policy.Purpose{policy.Commercial}, Products: []string{"energy"}, Channels: []policy.CallMode{policy.Live}, Method: "web-form", VerifiedAt: at, VerifiedBy: "sms",
			FirstCallBy: at.AddDate(4, 0, 0), Evidence: policy.Evidence{Person: fmt.Sprint("p", i), SHA256: fmt.Sprintf("%064x", i)}}
	}
	results, err := n.store.Add(b.Context(), facts...)
	if err != nil {
		b.Fatal(err)
	}
	for _, r := range results {
		if r.Err != nil {
			b.Fatal(r.Err)
		}
	}
}

// lineCall makes a call and acknowledges its answer.
func lineCall(b *testing.B, dialer *net.UDPConn, to netip.AddrPort, invite []byte, want string) {
	var buf [4096]byte
	if _, err := dialer.WriteToUDPAddrPort(invite, to); err != nil {
		b.Fatal(err)
	}
	for {
		_, _, err := dialer.ReadFromUDPAddrPort(buf[:])
		if err != nil {
			b.Fatal(err)
		}
		if buf[8] >= '3' {
			if got := string(buf[8:11]); got != want {
				b.Fatalf("answered %s, want %s", got, want)
			}
			ack := append(buf[2048:2048], "ACK"...)
			ack = append(ack, invite[len("INVITE"):bytes.Index(invite, []byte("CSeq: "))]...)
			ack = append(ack, "CSeq: 1 ACK\r\nContent-Length: 0\r\n\r\n"...)
			if _, err := dialer.WriteToUDPAddrPort(ack, to); err != nil {
				b.Fatal(err)
			}
			return
		}
	}
}

// answerBusy is the carrier.
func answerBusy(c *net.UDPConn) {
	buf, out := make([]byte, 4096), make([]byte, 0, 4096)
	for {
		size, from, err := c.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		if !bytes.HasPrefix(buf[:size], []byte("INVITE ")) {
			continue
		}
		out = append(out[:0], "SIP/2.0 486 Busy Here"...)
		for _, l := range []string{"\r\nVia: ", "\r\nFrom: ", "\r\nTo: ", "\r\nCall-ID: ", "\r\nCSeq: "} {
			for rest := buf[:size]; ; {
				i := bytes.Index(rest, []byte(l))
				if i < 0 {
					break
				}
				rest = rest[i:]
				end := 2 + bytes.IndexByte(rest[2:], '\r')
				out = append(out, rest[:end]...)
				rest = rest[end:]
			}
			if l == "\r\nTo: " {
				out = append(out, ";tag=carrier"...)
			}
		}
		out = append(out, "\r\nContent-Length: 0\r\n\r\n"...)
		_, _ = c.WriteToUDPAddrPort(out, from)
	}
}
