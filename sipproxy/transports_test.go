package sipproxy

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"dialgate/internal/testca"
	"dialgate/policy"
	"dialgate/sipproxy/message"
	"dialgate/sipproxy/transport"
)

// A house is a proxy with a listener of every transport in both address
// families, on real sockets. Streams need them: what they do is the kernel's.
type house struct {
	t     *testing.T
	ca    *testca.Authority
	proxy *Proxy
	at    map[string]*Listener // "tcp4"

	phones []*phone
}

// phoneNames is what phones and gate show over TLS.
const phoneNames = "phone.example"

func (h *house) listen(k transport.Kind, addr string, name string) transport.Conn {
	h.t.Helper()
	ctx, at := context.Background(), netip.MustParseAddrPort(addr)
	if k == transport.UDP {
		c, err := transport.ListenUDP(ctx, at, transport.Options{})
		if err != nil {
			h.t.Fatal(err)
		}
		return c
	}
	o := transport.StreamOptions{Kind: k}
	if k.Secure() {
		var files transport.CertificateFiles
		files.Certificate, files.Key = h.ca.Issue(name+k.String(), name)
		files.ClientCA = h.ca.File
		var err error
		if o.Credentials, err = transport.LoadCredentials(files, nil); err != nil {
			h.t.Fatal(err)
		}
		other := phoneNames
		if name == phoneNames {
			other = "gate.example"
		}
		check := &transport.ServerCheck{CA: h.ca.File, Name: other, Client: o.Credentials}
		o.Check = func(netip.AddrPort) *transport.ServerCheck { return check }
	}
	s, err := transport.ListenStream(ctx, at, o)
	if err != nil {
		h.t.Fatal(err)
	}
	return s
}

func familyOf(ip string) string {
	if strings.Contains(ip, ":") {
		return "6"
	}
	return "4"
}

func newHouse(t *testing.T, change func(h *house, o *Options)) *house {
	h := &house{t: t, ca: testca.New(t), at: map[string]*Listener{}}
	o := Options{
		Config: Config{
			Peers:  []Peer{{Terms: flowTerms(), Sources: []netip.Prefix{netip.MustParsePrefix("127.0.0.2/32"), netip.MustParsePrefix("::1/128")}}},
			Reader: flowReader(t),
			Judge: func(a *policy.Attempt, ready func(policy.Ruling)) {
				r := policy.Ruling{}
				r.Decision.Verdict, r.Decision.Reason = policy.Allowed, policy.ReasonConsent
				ready(r)
			},
		},
		Key: bytes.Repeat([]byte("k"), 32), Name: "gate", Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry(),
	}
	for _, k := range transport.Kinds() {
		for _, ip := range []string{"127.0.0.1", "[::1]"} {
			// Each is advertised by an address that is not its own, as behind a NAT;
			// nobody could reach us by a mix-up of the two.
			advertised := fmt.Sprintf("203.0.113.%d:5060", 1+k)
			if ip == "[::1]" {
				advertised = fmt.Sprintf("[2001:db8::%d]:5060", 1+k)
			}
			o.Listeners = append(o.Listeners, Listener{Conn: h.listen(k, ip+":0", "gate.example"), Advertised: netip.MustParseAddrPort(advertised)})
		}
	}
	change(h, &o)
	for i := range o.Listeners {
		l := &o.Listeners[i]
		h.at[l.kind().String()+familyOf(l.Advertised.Addr().String())] = l
	}
	var err error
	if h.proxy, err = New(o); err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- h.proxy.Serve() }()
	t.Cleanup(func() {
		h.proxy.Close()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return h
}

// A phone is a user agent that is played by hand.
type phone struct {
	h    *house
	conn transport.Conn
	came chan came
	tag  string
	host string          // in its Contact; "": its address
	seen map[string]bool // requests, of which repetitions are passed over; nil: none is
}

type came struct {
	raw  []byte
	from netip.AddrPort
}

func (h *house) phone(k transport.Kind, ip, tag string) *phone {
	h.t.Helper()
	return h.phoneAt(k, ip+":0", tag)
}

func (h *house) phoneAt(k transport.Kind, addr, tag string) *phone {
	h.t.Helper()
	f := &phone{h: h, conn: h.listen(k, addr, phoneNames), came: make(chan came, 256), tag: tag}
	h.phones = append(h.phones, f)
	take := func(d *transport.Datagram) { f.came <- came{bytes.Clone(d.Payload), d.Remote} }
	var wg sync.WaitGroup
	switch c := f.conn.(type) {
	case transport.PacketConn:
		wg.Go(func() {
			ds := make([]transport.Datagram, transport.Batch)
			for {
				n, err := c.ReadBatch(ds)
				if err != nil {
					return
				}
				for i := range ds[:n] {
					take(&ds[i])
				}
			}
		})
	case *transport.Stream:
		c.Handle(transport.Handler{
			Receive: func(d *transport.Datagram) bool { take(d); return true },
			Failed:  func(_ transport.Datagram, err error) { h.t.Errorf("%s: %v", tag, err) },
			Ended:   func(netip.AddrPort, transport.End, error) {},
			Known:   func(netip.Addr) bool { return true },
		})
		wg.Go(func() { _ = c.Serve() }) // ends with Close
	}
	h.t.Cleanup(func() { f.conn.Close(); wg.Wait() })
	return f
}

func (f *phone) send(b []byte, to netip.AddrPort) {
	f.h.t.Helper()
	if _, err := f.conn.WriteBatch([]transport.Datagram{{Payload: b, Remote: to}}); err != nil {
		f.h.t.Fatal(err)
	}
}

// expect waits for a request with a method, or a response with a status.
func (f *phone) expect(what string) (*message.View, netip.AddrPort) {
	f.h.t.Helper()
	for {
		select {
		case c := <-f.came:
			v := &message.View{}
			if err := v.Parse(c.raw); err != nil {
				f.h.t.Fatalf("%s received what can't be read: %v\n%s", f.tag, err, c.raw)
			}
			got := fmt.Sprint(v.Status)
			if v.IsRequest() {
				got = string(v.Method)
			}
			if got == "100" && what != "100" {
				continue
			}
			if id := got + string(v.Top.Branch); v.IsRequest() && f.seen != nil {
				if f.seen[id] {
					continue
				}
				f.seen[id] = true
			}
			if got != what {
				f.h.t.Fatalf("%s received %s, want %s\n%s", f.tag, got, what, c.raw)
			}
			return v, c.from
		case <-time.After(20 * time.Second): // long, for a machine with much to do
			for _, other := range f.h.phones {
				for len(other.came) > 0 {
					f.h.t.Logf("%s received\n%s", other.tag, (<-other.came).raw)
				}
			}
			f.h.t.Fatalf("%s received no %s", f.tag, what)
		}
	}
}

func (f *phone) via(branch string) string {
	return fmt.Sprintf("Via: SIP/2.0/%s %s;branch=z9hG4bK-%s%s\r\n", f.conn.Kind().Via(), f.conn.LocalAddr(), f.tag, branch)
}

func (f *phone) contact() string {
	c := "sip:" + f.tag + "@" + cmp.Or(f.host, f.conn.LocalAddr().String())
	if p := f.conn.Kind().Param(); p != "" {
		c += ";transport=" + p
	}
	return c
}

func (f *phone) invite(id string, extra string) []byte {
	return []byte("INVITE sip:+31612345678@192.0.2.1;user=phone SIP/2.0\r\n" + f.via(id) + "Max-Forwards: 70\r\nFrom: <sip:+31205550100@dialer.example>;tag=" + f.tag +
		"\r\nTo: <sip:+31612345678@carrier.example>\r\nCall-ID: " + id + "\r\nCSeq: 1 INVITE\r\nContact: <" + f.contact() + ">\r\n" + extra + "Content-Length: 0\r\n\r\n")
}

// answer responds to a request where it came from.
func (f *phone) answer(v *message.View, to netip.AddrPort, status int) {
	f.h.t.Helper()
	extra := "Contact: <" + f.contact() + ">\r\n"
	for i := range v.Headers {
		if v.Headers[i].Kind == message.RecordRoute {
			extra += "Record-Route: " + string(v.Headers[i].Value) + "\r\n"
		}
	}
	f.send(v.AppendResponse(nil, &message.Response{Status: status, Phrase: "Whatever", ToTag: []byte(f.tag), Source: to, Extra: []byte(extra)}), to)
}

// inside is a request in the dialog that v belongs to: for who began the call
// a 2xx, for the other the INVITE.
func (f *phone) inside(v *message.View, method, branch string, cseq int) []byte {
	var routes []string
	for i := range v.Headers {
		if v.Headers[i].Kind == message.RecordRoute {
			routes = append(routes, "Route: "+string(v.Headers[i].Value)+"\r\n")
		}
	}
	from, to := v.Value(message.From), v.Value(message.To)
	if v.IsRequest() {
		from, to = append(bytes.Clone(to), ";tag="+f.tag...), from
	} else {
		for i, j := 0, len(routes)-1; i < j; i, j = i+1, j-1 {
			routes[i], routes[j] = routes[j], routes[i]
		}
	}
	contact, _ := message.ParseAddress(v.Value(message.Contact))
	return []byte(method + " " + string(contact.URI) + " SIP/2.0\r\n" + f.via(branch) + "Max-Forwards: 70\r\n" + strings.Join(routes, "") +
		"From: " + string(from) + "\r\nTo: " + string(to) + "\r\nCall-ID: " + string(v.Value(message.CallID)) +
		fmt.Sprintf("\r\nCSeq: %d %s\r\nContact: <%s>\r\nContent-Length: 0\r\n\r\n", cseq, method, f.contact()))
}

func dialledBy(c transport.Conn) uint64 {
	if s, ok := c.(*transport.Stream); ok {
		return s.Counts.Dialled()
	}
	return 0
}

func acceptedBy(c transport.Conn) uint64 {
	if s, ok := c.(*transport.Stream); ok {
		return s.Counts.Accepted()
	}
	return 0
}

// A message without Content-Length, which only a stream must have, is given one
// when it leaves over a stream: without it nobody would find its end.
func TestAStreamGetsContentLength(t *testing.T) {
	var carrier *phone
	h := newHouse(t, func(h *house, o *Options) {
		carrier = h.phone(transport.UDP, "127.0.0.3", "carrier")
		o.Carriers = []Carrier{{ID: "carrier", Targets: []netip.AddrPort{carrier.conn.LocalAddr()}}}
	})
	without := func(b []byte) []byte { return bytes.Replace(b, []byte("Content-Length: 0\r\n"), nil, 1) }
	dialer := h.phone(transport.TCP, "127.0.0.2", "dialer")
	dialer.send(dialer.invite("x", ""), h.at["tcp4"].Conn.LocalAddr())
	invite, from := carrier.expect("INVITE")
	ok := invite.AppendResponse(nil, &message.Response{Status: 200, Phrase: "OK", ToTag: []byte("carrier"), Source: from,
		Extra: []byte("Contact: <" + carrier.contact() + ">\r\nRecord-Route: " + string(invite.Value(message.RecordRoute)) + "\r\n")})
	carrier.send(append(without(ok), "body"...), from)
	v, _ := dialer.expect("200")
	if v.ContentLength != 4 || string(v.Body) != "body" {
		t.Errorf("Content-Length %d, body %q", v.ContentLength, v.Body)
	}
	carrier.send(without(carrier.inside(invite, "BYE", "bye", 2)), from)
	if v, _ := dialer.expect("BYE"); v.ContentLength != 0 {
		t.Errorf("Content-Length of the BYE is %d", v.ContentLength)
	}
}

// A refusal over a stream is not repeated, and its ACK ends with us.
func TestARefusalOverAStream(t *testing.T) {
	h := newHouse(t, func(h *house, o *Options) {
		o.Carriers = []Carrier{{ID: "none", Targets: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.9:9")}}}
		o.Judge = func(a *policy.Attempt, ready func(policy.Ruling)) {
			ready(policy.Ruling{Decision: policy.Operational(policy.ReasonNoConsent)})
		}
	})
	dialer := h.phone(transport.TCP, "127.0.0.2", "dialer")
	began := time.Now()
	raw := dialer.invite("refused", "")
	dialer.send(raw, h.at["tcp4"].Conn.LocalAddr())
	no, _ := dialer.expect("403")
	var sent message.View
	if err := sent.Parse(raw); err != nil {
		t.Fatal(err)
	}
	dialer.send(sent.AppendACK(nil, no.Value(message.To)), h.at["tcp4"].Conn.LocalAddr())
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		servers, clients := h.proxy.layer.Count()
		if servers+clients == 0 {
			break // at once, not after timers I of 5 s and G of half a second
		}
		if time.Now().After(end) {
			t.Fatalf("%d and %d transactions are left", servers, clients)
		}
	}
	if took := time.Since(began); took > 3*time.Second || len(dialer.came) != 0 {
		t.Errorf("took %s, and %d messages came", took, len(dialer.came))
	}
}

// A carrier that can't be reached over TCP is told of at once, not after timer B.
func TestADeadCarrierOverTCPIsKnownAtOnce(t *testing.T) {
	h := newHouse(t, func(h *house, o *Options) {
		o.Carriers = []Carrier{{ID: "gone", Targets: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.9:9")}, Transport: transport.TCP}}
	})
	dialer := h.phone(transport.UDP, "127.0.0.2", "dialer")
	began := time.Now()
	dialer.send(dialer.invite("gone", ""), h.at["udp4"].Conn.LocalAddr())
	dialer.expect("480")
	if took := time.Since(began); took > 15*time.Second { // timer B is 32 s
		t.Errorf("the answer took %s", took)
	}
}

// A call from the carrier reaches a dialer that is dialled over TCP, and its
// answer comes back; it is refused while nobody can be reached.
func TestACallBackOverTCP(t *testing.T) {
	for _, there := range []bool{true, false} {
		t.Run(fmt.Sprint("dialer ", there), func(t *testing.T) {
			var dialer, carrier *phone
			h := newHouse(t, func(h *house, o *Options) {
				dialer, carrier = h.phone(transport.TCP, "127.0.0.2", "dialer"), h.phone(transport.UDP, "127.0.0.3", "carrier")
				o.Carriers = []Carrier{{ID: "carrier", Targets: []netip.AddrPort{carrier.conn.LocalAddr()}}}
				o.Inbound = map[policy.Number]Target{policy.MustNumber("+31612345678"): {Addr: dialer.conn.LocalAddr(), Transport: transport.TCP}}
				if !there {
					dialer.conn.Close()
				}
			})
			carrier.send(carrier.invite("back", ""), h.at["udp4"].Conn.LocalAddr())
			if !there {
				carrier.expect("480")
				return
			}
			invite, from := dialer.expect("INVITE")
			h.checkRecordRoute(invite, h.at["udp4"], h.at["tcp4"])
			dialer.answer(invite, from, 486)
			carrier.expect("486")
		})
	}
}

// A large request goes over TCP to a carrier that takes it; when nobody is
// there, over UDP all the same.
func TestLargeRequestsGoOverTCP(t *testing.T) {
	large := "X-Large: " + strings.Repeat("x", 1000) + "\r\n"
	for _, there := range []bool{true, false} {
		t.Run(fmt.Sprint("TCP ", there), func(t *testing.T) {
			var udp, tcp *phone
			h := newHouse(t, func(h *house, o *Options) {
				udp = h.phone(transport.UDP, "127.0.0.3", "carrier")
				target := udp.conn.LocalAddr()
				if there {
					l, err := transport.ListenStream(context.Background(), target, transport.StreamOptions{Kind: transport.TCP})
					if err != nil {
						t.Skipf("the port of UDP is taken for TCP: %v", err)
					}
					l.Close()
					tcp = h.phoneAt(transport.TCP, target.String(), "carrier")
				}
				o.Carriers = []Carrier{{ID: "carrier", Targets: []netip.AddrPort{target}, LargeOverTCP: true}}
			})
			dialer := h.phone(transport.UDP, "127.0.0.2", "dialer")
			dialer.send(dialer.invite("small", ""), h.at["udp4"].Conn.LocalAddr())
			v, from := udp.expect("INVITE")
			udp.answer(v, from, 486)
			dialer.expect("486")
			udp.expect("ACK")
			dialer.send(dialer.invite("large", large), h.at["udp4"].Conn.LocalAddr())
			if !there {
				v, _ := udp.expect("INVITE")
				h.checkRecordRoute(v, h.at["udp4"], h.at["udp4"])
				return
			}
			v, from = tcp.expect("INVITE")
			h.checkRecordRoute(v, h.at["udp4"], h.at["tcp4"])
			if string(v.Top.Transport) != "TCP" {
				t.Errorf("Via says %s", v.Top.Transport)
			}
			// In the dialog as well, although the Contact asks for UDP.
			contact := []byte("Contact: <sip:carrier@" + udp.conn.LocalAddr().String() + ";transport=udp>\r\n")
			for i := range v.Headers {
				if v.Headers[i].Kind == message.RecordRoute {
					contact = append(contact, "Record-Route: "+string(v.Headers[i].Value)+"\r\n"...)
				}
			}
			tcp.send(v.AppendResponse(nil, &message.Response{Status: 200, Phrase: "OK", ToTag: []byte("carrier"), Source: from, Extra: contact}), from)
			ok, _ := dialer.expect("200")
			dialer.send(dialer.inside(ok, "INFO", "small", 2), h.at["udp4"].Conn.LocalAddr())
			udp.expect("INFO")
			info := bytes.Replace(dialer.inside(ok, "INFO", "large", 3), []byte("Content-Length"), []byte(large+"Content-Length"), 1)
			dialer.send(info, h.at["udp4"].Conn.LocalAddr())
			tcp.expect("INFO")
		})
	}
}

// TestTheLargestRequest passes over UDP with all that we add to it; one that is
// an octet larger is refused.
func TestTheLargestRequest(t *testing.T) {
	var carrier *phone
	h := newHouse(t, func(h *house, o *Options) {
		carrier = h.phone(transport.UDP, "127.0.0.3", "carrier")
		o.Carriers = []Carrier{{ID: "carrier", Targets: []netip.AddrPort{carrier.conn.LocalAddr()}}}
	})
	dialer := h.phone(transport.UDP, "127.0.0.2", "dialer")
	for _, more := range []int{0, 1} {
		raw := dialer.invite(fmt.Sprint("large", more), "")
		body := strings.Repeat("b", mostRequest+more-len(raw)-len("65000")+len("0"))
		raw = append(bytes.Replace(raw, []byte("Content-Length: 0"), fmt.Appendf(nil, "Content-Length: %d", len(body)), 1), body...)
		if len(raw) != mostRequest+more {
			t.Fatalf("%d octets, want %d", len(raw), mostRequest+more)
		}
		dialer.send(raw, h.at["udp4"].Conn.LocalAddr())
		if more > 0 {
			dialer.expect("513")
			continue
		}
		if v, _ := carrier.expect("INVITE"); string(v.Body) != body {
			t.Errorf("%d octets of its body have arrived, want %d", len(v.Body), len(body))
		}
	}
}

// A peer is known by the name in its certificate, from an address that is
// nobody's; without that name it is a stranger, whose connection ends.
func TestAPeerIsKnownByItsCertificate(t *testing.T) {
	for _, name := range []string{phoneNames, "other.example"} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, func(h *house, o *Options) {
				o.Peers[0].Sources, o.Peers[0].Names = nil, []string{name}
				o.Carriers = []Carrier{{ID: "gone", Targets: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.9:9")}, Transport: transport.TCP}}
			})
			dialer := h.phone(transport.TLS, "127.0.0.7", "dialer")
			l := h.at["tls4"]
			dialer.send(dialer.invite("x", ""), l.Conn.LocalAddr())
			if name == phoneNames {
				dialer.expect("480")
				return
			}
			s := l.Conn.(*transport.Stream)
			for end := time.Now().Add(5 * time.Second); s.Counts.Ended(transport.EndRefused) == 0; time.Sleep(time.Millisecond) {
				if time.Now().After(end) {
					t.Fatal("the connection of a stranger stays")
				}
			}
			if len(dialer.came) != 0 {
				t.Error("a stranger was answered")
			}
		})
	}
}

// What can't be framed is answered with 400 to who is known, and the
// connection ends.
func TestABrokenFrameIsAnswered(t *testing.T) {
	h := newHouse(t, func(h *house, o *Options) {
		o.Carriers = []Carrier{{ID: "none", Targets: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.9:9")}}}
	})
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	c, err := d.Dial("tcp", h.at["tcp4"].Conn.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	dialer := h.phone(transport.TCP, "127.0.0.2", "dialer")
	fmt.Fprintf(c, "%s", bytes.Replace(dialer.invite("x", ""), []byte("Content-Length: 0"), []byte("Content-Length: 0\r\nl: 10"), 1))
	_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
	var got bytes.Buffer
	if _, err := got.ReadFrom(c); err != nil || !strings.HasPrefix(got.String(), "SIP/2.0 400 ") {
		t.Errorf("%q, %v", got.String(), err)
	}
}
