package sipproxy

import (
	"fmt"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"dialgate/policy"
	"dialgate/sipproxy/message"
	"dialgate/sipproxy/transport"
)

// TestCallsBetweenAllTransports: between any two transports and address
// families calls are made from either side, changed from both, and ended by
// either, and each message is seen to come by the hop that it should.
func TestCallsBetweenAllTransports(t *testing.T) {
	type side struct {
		k  transport.Kind
		ip string
	}
	var sides []side
	for _, k := range transport.Kinds() {
		sides = append(sides, side{k, "127.0.0.2"}, side{k, "[::1]"})
	}
	for _, d := range sides {
		for _, c := range sides {
			cip := c.ip
			if cip == "127.0.0.2" {
				cip = "127.0.0.3"
			}
			t.Run(fmt.Sprintf("%s %s to %s %s", d.k, d.ip, c.k, cip), func(t *testing.T) {
				var dialer, carrier *phone
				var judged atomic.Int32
				h := newHouse(t, func(h *house, o *Options) {
					dialer, carrier = h.phone(d.k, d.ip, "dialer"), h.phone(c.k, cip, "carrier")
					if d.k.Web() {
						dialer.host = "browser.invalid" // RFC 7118 section 5
					}
					o.Carriers = []Carrier{{ID: "carrier", Targets: []netip.AddrPort{carrier.conn.LocalAddr()}, Transport: c.k}}
					o.Inbound = map[policy.Number]Target{policy.MustNumber("+31612345678"): {Addr: dialer.conn.LocalAddr(), Transport: d.k}}
					judge := o.Judge
					o.Judge = func(a *policy.Attempt, ready func(policy.Ruling)) { judged.Add(1); judge(a, ready) }
				})
				h.calls(dialer, carrier, h.at[d.k.String()+familyOf(d.ip)], h.at[c.k.String()+familyOf(cip)])
				if n := judged.Load(); n != 2 {
					t.Errorf("%d requests were judged, want the INVITEs of the dialer's two calls", n)
				}
			})
		}
	}
}

// A party is one side of a call.
type party struct {
	*phone
	by     *Listener      // by which the proxy meets it
	gate   netip.AddrPort // where it sends to
	dialog *message.View  // of its call: the 2xx, or the INVITE, that it received
	cseq   int
}

// calls makes two calls from each side, each ended by another.
func (h *house) calls(dialer, carrier *phone, in, out *Listener) {
	t := h.t
	t.Helper()
	d, c := &party{phone: dialer, by: in, gate: in.Conn.LocalAddr()}, &party{phone: carrier, by: out, gate: out.Conn.LocalAddr()}
	n := 0
	for _, caller := range []*party{d, c} {
		called := c
		if caller == c {
			called = d
		}
		for _, hangsUp := range []*party{d, c} {
			n++
			h.call(fmt.Sprintf("call%d-%s", n, dialer.conn.LocalAddr()), caller, called)
			other := c
			if hangsUp == c {
				other = d
			}
			h.ask("BYE", hangsUp, other)
		}
	}
	if in.kind().Reliable() && out.kind().Reliable() {
		// Nothing can come again: timers J and K of the BYEs are 0, those of the
		// answered INVITEs (L and M), three a call, are not.
		for end := time.Now().Add(3 * time.Second); ; time.Sleep(time.Millisecond) {
			servers, clients := h.proxy.layer.Count()
			if servers == 3*n && clients == 3*n {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("%d and %d transactions are left, want %d each", servers, clients, 3*n)
			}
		}
	}
	// The dialer is met over the connection that it has opened, but for a call
	// to it over TCP or TLS, which goes to where it listens.
	calledAt := uint64(0)
	if in.kind() == transport.TCP || in.kind() == transport.TLS {
		calledAt = 1
	}
	if got := acceptedBy(dialer.conn); got != calledAt {
		t.Errorf("the dialer was dialled %d times, want %d", got, calledAt)
	}
	streams := func(l *Listener) uint64 {
		if l.kind().Reliable() {
			return 1
		}
		return 0
	}
	if got := acceptedBy(carrier.conn); got != streams(out) {
		t.Errorf("%d connections to the carrier, want %d", got, streams(out))
	}
	if got := dialledBy(dialer.conn) + dialledBy(carrier.conn); got != streams(in) {
		t.Errorf("%d connections from dialer and carrier, want %d", got, streams(in))
	}
}

// call makes a call, which both sides change once.
func (h *house) call(id string, caller, called *party) {
	h.t.Helper()
	invite := caller.invite(id, "")
	caller.send(invite, caller.gate)
	got, from := called.expect("INVITE")
	h.checkRequest(got, from, caller, called, "sip:+31612345678@192.0.2.1;user=phone")
	h.checkRecordRoute(got, caller.by, called.by)
	called.gate, called.dialog, called.cseq = from, got, 100
	for _, status := range []int{180, 200} {
		called.answer(got, from, status)
		caller.dialog = h.response(caller, status, invite)
	}
	caller.cseq = 1
	h.acknowledge(caller, called, 1)
	for _, x := range [][2]*party{{caller, called}, {called, caller}} {
		h.ask("INVITE", x[0], x[1])
		h.acknowledge(x[0], x[1], x[0].cseq)
	}
}

// ask sends a request within the call, which is answered with 200.
func (h *house) ask(method string, from, to *party) {
	h.t.Helper()
	from.cseq++
	request := from.inside(from.dialog, method, fmt.Sprintf("%s%d-%s", method, from.cseq, from.dialog.Value(message.CallID)), from.cseq)
	from.send(request, from.gate)
	got, at := to.expect(method)
	h.checkRequest(got, at, from, to, to.contact())
	to.answer(got, at, 200)
	h.response(from, 200, request)
}

func (h *house) acknowledge(from, to *party, cseq int) {
	h.t.Helper()
	from.send(from.inside(from.dialog, "ACK", fmt.Sprintf("ack%d-%s", cseq, from.dialog.Value(message.CallID)), cseq), from.gate)
	got, at := to.expect("ACK")
	h.checkRequest(got, at, from, to, to.contact())
}

// checkRequest checks how a request came: from where it should, with our Via on
// that of its sender, by no Route any more, for whom it is.
func (h *house) checkRequest(v *message.View, at netip.AddrPort, from, to *party, uri string) {
	h.t.Helper()
	if local := to.by.Conn.LocalAddr(); at.Addr() != local.Addr() || !to.by.kind().Reliable() && at != local {
		h.t.Errorf("%s came from %s, want %s", v.Method, at, local)
	}
	var vias []message.TopVia
	v.EachVia(func(t *message.TopVia) bool {
		vias = append(vias, *t)
		return true
	})
	if len(vias) != 2 {
		h.t.Fatalf("%s came with %d Vias\n%s", v.Method, len(vias), v.Raw)
	}
	for i, want := range []struct {
		by transport.Kind
		at netip.AddrPort
	}{{to.by.kind(), to.by.Advertised}, {from.conn.Kind(), from.conn.LocalAddr()}} {
		if addr, _ := vias[i].SentBy(); string(vias[i].Transport) != want.by.Via() || netip.AddrPortFrom(addr, vias[i].Port) != want.at {
			h.t.Errorf("Via %d of %s is of %s %s:%d, want %s %s", i, v.Method, vias[i].Transport, vias[i].Host, vias[i].Port, want.by.Via(), want.at)
		}
	}
	if v.Get(message.Route) != nil || v.MaxForwards != 69 || string(v.URI) != uri {
		h.t.Errorf("%s came as\n%s", v.Method, v.Raw)
	}
}

// response is what a party gets to a request: with the one Via that it sent.
func (h *house) response(to *party, status int, request []byte) *message.View {
	h.t.Helper()
	v, from := to.expect(fmt.Sprint(status))
	var sent message.View
	if err := sent.Parse(request); err != nil {
		h.t.Fatal(err)
	}
	if v.ViaCount() != 1 || string(v.Top.Branch) != string(sent.Top.Branch) || from != to.gate {
		h.t.Errorf("%d came from %s, want %s, as\n%s", status, from, to.gate, v.Raw)
	}
	return v
}

// checkRecordRoute: one value when a call leaves as it came, else two, the one
// for the next hop on top (RFC 5658).
func (h *house) checkRecordRoute(v *message.View, in, out *Listener) {
	h.t.Helper()
	want := []*Listener{out}
	if in != out {
		want = append(want, in)
	}
	i := 0
	for k := range v.Headers {
		if v.Headers[k].Kind != message.RecordRoute {
			continue
		}
		a, _ := message.ParseAddress(v.Headers[k].Value)
		u, _ := message.ParseURI(a.URI)
		addr, _ := hostAddr(&u)
		name, _ := u.Param("transport")
		if i >= len(want) || addr != want[i].Advertised || string(name) != want[i].kind().Param() {
			h.t.Errorf("Record-Route %d is %s", i, a.URI)
		}
		i++
	}
	if i != len(want) {
		h.t.Errorf("%d values of Record-Route, want %d", i, len(want))
	}
}
