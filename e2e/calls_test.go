//go:build e2e

package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestHalfAllowedHalfRefused sends calls through the proxy, half of them
// allowed: nothing is sent twice, nothing fails, and our counters are SIPp's.
func TestHalfAllowedHalfRefused(t *testing.T) {
	n := newNode(t)
	count := scale(2000)
	injection := n.numbers(count)
	n.start()
	out := n.run("facts", "import", filepath.Join(n.dir, "facts.csv"))
	if want := fmt.Sprintf("%d rows: %d imported, 0 known already, 0 rejected", count/2, count/2); !strings.Contains(out, want) {
		t.Fatalf("import said %q, want %q", out, want)
	}
	again := n.run("facts", "import", filepath.Join(n.dir, "facts.csv"))
	if !strings.Contains(again, fmt.Sprintf("0 imported, %d known already", count/2)) {
		t.Fatalf("the second import said %q", again)
	}
	carrier := n.sipp("carrier", "-p", fmt.Sprint(n.carrier), "-m", fmt.Sprint(count/2))
	dialer := n.sipp("dialer", "-p", fmt.Sprint(freePort(t)), "-inf", injection, "-m", fmt.Sprint(count), "-r", "200", fmt.Sprintf("127.0.0.1:%d", n.sip))
	d, c := dialer(), carrier()
	for what, row := range map[string]map[string]string{"dialer": d, "carrier": c} {
		if f := number(t, row, "FailedCall(C)"); f != 0 {
			t.Errorf("%s: %d failed calls: %v", what, f, row)
		}
		if r := number(t, row, "Retransmissions(C)"); r != 0 {
			t.Errorf("%s: %d retransmissions", what, r)
		}
	}
	if s := number(t, d, "SuccessfulCall(C)"); s != count {
		t.Errorf("dialer: %d of %d calls succeeded", s, count)
	}
	if s := number(t, c, "SuccessfulCall(C)"); s != count/2 {
		t.Errorf("carrier: %d of %d calls succeeded", s, count/2)
	}
	for _, m := range []struct {
		want   int
		name   string
		labels []string
	}{
		{count / 2, "dialgate_calls_total", []string{`verdict="allow"`}},
		{count / 2, "dialgate_calls_total", []string{`verdict="deny"`, `reason="no-consent"`}},
		{count, "dialgate_sip_messages_total", []string{`method="INVITE"`, `direction="in"`}},
		{count / 2, "dialgate_sip_messages_total", []string{`method="INVITE"`, `direction="out"`}},
		{count / 2, "dialgate_sip_messages_total", []string{`method="BYE"`, `direction="out"`}},
		{count / 2, "dialgate_responses_total", []string{`code="403"`}},
		{0, "dialgate_sip_retransmissions_received_total", nil},
		{0, "dialgate_panics_total", nil},
	} {
		if got := n.metrics(m.name, m.labels...); got != float64(m.want) {
			t.Errorf("%s%v is %v, want %d", m.name, m.labels, got, m.want)
		}
	}
	if got := len(n.decisions()); got != count {
		t.Errorf("%d decisions are recorded, want %d", got, count)
	}
	if code := n.stop(); code != 0 {
		t.Errorf("exit status %d after SIGTERM", code)
	}
}

// decisions reads the record.
func (n *node) decisions() map[string]string {
	n.t.Helper()
	byCallID := map[string]string{}
	sc := bufio.NewScanner(strings.NewReader(n.run("audit", "list", "--json")))
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		var d struct{ Call_ID, Verdict string }
		if err := json.Unmarshal(sc.Bytes(), &d); err != nil {
			n.t.Fatalf("%v: %s", err, sc.Text())
		}
		byCallID[d.Call_ID] = d.Verdict
	}
	return byCallID
}

// TestKilledInMidLoad kills the node with SIGKILL while calls are made: every
// decision that was answered is in the ledger after a restart.
func TestKilledInMidLoad(t *testing.T) {
	n := newNode(t)
	injection := n.numbers(20000)
	n.start()
	n.run("facts", "import", filepath.Join(n.dir, "facts.csv"))
	capture := n.capture()
	carrier := exec.Command(need(t, "sipp"), "-sf", "scenarios/carrier.xml", "-i", "127.0.0.1", "-p", fmt.Sprint(n.carrier), "-nostdin", "-timeout", "30s")
	dialer := exec.Command(need(t, "sipp"), "-sf", "scenarios/dialer.xml", "-i", "127.0.0.1", "-p", fmt.Sprint(freePort(t)), "-inf", injection,
		"-m", "20000", "-r", "500", "-nostdin", "-timeout", "30s", fmt.Sprintf("127.0.0.1:%d", n.sip))
	for _, c := range []*exec.Cmd{carrier, dialer} {
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		defer func() {
			_ = c.Process.Kill()
			_ = c.Wait() // it was killed
		}()
	}
	eventually(t, "1,000 calls are judged", 30*time.Second, func() error {
		if got := n.metrics("dialgate_calls_total"); got < 1000 {
			return fmt.Errorf("%v calls", got)
		}
		return nil
	})
	n.kill()
	answered := capture()
	if len(answered) < 400 {
		t.Fatalf("only %d answers were seen on the wire", len(answered))
	}
	n.start()
	recorded := n.decisions()
	missing := 0
	for id := range answered {
		if recorded[id] == "" {
			missing++
		}
	}
	if missing > 0 {
		t.Errorf("%d of %d answered calls are not in the ledger", missing, len(answered))
	}
	t.Logf("%d calls answered, %d decisions in the ledger", len(answered), len(recorded))
}

// capture watches what leaves the node: the Call-IDs of all INVITEs that it
// forwarded or refused.
func (n *node) capture() func() map[string]bool {
	n.t.Helper()
	file := filepath.Join(n.dir, "wire.pcap")
	cmd := exec.Command(need(n.t, "tshark"), "-i", "lo", "-w", file, "-q", "-f", fmt.Sprintf("udp port %d", n.sip), "-a", "duration:60")
	var out bytes.Buffer
	cmd.Stderr = &out
	if err := cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	eventually(n.t, "tshark captures", 20*time.Second, func() error {
		if !strings.Contains(out.String(), "Capturing on") {
			return fmt.Errorf("%s", out.String())
		}
		return nil
	})
	time.Sleep(500 * time.Millisecond) // it says so a moment before it does
	return func() map[string]bool {
		n.t.Helper()
		time.Sleep(time.Second) // its buffers
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait() // it was interrupted
		filter := fmt.Sprintf("udp.srcport == %d && (sip.Method == \"INVITE\" || (sip.CSeq.method == \"INVITE\" && sip.Status-Code >= 300))", n.sip)
		text, err := exec.Command("tshark", "-r", file, "-d", fmt.Sprintf("udp.port==%d,sip", n.sip), "-Y", filter, "-T", "fields", "-e", "sip.Call-ID").Output()
		if err != nil {
			n.t.Fatal(err)
		}
		ids := map[string]bool{}
		for _, line := range strings.Split(string(text), "\n") {
			if id := strings.TrimSpace(line); id != "" {
				ids[id] = true
			}
		}
		return ids
	}
}

// TestWhatWeSendIsWellFormed lets tshark judge every message of a call of each kind.
func TestWhatWeSendIsWellFormed(t *testing.T) {
	n := newNode(t)
	injection := n.numbers(20)
	n.start()
	n.run("facts", "import", filepath.Join(n.dir, "facts.csv"))
	capture := n.capture()
	carrier := n.sipp("carrier", "-p", fmt.Sprint(n.carrier), "-m", "10")
	n.sipp("dialer", "-p", fmt.Sprint(freePort(t)), "-inf", injection, "-m", "20", "-r", "50", fmt.Sprintf("127.0.0.1:%d", n.sip))()
	carrier()
	if ids := capture(); len(ids) != 20 {
		t.Errorf("%d calls on the wire, want 20", len(ids))
	}
	out, err := exec.Command("tshark", "-r", filepath.Join(n.dir, "wire.pcap"), "-d", fmt.Sprintf("udp.port==%d,sip", n.sip),
		"-Y", "_ws.malformed || _ws.expert.severity == error").Output()
	if err != nil {
		t.Fatal(err)
	}
	if len(bytes.TrimSpace(out)) > 0 {
		t.Errorf("tshark finds fault with:\n%s", out)
	}
}

// TestOptions lets sipsak ask whether we are there.
func TestOptions(t *testing.T) {
	n := newNode(t)
	n.start()
	out, err := exec.Command(need(t, "sipsak"), "-s", fmt.Sprintf("sip:x@127.0.0.1:%d", n.sip), "-vv").CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("SIP/2.0 200")) {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestDrainInMidLoad stops the node under load: calls in set-up end, new ones
// are refused, and it exits cleanly.
func TestDrainInMidLoad(t *testing.T) {
	n := newNode(t)
	injection := n.numbers(4000)
	n.start()
	n.run("facts", "import", filepath.Join(n.dir, "facts.csv"))
	for _, args := range [][]string{
		{"-sf", "scenarios/carrier.xml", "-i", "127.0.0.1", "-p", fmt.Sprint(n.carrier), "-nostdin", "-timeout", "20s"},
		{"-sf", "scenarios/dialer.xml", "-i", "127.0.0.1", "-p", fmt.Sprint(freePort(t)), "-inf", injection, "-m", "4000", "-r", "200", "-nostdin", "-timeout", "20s", fmt.Sprintf("127.0.0.1:%d", n.sip)},
	} {
		c := exec.Command(need(t, "sipp"), args...)
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		defer func() {
			_ = c.Process.Kill()
			_ = c.Wait() // it was killed
		}()
	}
	eventually(t, "200 calls are judged", 20*time.Second, func() error {
		if got := n.metrics("dialgate_calls_total"); got < 200 {
			return fmt.Errorf("%v calls", got)
		}
		return nil
	})
	began := time.Now()
	if code := n.stop(); code != 0 {
		t.Errorf("exit status %d", code)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("draining took %s", took)
	}
	if !strings.Contains(n.log.String(), "msg=stopped") {
		t.Errorf("the log does not say that it stopped in order:\n%s", tail(n.log))
	}
}
