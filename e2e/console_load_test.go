//go:build e2e

package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/netip"
	"net/url"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A caller makes calls that are refused, at a steady rate, and notes how long
// each waited for its answer.
type caller struct {
	t    *testing.T
	conn *net.UDPConn

	mu   sync.Mutex
	sent map[int]time.Time
	took []time.Duration
	next int
}

func newCaller(t *testing.T, gate netip.AddrPort) *caller {
	t.Helper()
	conn, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(gate))
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadBuffer(4 << 20)
	c := &caller{t: t, conn: conn, sent: map[int]time.Time{}}
	done := make(chan struct{})
	go func() { defer close(done); c.read() }()
	t.Cleanup(func() { conn.Close(); <-done })
	return c
}

// message is a request of call i. to is its To, as the answer has it.
func (c *caller) message(method string, i int, to string) []byte {
	own := c.conn.LocalAddr()
	return fmt.Appendf(nil, "%s sip:+316%08d@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bK-load-%d;rport\r\nMax-Forwards: 70\r\nFrom: <sip:+31205550100@127.0.0.1>;tag=load\r\nTo: %s\r\n"+
		"Call-ID: load-%d\r\nCSeq: 1 %s\r\nContact: <sip:load@%s>\r\nContent-Length: 0\r\n\r\n", method, 20_000_000+i, own, i, to, i, method, own)
}

func (c *caller) read() {
	buf := make([]byte, 65535)
	for {
		n, err := c.conn.Read(buf)
		if err != nil {
			return // it was closed
		}
		now := time.Now()
		if !bytes.HasPrefix(buf[:n], []byte("SIP/2.0 403")) {
			continue
		}
		i, err := strconv.Atoi(headerOf(buf[:n], "Call-ID: load-"))
		if err != nil {
			continue
		}
		_, _ = c.conn.Write(c.message("ACK", i, headerOf(buf[:n], "To: "))) // lost, then the answer comes again
		c.mu.Lock()
		if at, waits := c.sent[i]; waits {
			c.took = append(c.took, now.Sub(at))
			delete(c.sent, i)
		}
		c.mu.Unlock()
	}
}

func headerOf(b []byte, begins string) string {
	_, after, _ := bytes.Cut(b, []byte("\r\n"+begins))
	value, _, _ := bytes.Cut(after, []byte("\r\n"))
	return string(value)
}

// call calls for a while, and returns how long the answers took, in order, and
// how many did not come.
func (c *caller) call(rate int, during time.Duration) (took []time.Duration, missing int) {
	c.mu.Lock()
	c.took, c.sent = nil, map[int]time.Time{}
	c.mu.Unlock()
	began, first := time.Now(), c.next
	for now := began; now.Sub(began) < during; now = time.Now() {
		for due := first + int(now.Sub(began).Seconds()*float64(rate)); c.next < due; c.next++ {
			b := c.message("INVITE", c.next, fmt.Sprintf("<sip:+316%08d@127.0.0.1>", 20_000_000+c.next))
			c.mu.Lock()
			c.sent[c.next] = time.Now()
			c.mu.Unlock()
			if _, err := c.conn.Write(b); err != nil {
				c.t.Fatal(err)
			}
		}
		time.Sleep(time.Millisecond)
	}
	time.Sleep(300 * time.Millisecond)
	c.mu.Lock()
	defer c.mu.Unlock()
	slices.Sort(c.took)
	return c.took, len(c.sent)
}

func p99(sorted []time.Duration) time.Duration { return sorted[len(sorted)*99/100] }

// An office is people at the console: each has the first page open, which
// renews itself, and clicks on something every few seconds; some listen to
// decisions as they are made.
type office struct {
	t       *testing.T
	address string
	clients []*http.Client

	mu   sync.Mutex
	took map[string][]time.Duration
}

const officePassword = "correct horse battery"

func openOffice(t *testing.T, n *node, people int) *office {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	add := exec.Command(path, "person", "-c", n.config, "add", "an", "--role", "admin")
	add.Stdin = strings.NewReader(officePassword + "\n")
	if out, err := add.CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	o := &office{t: t, address: n.url(""), took: map[string][]time.Duration{}}
	for range people {
		jar, err := cookiejar.New(nil)
		if err != nil {
			t.Fatal(err)
		}
		client := &http.Client{Jar: jar, Timeout: 30 * time.Second}
		res, err := client.PostForm(o.address+"/login", url.Values{"name": {"an"}, "password": {officePassword}})
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.Request.URL.Path != "/" {
			t.Fatalf("the log-in leads to %s", res.Request.URL)
		}
		o.clients = append(o.clients, client)
	}
	return o
}

// get fetches a page and notes how long it took.
func (o *office) get(client *http.Client, what, path string, form url.Values) {
	began := time.Now()
	var res *http.Response
	var err error
	if form == nil {
		res, err = client.Get(o.address + path)
	} else {
		res, err = client.PostForm(o.address+path, form)
	}
	if err == nil {
		_, err = io.Copy(io.Discard, res.Body)
		res.Body.Close()
		if err == nil && res.StatusCode != 200 {
			err = fmt.Errorf("%s", res.Status)
		}
	}
	if err != nil {
		o.t.Errorf("%s: %v", what, err)
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.took[what] = append(o.took[what], time.Since(began))
}

// work has everybody work until the returned function is called.
func (o *office) work() (end func()) {
	stop := make(chan struct{})
	var wg sync.WaitGroup
	every := func(d time.Duration, first time.Duration, f func(turn int)) {
		wg.Go(func() {
			next := time.NewTimer(first)
			defer next.Stop()
			for turn := 0; ; turn++ {
				select {
				case <-stop:
					return
				case <-next.C:
				}
				f(turn)
				next.Reset(d)
			}
		})
	}
	for i, client := range o.clients {
		offset := time.Duration(i) * 2 * time.Second / time.Duration(len(o.clients))
		every(2*time.Second, offset, func(int) { o.get(client, "the first page renewed", "/now", nil) })
		every(3*time.Second, offset, func(turn int) {
			switch turn % 4 {
			case 0:
				o.get(client, "the page of calls", "/calls", nil)
			case 1:
				o.get(client, "calls of a reason", "/calls?verdict=deny&reason=no-consent", nil)
			case 2:
				o.get(client, "a number looked up", "/numbers", url.Values{"number": {fmt.Sprintf("+316%08d", 20_000_000+i)}})
			default:
				o.get(client, "the rules", "/rules", nil)
			}
		})
	}
	return func() { close(stop); wg.Wait() }
}

// TestConsoleBesideCalls: at a thousand calls a second the pages stay quick, and
// calls wait no longer for their answer while ten people are at the console.
// Quiet and busy times take turns, so that whatever else the machine does meets
// both; the long form has more of them.
func TestConsoleBesideCalls(t *testing.T) {
	rate, turns, during := 300, 3, 2*time.Second
	if long {
		rate, turns, during = 1000, 15, 4*time.Second
	}
	n := newNode(t)
	n.start()
	o := openOffice(t, n, 10)
	c := newCaller(t, netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(n.sip)))
	c.call(rate, during) // caches fill
	var quiet, busy []time.Duration
	var missing atomic.Int64
	for range turns {
		took, lost := c.call(rate, during)
		quiet = append(quiet, p99(took))
		end := o.work()
		time.Sleep(500 * time.Millisecond)
		tookBusy, lostBusy := c.call(rate, during)
		end()
		busy = append(busy, p99(tookBusy))
		missing.Add(int64(lost + lostBusy))
		t.Logf("p99 of an answer: %s quiet, %s beside the console", p99(took).Round(10*time.Microsecond), p99(tookBusy).Round(10*time.Microsecond))
	}
	slices.Sort(quiet)
	slices.Sort(busy)
	ratio := float64(busy[len(busy)/2]) / float64(quiet[len(quiet)/2])
	t.Logf("%d calls a second: the median p99 is %s quiet and %s beside ten people at the console, %.2f times", rate, quiet[len(quiet)/2].Round(10*time.Microsecond), busy[len(busy)/2].Round(10*time.Microsecond), ratio)
	if missing.Load() > 0 {
		t.Errorf("%d calls were not answered", missing.Load())
	}
	if long && ratio > 1.10 {
		t.Errorf("the console makes calls wait %.2f times as long", ratio)
	}
	for what, took := range o.took {
		slices.Sort(took)
		t.Logf("%-24s %4d times, median %s, slowest %s", what, len(took), took[len(took)/2].Round(100*time.Microsecond), took[len(took)-1].Round(100*time.Microsecond))
		if took[len(took)/2] > time.Second {
			t.Errorf("%s takes %s, half of the times longer", what, took[len(took)/2])
		}
	}
}
