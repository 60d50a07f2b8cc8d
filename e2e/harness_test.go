//go:build e2e

package e2e

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// binary is dialgate, built once for all tests.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "dialgate-e2e-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "dialgate")
	out, err := exec.Command("go", "build", "-o", path, "../cmd/dialgate").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	if text := os.Getenv(attackIn); text != "" {
		carryOut(text)
		return
	}
	code := m.Run()
	if path, err := binary(); err == nil {
		os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

// long: the tests run in their long form, as e2e/long/run asks for.
var long = os.Getenv("DIALGATE_LONG") != ""

// scale multiplies counts in the long form.
func scale(n int) int {
	if long {
		return 10 * n
	}
	return n
}

// need asks for a program; without it the test has failed, not been skipped.
func need(t *testing.T, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Fatalf("%s is missing; install it (Debian: sip-tester, sipsak, tshark)", program)
	}
	return path
}

// freePort finds a UDP and TCP port on loopback that nobody uses.
func freePort(t *testing.T) int {
	t.Helper()
	for range 50 {
		u, err := net.ListenPacket("udp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := u.LocalAddr().(*net.UDPAddr).Port
		l, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
		u.Close()
		if err == nil {
			l.Close()
			return port
		}
	}
	t.Fatal("no free port")
	return 0
}

// A node is a running `dialgate serve`.
type node struct {
	t        *testing.T
	dir      string
	sip, api int
	carrier  int
	cmd      *exec.Cmd
	log      *output
	config   string
}

const configText = `
node: e2e
listen: {udp: [{address: "127.0.0.1:%d"}]}
peers: [{id: dialer, sources: [127.0.0.1], campaigns: ["*"]}]
carriers: [{id: carrier, targets: ["127.0.0.1:%d"]}]
advertisers: [{id: windkracht, name: Windkracht BV}]
campaigns:
  - {id: energy, advertiser: windkracht, purpose: commercial, products: [energy], callers: ["+31205550100"], objection_offered: true}
# The tests run at any hour.
rules: {nl.hours: off, nl.holidays: off}
store: {path: %q}
api: {address: "127.0.0.1:%d"}
`

// newNode writes a configuration; start runs it.
func newNode(t *testing.T) *node {
	t.Helper()
	n := &node{t: t, dir: t.TempDir(), sip: freePort(t), api: freePort(t), carrier: freePort(t)}
	n.config = filepath.Join(n.dir, "dialgate.yaml")
	text := fmt.Sprintf(configText, n.sip, n.carrier, filepath.Join(n.dir, "data"), n.api)
	if err := os.WriteFile(n.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		n.kill()
		if t.Failed() {
			t.Logf("the node's log:\n%s", tail(n.log))
		}
	})
	return n
}

// An output is what a process writes, which can be read while it runs.
type output struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.all.Write(p)
}

func (o *output) String() string {
	if o == nil {
		return "" // it was never started
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.all.String()
}

func tail(b fmt.Stringer) string {
	s := b.String()
	if len(s) > 4000 {
		s = "...\n" + s[len(s)-4000:]
	}
	return s
}

func (n *node) start() {
	n.t.Helper()
	path, err := binary()
	if err != nil {
		n.t.Fatal(err)
	}
	n.log = &output{}
	n.cmd = exec.Command(path, "serve", "-c", n.config)
	n.cmd.Stderr, n.cmd.Stdout = n.log, n.log
	if err := n.cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	eventually(n.t, "the node is ready", 20*time.Second, func() error {
		res, err := http.Get(n.url("/readyz"))
		if err != nil {
			return err
		}
		res.Body.Close()
		if res.StatusCode != 200 {
			return errors.New(res.Status)
		}
		return nil
	})
}

func (n *node) url(path string) string { return fmt.Sprintf("http://127.0.0.1:%d%s", n.api, path) }

// kill ends the node with SIGKILL.
func (n *node) kill() {
	if n.cmd == nil {
		return
	}
	_ = n.cmd.Process.Kill() // it may have ended
	_ = n.cmd.Wait()
	n.cmd = nil
}

// stop ends the node with SIGTERM and returns its exit status.
func (n *node) stop() int {
	n.t.Helper()
	if err := n.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		n.t.Fatal(err)
	}
	err := n.cmd.Wait()
	n.cmd = nil
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	return 0
}

// run executes a dialgate command against the node's configuration.
func (n *node) run(args ...string) string {
	n.t.Helper()
	path, err := binary()
	if err != nil {
		n.t.Fatal(err)
	}
	args = append(args[:1:1], append([]string{"-c", n.config}, args[1:]...)...)
	cmd := exec.Command(path, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		n.t.Fatalf("dialgate %s: %v\n%s%s", strings.Join(args, " "), err, out, stderr.String())
	}
	return string(out)
}

// metrics reads the node's counters; series of one name are added up when
// their labels contain every given text.
func (n *node) metrics(name string, labels ...string) float64 {
	n.t.Helper()
	res, err := http.Get(n.url("/metrics"))
	if err != nil {
		n.t.Fatal(err)
	}
	defer res.Body.Close()
	var sum float64
	sc := bufio.NewScanner(res.Body)
lines:
	for sc.Scan() {
		series, value, ok := strings.Cut(sc.Text(), "} ")
		if !ok {
			series, value, _ = strings.Cut(sc.Text(), " ")
		}
		if series != name && !strings.HasPrefix(series, name+"{") {
			continue
		}
		for _, l := range labels {
			if !strings.Contains(series, l) {
				continue lines
			}
		}
		v, err := strconv.ParseFloat(value, 64)
		if err != nil {
			n.t.Fatal(err)
		}
		sum += v
	}
	return sum
}

func eventually(t *testing.T, what string, within time.Duration, try func() error) {
	t.Helper()
	deadline := time.Now().Add(within)
	for {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %s: %v", what, within, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// sipp runs SIPp with a scenario; it ends by itself after its calls or at the
// timeout. The returned function waits and gives its statistics.
func (n *node) sipp(scenario string, args ...string) func() map[string]string {
	n.t.Helper()
	stats := filepath.Join(n.t.TempDir(), scenario+".csv")
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	all := append([]string{"-sf", filepath.Join("scenarios", scenario+".xml"), "-i", "127.0.0.1", "-nostdin", "-trace_stat", "-stf", stats, "-fd", "1",
		"-timeout", "150s", "-timeout_error"}, args...)
	cmd := exec.CommandContext(ctx, need(n.t, "sipp"), all...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = io.Discard, &out
	// The times in SIPp's log have no zone: replay takes them for Dutch ones.
	cmd.Env = append(os.Environ(), "TERM=dumb", "TZ=CET-1CEST,M3.5.0,M10.5.0/3")
	if err := cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() {
		cancel()
		_ = cmd.Wait() // it may have ended
	})
	return func() map[string]string {
		n.t.Helper()
		if err := cmd.Wait(); err != nil {
			n.t.Fatalf("sipp %s: %v\n%s", scenario, err, tail(&out))
		}
		return lastRow(n.t, stats)
	}
}

// lastRow is the last line of SIPp's statistics by column.
func lastRow(t *testing.T, path string) map[string]string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	names, values := strings.Split(lines[0], ";"), strings.Split(lines[len(lines)-1], ";")
	row := map[string]string{}
	for i := range min(len(names), len(values)) {
		row[names[i]] = values[i]
	}
	return row
}

func number(t *testing.T, row map[string]string, column string) int {
	t.Helper()
	v, err := strconv.Atoi(row[column])
	if err != nil {
		t.Fatalf("SIPp's statistics have no number %q: %v", column, row)
	}
	return v
}

// numbers writes SIPp's injection file and the facts: every other number has a consent.
func (n *node) numbers(count int) (injection string) {
	n.t.Helper()
	return n.consents(count, func(i int) string { return []string{"windkracht", ""}[i%2] })
}

// consents writes SIPp's injection file and the facts: number i has a consent
// given to an advertiser, "" for none.
func (n *node) consents(count int, to func(i int) string) (injection string) {
	n.t.Helper()
	var calls, facts strings.Builder
	calls.WriteString("SEQUENTIAL\n")
	facts.WriteString("id,kind,number,advertiser,at,purposes,products,method,preticked,bundled,verified_at,verified_by,evidence.person,evidence.sha256\n")
	day := time.Now().AddDate(0, -1, 0).Format("2006-01-02")
	for i := range count {
		number := fmt.Sprintf("+316%08d", 10_000_000+i)
		fmt.Fprintf(&calls, "%s\n", number)
		if advertiser := to(i); advertiser != "" {
			fmt.Fprintf(&facts, "c%d,consent,%s,%s,%s,commercial,energy,web-form,false,false,%s,sms,p%d,%064x\n", i, number, advertiser, day, day, i, i)
		}
	}
	injection = filepath.Join(n.dir, "calls.csv")
	for path, text := range map[string]string{injection: calls.String(), filepath.Join(n.dir, "facts.csv"): facts.String()} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			n.t.Fatal(err)
		}
	}
	return injection
}
