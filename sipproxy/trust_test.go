package sipproxy

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	dto "github.com/prometheus/client_model/go"

	"dialgate/internal/simnet"
	"dialgate/policy"
	"dialgate/sipproxy/message"
	"dialgate/sipproxy/transport"
)

// strangersRequest is a request in octets that a program that looks for open
// proxies could send.
func strangersRequest(method, more string) string {
	return method + " sip:100@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 203.0.113.66:5060;branch=z9hG4bK-s;rport\r\n" +
		"From: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\nCall-ID: s\r\nCSeq: 1 " + method + "\r\n" + more + "\r\n"
}

// TestNobodyIsFloodedThroughUs: whoever is named as the source of a request
// that is no peer's gets at most one datagram, no larger than the request, and
// none without answer_strangers.
func TestNobodyIsFloodedThroughUs(t *testing.T) {
	requests := []string{
		strangersRequest("INVITE", ""), strangersRequest("OPTIONS", "Max-Forwards: 70\r\nContact: <sip:a@203.0.113.66>\r\nUser-Agent: friendly\r\nAccept: application/sdp\r\n"),
		strangersRequest("REGISTER", ""), strangersRequest("BYE", ""), strangersRequest("ACK", ""), strangersRequest("CANCEL", ""),
		strangersRequest("INVITE", "To: <sip:twice@b>\r\n"), strangersRequest("INVITE", "Content-Length: 9\r\n"),
		strings.Replace(strangersRequest("INVITE", ""), "Via:", "v:SIP/2.0/UDP 203.0.113.66\r\nv:", 1), "INVITE", "\r\n\r\n", "",
	}
	for _, answers := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := newStage(t, func(o *Options) { o.AnswerStrangers = answers })
			answered, all := 0, 0
			var got []simnet.Packet
			s.net.Tap = func(p simnet.Packet) {
				if p.From == gateAddr {
					got = append(got, p)
				}
			}
			for _, request := range requests {
				got = nil
				s.other.send([]byte(request))
				synctest.Wait()
				time.Sleep(time.Minute) // timers
				all++
				if len(got) > 1 || len(got) > 0 && (len(got[0].Payload) > len(request) || got[0].To.Addr() != otherAddr.Addr()) {
					t.Errorf("to %d octets, %d datagrams:\n%s\n%s", len(request), len(got), request, got[0].Payload)
				}
				answered += len(got)
			}
			if answers != (answered > 0) || answered == all {
				t.Errorf("answer_strangers %v: %d of %d answered", answers, answered, all)
			}
		})
	}
}

// TestLimitsOfMessages: what is beyond a limit goes no further and is counted.
func TestLimitsOfMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, nil)
		dialer := func(more string) string {
			return strings.ReplaceAll(strangersRequest("INVITE", more), "203.0.113.66", "192.0.2.10")
		}
		got := ""
		s.net.Tap = func(p simnet.Packet) {
			if p.From == gateAddr {
				got = string(p.Payload)
			}
		}
		for _, c := range []struct {
			cause   drop
			request string
			answer  string
		}{
			{dropTooManyHeaders, dialer(strings.Repeat("X: y\r\n", message.MaxHeaders)), "SIP/2.0 400 "},
			{dropTooLarge, dialer("X: " + strings.Repeat("y", message.MaxSize) + "\r\n"), ""},
			{dropMalformed, dialer("X\r\n"), "SIP/2.0 400 "},
		} {
			got = ""
			s.dialer.send([]byte(c.request))
			synctest.Wait()
			var n dto.Metric
			if err := s.proxy.metrics.drops[c.cause].Write(&n); err != nil || n.GetCounter().GetValue() != 1 {
				t.Errorf("%s: counted %v times, %v", drops[c.cause], n.GetCounter().GetValue(), err)
			}
			if c.answer == "" && got != "" || !strings.HasPrefix(got, c.answer) {
				t.Errorf("%s: answered %q", drops[c.cause], fmt.Sprintf("%.40s", got))
			}
		}
		if s.judged > 0 {
			t.Error("a message that can't be read was judged")
		}
	})
}

// TestATokenIsOfItsDialer: a request with a token passes from the dialer that
// the call is of, known by its address or by its certificate, and from no
// other, even behind the same address.
func TestATokenIsOfItsDialer(t *testing.T) {
	ap := netip.MustParseAddrPort
	mine, shared, unknown := ap("192.0.2.10:5060"), ap("203.0.113.7:40001"), ap("203.0.113.8:40001")
	named := func(id string) Peer { return Peer{Terms: &policy.PeerTerms{ID: id}, Names: []string{id + ".example"}} }
	c, err := newInForce(Config{
		Peers:    []Peer{{Terms: &policy.PeerTerms{ID: "here"}, Sources: []netip.Prefix{netip.PrefixFrom(mine.Addr(), 32)}}, named("a"), named("b")},
		Carriers: []Carrier{{ID: "carrier", Targets: []netip.AddrPort{carrierAddr}}},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{tokens: newTokens([]byte("0123456789abcdef"))}
	of := func(id string) print {
		if id == "" {
			return print{}
		}
		return p.tokens.peer(c.peers[id])
	}
	for _, x := range []struct {
		says         string
		who          string // a peer, carrier, or nobody
		from         netip.AddrPort
		began, other netip.AddrPort
		of           string
		may          bool
	}{
		{"by its address", "here", mine, mine, carrierAddr, "here", true},
		{"by its certificate, on another connection", "a", ap("203.0.113.9:1"), shared, carrierAddr, "a", true},
		{"another, behind the same address", "b", shared, shared, carrierAddr, "a", false},
		{"another's, by address", "here", mine, shared, carrierAddr, "a", false},
		{"a call back to an address that is nobody's", "a", unknown, carrierAddr, unknown, "", true},
		{"such a call, from elsewhere", "b", shared, carrierAddr, unknown, "", false},
		{"a call back to the dialer", "here", mine, carrierAddr, mine, "here", true},
		{"a carrier", "carrier", carrierAddr, shared, carrierAddr, "a", true},
		{"who was taken out", "", shared, shared, carrierAddr, "a", true},
	} {
		var who *source
		switch {
		case x.who == "carrier":
			who = c.at(carrierAddr)
		case x.who != "":
			who = &source{peer: c.peers[x.who]}
		}

		bye := &message.View{}
		if err := bye.Parse([]byte(strangersRequest("BYE", ""))); err != nil {
			t.Fatal(err)
		}
		token := p.tokens.appendToken(nil, bye.Value(message.CallID), bye.FromTag, x.began, x.other, prints{peer: of(x.of)})
		leg, ok := p.tokens.check(token, bye)
		if !ok {
			t.Fatal("the token is not taken")
		}
		leg.fromDialer = x.from == x.began
		if may := p.mayUse(c, who, x.from, &leg); may != x.may {
			t.Errorf("%s: %v", x.says, may)
		}
	}
}

// ofKind is a Conn of which nothing but its kind is asked.
type ofKind struct {
	transport.Conn
	k transport.Kind
}

func (o ofKind) Kind() transport.Kind { return o.k }

// TestACarrierIsItsPortOfItsTransport: a dialer beside its carrier that happens
// to send from the carrier's port of another transport is the dialer all the same.
func TestACarrierIsItsPortOfItsTransport(t *testing.T) {
	at := netip.MustParseAddrPort("192.0.2.10:40001")
	c, err := newInForce(Config{
		Peers:    []Peer{{Terms: &policy.PeerTerms{ID: "dialer"}, Sources: []netip.Prefix{netip.PrefixFrom(at.Addr(), 32)}}},
		Carriers: []Carrier{{ID: "udp", targets: []ranked{{addr: at}}}, {ID: "both", LargeOverTCP: true, targets: []ranked{{addr: netip.AddrPortFrom(at.Addr(), 40002)}}}},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		by   transport.Kind
		port uint16
		want string
	}{{transport.UDP, 40001, "udp"}, {transport.TCP, 40001, "dialer"}, {transport.UDP, 40002, "both"}, {transport.TCP, 40002, "both"}, {transport.UDP, 40003, "dialer"}} {
		who := c.origin(&Listener{Conn: ofKind{k: x.by}}, &transport.Datagram{Remote: netip.AddrPortFrom(at.Addr(), x.port)})
		got := ""
		switch {
		case who == nil:
		case who.peer != nil:
			got = who.peer.Terms.ID
		default:
			got = who.carrier.ID
		}
		if got != x.want {
			t.Errorf("by %s from port %d: %q, want %q", x.by, x.port, got, x.want)
		}
	}
}

// at is a Conn of which nothing but its kind and address is asked.
type at struct {
	ofKind
	addr netip.AddrPort
}

func (a at) LocalAddr() netip.AddrPort { return a.addr }

// TestAPeerIsKnownByItsListener: two peers behind one address are told apart by
// where they come in, and are strangers elsewhere, with a certificate too.
func TestAPeerIsKnownByItsListener(t *testing.T) {
	ap := netip.MustParseAddrPort
	host := []netip.Prefix{netip.MustParsePrefix("192.0.2.10/32")}
	one, two, three := ap("192.0.2.1:5060"), ap("192.0.2.1:5070"), ap("192.0.2.1:5080")
	c, err := newInForce(Config{
		Peers: []Peer{
			{Terms: &policy.PeerTerms{ID: "one"}, Sources: host, Listeners: []netip.AddrPort{one}},
			{Terms: &policy.PeerTerms{ID: "two"}, Sources: host, Names: []string{"two.example"}, Listeners: []netip.AddrPort{two}},
		},
		Carriers: []Carrier{{ID: "carrier", Targets: []netip.AddrPort{carrierAddr}}},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		by    netip.AddrPort
		from  string
		names []string
		want  string
	}{
		{one, "192.0.2.10:9", nil, "one"}, {two, "192.0.2.10:9", nil, "two"}, {three, "192.0.2.10:9", nil, ""},
		{two, "203.0.113.9:9", []string{"two.example"}, "two"}, {three, "203.0.113.9:9", []string{"two.example"}, ""}, {two, "203.0.113.9:9", nil, ""},
	} {
		got := ""
		if who := c.origin(&Listener{Conn: at{addr: x.by}}, &transport.Datagram{Remote: ap(x.from), Names: x.names}); who != nil {
			got = who.peer.Terms.ID
		}
		if got != x.want {
			t.Errorf("by %s from %s %v: %q, want %q", x.by, x.from, x.names, got, x.want)
		}
	}
}
