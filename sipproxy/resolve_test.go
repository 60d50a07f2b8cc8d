package sipproxy

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"dialgate/internal/testdns"
	"dialgate/sipproxy/dns"
	"dialgate/sipproxy/transport"
)

// client asks the test's server alone.
func client(d *testdns.Server) *dns.Client {
	return dns.NewClient(dns.Options{Servers: []netip.AddrPort{d.Addr}, Timeout: 5 * time.Second})
}

// spelled writes where a name leads, in the order in which it is tried.
func spelled(all []ranked) string {
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(a, b ranked) int { return a.priority - b.priority })
	var out []string
	for _, r := range all {
		out = append(out, fmt.Sprintf("%s %s %d/%d", r.kind, r.addr, r.priority, r.weight))
	}
	return strings.Join(out, ", ")
}

// TestLocate follows names through a DNS server on loopback, as RFC 3263
// section 4 has it.
func TestLocate(t *testing.T) {
	d := testdns.New(t)
	for name, records := range map[string][]dnsmessage.ResourceBody{
		// all that a domain can say
		"full.example.": {
			testdns.NAPTR(10, 20, "s", "SIP+D2T", "", "_sip._tcp.full.example."),
			testdns.NAPTR(10, 10, "S", "sip+d2u", "", "udp.elsewhere.example."),
			testdns.NAPTR(5, 50, "s", "SIPS+D2T", "", "_sips._tcp.full.example."),
			testdns.NAPTR(20, 1, "s", "SIPS+D2W", "", "wss.full.example."),
			testdns.NAPTR(20, 2, "a", "SIP+D2W", "", "host.example."),
			testdns.NAPTR(1, 1, "s", "SIP+D2S", "", "sctp.full.example."),
			testdns.NAPTR(1, 1, "u", "E2U+sip", "!^.*$!sip:x@y!", "."),
		},
		"_sip._tcp.full.example.":  {testdns.SRV(0, 0, 5070, "host.example.")},
		"udp.elsewhere.example.":   {testdns.SRV(20, 1, 5060, "two.example."), testdns.SRV(10, 60, 5071, "host.example."), testdns.SRV(10, 40, 5060, "six.example.")},
		"_sips._tcp.full.example.": {testdns.SRV(1, 1, 5081, "host.example.")},
		"wss.full.example.":        {testdns.SRV(1, 1, 8443, "host.example.")},
		"_sip._udp.full.example.":  {testdns.SRV(0, 0, 9, "host.example.")}, // NAPTR leads elsewhere
		"host.example.":            {testdns.A("198.51.100.1")},
		"two.example.":             {testdns.A("198.51.100.2"), testdns.A("198.51.100.3")},
		"six.example.":             {testdns.A("2001:db8::9")},
		// a record that leads nowhere goes before one that does not
		"stale.example.":             {testdns.NAPTR(1, 1, "s", "SIP+D2U", "", "gone.example."), testdns.NAPTR(2, 1, "s", "SIP+D2U", "", "none.example."), testdns.NAPTR(3, 1, "s", "SIP+D2U", "", "last.example.")},
		"none.example.":              {testdns.SRV(0, 0, 0, ".")},
		"last.example.":              {testdns.SRV(0, 0, 5062, "host.example."), testdns.SRV(0, 0, 5062, "gone.example.")},
		"other.example.":             {testdns.NAPTR(1, 1, "s", "SIP+D2T", "", "_sip._tcp.full.example."), testdns.A("198.51.100.9")},
		"_sip._udp.other.example.":   {testdns.SRV(0, 0, 5063, "host.example.")},
		"several.example.":           {testdns.A("198.51.100.9")},
		"_sip._tcp.several.example.": {testdns.SRV(0, 0, 5064, "host.example.")},
		"_sip._udp.several.example.": {testdns.SRV(0, 0, 5065, "host.example.")},
		"plain.example.":             {testdns.A("198.51.100.9"), testdns.A("2001:db8::7")},
		"closed.example.":            {testdns.A("198.51.100.9")},
		"_sip._udp.closed.example.":  {testdns.SRV(0, 0, 0, ".")},
		"empty.example.":             {},
	} {
		d.Set(name, 60, records...)
	}
	all := transport.Kinds()
	for _, c := range []struct {
		name  Name
		kinds []transport.Kind
		want  string // "": an error
	}{
		{Name{Host: "full.example"}, nil, "udp 198.51.100.1:5071 10/60, udp [2001:db8::9]:5060 10/40, udp 198.51.100.2:5060 20/1, udp 198.51.100.3:5060 20/1"},
		{Name{Host: "full.example", Transport: transport.TCP}, nil, "tcp 198.51.100.1:5070 0/0"},
		{Name{Host: "FULL.example.", Transport: transport.TLS}, nil, "tls 198.51.100.1:5081 1/1"},
		{Name{Host: "full.example", Transport: transport.WSS}, nil, "wss 198.51.100.1:8443 1/1"},
		{Name{Host: "full.example", Transport: transport.WS}, nil, "ws 198.51.100.1:80 0/1"},
		{Name{Host: "full.example", Any: true}, all, "tls 198.51.100.1:5081 1/1"},
		{Name{Host: "full.example", Any: true}, []transport.Kind{transport.TCP, transport.UDP}, "udp 198.51.100.1:5071 10/60, udp [2001:db8::9]:5060 10/40, udp 198.51.100.2:5060 20/1, udp 198.51.100.3:5060 20/1"},
		{Name{Host: "full.example", Any: true}, []transport.Kind{transport.TCP}, "tcp 198.51.100.1:5070 0/0"},
		{Name{Host: "full.example", Port: 5099}, nil, ""},
		{Name{Host: "stale.example"}, nil, "udp 198.51.100.1:5062 0/0"},
		{Name{Host: "other.example"}, nil, "udp 198.51.100.1:5063 0/0"}, // no NAPTR of its transport
		{Name{Host: "several.example", Any: true}, all, "udp 198.51.100.1:5065 0/0"},
		{Name{Host: "several.example", Any: true}, []transport.Kind{transport.TCP}, "tcp 198.51.100.1:5064 0/0"},
		{Name{Host: "plain.example"}, nil, "udp 198.51.100.9:5060 0/1, udp [2001:db8::7]:5060 0/1"},
		{Name{Host: "plain.example", Port: 5080}, nil, "udp 198.51.100.9:5080 0/1, udp [2001:db8::7]:5080 0/1"},
		{Name{Host: "plain.example", Transport: transport.TLS}, nil, "tls 198.51.100.9:5061 0/1, tls [2001:db8::7]:5061 0/1"},
		{Name{Host: "plain.example", Any: true}, all, "udp 198.51.100.9:5060 0/1, udp [2001:db8::7]:5060 0/1"},
		{Name{Host: "closed.example"}, nil, ""},
		{Name{Host: "closed.example", Transport: transport.TCP}, nil, "tcp 198.51.100.9:5060 0/1"},
		{Name{Host: "empty.example"}, nil, ""},
		{Name{Host: "nowhere.example"}, nil, ""},
	} {
		l, err := locate(t.Context(), client(d), c.name, c.kinds)
		if got := spelled(l.found); got != c.want || (err != nil) != (c.want == "") {
			t.Errorf("%s over %s: got %s, %v; want %s", c.name, c.name.Transport, got, err, c.want)
		}
	}
}

// TestAFailureIsNoAnswer: what can't be learnt is not taken for what is not there.
func TestAFailureIsNoAnswer(t *testing.T) {
	d := testdns.New(t)
	d.Set("a.example.", 60, testdns.A("198.51.100.9"))
	d.Set("_sip._udp.a.example.", 60, testdns.SRV(0, 0, 5066, "a.example."))
	fails := func(kind dnsmessage.Type) {
		d.Lies(func(q dnsmessage.Question, right []byte, tcp bool) [][]byte {
			if q.Type == kind {
				return testdns.Fails(dnsmessage.RCodeServerFailure)(q, right, tcp)
			}
			return [][]byte{right}
		})
	}
	for _, c := range []struct {
		fails dnsmessage.Type
		name  Name
		want  string
	}{
		{dnsmessage.TypeSRV, Name{Host: "a.example"}, ""},
		{dnsmessage.TypeA, Name{Host: "a.example"}, ""},
		{dnsmessage.TypeAAAA, Name{Host: "a.example"}, "udp 198.51.100.9:5066 0/0"}, // one family will do
		{testdns.NAPTRType, Name{Host: "a.example"}, "udp 198.51.100.9:5066 0/0"},   // with a transport of its own it is not needed
		{testdns.NAPTRType, Name{Host: "a.example", Any: true}, ""},
	} {
		fails(c.fails)
		l, err := locate(t.Context(), client(d), c.name, transport.Kinds())
		if got := spelled(l.found); got != c.want || (err != nil) != (c.want == "") {
			t.Errorf("%s of %s fails: got %s, %v; want %s", c.fails, c.name, got, err, c.want)
		}
		if err == nil && l.lasts > lookupAgain {
			t.Errorf("%s fails: it is looked at again after %s", c.fails, l.lasts)
		}
	}
}

// TestLooksEndInTime: a server that says nothing holds nobody up for longer
// than the look may take.
func TestLooksEndInTime(t *testing.T) {
	d := testdns.New(t)
	d.Lies(testdns.Silence)
	ctx, stop := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer stop()
	began := time.Now()
	if _, err := locate(ctx, client(d), Name{Host: "a.example"}, nil); err == nil {
		t.Error("it was found")
	}
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("it took %s", took)
	}
}

// TestNamesOfAProxy: what a running proxy does with names: it looks again when
// the time to live is nearly over, keeps what it knew when nothing it can use
// comes, and forgets names that a configuration has no more.
func TestNamesOfAProxy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &scriptedDNS{ttl: 100 * time.Second, addrs: "198.51.100.5 2001:db8::5"}
		s := newStage(t, func(o *Options) {
			o.Resolver = d
			o.Carriers[0].Targets, o.Carriers[0].Names = nil, []Name{{Host: "a.example"}}
		})
		known := func(n Name) string {
			s.proxy.names.mu.Lock()
			defer s.proxy.names.mu.Unlock()
			if k := s.proxy.names.known[n]; k != nil {
				return fmt.Sprint(spelled(k.found), " ", k.failed)
			}
			return "nothing"
		}
		a, b := Name{Host: "a.example"}, Name{Host: "b.example"}
		for _, x := range []struct {
			wait  time.Duration
			addrs string // DNS says from now on
			want  string // before that
			looks int    // so far
		}{
			{0, "198.51.100.6", "udp 198.51.100.5:5060 0/1 false", 1}, // IPv6 has no listener
			{99 * time.Second, "198.51.100.6", "udp 198.51.100.5:5060 0/1 false", 1},
			{2 * time.Second, "2001:db8::6", "udp 198.51.100.6:5060 0/1 false", 2},
			{100 * time.Second, "", "udp 198.51.100.6:5060 0/1 true", 3}, // nothing that can be reached
			{5 * time.Second, "198.51.100.7", "udp 198.51.100.6:5060 0/1 true", 4},
			{5 * time.Second, "198.51.100.7", "udp 198.51.100.7:5060 0/1 false", 5},
		} {
			time.Sleep(x.wait)
			synctest.Wait()
			if got := known(a); got != x.want || d.looks() != x.looks {
				t.Errorf("%s after %d looks, want %s after %d", got, d.looks(), x.want, x.looks)
			}
			d.say(x.addrs)
		}
		c := s.config
		c.Carriers = slices.Clone(c.Carriers)
		c.Carriers[0].Names = []Name{b}
		if err := s.proxy.Use(c); err != nil {
			t.Fatal(err)
		}
		if got := known(a) + ", " + known(b); got != "nothing, udp 198.51.100.7:5060 0/1 false" {
			t.Errorf("after a reload: %s", got)
		}
	})
}

// A scriptedDNS says the same addresses of every name.
type scriptedDNS struct {
	ttl   time.Duration
	mu    sync.Mutex
	addrs string
	n     int
}

func (d *scriptedDNS) say(addrs string) { d.mu.Lock(); defer d.mu.Unlock(); d.addrs = addrs }
func (d *scriptedDNS) looks() int       { d.mu.Lock(); defer d.mu.Unlock(); return d.n }

// NAPTR is part of Resolver.
func (d *scriptedDNS) NAPTR(context.Context, string) (dns.Answer[dns.NAPTR], error) {
	return dns.Answer[dns.NAPTR]{For: time.Hour}, nil
}

// SRV is part of Resolver.
func (d *scriptedDNS) SRV(context.Context, string) (dns.Answer[dns.SRV], error) {
	return dns.Answer[dns.SRV]{For: time.Hour}, nil
}

// Addresses is part of Resolver.
func (d *scriptedDNS) Addresses(context.Context, string) (dns.Answer[netip.Addr], error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.n++
	a := dns.Answer[netip.Addr]{For: d.ttl}
	for _, text := range strings.Fields(d.addrs) {
		a.Records = append(a.Records, netip.MustParseAddr(text))
	}
	return a, nil
}
