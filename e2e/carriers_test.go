//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// deadFirst gives the node two carriers, and a TCP listener: at the first
// carrier's port is no socket.
func (n *node) deadFirst(settings string) {
	n.t.Helper()
	text, err := os.ReadFile(n.config)
	if err != nil {
		n.t.Fatal(err)
	}
	before := fmt.Sprintf("carriers: [{id: carrier, targets: [\"127.0.0.1:%d\"]}]", n.carrier)
	after := fmt.Sprintf("carriers: [{id: dead, priority: 1, targets: [\"127.0.0.1:%d\"], %s}, {id: carrier, priority: 2, targets: [\"127.0.0.1:%d\"]}]",
		freePort(n.t), settings, n.carrier)
	udp := fmt.Sprintf("listen: {udp: [{address: \"127.0.0.1:%d\"}]", n.sip)
	both := fmt.Sprintf("%s, tcp: [{address: \"127.0.0.1:%d\"}]", udp, n.sip)
	changed := strings.NewReplacer(before, after, udp, both).Replace(string(text))
	if !strings.Contains(changed, after) || !strings.Contains(changed, both) {
		n.t.Fatalf("the configuration has no %s or no %s", before, udp)
	}
	if err := os.WriteFile(n.config, []byte(changed), 0o600); err != nil {
		n.t.Fatal(err)
	}
}

// allAnswered makes calls that are all allowed, wants every one answered by the
// second carrier, and returns how long they took on average.
func (n *node) allAnswered(count, rate int) time.Duration {
	n.t.Helper()
	injection := n.consents(count, func(int) string { return "windkracht" })
	n.run("facts", "import", filepath.Join(n.dir, "facts.csv"))
	carrier := n.sipp("carrier", "-p", fmt.Sprint(n.carrier), "-m", fmt.Sprint(count))
	dialer := n.sipp("dialer", "-p", fmt.Sprint(freePort(n.t)), "-inf", injection, "-m", fmt.Sprint(count), "-r", fmt.Sprint(rate), fmt.Sprintf("127.0.0.1:%d", n.sip))
	d, c := dialer(), carrier()
	for what, row := range map[string]map[string]string{"dialer": d, "carrier": c} {
		if s, f := number(n.t, row, "SuccessfulCall(C)"), number(n.t, row, "FailedCall(C)"); s != count || f != 0 {
			n.t.Errorf("%s: %d of %d calls succeeded, %d failed", what, s, count, f)
		}
	}
	if answered := number(n.t, d, "GenericCounter2(C)"); answered != count {
		n.t.Errorf("%d of %d calls were answered with 200", answered, count)
	}
	var h, m, s, us int
	if _, err := fmt.Sscanf(d["CallLength(C)"], "%d:%d:%d:%d", &h, &m, &s, &us); err != nil {
		n.t.Fatalf("SIPp's length of calls is %q: %v", d["CallLength(C)"], err)
	}
	return time.Duration((h*60+m)*60+s)*time.Second + time.Duration(us)*time.Microsecond
}

// TestDeadFirstCarrier has nobody at the first carrier's port: every call goes
// on to the second after the time that the first has for an answer.
func TestDeadFirstCarrier(t *testing.T) {
	n := newNode(t)
	n.deadFirst("answer_within: 1s")
	n.start()
	count := scale(200)
	took := n.allAnswered(count, 50)
	if took < time.Second || took > 1900*time.Millisecond {
		t.Errorf("a call took %s on average, want a little more than a second", took)
	}
	if got := n.metrics("dialgate_failovers_total", `carrier="dead"`, `cause="silence"`); got != float64(count) {
		t.Errorf("%v calls went on, want %d", got, count)
	}
	t.Logf("%d calls, each %s on average with answer_within 1s", count, took)
}

// TestDeadFirstCarrierOverTCP has nobody at the first carrier's port, which TCP
// says at once: no call waits.
func TestDeadFirstCarrierOverTCP(t *testing.T) {
	n := newNode(t)
	n.deadFirst("transport: tcp")
	n.start()
	count := scale(200)
	took := n.allAnswered(count, 50)
	if took > time.Second { // one that waits does so for two
		t.Errorf("a call took %s on average", took)
	}
	if got := n.metrics("dialgate_failovers_total", `carrier="dead"`, `cause="transport"`); got != float64(count) {
		t.Errorf("%v calls went on, want %d", got, count)
	}
	t.Logf("%d calls, each %s on average", count, took)
}

// TestDeadFirstCarrierProbed has the first carrier probed: once it is known to
// be down no call waits for it.
func TestDeadFirstCarrierProbed(t *testing.T) {
	n := newNode(t)
	n.deadFirst("probing: {every: 500ms, timeout: 200ms, down: 2}")
	n.start()
	eventually(t, "the dead carrier is down", 10*time.Second, func() error {
		if up := n.metrics("dialgate_carrier_up", `carrier="dead"`); up != 0 {
			return fmt.Errorf("it is up: %v", up)
		}
		return nil
	})
	if up := n.metrics("dialgate_carrier_up", `carrier="carrier"`); up != 1 {
		t.Errorf("the other is up: %v", up)
	}
	took := n.allAnswered(scale(200), 50)
	if took > time.Second {
		t.Errorf("a call took %s on average: it waited for the dead carrier", took)
	}
	if got := n.metrics("dialgate_failovers_total"); got != 0 {
		t.Errorf("%v calls tried the dead carrier", got)
	}
	t.Logf("a call took %s on average", took)
}
