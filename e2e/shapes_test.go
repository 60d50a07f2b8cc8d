//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"dialgate/sipproxy/message"
)

// TestCallsOfEveryShape lets SIPp make calls through the node that are more than
// INVITE and BYE: nothing in them is lost, repeated or judged twice.
func TestCallsOfEveryShape(t *testing.T) {
	const count = 20
	n := newNode(t)
	injection := n.consents(count, func(int) string { return "windkracht" })
	n.start()
	n.run("facts", "import", filepath.Join(n.dir, "facts.csv"))
	methods := []string{"INVITE", "ACK", "PRACK", "UPDATE", "BYE"}
	for _, x := range []struct {
		shape, what string
		judged      float64 // a call
		sent        []float64
	}{
		{"prack", "early media that is acknowledged", 1, []float64{1, 1, 1, 0, 1}},
		{"reinvite", "a re-INVITE from either side", 1, []float64{3, 3, 0, 0, 1}},
		{"timer", "a session timer: 422, then refreshed by UPDATE and by re-INVITE", 2, []float64{3, 3, 0, 1, 1}},
		{"late", "late offers", 1, []float64{2, 2, 0, 0, 1}},
	} {
		t.Run(x.what, func(t *testing.T) {
			read := func() (all []float64) {
				for _, m := range methods {
					all = append(all, n.metrics("dialgate_sip_messages_total", `method="`+m+`"`, `direction="out"`))
				}
				return append(all, n.metrics("dialgate_calls_total"))
			}
			before := read()
			carrier := n.sipp("carrier-"+x.shape, "-p", fmt.Sprint(n.carrier), "-m", fmt.Sprint(count))
			time.Sleep(300 * time.Millisecond) // SIPp does not say when it listens
			dialer := n.sipp("dialer-"+x.shape, "-p", fmt.Sprint(freePort(t)), "-inf", injection, "-m", fmt.Sprint(count), "-r", "40", fmt.Sprintf("127.0.0.1:%d", n.sip))
			for what, row := range map[string]map[string]string{"dialer": dialer(), "carrier": carrier()} {
				if s, f := number(t, row, "SuccessfulCall(C)"), number(t, row, "FailedCall(C)"); s != count || f != 0 {
					t.Errorf("%s: %d of %d calls succeeded, %d failed", what, s, count, f)
				}
			}
			after := read()
			for i, want := range append(x.sent, x.judged) {
				if got := after[i] - before[i]; got != want*count {
					t.Errorf("%s: %v, want %v", append(methods, "judged")[i], got, want*count)
				}
			}
		})
	}
	if got := n.metrics("dialgate_panics_total"); got != 0 {
		t.Errorf("%v faults", got)
	}
}

// up waits until so many calls have been acknowledged.
func (n *node) up(count int) {
	n.t.Helper()
	eventually(n.t, "all calls are up", 20*time.Second, func() error {
		if got := n.metrics("dialgate_sip_messages_total", `method="ACK"`, `direction="out"`); got != float64(count) {
			return fmt.Errorf("%v of %d", got, count)
		}
		return nil
	})
}

// TestCallsOutliveTheNode: the node is killed while calls are up, and started
// again. Whoever hangs up, the other side is told.
func TestCallsOutliveTheNode(t *testing.T) {
	const count = 20
	for _, bye := range []string{"", "-bye"} {
		t.Run("dialer"+bye, func(t *testing.T) {
			n := newNode(t)
			injection := n.consents(count, func(int) string { return "windkracht" })
			n.start()
			n.run("facts", "import", filepath.Join(n.dir, "facts.csv"))
			carrier := n.sipp("carrier"+bye, "-p", fmt.Sprint(n.carrier), "-m", fmt.Sprint(count), "-d", "2500")
			dialer := n.sipp("dialer"+bye, "-p", fmt.Sprint(freePort(t)), "-inf", injection, "-m", fmt.Sprint(count), "-r", "100", "-d", "2500", fmt.Sprintf("127.0.0.1:%d", n.sip))
			n.up(count)
			n.kill()
			n.start()
			for what, row := range map[string]map[string]string{"dialer": dialer(), "carrier": carrier()} {
				if s, f := number(t, row, "SuccessfulCall(C)"), number(t, row, "FailedCall(C)"); s != count || f != 0 {
					t.Errorf("%s: %d of %d calls succeeded, %d failed", what, s, count, f)
				}
			}
			if got := n.metrics("dialgate_sip_messages_total", `method="BYE"`, `direction="out"`); got != count {
				t.Errorf("%v BYEs have left the node that was started again, want %d", got, count)
			}
			if got := n.metrics("dialgate_sip_messages_total", `method="INVITE"`, `direction="in"`); got != 0 {
				t.Errorf("%v INVITEs have reached it: it was started too early", got)
			}
		})
	}
}

// TestTheSecondNodeEndsCalls: two nodes have one token key and are known by one
// address. Calls begin at the first; when the second takes the address over,
// while the first still runs, they go on and end by it, whoever hangs up.
func TestTheSecondNodeEndsCalls(t *testing.T) {
	const count = 20 // every other is hung up by the called person
	dialer, carrier := listenTalker(t, "dialer", "127.0.0.1"), listenTalker(t, "carrier", "127.0.0.1")
	first, second := newNode(t), newNode(t)
	address := func(n *node) netip.AddrPort { return netip.MustParseAddrPort(fmt.Sprintf("127.0.0.1:%d", n.sip)) }
	dialer.gate, carrier.gate = address(first), address(first)
	for name, n := range map[string]*node{"first": first, "second": second} {
		n.configure("node: e2e", "node: "+name+"\nsip: {token_key: the-key-of-both-nodes-of-this-pair}",
			fmt.Sprintf(`address: "127.0.0.1:%d"}]}`, n.sip), fmt.Sprintf(`address: "127.0.0.1:%d", advertised: %q}]}`, n.sip, address(first)),
			fmt.Sprintf(`targets: ["127.0.0.1:%d"]`, n.carrier), fmt.Sprintf(`targets: [%q]`, carrier.seen))
		n.consents(1, func(int) string { return "windkracht" })
		n.start()
	}
	first.run("facts", "import", filepath.Join(first.dir, "facts.csv"))

	taken := make(chan struct{}) // over, by the second
	over := sync.OnceFunc(func() { close(taken) })
	defer over()
	carrier.answer = func(c *talk, invite *message.View) error {
		if err := c.final(200); err != nil || c.kind() == "dialer" {
			return errors.Join(err, wait("BYE", c.hungUp))
		}
		<-taken
		return c.say(invite, "BYE")
	}
	dialer.start()
	carrier.start()
	for i := range count {
		kind := []string{"dialer", "callee"}[i%2]
		dialer.mu.Lock()
		c := dialer.talkLocked(fmt.Sprintf("%s-%d", kind, i))
		dialer.mu.Unlock()
		dialer.wg.Go(func() {
			res, err := c.place("+31610000000", 10*time.Second, nil)
			if err == nil && res.Status != 200 {
				err = fmt.Errorf("answered by %d", res.Status)
			}
			<-taken
			switch {
			case err != nil:
			case kind == "dialer":
				err = errors.Join(c.say(res, "INFO"), c.say(res, "BYE"))
			default:
				err = wait("BYE", c.hungUp)
			}
			dialer.note(kind, err)
		})
	}
	first.up(count)
	for _, k := range []*talker{dialer, carrier} {
		to := address(second)
		k.moved.Store(&to)
	}
	over()
	dialer.wg.Wait()
	carrier.wg.Wait()
	for _, k := range []*talker{dialer, carrier} {
		for _, kind := range []string{"dialer", "callee"} {
			if k.ended[kind] != count/2 {
				t.Errorf("%s: %d of %d calls that the %s hangs up ended right: %v", k.name, k.ended[kind], count/2, kind, k.wrong)
			}
		}
	}
	for n, want := range map[*node]float64{first: 0, second: count} {
		if got := n.metrics("dialgate_sip_messages_total", `method="BYE"`, `direction="out"`); got != want {
			t.Errorf("%v BYEs have left one of the nodes, want %v", got, want)
		}
	}
	if got := second.metrics("dialgate_calls_total"); got != 0 {
		t.Errorf("the second node judged %v calls", got)
	}
}
