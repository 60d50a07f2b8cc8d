package main

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"dialgate/policy"
)

// A wire is a node between a dialer and a carrier on loopback sockets, judging
// at a time of the test's choice.
type wire struct {
	t       *testing.T
	config  string // file
	node    *node
	clock   atomic.Pointer[time.Time]
	dialer  *net.UDPConn
	carrier *net.UDPConn
	branch  int
	sync    func(*os.File) error // its disk

	mu     sync.Mutex
	last   policy.Decision
	seen   map[string]int        // INVITEs at the carrier, by Call-ID
	invite string                // the last of them
	answer func(cseq int) string // status line of the carrier's answer
}

const wireConfig = `
node: wire
listen: {udp: [{address: "127.0.0.1:0"}]}
peers: [{id: dialer, sources: [127.0.0.1], campaigns: ["*"]%s}]
carriers: [{id: carrier, targets: ["%s"]}]
store: {path: %q}
api: {address: "127.0.0.1:0"}
%s`

func newWire(t *testing.T, sections string) *wire {
	t.Helper()
	return newWireOf(t, sections, "")
}

// newWireOn is a wire on a disk of the test's.
func newWireOn(t *testing.T, sections string, sync func(*os.File) error) *wire {
	t.Helper()
	return newWireWith(t, sections, "", sync)
}

// newWireOf is a wire with more to the peer's configuration.
func newWireOf(t *testing.T, sections, peer string) *wire {
	t.Helper()
	return newWireWith(t, sections, peer, nil)
}

func newWireWith(t *testing.T, sections, peer string, sync func(*os.File) error) *wire {
	t.Helper()
	w := &wire{t: t, sync: sync, seen: map[string]int{}, answer: func(int) string { return "486 Busy Here" }}
	for _, conn := range []**net.UDPConn{&w.dialer, &w.carrier} {
		c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		*conn = c
	}
	dir := t.TempDir()
	w.config = filepath.Join(dir, "dialgate.yaml")
	if !strings.Contains(sections, "ledger:") {
		sections += "\nledger: {segment_size: 1MiB}\n" // it is filled with zeros first
	}
	text := fmt.Sprintf(wireConfig, peer, w.carrier.LocalAddr(), filepath.Join(dir, "data"), sections)
	if err := os.WriteFile(w.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	go w.serveCarrier()
	w.start()
	t.Cleanup(func() {
		if err := w.node.close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

func (w *wire) start() {
	w.t.Helper()
	world, err := loadWorld(w.config)
	if err != nil {
		w.t.Fatal(err)
	}
	w.clock.Store(new(time.Time))
	w.node, err = startNode(world, nodeOptions{now: func() time.Time { return *w.clock.Load() }, log: slog.New(slog.DiscardHandler), sync: w.sync,
		observe: func(_ *policy.Attempt, d *policy.Decision, _ time.Duration) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.last = *d
		}})
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *wire) restart() {
	w.t.Helper()
	if err := w.node.close(); err != nil {
		w.t.Fatal(err)
	}
	w.start()
}

// serveCarrier answers every INVITE until the socket is closed.
func (w *wire) serveCarrier() {
	buf := make([]byte, 1<<16)
	for {
		n, from, err := w.carrier.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		msg := string(buf[:n])
		if !strings.HasPrefix(msg, "INVITE ") {
			continue
		}
		cseq, _ := strconv.Atoi(strings.Fields(header(msg, "CSeq"))[0])
		w.mu.Lock()
		w.seen[header(msg, "Call-ID")]++
		w.invite = msg
		line := w.answer(cseq)
		w.mu.Unlock()
		var b strings.Builder
		fmt.Fprintf(&b, "SIP/2.0 %s\r\n", line)
		for l := range strings.SplitSeq(msg, "\r\n") {
			if strings.HasPrefix(l, "Via:") {
				b.WriteString(l + "\r\n")
			}
		}
		fmt.Fprintf(&b, "From: %s\r\nTo: %s;tag=carrier\r\nCall-ID: %s\r\nCSeq: %s\r\n", header(msg, "From"), header(msg, "To"), header(msg, "Call-ID"), header(msg, "CSeq"))
		if strings.HasPrefix(line, "407") {
			b.WriteString("Proxy-Authenticate: Digest realm=\"carrier\", nonce=\"n\"\r\n")
		}
		b.WriteString("Content-Length: 0\r\n\r\n")
		_, _ = w.carrier.WriteToUDPAddrPort([]byte(b.String()), from) // a lost answer is asked for again
	}
}

// header is the value of a message's first header of a name.
func header(msg, name string) string {
	for l := range strings.SplitSeq(msg, "\r\n") {
		if v, ok := strings.CutPrefix(l, name+": "); ok {
			return v
		}
	}
	return ""
}

// A wireCall is how a call ended.
type wireCall struct {
	decision policy.Decision
	code     int
	passed   bool   // the carrier saw it
	answer   string // the final response
}

// call sends an INVITE of a hypothetical call at a time, waits for its final
// answer and acknowledges it.
func (w *wire) call(h hypothetical, cseq int, at time.Time) wireCall {
	w.t.Helper()
	w.clock.Store(&at)
	w.branch++
	via := fmt.Sprintf("Via: SIP/2.0/UDP %s;branch=z9hG4bK-%d", w.dialer.LocalAddr(), w.branch)
	invite := strings.Replace(string(h.invite()), "Via: SIP/2.0/UDP dialer.invalid;branch=z9hG4bK-hypothetical", via, 1)
	invite = strings.Replace(invite, "CSeq: 1 ", fmt.Sprintf("CSeq: %d ", cseq), 1)
	w.mu.Lock()
	before := w.seen[h.callID]
	w.mu.Unlock()
	to := net.UDPAddrFromAddrPort(netip.MustParseAddrPort(w.node.sip[0].String()))
	if _, err := w.dialer.WriteTo([]byte(invite), to); err != nil {
		w.t.Fatal(err)
	}
	buf := make([]byte, 1<<16)
	for {
		if err := w.dialer.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
			w.t.Fatal(err)
		}
		n, err := w.dialer.Read(buf)
		if err != nil {
			w.t.Fatalf("no final answer to %s: %v", h.callID, err)
		}
		msg := string(buf[:n])
		code, _ := strconv.Atoi(strings.Fields(msg)[1])
		if header(msg, "Call-ID") != h.callID || header(msg, "CSeq") != fmt.Sprint(cseq, " INVITE") || code < 200 {
			continue
		}
		if code >= 300 {
			ack := fmt.Sprintf("ACK %s SIP/2.0\r\n%s\r\nMax-Forwards: 70\r\nFrom: %s\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: %d ACK\r\nContent-Length: 0\r\n\r\n",
				strings.Fields(invite)[1], via, header(msg, "From"), header(msg, "To"), h.callID, cseq)
			if _, err := w.dialer.WriteTo([]byte(ack), to); err != nil {
				w.t.Fatal(err)
			}
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		return wireCall{w.last, code, w.seen[h.callID] > before, msg}
	}
}

// command runs a command line beside the node and returns what it prints.
func (w *wire) command(want int, args ...string) string {
	w.t.Helper()
	var out, errs bytes.Buffer
	if got := run(args, streams{strings.NewReader(""), &out, &errs}); want >= 0 && got != want {
		w.t.Fatalf("%v: exit status %d, want %d\n%s%s", args, got, want, out.String(), errs.String())
	}
	return out.String()
}

func (w *wire) add(facts ...policy.Fact) {
	w.t.Helper()
	results, err := w.node.store.Add(w.t.Context(), facts...)
	for _, r := range results {
		err = errors.Join(err, r.Err)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

func writeFile(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
