package sipproxy

import (
	"net/netip"
	"testing"

	"dialgate/sipproxy/message"
	"dialgate/sipproxy/transport"
)

// TestWhoMayHaveAnAlias: only who has proved to be whom we would meet at the
// address.
func TestWhoMayHaveAnAlias(t *testing.T) {
	ap := netip.MustParseAddrPort
	carrierAt, pinnedAt, namelessAt := ap("198.51.100.1:5061"), ap("198.51.100.2:5061"), ap("198.51.100.3:5061")
	on := func(id string, at netip.AddrPort, check *transport.ServerCheck) Carrier {
		return Carrier{ID: id, TLS: check, targets: []ranked{{addr: at, kind: transport.TLS}}}
	}
	c, err := newInForce(Config{
		Peers: []Peer{{Terms: flowTerms(), Names: []string{"Dialer.example"}, Sources: []netip.Prefix{netip.MustParsePrefix("192.0.2.10/32")}}},
		Carriers: []Carrier{
			on("full", carrierAt, &transport.ServerCheck{Name: "Carrier.example"}),
			on("pinned", pinnedAt, &transport.ServerCheck{Name: "pinned.example", Mode: transport.Pinned}),
			on("nameless", namelessAt, &transport.ServerCheck{}),
		},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		says   string
		from   string
		names  []string
		sentBy string
		want   string // "": none
	}{
		{"a carrier by its name", "198.51.100.1:40000", []string{"carrier.example"}, "198.51.100.1:5061", "198.51.100.1:5061"},
		{"by a name in Via, at the usual port", "198.51.100.1:40000", []string{"x.example", "carrier.example"}, "Carrier.Example", "198.51.100.1:5061"},
		{"with a certificate of another", "198.51.100.1:40000", []string{"dialer.example"}, "198.51.100.1:5061", ""},
		{"for a host that it is not at", "203.0.113.9:40000", []string{"carrier.example"}, "198.51.100.1:5061", ""},
		{"for a name that it has not proved", "198.51.100.1:40000", []string{"carrier.example"}, "dialer.example", ""},
		{"for another port", "198.51.100.1:40000", []string{"carrier.example"}, "198.51.100.1:5062", ""},
		{"a carrier whose name is not looked at", "198.51.100.2:40000", []string{"pinned.example"}, "198.51.100.2:5061", ""},
		{"a carrier without a name", "198.51.100.3:40000", []string{""}, "198.51.100.3:5061", ""},
		{"a dialer at its address", "192.0.2.10:40000", []string{"dialer.example"}, "192.0.2.10:5071", "192.0.2.10:5071"},
		{"a dialer elsewhere", "192.0.2.99:40000", []string{"dialer.example"}, "192.0.2.99:5071", ""},
		{"another at the dialer's address", "192.0.2.10:40000", []string{"unknown.example"}, "192.0.2.10:5071", ""},
	} {
		var v message.View
		raw := "OPTIONS sip:x@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/TLS " + x.sentBy + ";branch=z9hG4bK1;alias\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\nCall-ID: x\r\nCSeq: 1 OPTIONS\r\n\r\n"
		if err := v.Parse([]byte(raw)); err != nil || !v.Top.Has("ALIAS") || v.Top.Has("ali") {
			t.Fatalf("%s: %v", x.says, err)
		}
		at, may := aliasOf(c, &transport.Datagram{Remote: ap(x.from), Names: x.names}, &v.Top)
		if may != (x.want != "") || may && at != ap(x.want) {
			t.Errorf("%s: %s, %v; want %q", x.says, at, may, x.want)
		}
	}
}

// TestACallTakesTheConnectionOfAnAlias: a carrier over TLS that has connected
// and asked for it is called over that connection; one that has not asked, or
// shows another name than it must, is dialled.
func TestACallTakesTheConnectionOfAnAlias(t *testing.T) {
	for _, x := range []struct {
		alias, name string
		want        uint64 // connections that we dial
	}{{";alias", phoneNames, 0}, {"", phoneNames, 1}, {";alias", "another.example", 1}} {
		var dialer, carrier *phone
		h := newHouse(t, func(h *house, o *Options) {
			dialer, carrier = h.phone(transport.UDP, "127.0.0.2", "dialer"), h.phone(transport.TLS, "127.0.0.3", "carrier")
			o.Carriers = []Carrier{{ID: "carrier", Targets: []netip.AddrPort{carrier.conn.LocalAddr()}, Transport: transport.TLS, TLS: &transport.ServerCheck{CA: h.ca.File, Name: x.name}}}
		})
		gate := h.at["tls4"].Conn.(*transport.Stream)
		at := carrier.conn.LocalAddr().String()
		carrier.send([]byte("OPTIONS sip:x@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/TLS "+at+";branch=z9hG4bK-o"+x.alias+"\r\nMax-Forwards: 70\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\nCall-ID: o\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"), gate.LocalAddr())
		carrier.expect("200")
		dialer.send(dialer.invite("a"+x.alias+x.name, ""), h.at["udp4"].Conn.LocalAddr())
		invite, from := carrier.expect("INVITE")
		if n := gate.Counts.Dialled(); n != x.want || (x.want == 0) != (from == gate.LocalAddr()) {
			t.Errorf("%q, %s: %d connections were dialled, the INVITE came from %s", x.alias, x.name, n, from)
		}
		carrier.answer(invite, from, 486)
		carrier.expect("ACK")
		dialer.expect("486")
	}
}
