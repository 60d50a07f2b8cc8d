//go:build e2e

package e2e

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"dialgate/sipproxy/message"
)

// TestCarriersThatFail has a first carrier that hears nothing, comes and goes,
// or is slow, and a second one that is well: every call is answered, in the
// time that the configuration allows the first.
func TestCarriersThatFail(t *testing.T) {
	const probed = ", probing: {every: 300ms, timeout: 150ms, down: 2, up: 2}"
	for _, x := range []struct {
		name     string
		settings string
		deaf     bool
		flaps    time.Duration // how long it is well, and then deaf
		answers  time.Duration // after how long the first answers
		least    time.Duration // of a call
		most     time.Duration // of every other call: the machine may be busy
		first    bool          // answers all of them, if not the second does; with flaps both
	}{
		{name: "blackholed", deaf: true, least: time.Second, most: 1900 * time.Millisecond},
		{name: "blackholed and probed", settings: probed, deaf: true, most: 900 * time.Millisecond},
		{name: "flapping and probed", settings: probed, flaps: 2 * time.Second, most: 1500 * time.Millisecond},
		{name: "slow", answers: 400 * time.Millisecond, least: 400 * time.Millisecond, most: 1500 * time.Millisecond, first: true},
		{name: "too slow", answers: 2 * time.Second, least: time.Second, most: 1900 * time.Millisecond},
	} {
		t.Run(x.name, func(t *testing.T) {
			n := newNode(t)
			gate := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(n.sip))
			dialer, first, second := listenTalker(t, "dialer", "127.0.0.1"), listenTalker(t, "first", "127.0.0.1"), listenTalker(t, "second", "127.0.0.1")
			first.answer = func(c *talk, _ *message.View) error { time.Sleep(x.answers); return c.final(486) }
			second.answer = func(c *talk, _ *message.View) error { return c.final(486) }
			dialer.gate, first.gate, second.gate = gate, gate, gate
			first.deaf.Store(x.deaf)
			n.configure(fmt.Sprintf(`carriers: [{id: carrier, targets: ["127.0.0.1:%d"]}]`, n.carrier),
				fmt.Sprintf(`carriers: [{id: first, priority: 1, targets: ["%s"], answer_within: 1s%s}, {id: second, priority: 2, targets: ["%s"]}]`, first.seen, x.settings, second.seen))
			count := scale(200)
			n.consents(1, func(int) string { return "windkracht" })
			n.start()
			n.run("facts", "import", filepath.Join(n.dir, "facts.csv"))
			for _, k := range []*talker{dialer, first, second} {
				k.start()
			}
			if x.deaf && x.settings != "" {
				eventually(t, "the first carrier is down", 10*time.Second, func() error {
					if up := n.metrics("dialgate_carrier_up", `carrier="first"`); up != 0 {
						return fmt.Errorf("it is up: %v", up)
					}
					return nil
				})
			}
			stop := make(chan struct{})
			if x.flaps > 0 {
				go func() {
					for tick := time.NewTicker(x.flaps); ; {
						select {
						case <-stop:
							tick.Stop()
							return
						case <-tick.C:
							first.deaf.Store(!first.deaf.Load())
						}
					}
				}()
			}
			var mu sync.Mutex
			var took []time.Duration
			var wg sync.WaitGroup
			for i := range count {
				wg.Go(func() {
					dialer.mu.Lock()
					c := dialer.talkLocked(fmt.Sprintf("busy-%d", i))
					dialer.mu.Unlock()
					defer c.linger()
					asked := time.Now()
					res, err := c.place("+31610000000", 30*time.Second, nil)
					if err == nil && res.Status != 486 {
						err = fmt.Errorf("answered by %d", res.Status)
					}
					dialer.note("busy", err)
					mu.Lock()
					defer mu.Unlock()
					took = append(took, time.Since(asked))
				})
				time.Sleep(20 * time.Millisecond)
			}
			wg.Wait()
			close(stop)
			if x.flaps == 0 {
				first.wg.Wait() // its late answers are acknowledged too
			}
			least, middle, nine, most := quantile(took, 0), quantile(took, 0.5), quantile(took, 0.9), quantile(took, 1)
			t.Logf("%d calls: least %s, median %s, p90 %s, most %s; %v failovers", count, least, middle, nine, most, n.metrics("dialgate_failovers_total"))
			if least < x.least || middle > x.most {
				t.Errorf("want at least %s, and every other call within %s", x.least, x.most)
			}
			if len(dialer.wrong) > 0 || dialer.ended["busy"] != count {
				t.Errorf("%d of %d calls ended right: %v", dialer.ended["busy"], count, dialer.wrong[:min(5, len(dialer.wrong))])
			}
			if x.flaps == 0 && len(first.wrong) > 0 {
				t.Errorf("the first carrier: %v", first.wrong[:min(5, len(first.wrong))])
			}
			if failovers := n.metrics("dialgate_failovers_total"); x.flaps == 0 && (failovers == float64(count)) == (x.first || x.settings != "") {
				t.Errorf("%v failovers of %d calls", failovers, count)
			} else if x.flaps > 0 && failovers > float64(count)/2 {
				t.Errorf("%v of %d calls tried the first while it was deaf", failovers, count)
			}
		})
	}
}
