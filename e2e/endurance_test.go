//go:build e2e

package e2e

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"dialgate/internal/lossy"
)

// A level is what the node holds.
type level struct {
	resident, heap float64 // octets
	goroutines     float64
	transactions   float64
	descriptors    float64
}

func (n *node) level() level {
	n.t.Helper()
	return level{n.metrics("process_resident_memory_bytes"), n.metrics("go_memstats_heap_alloc_bytes"), n.metrics("go_goroutines"), n.metrics("dialgate_transactions"), n.metrics("process_open_fds")}
}

func (l level) String() string {
	return fmt.Sprintf("%.0f MB resident, %.0f MB of heap, %.0f goroutines, %.0f transactions, %.0f descriptors", l.resident/1e6, l.heap/1e6, l.goroutines, l.transactions, l.descriptors)
}

// bad behind a relay: of a hundred datagrams one is lost, one comes twice and
// five come up to 30 ms late, each way.
func bad(t *testing.T, k *talker, gate netip.AddrPort, seed uint64) *lossy.Relay {
	t.Helper()
	r, err := lossy.Listen(k.seen, gate, lossy.Faults{Loss: 0.01, Twice: 0.01, Delayed: 0.05, Late: 30 * time.Millisecond, Seed: seed})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	k.gate, k.seen = r.Near, r.Far
	return r
}

// unread is how many datagrams the kernel threw away at sockets of loopback
// that are open, because nobody read them in time.
func unread(t *testing.T) (total int) {
	t.Helper()
	table, err := os.ReadFile("/proc/net/udp")
	if err != nil {
		t.Logf("nobody knows what the kernel has dropped: %v", err)
		return 0
	}
	for line := range strings.Lines(string(table)) {
		columns := strings.Fields(line)
		if len(columns) < 13 || !strings.HasPrefix(columns[1], "0100007F:") {
			continue
		}
		n, _ := strconv.Atoi(columns[len(columns)-1]) // the kernel writes numbers
		total += n
	}
	return total
}

// TestEndurance makes mixed calls over a network that loses, repeats and
// delays: every call ends as it should on both sides, and within a minute of
// rest the node holds no more than before. The long form takes ten minutes at
// 500 calls a second.
func TestEndurance(t *testing.T) {
	rate, load := 200, 25*time.Second
	if long {
		rate, load = 500, 10*time.Minute
	}
	n := newNode(t)
	gate := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(n.sip))
	dialer, carrier := listenTalker(t, "dialer", "127.0.0.1"), listenTalker(t, "carrier", "127.0.0.1")
	carrier.answer = answers
	relays := []*lossy.Relay{bad(t, dialer, gate, 1), bad(t, carrier, gate, 2)}
	n.configure(fmt.Sprintf(`targets: ["127.0.0.1:%d"]`, n.carrier), fmt.Sprintf(`targets: ["%s"]`, carrier.seen))
	const numbers = 1000 // each is called again and again
	n.consents(numbers, func(i int) string {
		if kind, _ := kindOf(i); kind == "refused" {
			return ""
		}
		return "windkracht"
	})
	n.start()
	n.run("facts", "import", filepath.Join(n.dir, "facts.csv"))
	dialer.start()
	carrier.start()

	made := 0
	calls := func(during time.Duration) {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		began, first := time.Now(), made
		for now := began; now.Sub(began) < during; now = <-tick.C {
			for due := first + int(now.Sub(began).Seconds()*float64(rate)); made < due; made++ {
				i := made
				dialer.wg.Go(func() {
					kind, _ := kindOf(i)
					dialer.note(kind, dialer.dials(i, fmt.Sprintf("+316%08d", 10_000_000+i%numbers)))
				})
			}
		}
	}
	before, lost := n.level(), unread(t)
	calls(load)
	loaded := n.level()
	dialer.wg.Wait()
	carrier.wg.Wait()
	rest := time.Now()
	// What is known of each call stays, in the index and the projection. Asking
	// for figures makes the runtime collect what is garbage, which at rest it
	// would put off for two minutes.
	most := before.heap + 24e6 + 200*float64(made)
	at := func(l level) bool {
		return l.transactions == 0 && l.goroutines <= before.goroutines+2 && l.heap <= most
	}
	after := n.level()
	for ; time.Since(rest) < time.Minute && !at(after); after = n.level() {
		time.Sleep(50 * time.Millisecond)
	}
	if !at(after) {
		t.Errorf("after a minute of rest there are %s; calls in set-up: %v", after, n.metrics("dialgate_calls_in_setup"))
	}
	t.Logf("%d calls at %d a second\nbefore: %s\nunder load: %s\nafter %s of rest: %s", made, rate, before, loaded, time.Since(rest).Round(time.Second), after)
	for i, r := range relays {
		t.Logf("relay %d: %+v", i, r.Counts())
	}
	if d := unread(t) - lost; d > 0 {
		t.Logf("the kernel has dropped %d datagrams: this machine is too busy, or too slow, to tell the node's faults from its own", d)
	}
	want := map[string]int{}
	for i := range made {
		kind, _ := kindOf(i)
		want[kind]++
	}
	for _, k := range []*talker{dialer, carrier} {
		for i, w := range k.wrong {
			if i < 20 {
				t.Error(w)
			}
		}
		if len(k.wrong) > 0 {
			t.Errorf("%s: %d calls went wrong", k.name, len(k.wrong))
		}
		for kind, count := range want {
			if kind == "refused" && k == carrier {
				count = 0
			}
			if k.ended[kind] != count {
				t.Errorf("%s: %d calls of kind %s ended right, want %d", k.name, k.ended[kind], kind, count)
			}
		}
	}
	if got := n.metrics("dialgate_calls_total"); got != float64(made) {
		t.Errorf("%v calls were judged, want %d", got, made)
	}
	for _, name := range []string{"dialgate_panics_total", "dialgate_overloaded_total", "dialgate_calls_in_setup"} {
		if got := n.metrics(name); got != 0 {
			t.Errorf("%s is %v", name, got)
		}
	}
	if code := n.stop(); code != 0 {
		t.Errorf("exit status %d after SIGTERM", code)
	}
}
