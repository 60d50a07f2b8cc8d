//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"dialgate/internal/testca"
)

// A fort is a node with every transport, a good caller with its carrier, and a
// peer at 127.0.0.5 that may make ten calls a second. Its ledger does not wait
// for the disk, whose pace is not what is looked at.
type fort struct {
	*node
	ports           map[string]int // tcp, tls, ws
	dialer, carrier *talker
	calls           int
}

// mostWait is what an attack may make a good call's answer take at the 99th
// percentile; where calls took a good part of that before the attack, the
// machine is busy, and it may make them take three times as long.
const mostWait = 50 * time.Millisecond

// mostGrowth is by how much an attack may raise the resident memory, in octets,
// over that of a node that has made calls: 40 KB for each of 6,000 connections,
// a third of them over TLS, of which 30 were seen.
const mostGrowth = 240e6

func newFort(t *testing.T) *fort {
	ca := testca.New(t)
	f := &fort{node: newNode(t), ports: map[string]int{}, dialer: listenTalker(t, "dialer", "127.0.0.1"), carrier: listenTalker(t, "carrier", "127.0.0.1")}
	for _, k := range []string{"tcp", "tls", "ws"} {
		f.ports[k] = freePort(t)
	}
	gate := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(f.sip))
	f.dialer.gate, f.carrier.gate, f.carrier.answer = gate, gate, answers
	cert, key := ca.Issue("gate", "127.0.0.1")
	f.configure("listen: {udp: ", fmt.Sprintf(`listen: {tcp: [{address: "127.0.0.1:%d"}], tls: [{address: "127.0.0.1:%d", certificate: %q, key: %q}], ws: [{address: "127.0.0.1:%d"}], udp: `,
		f.ports["tcp"], f.ports["tls"], cert, key, f.ports["ws"]),
		`campaigns: ["*"]}]`, `campaigns: ["*"]}, {id: hasty, sources: [127.0.0.5], campaigns: ["*"], limits: {calls_per_second: 10}}]`,
		fmt.Sprintf(`targets: ["127.0.0.1:%d"]`, f.node.carrier), fmt.Sprintf(`targets: ["%s"]`, f.carrier.seen),
		"store: {", "ledger: {mode: memory}\nstore: {")
	f.numbers(2)
	f.start()
	f.run("facts", "import", filepath.Join(f.dir, "facts.csv"))
	f.dialer.start()
	f.carrier.start()
	return f
}

// quantile sorts what was measured.
func quantile(of []time.Duration, q float64) time.Duration {
	if len(of) == 0 {
		return 0
	}
	slices.Sort(of)
	return of[int(q*float64(len(of)-1))]
}

// well makes good calls for a time, every other allowed, and looks at the
// streams beside; it returns how long the answers took.
func (f *fort) well(during time.Duration) (calls, streams []time.Duration) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for began := time.Now(); time.Since(began) < during; <-tick.C {
		f.calls++
		i := f.calls
		wg.Go(func() {
			kind, want := "busy", 486
			if i%2 == 1 {
				kind, want = "refused", 403
			}
			f.dialer.mu.Lock()
			c := f.dialer.talkLocked(fmt.Sprintf("%s-%d", kind, i))
			f.dialer.mu.Unlock()
			defer c.linger()
			asked := time.Now()
			res, err := c.place(fmt.Sprintf("+316%08d", 10_000_000+i%2), 5*time.Second, nil)
			if err == nil && res.Status != want {
				err = fmt.Errorf("answered by %d, want %d", res.Status, want)
			}
			f.dialer.note(kind, err)
			mu.Lock()
			defer mu.Unlock()
			calls = append(calls, time.Since(asked))
		})
		if i%10 != 0 {
			continue
		}
		wg.Go(func() {
			asked := time.Now()
			f.dialer.note("options", f.options([]string{"tcp", "ws"}[i/10%2]))
			mu.Lock()
			defer mu.Unlock()
			streams = append(streams, time.Since(asked))
		})
	}
	wg.Wait()
	return calls, streams
}

// options asks over a new connection whether the node is there.
func (f *fort) options(kind string) error {
	c, err := connect(kind, f.ports[kind], "127.0.0.1")
	if err != nil {
		return err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(5 * time.Second)) // if it fails, so does the rest
	request := fmt.Appendf(nil, "OPTIONS sip:127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/%s 127.0.0.1:9;branch=z9hG4bK-%s\r\nMax-Forwards: 70\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\nCall-ID: o%d\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n",
		strings.ToUpper(kind), f.dialer.name, f.dialer.made.Add(1))
	var answer []byte
	if kind == "ws" {
		if err := ws.WriteFrame(c, ws.MaskFrame(ws.NewTextFrame(request))); err != nil {
			return err
		}
		frame, err := ws.ReadFrame(c)
		if err != nil {
			return err
		}
		answer = frame.Payload
	} else {
		if _, err := c.Write(request); err != nil {
			return err
		}
		answer = make([]byte, 12)
		if _, err := io.ReadFull(c, answer); err != nil {
			return err
		}
	}
	if !bytes.HasPrefix(answer, []byte("SIP/2.0 200 ")) {
		return fmt.Errorf("OPTIONS over %s is answered by %.40q", kind, answer)
	}
	return nil
}

// under makes good calls before and during an attack and compares.
func (f *fort) under(what string, during time.Duration, a attack) (sent int) {
	f.t.Helper()
	quiet, quietStreams := f.well(3 * time.Second)
	before := f.level()
	ctx, stop := context.WithCancel(context.Background())
	end := f.attacked(a)
	time.Sleep(a.Rises) // until it is in full course
	var peak level
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		for ctx.Err() == nil {
			l := f.level()
			peak.resident, peak.heap, peak.goroutines = max(peak.resident, l.resident), max(peak.heap, l.heap), max(peak.goroutines, l.goroutines)
			peak.transactions, peak.descriptors = max(peak.transactions, l.transactions), max(peak.descriptors, l.descriptors)
			time.Sleep(500 * time.Millisecond)
		}
	}()
	most := max(mostWait, 3*quantile(quiet, 0.99))
	// Of three looks the best counts: other work on this machine only adds.
	calls, streams := f.well(during)
	for tries := 1; tries < 3 && quantile(calls, 0.99) > most; tries++ {
		f.t.Logf("%s: p99 %s, looked at again", what, quantile(calls, 0.99))
		calls, streams = f.well(during)
	}
	stop()
	sent = end()
	<-watched
	p99 := quantile(calls, 0.99)
	f.t.Logf("%s: %d good calls, p50 %s, p99 %s (quiet: %s, %s); %d new connections answered, p99 %s (quiet %s)\nbefore: %s\nmost: %s",
		what, len(calls), quantile(calls, 0.5), p99, quantile(quiet, 0.5), quantile(quiet, 0.99), len(streams), quantile(streams, 0.99), quantile(quietStreams, 0.99), before, peak)
	if p99 > most {
		f.t.Errorf("%s: a good call's answer takes %s at the 99th percentile", what, p99)
	}
	if grown := peak.resident - before.resident; grown > mostGrowth {
		f.t.Errorf("%s: the memory grows by %.0f MB", what, grown/1e6)
	}
	for _, k := range []*talker{f.dialer, f.carrier} {
		k.mu.Lock()
		for i, w := range k.wrong {
			if i < 10 {
				f.t.Error(w)
			}
		}
		k.wrong = nil
		k.mu.Unlock()
	}
	if got := f.metrics("dialgate_panics_total"); got != 0 {
		f.t.Errorf("%v faults", got)
	}
	return sent
}

// TestSlowConnections holds 2,000 connections of strangers, idle or with an
// octet now and then, on TCP, TLS and WebSocket: nobody else notices.
func TestSlowConnections(t *testing.T) {
	f := newFort(t)
	during, each := 5*time.Second, 2000/3
	if long {
		during, each = time.Minute, 2000
	}
	opened := f.under(fmt.Sprintf("%d slow connections on each of tcp, tls and ws", each), during, attack{Kind: "hold", Ports: f.ports, Count: each, Rises: time.Duration(each) * 6 * time.Millisecond})
	t.Logf("%d connections were opened; ended for a slow message: %v, for a slow handshake: %v, as too many strangers: %v", opened,
		f.metrics("dialgate_connections_ended_total", `cause="slow-message"`), f.metrics("dialgate_connections_ended_total", `cause="handshake"`), f.metrics("dialgate_connections_ended_total", `cause="limit-unknown"`))
	if opened < 3*each {
		t.Errorf("only %d connections were opened", opened)
	}
	eventually(t, "the connections are gone", 20*time.Second, func() error {
		if open := f.metrics("dialgate_connections"); open > 4 {
			return fmt.Errorf("%v are open", open)
		}
		return nil
	})
}

// TestFloods sends 20,000 datagrams a second of what is no SIP, of strangers'
// INVITEs, and of those of a peer over its limit: good calls are answered as ever.
func TestFloods(t *testing.T) {
	const rate = 20_000
	f := newFort(t)
	during := 5 * time.Second
	if long {
		during = time.Minute
	}
	for _, x := range []struct{ what, from, cause string }{
		{"garbage", "127.0.0.66", "malformed"}, {"strangers' INVITEs", "127.0.0.66", "unknown-source"}, {"a peer over its limit", "127.0.0.5", ""},
	} {
		counted := func() float64 {
			if x.cause == "" {
				return f.metrics("dialgate_overloaded_total")
			}
			return f.metrics("dialgate_sip_dropped_total", fmt.Sprintf("cause=%q", x.cause))
		}
		before, began := counted(), time.Now()
		sent := f.under(x.what, during, attack{Kind: "flood", Ports: map[string]int{"udp": f.sip}, From: x.from, Garbage: x.what == "garbage", Rate: rate, Rises: time.Second})
		t.Logf("%d datagrams in %s, of which %v were counted", sent, time.Since(began).Round(time.Second), counted()-before)
		if counted()-before < float64(sent)/2 {
			t.Errorf("%s: only %v of %d datagrams were read", x.what, counted()-before, sent)
		}
	}
}
