//go:build e2e

package e2e

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gobwas/ws"

	"dialgate/sipproxy/transport"
)

// An attack is what another process does to the node: this test binary again,
// with the attack in its environment and less of a claim to the processor than
// who is attacked, as if it ran elsewhere. It ends with its standard input.
type attack struct {
	Kind    string // flood, or hold connections
	Ports   map[string]int
	From    string
	Garbage bool
	Rate    int // of the flood, datagrams a second
	Count   int // of the connections, on each transport
	Rises   time.Duration
}

const attackIn = "DIALGATE_ATTACK"

// carryOut is that process.
func carryOut(text string) {
	var a attack
	if err := json.Unmarshal([]byte(text), &a); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // until it is closed
		stop()
	}()
	if a.Kind == "flood" {
		fmt.Println(a.flood(ctx))
		return
	}
	var opened atomic.Int64
	var wg sync.WaitGroup
	for kind := range a.Ports {
		wg.Go(func() { a.hold(ctx, kind, &opened) })
	}
	wg.Wait()
	fmt.Println(opened.Load())
}

// attacked begins an attack; the returned function ends it and tells how many
// datagrams or connections it was.
func (f *fort) attacked(a attack) (end func() int) {
	f.t.Helper()
	text, err := json.Marshal(a)
	if err != nil {
		f.t.Fatal(err)
	}
	cmd := exec.Command(need(f.t, "nice"), "-n", "10", os.Args[0])
	cmd.Env, cmd.Stderr = append(os.Environ(), attackIn+"="+string(text)), os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		f.t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		f.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		f.t.Fatal(err)
	}
	return func() int {
		in.Close()
		n := 0
		if _, err := fmt.Fscan(out, &n); err != nil {
			f.t.Errorf("the attacker says nothing: %v", err)
		}
		if err := cmd.Wait(); err != nil {
			f.t.Errorf("the attacker: %v", err)
		}
		return n
	}
}

// connect opens a connection from an address of loopback.
func connect(kind string, port int, from string) (net.Conn, error) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: 5 * time.Second}
	at := fmt.Sprintf("127.0.0.1:%d", port)
	switch kind {
	case "ws":
		wd := ws.Dialer{Protocols: []string{"sip"}, NetDial: d.DialContext, Timeout: 5 * time.Second}
		c, _, _, err := wd.Dial(context.Background(), "ws://"+at)
		return c, err
	case "tls":
		return tls.DialWithDialer(&d, "tcp", at, &tls.Config{InsecureSkipVerify: true}) // an attacker looks at no certificate
	}
	return d.Dial("tcp", at)
}

// hold opens connections from strangers' addresses and holds them: every third
// says nothing, every third begins a message and sends an octet a second, and
// every third does that in what comes before: TLS or the upgrade. One that is
// closed is opened again.
func (a *attack) hold(ctx context.Context, kind string, opened *atomic.Int64) {
	var wg sync.WaitGroup
	for i := range a.Count {
		wg.Go(func() {
			from := fmt.Sprintf("127.0.0.%d", 11+i%8)
			for ctx.Err() == nil {
				a.holdOne(ctx, kind, from, i%3, opened)
				select {
				case <-ctx.Done():
				case <-time.After(time.Second):
				}
			}
		})
		time.Sleep(4 * time.Millisecond) // not a storm of handshakes: they are held, not done
	}
	wg.Wait()
}

func (a *attack) holdOne(ctx context.Context, kind, from string, how int, opened *atomic.Int64) {
	to := kind
	if how == 2 {
		to = "tcp"
	}
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: 5 * time.Second}
	var c net.Conn
	var err error
	if to == kind {
		c, err = connect(kind, a.Ports[kind], from)
	} else {
		c, err = d.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", a.Ports[kind]))
	}
	if err != nil {
		return
	}
	opened.Add(1)
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	text := []byte("INVITE sip:+31612345678@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.9\r\n")
	if how == 2 && kind == "tls" {
		text = []byte{0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3} // the beginning of a ClientHello
	}
	for i := 0; how != 0; i++ {
		if _, err := c.Write(text[i%len(text) : i%len(text)+1]); err != nil {
			return
		}
		_ = c.SetReadDeadline(time.Now().Add(time.Second)) // if it fails, so does Read
		if _, err := c.Read(make([]byte, 64)); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			var timeout net.Error
			if !errors.As(err, &timeout) || !timeout.Timeout() {
				return
			}
		}
	}
	_, _ = io.Copy(io.Discard, c) // until somebody closes it
}

// flood sends datagrams from an address, as many a second, and returns how many.
func (a *attack) flood(ctx context.Context) int {
	conn, err := transport.ListenUDP(context.Background(), netip.AddrPortFrom(netip.MustParseAddr(a.From), 0), transport.Options{})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 0
	}
	defer conn.Close()
	r := rand.New(rand.NewPCG(4, 4))
	payload := func(i int) []byte { return flooding(a.From, i) }
	if a.Garbage {
		var pool [256][]byte
		for i := range pool {
			pool[i] = make([]byte, 20+r.IntN(1200))
			for k := range pool[i] {
				pool[i][k] = byte(r.Uint32())
			}
		}
		payload = func(i int) []byte { return pool[i%len(pool)] }
	}
	to := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(a.Ports["udp"]))
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	sent := 0
	var batch []transport.Datagram
	for began := time.Now(); ctx.Err() == nil; <-tick.C {
		batch = batch[:0]
		for due := int(time.Since(began).Seconds() * float64(a.Rate)); sent < due; sent++ {
			batch = append(batch, transport.Datagram{Payload: payload(sent), Remote: to})
		}
		_, _ = conn.WriteBatch(batch) // what the kernel does not take is not sent again
	}
	return sent
}

// flooding is a well-formed INVITE, each of another call.
func flooding(from string, i int) []byte {
	return fmt.Appendf(nil, "INVITE sip:+31610000000@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP %s:5060;branch=z9hG4bK-f%d\r\nMax-Forwards: 70\r\nFrom: <sip:+31205550100@%s>;tag=%d\r\nTo: <sip:+31610000000@127.0.0.1>\r\n"+
		"Call-ID: busy-flood%d\r\nCSeq: 1 INVITE\r\nContact: <sip:x@%s>\r\nContent-Length: 0\r\n\r\n", from, i, from, i, i, from)
}
