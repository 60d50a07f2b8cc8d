package dialgatetest

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"dialgate/internal/simnet"
	"dialgate/sipproxy"
	"dialgate/sipproxy/message"
	"dialgate/sipproxy/transport"
)

// A Line is a dialer, the proxy and its carriers on a network in memory. All
// of the SIP is real; only the sockets are not.
type Line struct {
	t      testing.TB
	gate   *Gate
	ladder *simnet.Ladder
	proxy  netip.AddrPort
	dialer *simnet.Conn
	calls  int

	mu      sync.Mutex
	carried [][]byte // INVITEs that reached a carrier
}

// An Answer is how a call ended for the dialer.
type Answer struct {
	Code    int
	Message []byte // the final response
	Carried []byte // the INVITE as the carrier received it; nil: it never did
}

// dialerPort is where the fake dialer sends from.
const dialerPort = 50600

// Connect starts the proxy of the gate's configuration with a dialer at the
// first source of its first peer, and carriers that answer every call. It ends
// with the test.
func (g *Gate) Connect(t testing.TB) *Line {
	t.Helper()
	if len(g.domain.Peers) == 0 || len(g.domain.Peers[0].Sources) == 0 || len(g.cfg.Listen.UDP) == 0 {
		t.Fatal("the configuration has no dialer with a source, or no UDP listener")
	}
	n := simnet.New()
	l := &Line{t: t, gate: g, ladder: simnet.NewLadder(), proxy: netip.MustParseAddrPort(g.cfg.Listen.UDP[0].Address)}
	n.Tap = l.ladder.Add
	source := g.domain.Peers[0].Sources[0]
	from := source.Addr()
	if !source.IsSingleIP() {
		from = from.Next()
	}
	l.dialer = n.Listen(netip.AddrPortFrom(from, dialerPort))
	l.ladder.Column("dialer", l.dialer.LocalAddr())
	l.ladder.Column("dialgate", l.proxy)
	o := sipproxy.Options{
		Listeners: []sipproxy.Listener{{Conn: n.Listen(l.proxy), Advertised: l.proxy}},
		Config:    sipproxy.Config{Reader: g.reader, Judge: g.gate.Judge}, Key: bytes.Repeat([]byte("test"), 8), Name: "gate.invalid",
		Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry(),
	}
	for _, p := range g.domain.Peers {
		peer := sipproxy.PeerOf(p.Terms)
		peer.Sources = p.Sources
		o.Config.Peers = append(o.Config.Peers, peer)
	}
	var carriers []*simnet.Conn
	for _, c := range g.cfg.Carriers {
		carrier := sipproxy.Carrier{ID: c.ID, Priority: c.Priority, Weight: c.Weight}
		for _, target := range c.Targets {
			carrier.Targets = append(carrier.Targets, netip.MustParseAddrPort(target))
			carriers = append(carriers, n.Listen(netip.MustParseAddrPort(target)))
		}
		l.ladder.Column(c.ID, carrier.Targets...)
		o.Config.Carriers = append(o.Config.Carriers, carrier)
	}
	proxy, err := sipproxy.New(o)
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() { _ = proxy.Serve() }) // ends with Close
	for _, c := range carriers {
		running.Go(func() { l.carry(c) })
	}
	t.Cleanup(func() {
		proxy.Close()
		for _, c := range append(carriers, l.dialer) {
			_ = c.Close() // a connection in memory
		}
		running.Wait()
	})
	return l
}

// Ladder is what crossed the network so far, as a SIP engineer draws it.
func (l *Line) Ladder() string { return l.ladder.String() }

// Call makes a call and waits for its final response. Further header lines may
// be given, "Name: value".
func (l *Line) Call(from, to string, headers ...string) Answer {
	l.t.Helper()
	l.calls++
	var b strings.Builder
	fmt.Fprintf(&b, "INVITE sip:%s@%s SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bK-call-%d\r\nMax-Forwards: 70\r\nFrom: <sip:%s@%s>;tag=d%d\r\nTo: <sip:%s@%s>\r\n"+
		"Call-ID: call-%d@dialer\r\nCSeq: 1 INVITE\r\nContact: <sip:%s>\r\n", to, l.proxy, l.dialer.LocalAddr(), l.calls, from, l.dialer.LocalAddr().Addr(), l.calls, to, l.proxy.Addr(), l.calls, l.dialer.LocalAddr())
	for _, h := range headers {
		b.WriteString(h + "\r\n")
	}
	b.WriteString("Content-Length: 0\r\n\r\n")
	return l.Send([]byte(b.String()))
}

// patience is how long a final response may take.
const patience = 10 * time.Second

// Send sends an INVITE as it is and waits for its final response.
func (l *Line) Send(invite []byte) Answer {
	l.t.Helper()
	var sent message.View
	_ = sent.Parse(invite) // a malformed INVITE is answered too
	callID := string(sent.Value(message.CallID))
	before := len(l.received())
	l.send(l.dialer, l.proxy, invite)
	answers := make(chan Answer, 1)
	go func() {
		ds := []transport.Datagram{{}}
		for {
			if _, err := l.dialer.ReadBatch(ds); err != nil {
				return // the test is over
			}
			var v message.View
			if v.Parse(bytes.Clone(ds[0].Payload)) == nil && v.Status >= 200 && string(v.CSeqMethod) == "INVITE" && string(v.Value(message.CallID)) == callID {
				answers <- Answer{Code: v.Status, Message: v.Raw}
				return
			}
		}
	}()
	select {
	case a := <-answers:
		l.acknowledge(invite, &a)
		if carried := l.received(); len(carried) > before {
			a.Carried = carried[len(carried)-1]
		}
		return a
	case <-time.After(patience):
		l.t.Fatalf("no final response within %s:\n%s", patience, l.Ladder())
		return Answer{}
	}
}

// acknowledge ends a refused call's transaction (RFC 3261 section 17.1.1.3).
func (l *Line) acknowledge(invite []byte, a *Answer) {
	var sent, got message.View
	if a.Code < 300 || sent.Parse(invite) != nil || got.Parse(a.Message) != nil {
		return
	}
	l.send(l.dialer, l.proxy, fmt.Appendf(nil, "ACK %s SIP/2.0\r\nVia: %s\r\nMax-Forwards: 70\r\nFrom: %s\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: %d ACK\r\nContent-Length: 0\r\n\r\n",
		sent.URI, sent.Value(message.Via), sent.Value(message.From), got.Value(message.To), sent.Value(message.CallID), sent.CSeqNumber))
}

func (l *Line) send(from *simnet.Conn, to netip.AddrPort, b []byte) {
	_, _ = from.WriteBatch([]transport.Datagram{{Remote: to, Payload: b}}) // fails only when the test is over
}

func (l *Line) received() [][]byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.carried
}

// carry answers every INVITE with 200, as a carrier's far end would.
func (l *Line) carry(c *simnet.Conn) {
	ds := []transport.Datagram{{}}
	for {
		if _, err := c.ReadBatch(ds); err != nil {
			return
		}
		var v message.View
		if v.Parse(bytes.Clone(ds[0].Payload)) != nil || !v.IsRequest() || v.IsMethod("ACK") {
			continue
		}
		if v.IsMethod("INVITE") {
			l.mu.Lock()
			l.carried = append(l.carried, v.Raw)
			l.mu.Unlock()
		}
		b := []byte("SIP/2.0 200 OK\r\n")
		for i := range v.Headers {
			h := &v.Headers[i]
			switch h.Kind {
			case message.Via, message.RecordRoute, message.From, message.CallID, message.CSeq:
				b = fmt.Appendf(b, "%s: %s\r\n", h.Name, h.Value)
			case message.To:
				b = fmt.Appendf(b, "%s: %s", h.Name, h.Value)
				if len(v.ToTag) == 0 {
					b = append(b, ";tag=carrier"...)
				}
				b = append(b, "\r\n"...)
			}
		}
		b = fmt.Appendf(b, "Contact: <sip:%s>\r\nContent-Length: 0\r\n\r\n", c.LocalAddr())
		l.send(c, ds[0].Remote, b)
	}
}
