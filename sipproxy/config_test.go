package sipproxy

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"dialgate/internal/simnet"
	"dialgate/policy"
	"dialgate/policy/nl"
	"dialgate/sipproxy/message"
	"dialgate/sipproxy/transport"
)

// A variant is one of two configurations that have nothing in common: its
// campaign, terms, dialect, judge and carrier all tell which of them it is.
type variant struct {
	name    string
	terms   *policy.PeerTerms
	carrier netip.AddrPort
	refusal int // by its dialect, of a call for which there is no room
	config  Config
}

// witness writes down what happened to each call.
type witness struct {
	mu      sync.Mutex
	judged  map[string]string // Call-ID → variant that judged it
	carried map[string]string // Call-ID → variant to whose carrier it went
	answer  map[string]int
	mixed   int
}

func (w *witness) note(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

func newVariant(t *testing.T, name string, dialect Dialect, refusal int, carrier string, w *witness) *variant {
	campaign := &policy.Campaign{ID: name, Advertiser: &policy.Advertiser{ID: name}, Purpose: policy.Commercial}
	directory, err := policy.NewDirectory([]*policy.Campaign{campaign},
		[]*policy.CallerNumber{{Number: policy.MustNumber("+31205550100"), Campaigns: []*policy.Campaign{campaign}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	v := &variant{name: name, carrier: netip.MustParseAddrPort(carrier), refusal: refusal,
		terms: &policy.PeerTerms{ID: "dialer", AllCampaigns: true, Plan: nl.Plan()}}
	var calls atomic.Int64
	judge := func(a *policy.Attempt, ready func(policy.Ruling)) {
		w.note(func() {
			w.judged[a.CallID] = name
			if a.Peer != v.terms || a.Campaign != campaign {
				w.mixed++
			}
		})
		r := policy.Ruling{Decision: policy.Operational(policy.ReasonOverloaded)}
		n := calls.Add(1)
		if n%2 == 0 {
			r.Decision.Verdict, r.Decision.Reason = policy.Allowed, policy.ReasonConsent
		}
		if n%3 == 0 {
			ready(r)
			return
		}
		go func() { // as from a ledger
			time.Sleep(time.Millisecond)
			ready(r)
		}()
	}
	v.config = Config{
		Peers:    []Peer{{Terms: v.terms, Dialect: dialect, Sources: []netip.Prefix{netip.MustParsePrefix("192.0.2.10/32")}, CallsInSetup: 100_000}},
		Carriers: []Carrier{{ID: name, Targets: []netip.AddrPort{v.carrier}}},
		Reader:   &Reader{Directory: directory, Plans: policy.NewPlans(nl.Plan()), Home: nl.Plan(), Emergency: map[string]bool{}},
		Judge:    judge,
	}
	return v
}

// TestNoCallIsHandledByTwoConfigurations changes the configuration as fast as
// it can, also to ones that are refused, while calls are made. Each is read,
// judged, answered and carried by one configuration, and none is lost.
func TestNoCallIsHandledByTwoConfigurations(t *testing.T) {
	const calls, inFlight = 2000, 64
	w := &witness{judged: map[string]string{}, carried: map[string]string{}, answer: map[string]int{}}
	a := newVariant(t, "a", Safe, 480, "198.51.100.1:5060", w)
	b := newVariant(t, "b", Strict, 503, "198.51.100.2:5060", w)
	net := simnet.New()
	p, err := New(Options{Listeners: []Listener{{Conn: net.Listen(gateAddr), Advertised: gateAddr}}, Config: a.config,
		Key: bytes.Repeat([]byte("k"), 32), Name: "gate", Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := p.Serve(); err != nil {
			t.Error(err)
		}
	})
	dialer := net.Listen(dialerAddr)
	room := make(chan struct{}, inFlight) // an answered call makes room for the next one
	listen := func(c *simnet.Conn, take func(v *message.View)) {
		wg.Go(func() {
			ds := make([]transport.Datagram, transport.Batch)
			var v message.View
			for {
				n, err := c.ReadBatch(ds)
				if err != nil {
					return
				}
				for _, d := range ds[:n] {
					if err := v.Parse(d.Payload); err != nil {
						t.Errorf("%v: %s", err, d.Payload)
						continue
					}
					take(&v)
				}
			}
		})
	}
	listen(dialer, func(v *message.View) {
		id := string(v.Value(message.CallID))
		if v.Status < 200 {
			return
		}
		w.note(func() {
			if w.answer[id] == 0 {
				w.answer[id] = v.Status
				<-room
			}
		})
	})
	conns := []*simnet.Conn{dialer}
	for _, x := range []*variant{a, b} {
		c := net.Listen(x.carrier)
		conns = append(conns, c)
		listen(c, func(v *message.View) {
			if !v.IsMethod("INVITE") {
				return
			}
			w.note(func() { w.carried[string(v.Value(message.CallID))] = x.name })
			busy := v.AppendResponse(nil, &message.Response{Status: 486, Phrase: "Busy Here", ToTag: []byte(x.name), Source: gateAddr})
			_, _ = c.WriteBatch([]transport.Datagram{{Payload: busy, Remote: gateAddr}}) // closed at the end
		})
	}
	done, reloads := make(chan struct{}), 0
	wg.Go(func() {
		for ; ; reloads++ {
			select {
			case <-done:
				return
			default:
			}
			if err := p.Use([]*variant{a, b}[reloads%2].config); err != nil {
				t.Error(err)
			}
			if err := p.Use(Config{}); err == nil {
				t.Error("a configuration without a carrier was put in force")
			}
			time.Sleep(50 * time.Microsecond)
		}
	})
	for i := range calls {
		select {
		case room <- struct{}{}:
		case <-time.After(30 * time.Second):
			t.Fatalf("call %d: those before it are not answered", i)
		}
		invite := fmt.Appendf(nil, "INVITE sip:+31612345678@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK-r%d\r\nMax-Forwards: 70\r\n"+
			"From: <sip:+31205550100@dialer.example>;tag=%d\r\nTo: <sip:+31612345678@carrier.example>\r\nCall-ID: call-%d\r\nCSeq: 1 INVITE\r\n"+
			"Contact: <sip:dialer@192.0.2.10>\r\nContent-Length: 0\r\n\r\n", i, i, i)
		if _, err := dialer.WriteBatch([]transport.Datagram{{Payload: invite, Remote: gateAddr}}); err != nil {
			t.Fatal(err)
		}
	}
	for range inFlight { // full again when every call is answered
		select {
		case room <- struct{}{}:
		case <-time.After(30 * time.Second):
			t.Fatal("the last calls are not answered")
		}
	}
	close(done)
	p.Close()
	for _, c := range conns {
		c.Close()
	}
	wg.Wait()

	byVariant := map[string]int{}
	for i := range calls {
		id := fmt.Sprintf("call-%d", i)
		x := a
		if w.judged[id] == "b" {
			x = b
		}
		byVariant[w.judged[id]]++
		carried, got := w.carried[id], w.answer[id]
		if carried == "" && got != x.refusal || carried != "" && (carried != x.name || got != 486) {
			t.Errorf("%s: judged by %q, carried by %q, answered %d", id, w.judged[id], carried, got)
		}
	}
	if w.mixed > 0 {
		t.Errorf("%d calls were read by one configuration and judged by another", w.mixed)
	}
	if byVariant["a"] == 0 || byVariant["b"] == 0 || len(byVariant) != 2 || reloads < 10 {
		t.Errorf("judged: %v, in %d reloads: the test shows nothing", byVariant, reloads)
	}
	if f := p.config.Load(); f.peers["dialer"].inSetup != 0 {
		t.Errorf("%d calls of the peer are still counted in set-up", f.peers["dialer"].inSetup)
	}
}

func TestALimitThatChangesFillsItsBucketAnew(t *testing.T) {
	var b bucket
	now := time.Now()
	take := func(rate, want int) {
		t.Helper()
		got := 0
		for b.take(rate, now) && got < 100 {
			got++
		}
		if got != want {
			t.Errorf("%d tokens at a rate of %d, want %d", got, rate, want)
		}
	}
	take(0, 100) // no bound
	take(5, 5)   // full at first
	take(10, 0)  // a greater rate gives nothing at once,
	now = now.Add(500 * time.Millisecond)
	take(10, 5) // but fills faster,
	now = now.Add(time.Hour)
	take(3, 3) // and a smaller one bounds at once
}
