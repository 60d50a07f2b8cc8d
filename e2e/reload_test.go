//go:build e2e

package e2e

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Two configurations that have nothing in common but the caller number: they
// call for different advertisers, with different rules, refuse in different
// dialects and go to different carriers. A call that two of them had a hand in
// would show an answer, a campaign or a finding of the one with an id of the other.
const variantText = `
node: e2e
cases: [%q]
listen: {udp: [{address: "127.0.0.1:%d"}]}
peers: [{id: dialer, sources: [127.0.0.1], campaigns: ["*"], dialect: %s}]
carriers: [{id: carrier, targets: ["127.0.0.1:%d"]}]
advertisers: [{id: %s}]
campaigns:
  - {id: %[5]s, advertiser: %[5]s, purpose: commercial, products: [energy], callers: ["+31205550100"], objection_offered: true}
rules: {nl.hours: %[6]s, nl.holidays: %[6]s}
store: {path: %q}
api: {address: "127.0.0.1:%d"}
`

const variantCases = `
cases:
  - name: a proven consent given to %[1]s
    at: 2026-11-23T14:00:00+01:00
    call: {from: "+31205550100", to: "+31612345678"}
    facts:
      - {kind: consent, number: "+31612345678", advertiser: %[1]s, at: 2026-09-01, purposes: [commercial], products: [energy], method: web-form,
         preticked: false, bundled: false, verified_at: 2026-09-01, verified_by: sms, evidence: {person: p, sha256: "%064[2]x"}}
    expect: {verdict: allow, reason: consent}
  - name: nobody consented
    at: 2026-11-23T14:00:00+01:00
    call: {from: "+31205550100", to: "+31612345678"}
    expect: {verdict: deny, reason: no-consent, sip: %[3]d}
`

// A variant is one of the two.
type variant struct {
	advertiser, dialect, mode string
	refusal                   int // answer to a call without a consent
	consents                  int // number i has a consent when i%2 is this
	carrier                   int // port
	id                        string
}

// decision is what the ledger says of a call.
type decision struct {
	CallID   string `json:"call_id"`
	Config   string
	Campaign string
	Verdict  string
	Answer   int
	To       string
	Findings []struct{ Rule, Mode string }
}

// TestReloads changes the configuration under load, half of the times to one
// with an error or with an acceptance case that fails: no call is lost, and
// none is judged by two configurations.
func TestReloads(t *testing.T) {
	reloads, rate := 60, 300
	count := rate * reloads / 6
	if long {
		reloads, count = 300, rate*60
	}
	n := newNode(t)
	a := &variant{advertiser: "windkracht", dialect: "safe", mode: "shadow", refusal: 403, consents: 0, carrier: n.carrier}
	b := &variant{advertiser: "zonnekracht", dialect: "strict", mode: "off", refusal: 470, consents: 1, carrier: freePort(t)}
	write := func(name, text string) string {
		path := filepath.Join(n.dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	var good, failing []string
	for i, v := range []*variant{a, b} {
		config := func(cases string) string {
			return fmt.Sprintf(variantText, cases, n.sip, v.dialect, v.carrier, v.advertiser, v.mode, filepath.Join(n.dir, "data"), n.api)
		}
		write(v.advertiser+"-cases.yaml", fmt.Sprintf(variantCases, v.advertiser, 1, v.refusal))
		good = append(good, config(v.advertiser+"-cases.yaml"))
		failing = append(failing, config([]*variant{b, a}[i].advertiser+"-cases.yaml"))
		out, _ := n.command("config", "check", write(v.advertiser+".yaml", good[i]))
		v.id = regexp.MustCompile(`\(([0-9a-f]+)\)`).FindStringSubmatch(out)[1]
	}
	injection := n.consents(count, func(i int) string { return []string{a.advertiser, b.advertiser}[i%2] })
	write("dialgate.yaml", good[0])
	n.start()
	n.run("facts", "import", filepath.Join(n.dir, "facts.csv"))

	carriedBy := map[*variant]func() map[string]string{a: n.carrierLog(a.carrier), b: n.carrierLog(b.carrier)}
	answers := filepath.Join(n.dir, "answers.log")
	dialer := n.sipp("dialer", "-p", fmt.Sprint(freePort(t)), "-inf", injection, "-m", fmt.Sprint(count), "-r", fmt.Sprint(rate),
		"-trace_logs", "-log_file", answers, fmt.Sprintf("127.0.0.1:%d", n.sip))
	pace := time.NewTicker(time.Duration(count) * time.Second / time.Duration(rate*reloads))
	defer pace.Stop()
	var took []time.Duration
	for i := range reloads {
		<-pace.C
		text, fine := good[(i/2+1)%2], i%2 == 0
		if !fine {
			text = []string{failing[i/2%2], "peers: [\n" + text}[i/4%2]
		}
		write("dialgate.yaml", text)
		if i%10 > 7 { // two of ten by signal
			n.hangUp(fine)
			continue
		}
		began := time.Now()
		out, status := n.command("config", "reload", "--store", filepath.Join(n.dir, "data"))
		took = append(took, time.Since(began))
		if want := map[bool]int{true: 0, false: 2}[fine]; status != want {
			t.Fatalf("reload %d: exit status %d, want %d\n%s", i, status, want, out)
		}
	}
	d := dialer()
	if failed, made := number(t, d, "FailedCall(C)"), number(t, d, "SuccessfulCall(C)"); failed != 0 || made != count {
		t.Errorf("%d calls failed and %d of %d ended as they should: %v", failed, made, count, d)
	}

	answered := readLog(t, answers)
	carried := map[*variant]map[string]string{a: carriedBy[a](), b: carriedBy[b]()}
	judged := map[*variant]int{}
	seen := map[string]bool{}
	for _, r := range n.records() {
		v := a
		if r.Config == b.id {
			v = b
		}
		judged[v]++
		i, _ := strconv.Atoi(r.To[len(r.To)-7:])
		allowed := i%2 == v.consents
		wantAnswer, wantVerdict := v.refusal, "deny"
		if allowed {
			wantAnswer, wantVerdict = 0, "allow"
		}
		shadowed := slices.ContainsFunc(r.Findings, func(f struct{ Rule, Mode string }) bool { return f.Rule == "nl.hours" && f.Mode == "shadow" })
		_, wasCarried := carried[v][r.CallID]
		onWire := map[bool]string{true: "200", false: fmt.Sprint(v.refusal)}[allowed]
		if r.Config != v.id || r.Campaign != v.advertiser || r.Verdict != wantVerdict || r.Answer != wantAnswer ||
			shadowed != (v.mode == "shadow") || wasCarried != allowed || answered[r.CallID] != onWire || seen[r.CallID] {
			t.Errorf("judged by %s (%s): %+v; the dialer was answered %s, its carrier saw it: %t", v.id, v.advertiser, r, answered[r.CallID], wasCarried)
		}
		seen[r.CallID] = true
	}
	if len(seen) != count || len(answered) != count || judged[a] < count/5 || judged[b] < count/5 {
		t.Errorf("%d calls are recorded and %d were answered, want %d; %d by the first configuration, %d by the second", len(seen), len(answered), count, judged[a], judged[b])
	}
	if got := n.metrics("dialgate_panics_total"); got != 0 {
		t.Errorf("%v faults", got)
	}
	if code := n.stop(); code != 0 {
		t.Errorf("exit status %d", code)
	}
	inNode := regexp.MustCompile(`msg="the configuration was reloaded".* us=(\d+)`).FindAllStringSubmatch(n.log.String(), -1)
	var us []int
	for _, m := range inNode {
		v, _ := strconv.Atoi(m[1])
		us = append(us, v)
	}
	if len(us) != reloads/2 {
		t.Errorf("%d reloads were logged, want %d", len(us), reloads/2)
	}
	slices.Sort(us)
	slices.Sort(took)
	t.Logf("%d reloads, half of them bad, under %d calls/s: %d calls, %d lost, %d judged by one configuration and %d by the other, %s retransmissions",
		reloads, rate, count, count-len(seen), judged[a], judged[b], d["Retransmissions(C)"])
	t.Logf("a reload took the node %d us (median), %d us at most; the command %s (median), %s at most", us[len(us)/2], us[len(us)-1], took[len(took)/2].Round(time.Millisecond), took[len(took)-1].Round(time.Millisecond))
}

// hangUp sends SIGHUP and waits until the node has reloaded or refused to.
func (n *node) hangUp(fine bool) {
	n.t.Helper()
	want := map[bool]float64{true: 1, false: 0}[fine]
	if err := n.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		n.t.Fatal(err)
	}
	eventually(n.t, "the node takes the signal", 10*time.Second, func() error {
		if got := n.metrics("dialgate_config_last_reload_successful"); got != want {
			return fmt.Errorf("last reload successful: %v", got)
		}
		return nil
	})
}

// carrierLog runs a carrier; the returned function ends it and tells which
// calls it was given.
func (n *node) carrierLog(port int) func() map[string]string {
	n.t.Helper()
	path := filepath.Join(n.dir, fmt.Sprintf("carrier-%d.log", port))
	cmd := exec.Command(need(n.t, "sipp"), "-sf", "scenarios/carrier.xml", "-i", "127.0.0.1", "-p", fmt.Sprint(port), "-nostdin",
		"-timeout", "150s", "-trace_logs", "-log_file", path)
	cmd.Env = append(os.Environ(), "TERM=dumb")
	if err := cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	ended := false
	end := func() {
		if !ended {
			ended = true
			_ = cmd.Process.Signal(syscall.SIGUSR1) // it ends in order
			_ = cmd.Wait()                          // with a status that depends on calls under way
		}
	}
	n.t.Cleanup(end)
	return func() map[string]string {
		end()
		return readLog(n.t, path)
	}
}

// readLog reads what the log actions of a scenario wrote: a Call-ID and a word.
func readLog(t *testing.T, path string) map[string]string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for line := range strings.Lines(string(data)) {
		if words := strings.Fields(line); len(words) == 2 {
			if out[words[0]] != "" {
				t.Errorf("%s: %s is there twice", filepath.Base(path), words[0])
			}
			out[words[0]] = words[1]
		}
	}
	return out
}

// command runs a dialgate command as it is and returns all it prints.
func (n *node) command(args ...string) (out string, status int) {
	n.t.Helper()
	path, err := binary()
	if err != nil {
		n.t.Fatal(err)
	}
	text, err := exec.Command(path, args...).CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		n.t.Fatal(err)
	}
	if exit != nil {
		status = exit.ExitCode()
	}
	return string(text), status
}

// records are the decisions in the ledger.
func (n *node) records() (all []decision) {
	n.t.Helper()
	sc := bufio.NewScanner(strings.NewReader(n.run("audit", "list", "--json")))
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		var d decision
		if err := json.Unmarshal(sc.Bytes(), &d); err != nil {
			n.t.Fatalf("%v: %s", err, sc.Text())
		}
		all = append(all, d)
	}
	return all
}
