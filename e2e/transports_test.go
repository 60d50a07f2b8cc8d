//go:build e2e

package e2e

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// configure changes the node's configuration before it starts.
func (n *node) configure(pairs ...string) {
	n.t.Helper()
	data, err := os.ReadFile(n.config)
	if err != nil {
		n.t.Fatal(err)
	}
	text := string(data)
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(text, pairs[i]) {
			n.t.Fatalf("the configuration has no %q", pairs[i])
		}
		text = strings.Replace(text, pairs[i], pairs[i+1], 1)
	}
	if err := os.WriteFile(n.config, []byte(text), 0o600); err != nil {
		n.t.Fatal(err)
	}
}

// cpu is the time that the node has computed.
func (n *node) cpu() time.Duration {
	n.t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", n.cmd.Process.Pid))
	if err != nil {
		n.t.Fatal(err)
	}
	_, after, _ := bytes.Cut(stat, []byte(") ")) // the name may hold blanks
	fields := strings.Fields(string(after))
	ticks := 0
	for _, f := range fields[11:13] { // utime and stime, proc(5)
		k, err := strconv.Atoi(f)
		if err != nil {
			n.t.Fatal(err)
		}
		ticks += k
	}
	return time.Duration(ticks) * time.Second / 100
}

// dropped is how many datagrams this machine's sockets had no room for.
func dropped(t *testing.T) int {
	t.Helper()
	data, err := os.ReadFile("/proc/net/snmp")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for line := range strings.Lines(string(data)) {
		fields := strings.Fields(line)
		if fields[0] != "Udp:" {
			continue
		}
		if names == nil {
			names = fields
			continue
		}
		return number(t, map[string]string{"RcvbufErrors": fields[slices.Index(names, "RcvbufErrors")]}, "RcvbufErrors")
	}
	t.Fatal("the kernel does not count datagrams")
	return 0
}

// TestCallsOverTCP lets SIPp dial and carry over each of UDP and TCP: nothing
// fails, nothing is sent twice but what the kernel has dropped, and one
// connection a side carries all calls.
func TestCallsOverTCP(t *testing.T) {
	const count = 1000 // half of them allowed
	cpu := map[string]time.Duration{}
	for _, way := range []struct{ from, to string }{{"udp", "udp"}, {"udp", "tcp"}, {"tcp", "udp"}, {"tcp", "tcp"}} {
		name := way.from + " to " + way.to
		t.Run(name, func(t *testing.T) {
			n := newNode(t)
			sip := fmt.Sprintf(`[{address: "127.0.0.1:%d"}]`, n.sip)
			n.configure("listen: {udp: "+sip+"}", "listen: {udp: "+sip+", tcp: "+sip+"}", `carriers: [{id: carrier,`, `carriers: [{id: carrier, transport: `+way.to+`,`)
			injection := n.numbers(count)
			n.start()
			n.run("facts", "import", filepath.Join(n.dir, "facts.csv"))
			mode := map[string]string{"udp": "u1", "tcp": "t1"}
			carrier := n.sipp("carrier", "-t", mode[way.to], "-p", fmt.Sprint(n.carrier), "-m", fmt.Sprint(count/2))
			time.Sleep(300 * time.Millisecond) // SIPp does not say when it listens
			before, lost := n.cpu(), dropped(t)
			dialer := n.sipp("dialer", "-t", mode[way.from], "-p", fmt.Sprint(freePort(t)), "-inf", injection, "-m", fmt.Sprint(count), "-r", "200", fmt.Sprintf("127.0.0.1:%d", n.sip))
			d, c := dialer(), carrier()
			cpu[name] = (n.cpu() - before) / count
			if lost = dropped(t) - lost; lost > 0 {
				t.Logf("the kernel has dropped %d datagrams, of these programs or others", lost)
			}
			for what, row := range map[string]map[string]string{"dialer": d, "carrier": c} {
				if f := number(t, row, "FailedCall(C)"); f != 0 {
					t.Errorf("%s: %d failed calls", what, f)
				}
				if r := number(t, row, "Retransmissions(C)"); r != 0 && (lost == 0 || way.from+way.to == "tcptcp") {
					t.Errorf("%s: %d retransmissions", what, r)
				}
			}
			if s := number(t, d, "SuccessfulCall(C)"); s != count {
				t.Errorf("dialer: %d of %d calls succeeded", s, count)
			}
			if s := number(t, c, "SuccessfulCall(C)"); s != count/2 {
				t.Errorf("carrier: %d of %d calls succeeded", s, count/2)
			}
			want := map[string]float64{"in": 0, "out": 0}
			if way.from == "tcp" {
				want["in"] = 1
			}
			if way.to == "tcp" {
				want["out"] = 1
			}
			for direction, w := range want {
				if got := n.metrics("dialgate_connections_opened_total", `direction="`+direction+`"`); got != w {
					t.Errorf("%v connections %s, want %v", got, direction, w)
				}
			}
			if got := n.metrics("dialgate_sip_messages_total", `method="INVITE"`, `direction="out"`, `transport="`+way.to+`"`); got != count/2 {
				t.Errorf("%v INVITEs left over %s, want %d", got, way.to, count/2)
			}
			if got := n.metrics("dialgate_panics_total") + n.metrics("dialgate_sip_send_errors_total"); got != 0 {
				t.Errorf("%v panics and messages that could not be sent", got)
			}
		})
	}
	for name, each := range cpu {
		t.Logf("%s: %s of CPU a call", name, each)
	}
}
