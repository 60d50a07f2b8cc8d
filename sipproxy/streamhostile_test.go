package sipproxy

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	dto "github.com/prometheus/client_model/go"
	"github.com/rogpeppe/go-internal/txtar"

	"dialgate/policy"
	"dialgate/sipproxy/message"
	"dialgate/sipproxy/transport"
)

// hostile are our own torture messages and, when they are beside the
// repository, RFC 4475's and the seeds of other programs' fuzzers.
func hostile(t *testing.T) map[string][]byte {
	t.Helper()
	set, err := txtar.ParseFile(filepath.Join("message", "testdata", "torture.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]byte{}
	octets := strings.NewReplacer("\n", "\r\n", "{NUL}", "\x00", "{CR}", "\r", "{LF}", "\n", "{SP}", " ")
	for _, f := range set.Files {
		all[f.Name] = []byte(octets.Replace(string(f.Data)))
	}
	for _, pattern := range []string{"rfc4475/*.dat", "fuzz/*/*", "fuzz/*/*/*"} {
		names, _ := filepath.Glob(filepath.Join("..", "..", "shared", "testdata", pattern))
		for _, name := range names {
			if raw, err := os.ReadFile(name); err == nil && len(raw) <= transport.MaxDatagram {
				all[name] = raw
			}
		}
	}
	return all
}

// TestHostileMessagesOverStreams sends each message over a TCP and a WebSocket
// connection of its own to a proxy that refuses every call: after each, it
// answers a probe, and what it sent back is SIP.
func TestHostileMessagesOverStreams(t *testing.T) {
	var carrier *phone
	h := newHouse(t, func(h *house, o *Options) {
		carrier = h.phone(transport.UDP, "127.0.0.3", "carrier")
		o.Carriers = []Carrier{{ID: "carrier", Targets: []netip.AddrPort{carrier.conn.LocalAddr()}}}
		o.Judge = func(a *policy.Attempt, ready func(policy.Ruling)) {
			ready(policy.Ruling{Decision: policy.Operational(policy.ReasonNoConsent)})
		}
	})
	probe := h.phone(transport.TCP, "127.0.0.2", "probe")
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}, Timeout: 5 * time.Second}
	n := 0
	for name, raw := range hostile(t) {
		c, err := d.Dial("tcp", h.at["tcp4"].Conn.LocalAddr().String())
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		_, _ = c.Write(raw) // the proxy may have closed it already
		_ = c.(*net.TCPConn).CloseWrite()
		got, _ := io.ReadAll(c) // or reset it
		c.Close()
		got = bytes.TrimLeft(got, "\r\n") // answers to keep-alives
		if len(got) > 0 && !bytes.HasPrefix(got, []byte("SIP/2.0 ")) {
			t.Errorf("%s over TCP is answered by\n%s", name, got)
		}

		wd := ws.Dialer{Protocols: []string{"sip"}, NetDial: d.DialContext}
		w, _, _, err := wd.Dial(context.Background(), "ws://"+h.at["ws4"].Conn.LocalAddr().String())
		if err != nil {
			t.Fatal(err)
		}
		_ = w.SetDeadline(time.Now().Add(10 * time.Second))
		_ = ws.WriteFrame(w, ws.MaskFrame(ws.NewBinaryFrame(bytes.Clone(raw))))
		_ = ws.WriteFrame(w, ws.MaskFrame(ws.NewCloseFrame(nil)))
		for {
			f, err := ws.ReadFrame(w)
			if err != nil || f.Header.OpCode == ws.OpClose {
				break
			}
			if f.Header.OpCode.IsData() && !bytes.HasPrefix(f.Payload, []byte("SIP/2.0 ")) && string(f.Payload) != "\r\n" {
				t.Errorf("%s over WebSocket is answered by\n%s", name, f.Payload)
			}
		}
		w.Close()

		n++
		options := bytes.Replace(probe.invite(fmt.Sprintf("probe%d", n), ""), []byte("INVITE sip"), []byte("OPTIONS sip"), 1)
		probe.send(bytes.Replace(options, []byte("1 INVITE"), []byte("1 OPTIONS"), 1), h.at["tcp4"].Conn.LocalAddr())
		probe.expect("200")
	}
	if n < 20 {
		t.Errorf("only %d messages", n)
	}
	var faults dto.Metric
	if err := h.proxy.metrics.panics.Write(&faults); err != nil || faults.GetCounter().GetValue() != 0 {
		t.Errorf("%v faults, %v", faults.GetCounter().GetValue(), err)
	}
	for len(carrier.came) > 0 {
		var v message.View
		if c := <-carrier.came; v.Parse(c.raw) == nil && v.IsRequest() {
			t.Errorf("a refused call reached the carrier:\n%s", c.raw)
		}
	}
}

// TestTooLargeOverStreams: a message that would be larger than any may be is
// counted as that, and its connection ends.
func TestTooLargeOverStreams(t *testing.T) {
	h := newHouse(t, func(h *house, o *Options) {
		o.Carriers = []Carrier{{ID: "none", Targets: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.9:9")}}}
	})
	phone := h.phone(transport.TCP, "127.0.0.2", "dialer")
	large := bytes.Replace(phone.invite("x", ""), []byte("Content-Length: 0"), []byte("Content-Length: 70000"), 1)
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}, Timeout: 5 * time.Second}
	for i, over := range []string{"tcp4", "ws4"} {
		var c net.Conn
		var err error
		if over == "tcp4" {
			c, err = d.Dial("tcp", h.at[over].Conn.LocalAddr().String())
		} else {
			wd := ws.Dialer{Protocols: []string{"sip"}, NetDial: d.DialContext}
			c, _, _, err = wd.Dial(context.Background(), "ws://"+h.at[over].Conn.LocalAddr().String())
			header := bytes.Buffer{}
			_ = ws.WriteHeader(&header, ws.Header{Fin: true, OpCode: ws.OpBinary, Masked: true, Length: 70000}) // into memory
			large = header.Bytes()
		}
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(5 * time.Second))
		_, _ = c.Write(large)
		if got, err := io.ReadAll(c); err != nil || len(got) == 0 {
			t.Errorf("%s: %q, %v", over, got, err)
		}
		c.Close()
		var n dto.Metric
		if err := h.proxy.metrics.drops[dropTooLarge].Write(&n); err != nil || n.GetCounter().GetValue() != float64(i+1) {
			t.Errorf("%s: %v counted, %v", over, n.GetCounter().GetValue(), err)
		}
	}
}
