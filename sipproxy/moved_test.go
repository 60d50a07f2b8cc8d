package sipproxy

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"dialgate/policy"
	"dialgate/sipproxy/message"
	"dialgate/sipproxy/transaction"
	"dialgate/sipproxy/transport"
)

// A cutter passes on what comes over connections, until it cuts them.
type cutter struct {
	t        *testing.T
	l        net.Listener
	to       netip.AddrPort
	swallows atomic.Int32 // pieces to take and lose with their connection

	mu    sync.Mutex
	conns map[*net.TCPConn]chan struct{} // of who came; closed when nothing more of it is passed on
	made  int
	wg    sync.WaitGroup
}

func newCutter(t *testing.T, to netip.AddrPort) *cutter {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.3:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{t: t, l: l, to: to, conns: map[*net.TCPConn]chan struct{}{}}
	c.wg.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return // closed
			}
			on, err := net.Dial("tcp4", to.String())
			if err != nil {
				nc.Close()
				continue
			}
			one, other := nc.(*net.TCPConn), on.(*net.TCPConn)
			ended := make(chan struct{})
			c.mu.Lock()
			c.conns[one] = ended
			c.made++
			c.mu.Unlock()
			c.wg.Go(func() { defer close(ended); c.pass(one, other) })
			c.wg.Go(func() { _, _ = io.Copy(one, other); one.Close() }) // until either is closed
		}
	})
	t.Cleanup(func() {
		l.Close()
		c.cut(false)
		c.wg.Wait()
	})
	return c
}

// pass passes on what comes over a connection.
func (c *cutter) pass(from, to *net.TCPConn) {
	defer to.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if err == nil && c.swallows.Load() > 0 {
			c.swallows.Add(-1)
			c.close(true)
			return
		}
		if err == nil {
			_, err = to.Write(buf[:n])
		}
		if err != nil {
			from.Close()
			return
		}
	}
}

// cut closes every connection there is, with a reset or in order: what is sent
// from now on is not passed on by one of them.
func (c *cutter) cut(reset bool) {
	for _, ended := range c.close(reset) {
		<-ended
	}
}

func (c *cutter) close(reset bool) (all []chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for conn, ended := range c.conns {
		if reset {
			_ = conn.SetLinger(0) // it may have ended
		}
		if err := conn.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			c.t.Error(err)
		}
		delete(c.conns, conn)
		all = append(all, ended)
	}
	return all
}

func (c *cutter) addr() netip.AddrPort { return c.l.Addr().(*net.TCPAddr).AddrPort() }

// TestARequestOutlivesItsConnection: a carrier closes its connections at awkward
// moments: just before a request, or with it. Each arrives all the same, over
// another connection and as the same request, perhaps twice, and no call is lost.
func TestARequestOutlivesItsConnection(t *testing.T) {
	for _, k := range transport.Kinds()[1:] {
		t.Run(k.String(), func(t *testing.T) {
			var carrier *phone
			var between *cutter
			h := newHouse(t, func(h *house, o *Options) {
				carrier = h.phone(k, "127.0.0.3", "carrier")
				between = newCutter(t, carrier.conn.LocalAddr())
				carrier.host, carrier.seen = between.addr().String(), map[string]bool{}
				o.Carriers = []Carrier{{ID: "carrier", Targets: []netip.AddrPort{between.addr()}, Transport: k}}
			})
			dialer := h.phone(transport.UDP, "127.0.0.2", "dialer")
			gate := h.at["udp4"].Conn.LocalAddr()
			cuts := []func(){func() {}, func() { between.cut(false) }, func() { between.cut(true) }, func() { between.swallows.Store(1) }}
			for i := range 2 * len(cuts) * len(cuts) {
				id := fmt.Sprintf("call%d", i)
				if i > 0 {
					cuts[i%len(cuts)]()
				}
				dialer.send(dialer.invite(id, ""), gate)
				invite, from := carrier.expect("INVITE")
				if i < len(cuts)*len(cuts) {
					carrier.answer(invite, from, 200)
					ok, _ := dialer.expect("200")
					dialer.send(dialer.inside(ok, "ACK", "ack"+id, 1), gate)
					carrier.expect("ACK")
					cuts[i/len(cuts)%len(cuts)]()
					dialer.send(dialer.inside(ok, "BYE", "bye"+id, 2), gate)
					bye, from := carrier.expect("BYE")
					carrier.answer(bye, from, 200)
					dialer.expect("200")
					continue
				}
				carrier.answer(invite, from, 180)
				dialer.expect("180")
				cuts[i/len(cuts)%len(cuts)]()
				var sent message.View
				if err := sent.Parse(dialer.invite(id, "")); err != nil {
					t.Fatal(err)
				}
				dialer.send(sent.AppendCANCEL(nil, nil), gate)
				dialer.expect("200")
				cancel, from := carrier.expect("CANCEL")
				carrier.answer(cancel, from, 200)
				if string(cancel.Top.Branch) != string(invite.Top.Branch) {
					t.Errorf("the CANCEL is of %s, the INVITE was of %s", cancel.Top.Branch, invite.Top.Branch)
				}
				carrier.answer(invite, from, 487)
				dialer.expect("487")
				dialer.send(sent.AppendACK(nil, []byte("<sip:+31612345678@carrier.example>;tag=carrier")), gate)
				carrier.expect("ACK")
			}
			between.mu.Lock()
			defer between.mu.Unlock()
			if between.made < len(cuts) {
				t.Errorf("only %d connections were made", between.made)
			}
		})
	}
}

// TestNothingIsAskedForEver: a request whose connections all end is sent over
// two, and then waits for its timer.
func TestNothingIsAskedForEver(t *testing.T) {
	var carrier *phone
	var between *cutter
	h := newHouse(t, func(h *house, o *Options) {
		carrier = h.phone(transport.TCP, "127.0.0.3", "carrier")
		between = newCutter(t, carrier.conn.LocalAddr())
		between.swallows.Store(1 << 20)
		o.Carriers = []Carrier{{ID: "carrier", Targets: []netip.AddrPort{between.addr()}, Transport: transport.TCP}}
		o.Timers = transaction.DefaultTimers()
		o.Timers.T1 = 10 * time.Millisecond
	})
	dialer := h.phone(transport.UDP, "127.0.0.2", "dialer")
	dialer.send(dialer.invite("x", ""), h.at["udp4"].Conn.LocalAddr())
	dialer.expect("480") // after timer B
	between.mu.Lock()
	defer between.mu.Unlock()
	if between.made != 2 {
		t.Errorf("%d connections were made, want 2", between.made)
	}
}

// TestADialerThatClosesIsAnswered: a dialer closes its connection while the
// phone rings: the answer goes to where it listens (RFC 3261 section 18.2.2).
func TestADialerThatClosesIsAnswered(t *testing.T) {
	var carrier *phone
	h := newHouse(t, func(h *house, o *Options) {
		carrier = h.phone(transport.UDP, "127.0.0.3", "carrier")
		o.Carriers = []Carrier{{ID: "carrier", Targets: []netip.AddrPort{carrier.conn.LocalAddr()}}}
	})
	dialer := h.phone(transport.TCP, "127.0.0.2", "dialer")
	l := h.at["tcp4"]
	c, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}).Dial("tcp4", l.Conn.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write(dialer.invite("x", "")); err != nil {
		t.Fatal(err)
	}
	invite, from := carrier.expect("INVITE")
	at := c.LocalAddr().(*net.TCPAddr).AddrPort()
	c.Close()
	for end := time.Now().Add(5 * time.Second); l.Conn.(*transport.Stream).Accepted(at); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the connection stays")
		}
	}
	carrier.answer(invite, from, 200)
	if _, by := dialer.expect("200"); by == l.Conn.LocalAddr() {
		t.Errorf("it came from %s, which the dialer has not connected to", by)
	}
}

// TestWhoIsMetOverTLS: a carrier, and a dialer that is called, are met as the
// configuration says, and anybody else by an authority of the system.
func TestWhoIsMetOverTLS(t *testing.T) {
	ap := netip.MustParseAddrPort
	carrier, dialer := &transport.ServerCheck{Name: "carrier.example"}, &transport.ServerCheck{Name: "dialer.example"}
	f, err := newInForce(Config{
		Carriers: []Carrier{{ID: "c", Transport: transport.TLS, TLS: carrier, targets: []ranked{{addr: ap("192.0.2.1:5061"), kind: transport.TLS}}}},
		Inbound:  map[policy.Number]Target{policy.MustNumber("+31205550100"): {Addr: ap("192.0.2.2:443"), Transport: transport.WSS, TLS: dialer}},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{}
	p.config.Store(f)
	for at, want := range map[string]*transport.ServerCheck{"192.0.2.1:5061": carrier, "192.0.2.2:443": dialer} {
		if got := p.ServerCheck(ap(at)); got != want {
			t.Errorf("%s is met by %+v", at, got)
		}
	}
	if got := p.ServerCheck(ap("192.0.2.3:5061")); *got != (transport.ServerCheck{}) {
		t.Errorf("somebody else is met by %+v", got)
	}
}
