package sipproxy

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"dialgate/sipproxy/transport"
)

// A dnsServer answers on loopback from a table: "TYPE name." → data.
type dnsServer struct {
	conn    net.PacketConn
	mu      sync.Mutex
	records map[string][][]byte
	broken  bool // answers every question with SERVFAIL
}

const typeA, typeAAAA, typeSRV = 1, 28, 33

func newDNSServer(t *testing.T) *dnsServer {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := &dnsServer{conn: conn, records: map[string][][]byte{}}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		b := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFrom(b)
			if err != nil {
				return
			}
			if _, err := conn.WriteTo(d.answer(b[:n]), from); err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		conn.Close()
		<-ended
	})
	return d
}

func (d *dnsServer) set(kind uint16, name string, data ...[]byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.records[fmt.Sprint(kind, " ", name)] = data
}

// answer makes the response to a query of one question (RFC 1035 section 4.1).
func (d *dnsServer) answer(q []byte) []byte {
	name, i := "", 12
	for q[i] != 0 {
		name += string(q[i+1:i+1+int(q[i])]) + "."
		i += 1 + int(q[i])
	}
	kind := binary.BigEndian.Uint16(q[i+1:])
	d.mu.Lock()
	data, broken := d.records[fmt.Sprint(kind, " ", strings.ToLower(name))], d.broken
	known := false
	for key := range d.records {
		known = known || strings.HasSuffix(key, " "+strings.ToLower(name))
	}
	d.mu.Unlock()
	b := append([]byte{q[0], q[1], 0x85, 0x80, 0, 1, 0, byte(len(data)), 0, 0, 0, 0}, q[12:i+5]...)
	switch {
	case broken:
		b[3], b[7] = 0x82, 0 // SERVFAIL
		return b
	case !known:
		b[3] = 0x83 // NXDOMAIN
	}
	for _, rd := range data {
		b = append(b, 0xc0, 12)
		b = binary.BigEndian.AppendUint16(b, kind)
		b = append(b, 0, 1, 0, 0, 0, 60)
		b = binary.BigEndian.AppendUint16(b, uint16(len(rd)))
		b = append(b, rd...)
	}
	return b
}

func srv(priority, weight, port uint16, target string) []byte {
	var b []byte
	for _, n := range []uint16{priority, weight, port} {
		b = binary.BigEndian.AppendUint16(b, n)
	}
	for label := range strings.SplitSeq(strings.TrimSuffix(target, "."), ".") {
		b = append(append(b, byte(len(label))), label...)
	}
	return append(b, 0)
}

// TestLookup asks a DNS server on loopback with the resolver that is used.
func TestLookup(t *testing.T) {
	d := newDNSServer(t)
	resolver := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", d.conn.LocalAddr().String())
	}}
	p := &Proxy{o: Options{Resolver: resolver}, closed: make(chan struct{})}
	d.set(typeSRV, "_sip._udp.trunk.example.", srv(10, 60, 5070, "a.trunk.example."), srv(10, 40, 5060, "b.trunk.example."), srv(20, 0, 5060, "gone.trunk.example."))
	d.set(typeSRV, "_sips._tcp.trunk.example.", srv(1, 1, 5071, "plain.example."))
	d.set(typeA, "a.trunk.example.", []byte{198, 51, 100, 1})
	d.set(typeA, "b.trunk.example.", []byte{198, 51, 100, 2}, []byte{198, 51, 100, 3})
	v6 := netip.MustParseAddr("2001:db8::9")
	d.set(typeAAAA, "six.example.", v6.AsSlice())
	d.set(typeA, "plain.example.", []byte{198, 51, 100, 7})
	at := netip.MustParseAddrPort
	for _, c := range []struct {
		name Name
		want []ranked
		fail bool
	}{
		{Name{Host: "trunk.example", Port: 0}, []ranked{{at("198.51.100.1:5070"), 10, 60}, {at("198.51.100.2:5060"), 10, 40}, {at("198.51.100.3:5060"), 10, 40}}, false},
		{Name{Host: "plain.example", Port: 0}, []ranked{{at("198.51.100.7:5060"), 0, 1}}, false},
		{Name{Host: "plain.example.", Port: 5080}, []ranked{{at("198.51.100.7:5080"), 0, 1}}, false},
		{Name{Host: "six.example", Port: 5061}, []ranked{{at("[2001:db8::9]:5061"), 0, 1}}, false},
		{Name{Host: "nothing.example"}, nil, true},
		{Name{Host: "trunk.example", Transport: transport.TLS}, []ranked{{at("198.51.100.7:5071"), 1, 1}}, false},
		{Name{Host: "plain.example", Transport: transport.TLS}, []ranked{{at("198.51.100.7:5061"), 0, 1}}, false},
		{Name{Host: "trunk.example", Transport: transport.TCP}, nil, true}, // no such record, and no address either
	} {
		ctx, stop := context.WithTimeout(t.Context(), lookupTimeout)
		got, err := p.lookup(ctx, c.name)
		stop()
		slices.SortFunc(got, func(a, b ranked) int { return a.addr.Compare(b.addr) })
		if !slices.Equal(got, c.want) || (err != nil) != c.fail {
			t.Errorf("%s: got %v, %v; want %v", c.name, got, err, c.want)
		}
	}
	d.mu.Lock()
	d.broken = true
	d.mu.Unlock()
	for _, n := range []Name{{Host: "trunk.example"}, {Host: "plain.example"}, {Host: "plain.example", Port: 5060}} {
		ctx, stop := context.WithTimeout(t.Context(), 2*time.Second)
		got, err := p.lookup(ctx, n)
		stop()
		if err == nil || isNone(err) {
			t.Errorf("%s from a broken server: got %v, %v; a failure must not read as an answer", n, got, err)
		}
	}
}
