package dns

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"dialgate/internal/testdns"
)

// newTestClient makes a client of servers, with time for a machine with much to do.
func newTestClient(servers ...*testdns.Server) *Client {
	o := Options{Timeout: 5 * time.Second, Tries: 1}
	for _, s := range servers {
		o.Servers = append(o.Servers, s.Addr)
	}
	return NewClient(o)
}

// age lets time pass for all that is remembered.
func (c *Client) age(d time.Duration) {
	c.cache.mu.Lock()
	defer c.cache.mu.Unlock()
	for q, e := range c.cache.entries {
		e.asked = e.asked.Add(-d)
		c.cache.entries[q] = e
	}
}

func addresses(a Answer[netip.Addr]) string {
	var all []string
	for _, r := range a.Records {
		all = append(all, r.String())
	}
	return strings.Join(all, " ")
}

// TestRecords asks for each type.
func TestRecords(t *testing.T) {
	d := testdns.New(t)
	d.Set("a.example.", 60, testdns.A("198.51.100.1"), testdns.A("2001:db8::1"), testdns.A("198.51.100.2"))
	d.Set("_sip._udp.a.example.", 60, testdns.SRV(1, 2, 3, "A.Example."))
	d.Set("naptr.example.", 60, testdns.NAPTR(1, 2, "s", "SIP+D2U", "", "_sip._udp.A.example."), testdns.NAPTR(3, 4, "u", "E2U+sip", "!^.*$!sip:x@y!", "."))
	c := newTestClient(d)
	a, err := c.Addresses(t.Context(), "A.example")
	if got := addresses(a); err != nil || got != "198.51.100.1 198.51.100.2 2001:db8::1" {
		t.Errorf("addresses: %s, %v", got, err)
	}
	s, err := c.SRV(t.Context(), "_sip._udp.a.example")
	if want := []SRV{{1, 2, 3, "a.example."}}; err != nil || !slices.Equal(s.Records, want) {
		t.Errorf("SRV: %v, %v", s.Records, err)
	}
	n, err := c.NAPTR(t.Context(), "naptr.example.")
	if want := []NAPTR{{1, 2, "s", "SIP+D2U", "", "_sip._udp.a.example."}, {3, 4, "u", "E2U+sip", "!^.*$!sip:x@y!", "."}}; err != nil || !slices.Equal(n.Records, want) {
		t.Errorf("NAPTR: %v, %v", n.Records, err)
	}
	for _, name := range []string{"", ".", "a..b", ".a", strings.Repeat("a", 64) + ".b", strings.Repeat("abcdefg.", 40)} {
		if _, err := c.SRV(t.Context(), name); err == nil {
			t.Errorf("%q was asked for", name)
		}
	}
}

// TestTimesToLive: an answer is used for nine tenths of its time, within
// bounds, and of several that an answer rests on the shortest counts.
func TestTimesToLive(t *testing.T) {
	d := testdns.New(t)
	d.Set("x.example.", 100, testdns.SRV(0, 0, 1, "a.example."))
	d.Set("short.example.", 0, testdns.SRV(0, 0, 1, "a.example."))
	d.Set("high.example.", 1<<31+5, testdns.SRV(0, 0, 1, "a.example.")) // RFC 2181 section 8: 0
	d.Set("long.example.", 1<<30, testdns.SRV(0, 0, 1, "a.example."))
	d.Set("alias.example.", 20, testdns.CNAME("x.example."))
	d.Set("behind.example.", 1000, testdns.CNAME("x.example."))
	d.Negative(50)
	c := newTestClient(d)
	for name, want := range map[string]time.Duration{
		"x.example": 90 * time.Second, "short.example": 4500 * time.Millisecond, "high.example": 4500 * time.Millisecond, "long.example": 54 * time.Minute,
		"alias.example": 18 * time.Second, "behind.example": 90 * time.Second, "nothing.example": 45 * time.Second,
	} {
		a, err := c.SRV(t.Context(), name)
		if err != nil || a.For > want || a.For < want-time.Second || a.Old {
			t.Errorf("%s: %s, old %v, %v; want %s", name, a.For, a.Old, err, want)
		}
	}
	d.Forget()
	c.age(85 * time.Second)
	if a, _ := c.SRV(t.Context(), "x.example"); len(d.Asked()) != 0 || a.For > 5*time.Second {
		t.Errorf("after 85 s of 100: asked %q, lasts %s", d.Asked(), a.For)
	}
	c.age(6 * time.Second)
	if a, _ := c.SRV(t.Context(), "x.example"); len(d.Asked()) != 1 || a.For < 80*time.Second {
		t.Errorf("after 91 s of 100: asked %q, lasts %s", d.Asked(), a.For)
	}
	d.Set("nothing.example.", 60, testdns.SRV(0, 0, 1, "a.example."))
	if a, err := c.SRV(t.Context(), "nothing.example"); err != nil || len(a.Records) != 1 {
		t.Errorf("what was not there is there now: %v, %v", a, err)
	}
}

// TestThereIsNone: RFC 2308, of a name that is not there and of one that has
// nothing of the type; without an SOA that is believed for the least time.
func TestThereIsNone(t *testing.T) {
	d := testdns.New(t)
	d.Set("empty.example.", 60, testdns.A("198.51.100.1"))
	d.Set("alias.example.", 7, testdns.CNAME("empty.example."))
	d.Set("dangling.example.", 60, testdns.CNAME("gone.example."))
	for _, x := range []struct {
		soa  uint32
		name string
		want time.Duration
	}{
		{100, "gone.example", 90 * time.Second}, {100, "empty.example", 90 * time.Second}, {100, "alias.example", 6300 * time.Millisecond}, {100, "dangling.example", 54 * time.Second},
		{1 << 31, "gone.example", 4500 * time.Millisecond},
		{0, "gone.example", 4500 * time.Millisecond}, {0, "empty.example", 4500 * time.Millisecond}, {0, "dangling.example", 4500 * time.Millisecond},
	} {
		d.Negative(x.soa)
		c := newTestClient(d)
		a, err := c.SRV(t.Context(), x.name)
		if err != nil || len(a.Records) > 0 || a.For > x.want || a.For < x.want-time.Second {
			t.Errorf("%s with an SOA of %d: %v, %v; want nothing for %s", x.name, x.soa, a, err, x.want)
		}
	}
}

// TestTheServerGoesAway: the last answer stays in use, for as long as it
// takes; it is called old when its time is over.
func TestTheServerGoesAway(t *testing.T) {
	d := testdns.New(t)
	d.Set("x.example.", 100, testdns.SRV(0, 0, 1, "a.example."))
	c := newTestClient(d)
	if _, err := c.SRV(t.Context(), "x.example"); err != nil {
		t.Fatal(err)
	}
	d.Stop()
	for _, x := range []struct {
		after time.Duration
		old   bool
	}{{95 * time.Second, false}, {10 * time.Second, true}, {1000 * time.Hour, true}} {
		c.age(x.after)
		a, err := c.SRV(t.Context(), "x.example")
		if err != nil || len(a.Records) != 1 || a.For != again || a.Old != x.old {
			t.Errorf("%+v, %v; want it kept, old %v", a, err, x.old)
		}
	}
	if _, err := c.SRV(t.Context(), "y.example"); err == nil {
		t.Error("what was never answered has an answer")
	}
	if c.Count(Kept) != 3 || c.Count(Failed) != 1 || c.Count(Silent) != 4 {
		t.Errorf("counted kept %d, failed %d, silent %d", c.Count(Kept), c.Count(Failed), c.Count(Silent))
	}
}

// TestSeveralServers: one that says nothing, or that it will not answer, gives
// way to the next, which is asked first from then on.
func TestSeveralServers(t *testing.T) {
	for name, lie := range map[string]testdns.Lie{"silent": testdns.Silence, "failing": testdns.Fails(dnsmessage.RCodeServerFailure), "refusing": testdns.Fails(dnsmessage.RCodeRefused)} {
		first, second := testdns.New(t), testdns.New(t)
		first.Lies(lie)
		second.Set("x.example.", 60, testdns.SRV(0, 0, 1, "a.example."))
		c := newTestClient(first, second)
		if name == "silent" {
			c.o.Timeout = time.Second
		}
		if a, err := c.SRV(t.Context(), "x.example"); err != nil || len(a.Records) != 1 {
			t.Errorf("%s: %v, %v", name, a, err)
		}
		first.Forget()
		if _, err := c.SRV(t.Context(), "other.example"); err != nil || len(first.Asked()) != 0 {
			t.Errorf("%s: it was asked again: %q, %v", name, first.Asked(), err)
		}
	}
}

// lies are answers to a question that nobody may believe.
func lies(q dnsmessage.Question, right []byte) map[string][]byte {
	change := func(f func(b []byte)) []byte {
		b := slices.Clone(right)
		f(b)
		return b
	}
	other := func(f func(m *dnsmessage.Message)) []byte {
		var m dnsmessage.Message
		if err := m.Unpack(right); err != nil {
			panic(err)
		}
		f(&m)
		b, err := m.Pack()
		if err != nil {
			panic(err)
		}
		return b
	}
	return map[string][]byte{
		"another id":           change(func(b []byte) { b[0]++ }),
		"a question":           change(func(b []byte) { b[2] &^= 0x80 }),
		"another operation":    change(func(b []byte) { b[2] |= 0x10 }),
		"another name":         other(func(m *dnsmessage.Message) { m.Questions[0].Name = dnsmessage.MustNewName("z.example.") }),
		"another type":         other(func(m *dnsmessage.Message) { m.Questions[0].Type = dnsmessage.TypeTXT }),
		"another class":        other(func(m *dnsmessage.Message) { m.Questions[0].Class = dnsmessage.ClassCHAOS }),
		"two questions":        other(func(m *dnsmessage.Message) { m.Questions = append(m.Questions, m.Questions[0]) }),
		"no question":          other(func(m *dnsmessage.Message) { m.Questions = nil }),
		"nothing":              {},
		"half a header":        right[:7],
		"a header":             right[:12],
		"half an answer":       right[:len(right)-3],
		"a name in a circle":   change(func(b []byte) { b[12], b[13] = 0xc0, 12 }),
		"more than there is":   change(func(b []byte) { b[7] = 200 }),
		"noise":                []byte("SIP/2.0 200 OK\r\n\r\n"),
		"a name out of bounds": change(func(b []byte) { b[12] = 63 }),
	}
}

// TestLies: what does not answer the question is read past, until the answer
// is there; without one there is none.
func TestLies(t *testing.T) {
	d := testdns.New(t)
	d.Set("x.example.", 60, testdns.SRV(7, 0, 1, "a.example."))
	q := dnsmessage.Question{Name: dnsmessage.MustNewName("x.example."), Type: dnsmessage.TypeSRV, Class: dnsmessage.ClassINET}
	d.Lies(func(q dnsmessage.Question, right []byte, _ bool) [][]byte {
		var all [][]byte
		for _, b := range lies(q, right) {
			all = append(all, b)
		}
		return append(all, right)
	})
	c := newTestClient(d)
	if a, err := c.SRV(t.Context(), "x.example"); err != nil || len(a.Records) != 1 || a.Records[0].Priority != 7 {
		t.Errorf("after all lies: %v, %v", a, err)
	}
	sample := []byte{}
	d.Lies(func(_ dnsmessage.Question, right []byte, _ bool) [][]byte {
		sample = right
		return [][]byte{right}
	})
	if _, err := newTestClient(d).SRV(t.Context(), "x.example"); err != nil {
		t.Fatal(err)
	}
	d.Forget() // the server has written the sample
	if n := uint64(len(lies(q, sample))); c.Count(Strange)+c.Count(Malformed) != n || c.Count(Strange) < 6 || c.Count(Malformed) < 6 {
		t.Errorf("of %d lies, counted %d strange, %d malformed", n, c.Count(Strange), c.Count(Malformed))
	}
	for name := range lies(q, sample) {
		d.Lies(func(q dnsmessage.Question, right []byte, _ bool) [][]byte { return [][]byte{lies(q, right)[name]} })
		c := newTestClient(d)
		c.o.Timeout = 150 * time.Millisecond
		if a, err := c.SRV(t.Context(), "x.example"); err == nil {
			t.Errorf("%s was believed: %v", name, a)
		}
	}
	d.Lies(func(_ dnsmessage.Question, right []byte, _ bool) [][]byte { // a flood
		right[0]++
		return slices.Repeat([][]byte{right}, maxStrange)
	})
	if _, err := newTestClient(d).SRV(t.Context(), "x.example"); !errors.Is(err, errStrange) {
		t.Errorf("a flood of guesses: %v", err)
	}
}

// TestOverTCP: what a datagram can't hold is asked for again over TCP.
func TestOverTCP(t *testing.T) {
	d := testdns.New(t)
	var all []dnsmessage.ResourceBody
	for i := range 50 {
		all = append(all, testdns.SRV(uint16(i), 0, 1, fmt.Sprintf("host-with-a-long-name-%d.example.", i)))
	}
	d.Set("x.example.", 60, all...)
	overTCP := func(tcp func(right []byte) [][]byte) testdns.Lie {
		return func(_ dnsmessage.Question, right []byte, isTCP bool) [][]byte {
			if isTCP {
				return tcp(right)
			}
			cut := slices.Clone(right[:200]) // in the middle of a record
			cut[2] |= 0x02                   // TC
			return [][]byte{cut}
		}
	}
	d.Lies(overTCP(func(right []byte) [][]byte { return [][]byte{right} }))
	c := newTestClient(d)
	if a, err := c.SRV(t.Context(), "x.example"); err != nil || len(a.Records) != 50 || c.Count(Truncated) != 1 {
		t.Errorf("%d records, %v, %d times over TCP", len(a.Records), err, c.Count(Truncated))
	}
	for name, lie := range map[string]func(right []byte) [][]byte{
		"another id":   func(b []byte) [][]byte { b[0]++; return [][]byte{b} },
		"still cut":    func(b []byte) [][]byte { b[2] |= 0x02; return [][]byte{b} },
		"half of it":   func(b []byte) [][]byte { return [][]byte{b[:len(b)/2]} },
		"nothing":      func([]byte) [][]byte { return [][]byte{{}} },
		"a closed ear": func([]byte) [][]byte { return nil },
	} {
		d.Lies(overTCP(lie))
		if a, err := newTestClient(d).SRV(t.Context(), "x.example"); err == nil {
			t.Errorf("%s: %v", name, a)
		}
	}
}

// TestNamesForNames: a name may stand for another, in one answer or in
// several, but not without an end.
func TestNamesForNames(t *testing.T) {
	d := testdns.New(t)
	d.Set("end.example.", 60, testdns.SRV(0, 0, 1, "a.example."))
	for i := range 10 {
		to := fmt.Sprintf("c%d.example.", i+1)
		if i == 9 {
			to = "end.example."
		}
		d.Set(fmt.Sprintf("c%d.example.", i), 60, testdns.CNAME(to))
	}
	d.Set("one.example.", 60, testdns.CNAME("two.example."))
	d.Set("two.example.", 60, testdns.CNAME("one.example."))
	d.Set("self.example.", 60, testdns.CNAME("self.example."))
	stepwise := func(_ dnsmessage.Question, right []byte, _ bool) [][]byte { // tells one step at a time
		var m dnsmessage.Message
		if err := m.Unpack(right); err != nil {
			panic(err)
		}
		m.Answers, m.Authorities = m.Answers[:min(1, len(m.Answers))], nil
		b, err := m.Pack()
		if err != nil {
			panic(err)
		}
		return [][]byte{b}
	}
	for _, x := range []struct {
		name string
		good bool
	}{{"c5.example", true}, {"c3.example", true}, {"c0.example", false}, {"one.example", false}, {"self.example", false}} {
		for how, lie := range map[string]testdns.Lie{"at once": nil, "stepwise": stepwise} {
			d.Lies(lie)
			c := newTestClient(d)
			a, err := c.SRV(t.Context(), x.name)
			if (err == nil) != x.good || x.good != (len(a.Records) == 1) || !x.good && !errors.Is(err, errChain) {
				t.Errorf("%s %s: %v, %v", x.name, how, a, err)
			}
		}
	}
}

// TestWithoutEDNS: a server that does not know it is asked again without.
func TestWithoutEDNS(t *testing.T) {
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ports, ids := map[string]bool{}, map[uint16]bool{}
	var mu sync.Mutex
	go func() {
		b := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFrom(b)
			if err != nil {
				return
			}
			mu.Lock()
			ports[from.String()], ids[binary.BigEndian.Uint16(b)] = true, true
			mu.Unlock()
			out := slices.Clone(b[:n])
			out[2] |= 0x80
			if out[11] > 0 { // there are additional records: the OPT
				out[3], out[5], out[11] = 1, 0, 0 // FORMERR
				out = out[:12]
			} else {
				out[3], out[2] = 0x83, out[2]|0x04 // NXDOMAIN
			}
			if _, err := conn.WriteTo(out, from); err != nil {
				return
			}
		}
	}()
	c := NewClient(Options{Servers: []netip.AddrPort{netip.MustParseAddrPort(conn.LocalAddr().String())}, Timeout: 5 * time.Second})
	for i := range 20 {
		if a, err := c.SRV(t.Context(), fmt.Sprintf("n%d.example", i)); err != nil || len(a.Records) > 0 {
			t.Fatalf("%v, %v", a, err)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if len(ports) < 30 || len(ids) < 30 {
		t.Errorf("40 questions came from %d ports with %d ids", len(ports), len(ids))
	}
}

// TestALameServer: one that answers nothing and asks nobody gives way.
func TestALameServer(t *testing.T) {
	first, second := testdns.New(t), testdns.New(t)
	first.Negative(0)
	first.Set("x.example.", 60)
	first.Lies(func(_ dnsmessage.Question, right []byte, _ bool) [][]byte {
		right[3] &^= 0x80 // RA
		return [][]byte{right}
	})
	second.Set("x.example.", 60, testdns.SRV(0, 0, 1, "a.example."))
	if a, err := newTestClient(first, second).SRV(t.Context(), "x.example"); err != nil || len(a.Records) != 1 {
		t.Errorf("%v, %v", a, err)
	}
}

// TestMemoryIsBounded: the oldest answer makes room.
func TestMemoryIsBounded(t *testing.T) {
	c := NewClient(Options{})
	at := time.Now()
	for i := range maxEntries + 10 {
		c.cache.put(question{fmt.Sprintf("n%d.", i), dnsmessage.TypeA}, entry{asked: at.Add(time.Duration(i) * time.Second)})
	}
	_, oldest := c.cache.get(question{"n9.", dnsmessage.TypeA})
	_, newest := c.cache.get(question{fmt.Sprintf("n%d.", maxEntries+9), dnsmessage.TypeA})
	if c.Remembered() != maxEntries || oldest || !newest {
		t.Errorf("%d are kept, the oldest %v, the newest %v", c.Remembered(), oldest, newest)
	}
}

// TestManyAtOnce asks from many goroutines, some of which give up.
func TestManyAtOnce(t *testing.T) {
	d := testdns.New(t)
	d.Set("x.example.", 60, testdns.A("198.51.100.1"))
	c := newTestClient(d)
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			if i%4 == 3 {
				stop()
				_, _ = c.Addresses(ctx, fmt.Sprintf("n%d.example", i)) // whatever comes of it
				return
			}
			if a, err := c.Addresses(ctx, "x.example"); err != nil || len(a.Records) != 1 {
				t.Errorf("%v, %v", a, err)
			}
		})
	}
	wg.Wait()
}

// TestResolvConf: the host's file says whom to ask, and is read again when it
// changes.
func TestResolvConf(t *testing.T) {
	file := filepath.Join(t.TempDir(), "resolv.conf")
	s := &servers{file: file}
	local := netip.MustParseAddrPort("127.0.0.1:53")
	if got := s.now(); !slices.Equal(got, []netip.AddrPort{local}) {
		t.Errorf("without a file: %v", got)
	}
	for text, want := range map[string]string{
		"# nameserver 192.0.2.9\n; x\nsearch example\nnameserver 192.0.2.1 # one\nnameserver\nnameserver x\n nameserver 2001:db8::1\noptions ndots:5\n": "192.0.2.1:53 [2001:db8::1]:53",
		"nameserver fe80::1%lo": "[fe80::1%lo]:53",
		"":                      "127.0.0.1:53",
		strings.Repeat("nameserver 192.0.2.7\n", 20): strings.TrimSpace(strings.Repeat("192.0.2.7:53 ", maxServers)),
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		s.checked = time.Time{}
		for range 2 { // the second time nobody looks at the file
			var got []string
			for _, a := range s.now() {
				got = append(got, a.String())
			}
			if strings.Join(got, " ") != want {
				t.Errorf("of %q: %q, want %q", text, got, want)
			}
		}
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	before := s.now()
	s.checked = time.Time{}
	if got := s.now(); !slices.Equal(got, before) {
		t.Errorf("the file is gone, and with it %v: %v", before, got)
	}
}
