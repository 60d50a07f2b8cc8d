package transport

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// options is a SIP request of a given body size.
func options(id, body int) []byte {
	return fmt.Appendf(nil, "OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/TCP h;branch=z9hG4bK%d\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: %d\r\nCSeq: 1 OPTIONS\r\nContent-Length: %d\r\n\r\n%s",
		id, id, body, strings.Repeat("x", body))
}

// A post is a Stream with what has come to it.
type post struct {
	*Stream
	t       testing.TB
	came    chan Datagram
	failed  chan error
	refuse  bool
	strange bool   // nobody is known
	answer  []byte // is sent back for what is broken
	served  chan error
}

func serveStream(t testing.TB, addr string, o StreamOptions) *post {
	t.Helper()
	return servePost(t, addr, o, &post{})
}

func servePost(t testing.TB, addr string, o StreamOptions, p *post) *post {
	t.Helper()
	s, err := ListenStream(context.Background(), netip.MustParseAddrPort(addr), o)
	if err != nil {
		if strings.Contains(addr, "[") {
			t.Skipf("this machine has no IPv6: %v", err)
		}
		t.Fatal(err)
	}
	p.Stream, p.t = s, t
	p.came, p.failed, p.served = make(chan Datagram, 4096), make(chan error, 4096), make(chan error, 1)
	s.Handle(Handler{
		Receive: func(d *Datagram) bool {
			copied := *d
			copied.Payload = bytes.Clone(d.Payload)
			if d.Broken != nil && p.answer != nil {
				p.send(p.answer, d.Remote)
			}
			p.came <- copied
			return !p.refuse
		},
		Failed: func(_ Datagram, err error) { p.failed <- err },
		Ended:  func(netip.AddrPort, End, error) {},
		Known:  func(netip.Addr) bool { return !p.strange },
	})
	go func() { p.served <- s.Serve() }()
	t.Cleanup(func() {
		s.Close()
		if err := <-p.served; !errors.Is(err, net.ErrClosed) {
			t.Errorf("Serve returned %v, want net.ErrClosed", err)
		}
		if n := s.Open(); n != 0 {
			t.Errorf("%d connections are open after Close", n)
		}
	})
	return p
}

func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within 30 s: %s", what)
		}
	}
}

func (p *post) next() Datagram {
	p.t.Helper()
	select {
	case d := <-p.came:
		return d
	case err := <-p.failed:
		p.t.Fatalf("a message failed: %v", err)
	case <-time.After(30 * time.Second):
		p.t.Fatal("nothing came within 30 s")
	}
	return Datagram{}
}

func (p *post) send(payload []byte, to netip.AddrPort) {
	p.t.Helper()
	if _, err := p.WriteBatch([]Datagram{{Payload: payload, Remote: to}}); err != nil {
		p.t.Fatal(err)
	}
}

func (p *post) ended(e End, n uint64) {
	p.t.Helper()
	eventually(p.t, fmt.Sprintf("%d connections ended by %s", n, e), func() bool { return p.Counts.Ended(e) == n })
}

// dialRaw is a plain TCP client.
func dialRaw(t testing.TB, to netip.AddrPort) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", to.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	return c
}

// pairs are two streams of each transport, which dial each other.
func pairs(t *testing.T, f func(t *testing.T, a, b *post)) {
	ca := newAuthority(t)
	for _, k := range Kinds()[1:] {
		for _, addr := range []string{"127.0.0.1:0", "[::1]:0"} {
			t.Run(fmt.Sprintf("%s %s", k, addr), func(t *testing.T) {
				f(t, serveStream(t, addr, ca.options(k)), serveStream(t, addr, ca.options(k)))
			})
		}
	}
}

// Messages of every size pass in order, and what goes back takes the
// connection that the request came on.
func TestMessagesPassBothWaysOverOneConnection(t *testing.T) {
	pairs(t, func(t *testing.T, a, b *post) {
		for i, size := range []int{0, 1, 1300, 4096, 40000, 65000} {
			want := options(i, size)
			a.send(want, b.LocalAddr())
			d := b.next()
			if !bytes.Equal(d.Payload, want) {
				t.Fatalf("body of %d: %d octets came, want %d", size, len(d.Payload), len(want))
			}
			if !b.Stream.Accepted(d.Remote) || a.Stream.Accepted(b.LocalAddr()) {
				t.Error("who accepted and who dialled is mixed up")
			}
			b.send(want, d.Remote)
			if back := a.next(); !bytes.Equal(back.Payload, want) || back.Remote != b.LocalAddr() {
				t.Fatalf("%d octets came back from %s", len(back.Payload), back.Remote)
			}
		}
		if a.Counts.Dialled() != 1 || b.Counts.Accepted() != 1 || b.Counts.Dialled() != 0 {
			t.Errorf("dialled %d and %d, accepted %d; want 1, 0, 1", a.Counts.Dialled(), b.Counts.Dialled(), b.Counts.Accepted())
		}
	})
}

func TestManyWritersKeepTheirOrder(t *testing.T) {
	pairs(t, func(t *testing.T, a, b *post) {
		var wg sync.WaitGroup
		for w := range 4 {
			wg.Go(func() {
				for i := range 50 {
					ds := []Datagram{{Payload: options(1000*w+2*i, i), Remote: b.LocalAddr()}, {Payload: options(1000*w+2*i+1, i), Remote: b.LocalAddr()}}
					if _, err := a.WriteBatch(ds); err != nil {
						t.Error(err)
					}
				}
			})
		}
		last := map[int]int{}
		for range 400 {
			d := b.next()
			var id int
			_, after, _ := bytes.Cut(d.Payload, []byte("Call-ID: "))
			fmt.Sscan(string(after[:8]), &id)
			if before, seen := last[id/1000]; seen && id%1000 != before+1 {
				t.Fatalf("%d came after %d", id%1000, before)
			}
			last[id/1000] = id % 1000
		}
		wg.Wait()
	})
}

// A response whose connection is gone is sent on a new one to where the
// request says that its sender listens (RFC 3261 section 18.2.2).
func TestAResponseGoesElsewhereWhenItsConnectionIsGone(t *testing.T) {
	a, b := serveStream(t, "127.0.0.1:0", StreamOptions{Kind: TCP}), serveStream(t, "127.0.0.1:0", StreamOptions{Kind: TCP})
	a.send(options(1, 0), b.LocalAddr())
	from := b.next().Remote
	a.mu.Lock()
	c := a.conns[b.LocalAddr()]
	a.mu.Unlock()
	c.close(EndIdle, nil)
	eventually(t, "the connection is gone", func() bool { return !b.Stream.Accepted(from) })
	if _, err := b.WriteBatch([]Datagram{{Payload: options(2, 0), Remote: from, Else: a.LocalAddr()}}); err != nil {
		t.Fatal(err)
	}
	if d := a.next(); d.Remote.Addr() != b.LocalAddr().Addr() || b.Counts.Dialled() != 1 {
		t.Errorf("came from %s, %d dialled", d.Remote, b.Counts.Dialled())
	}
	// And where it names nothing that could be dialled, it has failed.
	if _, err := b.WriteBatch([]Datagram{{Payload: options(3, 0), Remote: from, Else: netip.AddrPortFrom(from.Addr(), 0)}}); err == nil {
		t.Error("a message to nowhere was taken")
	}
}

// What can't be delivered is told for each message.
func TestEveryMessageForADeadTargetFails(t *testing.T) {
	a := serveStream(t, "127.0.0.1:0", StreamOptions{Kind: TCP})
	gone := serveStream(t, "127.0.0.1:0", StreamOptions{Kind: TCP})
	to := gone.LocalAddr()
	gone.Close()
	for i := range 3 {
		a.send(options(i, 0), to)
	}
	for range 3 {
		select {
		case <-a.failed:
		case <-time.After(30 * time.Second):
			t.Fatal("no failure was told")
		}
	}
	if a.Counts.Ended(EndDial) == 0 || a.Open() != 0 {
		t.Errorf("%d failed dials, %d connections", a.Counts.Ended(EndDial), a.Open())
	}
}

func TestKeepAlivesAreAnswered(t *testing.T) {
	b := serveStream(t, "127.0.0.1:0", StreamOptions{Kind: TCP})
	c := dialRaw(t, b.LocalAddr())
	read := func(n int) string {
		buf := make([]byte, n)
		for at := 0; at < n; {
			k, err := c.Read(buf[at:])
			if err != nil {
				t.Fatal(err)
			}
			at += k
		}
		return string(buf)
	}
	for _, parts := range [][]string{{"\r\n\r\n"}, {"\r\n", "\r\n"}, {"\r", "\n\r", "\n"}} {
		for _, p := range parts {
			fmt.Fprint(c, p)
			time.Sleep(5 * time.Millisecond) // so that it is a segment of its own
		}
		if got := read(2); got != "\r\n" {
			t.Errorf("%q is answered by %q", parts, got)
		}
	}
	fmt.Fprintf(c, "\r\n%s\r\n%s", options(1, 3), options(2, 0))
	if d := b.next(); !bytes.Equal(d.Payload, options(1, 3)) {
		t.Errorf("%q came", d.Payload)
	}
	if d := b.next(); !bytes.Equal(d.Payload, options(2, 0)) {
		t.Errorf("%q came", d.Payload)
	}
}

// What can't be framed is handed on once, so that it can be answered, and the
// answer arrives before the connection ends.
func TestABrokenFrameIsAnsweredAndEndsTheConnection(t *testing.T) {
	b := servePost(t, "127.0.0.1:0", StreamOptions{Kind: TCP}, &post{answer: []byte("SIP/2.0 400 Bad Request\r\n\r\n")})
	c := dialRaw(t, b.LocalAddr())
	bad := bytes.Replace(options(1, 5), []byte("Content-Length"), []byte("Content-Size"), 1)
	fmt.Fprintf(c, "%s%s%s", options(0, 2), bad, bytes.Repeat(options(2, 100), 100))
	if d := b.next(); d.Broken != nil {
		t.Fatal(d.Broken)
	}
	d := b.next()
	if d.Broken == nil || !bytes.HasPrefix(bad, d.Payload) {
		t.Fatalf("%v: %q", d.Broken, d.Payload)
	}
	if got, err := io.ReadAll(c); err != nil || !bytes.Equal(got, b.answer) {
		t.Errorf("the answer is %q, %v", got, err)
	}
	c.Close()
	b.ended(EndFraming, 1)
	if len(b.came) != 0 {
		t.Error("something was read after it")
	}
}

func TestWhoIsNotWantedIsShownOut(t *testing.T) {
	b := servePost(t, "127.0.0.1:0", StreamOptions{Kind: TCP}, &post{refuse: true})
	c := dialRaw(t, b.LocalAddr())
	fmt.Fprintf(c, "%s%s", options(1, 0), options(2, 0))
	b.next()
	if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("%d octets, %v; want the end", n, err)
	}
	c.Close()
	b.ended(EndRefused, 1)
}

func TestConnectionsAreLimited(t *testing.T) {
	for _, test := range []struct {
		name string
		o    Limits
		end  End
		room int
	}{
		{"in all", Limits{Connections: 3}, EndLimit, 3},
		{"of one source", Limits{PerSource: 2}, EndSourceLimit, 2},
		{"of strangers", Limits{Connections: 8}, EndStranger, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := servePost(t, "127.0.0.1:0", StreamOptions{Kind: TCP, Limits: test.o}, &post{strange: test.end == EndStranger})
			first := dialRaw(t, b.LocalAddr())
			for range test.room + 4 {
				dialRaw(t, b.LocalAddr())
			}
			b.ended(test.end, 5)
			if b.Open() != test.room {
				t.Errorf("%d are open, want %d", b.Open(), test.room)
			}
			// One that leaves makes room for another.
			first.Close()
			b.ended(EndPeer, 1)
			c := dialRaw(t, b.LocalAddr())
			fmt.Fprintf(c, "%s", options(1, 0))
			b.next()
		})
	}
}

// Who feeds a message octet by octet is cut off; who only keeps alive is not.
func TestDeadlines(t *testing.T) {
	b := serveStream(t, "127.0.0.1:0", StreamOptions{Kind: TCP, Limits: Limits{Message: 150 * time.Millisecond, Idle: 300 * time.Millisecond}})
	slow, silent, honest := dialRaw(t, b.LocalAddr()), dialRaw(t, b.LocalAddr()), dialRaw(t, b.LocalAddr())
	go func() {
		for _, c := range options(1, 0) {
			if _, err := slow.Write([]byte{c}); err != nil {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
	}()
	for range 10 {
		time.Sleep(60 * time.Millisecond)
		if _, err := honest.Write(ping); err != nil {
			t.Fatal(err)
		}
	}
	if b.Counts.Ended(EndSlowMessage) != 1 || b.Counts.Ended(EndIdle) != 1 || b.Open() != 1 {
		t.Errorf("%d slow, %d idle, %d open; want one of each", b.Counts.Ended(EndSlowMessage), b.Counts.Ended(EndIdle), b.Open())
	}
	fmt.Fprintf(honest, "%s", options(2, 0))
	b.next()
	_ = silent
}

// A peer that does not read loses its connection, and nobody waits for it.
func TestASlowReaderBlocksNobody(t *testing.T) {
	b := serveStream(t, "127.0.0.1:0", StreamOptions{Kind: TCP, Limits: Limits{Queue: 64 << 10, Write: time.Minute}})
	c := dialRaw(t, b.LocalAddr())
	fmt.Fprintf(c, "%s", options(1, 0))
	to := b.next().Remote
	payload := options(2, 4000)
	var slowest time.Duration
	for i := 0; b.Counts.Ended(EndSlowReader) == 0; i++ {
		if i > 100_000 {
			t.Fatal("400 MB were taken for a peer that does not read")
		}
		began := time.Now()
		_, err := b.WriteBatch([]Datagram{{Payload: payload, Remote: to, Else: netip.AddrPortFrom(to.Addr(), 0)}})
		slowest = max(slowest, time.Since(began))
		if err != nil {
			break
		}
	}
	b.ended(EndSlowReader, 1)
	if slowest > 20*time.Second { // one that waits for the peer waits a minute
		t.Errorf("a write took %s", slowest)
	}
	select {
	case <-b.failed:
	case <-time.After(30 * time.Second):
		t.Error("nobody was told of the messages that were lost")
	}
}

func TestATakenStreamPortSaysSo(t *testing.T) {
	a := serveStream(t, "127.0.0.1:0", StreamOptions{Kind: TCP})
	_, err := ListenStream(context.Background(), a.LocalAddr(), StreamOptions{Kind: TCP})
	if err == nil || !strings.Contains(err.Error(), "another program holds that port") || !strings.Contains(err.Error(), "listen.tcp") {
		t.Errorf("got %v", err)
	}
}

// Connections leave nothing behind.
func TestNoGoroutineIsLeft(t *testing.T) {
	before := runtime.NumGoroutine()
	pairs(t, func(t *testing.T, a, b *post) {
		for i := range 20 {
			a.send(options(i, 10), b.LocalAddr())
			b.send(options(i, 10), b.next().Remote)
			a.next()
		}
	})
	eventually(t, "the goroutines have ended", func() bool { return runtime.NumGoroutine() <= before+1 })
}

func BenchmarkStream(b *testing.B) {
	ca := newAuthority(b)
	for _, k := range Kinds()[1:] {
		b.Run(k.String(), func(b *testing.B) {
			from, to := serveStream(b, "127.0.0.1:0", ca.options(k)), serveStream(b, "127.0.0.1:0", ca.options(k))
			payload := options(1, 500)
			b.ReportAllocs()
			for b.Loop() {
				from.send(payload, to.LocalAddr())
				to.next()
			}
		})
	}
}
