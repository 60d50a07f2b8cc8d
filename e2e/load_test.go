//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"dialgate/sipproxy/message"
)

// A talker is one side of a load of calls over UDP that repeats what a lossy
// network may have lost, as RFC 3261 asks: a dialer, or with answer set a carrier.
type talker struct {
	t      *testing.T
	name   string
	conn   *net.UDPConn
	gate   netip.AddrPort // where it sends to
	seen   netip.AddrPort // where the gate finds it
	answer func(c *talk, invite *message.View) error

	mu    sync.Mutex
	calls map[string]*talk
	ended map[string]int // calls that ended right, by their kind
	wrong []string       // what went wrong with others
	wg    sync.WaitGroup
	made  atomic.Uint64                  // branches
	deaf  atomic.Bool                    // hears nothing
	moved atomic.Pointer[netip.AddrPort] // who has the gate's address now; nil: it still

	closed chan struct{}
}

// listenTalker opens a socket; gate is where it sends to, a relay or the gate.
func listenTalker(t *testing.T, name, ip string) *talker {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.ParseIP(ip)})
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadBuffer(4 << 20) // what the kernel does not give only loses more
	k := &talker{t: t, name: name, conn: conn, calls: map[string]*talk{}, ended: map[string]int{}, closed: make(chan struct{})}
	k.seen = conn.LocalAddr().(*net.UDPAddr).AddrPort()
	return k
}

// start reads until the test ends.
func (k *talker) start() {
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 65535)
		for {
			n, _, err := k.conn.ReadFromUDPAddrPort(buf)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil && !k.deaf.Load() {
				k.take(slices.Clone(buf[:n]))
			}
		}
	}()
	k.t.Cleanup(func() {
		close(k.closed)
		k.conn.Close()
		<-done
		k.wg.Wait()
	})
}

func (k *talker) send(b []byte) {
	to := k.gate
	if moved := k.moved.Load(); moved != nil {
		to = *moved
	}
	_, _ = k.conn.WriteToUDPAddrPort(b, to) // lost, then it is sent again
}

// take hands a message to its call. A carrier begins one for an INVITE.
func (k *talker) take(raw []byte) {
	v := &message.View{}
	if err := v.Parse(raw); err != nil {
		k.note("", fmt.Errorf("received what can't be read: %w\n%s", err, raw))
		return
	}
	id := string(v.Value(message.CallID))
	k.mu.Lock()
	c := k.calls[id]
	began := c == nil && k.answer != nil && v.IsRequest() && v.IsMethod("INVITE") && len(v.ToTag) == 0
	if began {
		c = k.talkLocked(id)
	}
	k.mu.Unlock()
	switch {
	case c == nil && v.IsRequest() && v.IsMethod("OPTIONS"):
		k.send(k.response(v, 200))
	case c == nil: // of a call that is long over
	case began:
		c.invite = v
		k.wg.Go(func() { k.note(c.kind(), k.answer(c, v)); c.linger() })
	default:
		c.take(v)
	}
}

func (k *talker) note(kind string, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err == nil {
		k.ended[kind]++
		return
	}
	k.wrong = append(k.wrong, fmt.Sprintf("%s, %s: %v", k.name, kind, err))
}

func (k *talker) talkLocked(id string) *talk {
	c := &talk{k: k, id: id, waiting: map[string]chan *message.View{}, acked: make(chan struct{}), cancelled: make(chan struct{}), hungUp: make(chan struct{})}
	k.calls[id] = c
	return c
}

// A talk is one call as one side knows it.
type talk struct {
	k  *talker
	id string // its kind, a dash and a number

	acked, cancelled, hungUp chan struct{} // closed when the other side has done so

	mu      sync.Mutex
	waiting map[string]chan *message.View // transactions of ours by branch and method
	ack     []byte                        // for the final response to our INVITE
	last    []byte                        // our last response to the INVITE
	invite  *message.View                 // the one received
	cseq    int
}

func (c *talk) kind() string {
	kind, _, _ := strings.Cut(c.id, "-")
	return kind
}

// linger keeps the call for what comes late.
func (c *talk) linger() {
	time.AfterFunc(35*time.Second, func() {
		c.k.mu.Lock()
		defer c.k.mu.Unlock()
		delete(c.k.calls, c.id)
	})
}

func closeOnce(c chan struct{}) {
	select {
	case <-c:
	default:
		close(c)
	}
}

// take answers what comes again and what needs no thought.
func (c *talk) take(v *message.View) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case !v.IsRequest():
		if string(v.CSeqMethod) == "INVITE" && v.Status >= 200 && c.ack != nil {
			c.k.send(c.ack)
			return
		}
		select {
		case c.waiting[string(v.Top.Branch)+string(v.CSeqMethod)] <- v: // nobody waits at nil
		default:
		}
	case v.IsMethod("ACK"):
		closeOnce(c.acked)
	case v.IsMethod("INVITE"):
		if c.last != nil {
			c.k.send(c.last)
		}
	default:
		if v.IsMethod("CANCEL") {
			closeOnce(c.cancelled)
		}
		if v.IsMethod("BYE") {
			closeOnce(c.hungUp)
		}
		c.k.send(c.k.response(v, 200))
	}
}

// response is one to a request.
func (k *talker) response(v *message.View, status int) []byte {
	extra := fmt.Sprintf("Contact: <sip:%s@%s>\r\n", k.name, k.seen)
	for i := range v.Headers {
		if v.Headers[i].Kind == message.RecordRoute {
			extra += "Record-Route: " + string(v.Headers[i].Value) + "\r\n"
		}
	}
	return v.AppendResponse(nil, &message.Response{Status: status, Phrase: "Whatever", ToTag: []byte(k.name), Source: k.gate, Extra: []byte(extra)})
}

var errSilence = errors.New("no answer")

// ask sends a request until it is answered, and returns the final response.
// provisional is called with the first other one; nil: nobody asks.
func (c *talk) ask(method, branch string, request []byte, within time.Duration, provisional func()) (*message.View, error) {
	came := make(chan *message.View, 16)
	c.mu.Lock()
	c.waiting[branch+method] = came
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		delete(c.waiting, branch+method)
		c.mu.Unlock()
	}()
	every, heard := 500*time.Millisecond, false
	again, end := time.NewTimer(every), time.NewTimer(within)
	defer again.Stop()
	defer end.Stop()
	c.k.send(request)
	for {
		select {
		case v := <-came:
			if v.Status >= 200 {
				return v, nil
			}
			if !heard && provisional != nil {
				provisional()
			}
			heard = true
		case <-again.C:
			if method == "INVITE" && heard {
				continue
			}
			c.k.send(request)
			if every *= 2; method != "INVITE" {
				every = min(every, 4*time.Second)
			}
			again.Reset(every)
		case <-end.C:
			return nil, fmt.Errorf("%s: %w", method, errSilence)
		}
	}
}

func (c *talk) branch() string { return fmt.Sprintf("z9hG4bK-%s%d", c.k.name, c.k.made.Add(1)) }

// place sends the call's INVITE and acknowledges its final response.
func (c *talk) place(number string, within time.Duration, provisional func(cancel func() error)) (*message.View, error) {
	branch := c.branch()
	request := fmt.Appendf(nil, "INVITE sip:%s@%s SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=%s;rport\r\nMax-Forwards: 70\r\nFrom: <sip:+31205550100@%s>;tag=%s\r\nTo: <sip:%s@%s>\r\n"+
		"Call-ID: %s\r\nCSeq: 1 INVITE\r\nContact: <sip:%s@%s>\r\nContent-Length: 0\r\n\r\n", number, c.k.gate, c.k.seen, branch, c.k.seen, c.k.name, number, c.k.gate, c.id, c.k.name, c.k.seen)
	var sent message.View
	if err := sent.Parse(request); err != nil {
		return nil, err
	}
	cancel := func() error {
		_, err := c.ask("CANCEL", branch, sent.AppendCANCEL(nil, nil), 32*time.Second, nil)
		return err
	}
	v, err := c.ask("INVITE", branch, request, within, func() {
		if provisional != nil {
			provisional(cancel)
		}
	})
	if err != nil {
		return nil, err
	}
	c.cseq = 1
	ack := sent.AppendACK(nil, v.Value(message.To))
	if v.Status < 300 {
		_, ack = c.inside(v, "ACK")
	}
	c.mu.Lock()
	c.ack = ack
	c.mu.Unlock()
	c.k.send(ack)
	return v, nil
}

// inside makes a request in the dialog of v: for who began the call the 2xx,
// for the other the INVITE.
func (c *talk) inside(v *message.View, method string) (branch string, request []byte) {
	var routes []string
	for i := range v.Headers {
		if v.Headers[i].Kind == message.RecordRoute {
			routes = append(routes, "Route: "+string(v.Headers[i].Value)+"\r\n")
		}
	}
	from, to := string(v.Value(message.From)), string(v.Value(message.To))
	if v.IsRequest() {
		from, to = to+";tag="+c.k.name, from
	} else {
		slices.Reverse(routes)
	}
	if method != "ACK" {
		c.cseq++
	}
	branch = c.branch()
	contact, _ := message.ParseAddress(v.Value(message.Contact))
	return branch, fmt.Appendf(nil, "%s %s SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=%s;rport\r\nMax-Forwards: 70\r\n%sFrom: %s\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: %d %s\r\nContact: <sip:%s@%s>\r\nContent-Length: 0\r\n\r\n",
		method, contact.URI, c.k.seen, branch, strings.Join(routes, ""), from, to, c.id, c.cseq, method, c.k.name, c.k.seen)
}

// say sends a request in the dialog of v, which must be answered by 200.
func (c *talk) say(v *message.View, method string) error {
	branch, request := c.inside(v, method)
	res, err := c.ask(method, branch, request, 32*time.Second, nil)
	if err == nil && res.Status != 200 {
		err = fmt.Errorf("%s is answered by %d", method, res.Status)
	}
	return err
}

// respond answers the INVITE that the carrier received.
func (c *talk) respond(status int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = c.k.response(c.invite, status)
	c.k.send(c.last)
}

// final answers it finally, again and again until the ACK comes.
func (c *talk) final(status int) error {
	c.respond(status)
	for every, began := 500*time.Millisecond, time.Now(); ; every = min(2*every, 4*time.Second) {
		select {
		case <-c.acked:
			return nil
		case <-c.k.closed:
			return errors.New("the test has ended")
		case <-time.After(every):
			if time.Since(began) > 32*time.Second {
				return fmt.Errorf("no ACK for the %d", status)
			}
			c.k.send(c.last)
		}
	}
}

// wait waits for the other side.
func wait(what string, for_ chan struct{}) error {
	select {
	case <-for_:
		return nil
	case <-time.After(40 * time.Second):
		return fmt.Errorf("no %s came", what)
	}
}
