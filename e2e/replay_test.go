//go:build e2e

package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dialgate/sipproxy/message"
	"dialgate/trace"
)

// TestSameCallsAsTshark: the calls of every third-party capture are those that
// tshark finds, but for copies of INVITEs in ICMP errors, which nobody sent.
func TestSameCallsAsTshark(t *testing.T) {
	files, err := trace.Files("../../shared/testdata/pcap")
	if err != nil {
		t.Skip("the third-party captures are not there")
	}
	for _, file := range files {
		out, err := exec.Command(need(t, "tshark"), "-r", file, "-Y", `sip.Method == "INVITE" && !icmp`, "-T", "fields", "-e", "sip.Call-ID").Output()
		if err != nil {
			t.Fatal(err)
		}
		theirs := map[string]bool{}
		for _, id := range strings.Fields(strings.ReplaceAll(string(out), ",", " ")) {
			theirs[id] = true
		}
		ours := map[string]bool{}
		var v message.View
		for m, err := range trace.Open(file, trace.Options{}) {
			if err != nil {
				t.Errorf("%s: %v", file, err)
			} else if bytes.HasPrefix(m.Bytes, []byte("INVITE ")) {
				head := m.Bytes[:bytes.Index(m.Bytes, []byte("\r\n\r\n"))+4] // the body may be larger than is judged
				_ = v.Parse(head)                                            // a malformed INVITE has a Call-ID too
				ours[string(v.Value(message.CallID))] = true
			}
		}
		for id := range theirs {
			if !ours[id] {
				t.Errorf("%s: tshark has the call %q, we have not", file, id)
			}
		}
		if len(ours) != len(theirs) {
			t.Errorf("%s: %d calls, tshark has %d", file, len(ours), len(theirs))
		}
		t.Logf("%-60s %d calls, tshark %d", strings.TrimPrefix(file, "../../shared/testdata/"), len(ours), len(theirs))
	}
}

// TestLiveEqualsReplay captures calls through a running node and replays the
// capture: every decision is the same.
func TestLiveEqualsReplay(t *testing.T) {
	n := newNode(t)
	count := scale(2000)
	injection := n.mixed(count)
	n.start()
	n.run("facts", "import", filepath.Join(n.dir, "facts.csv"))
	n.run("facts", "import", "--const", "kind=objection", "--const", "advertiser=*", filepath.Join(n.dir, "objections.csv"))
	stop := n.capture()
	carrier := exec.Command(need(t, "sipp"), "-sf", "scenarios/carrier.xml", "-i", "127.0.0.1", "-p", fmt.Sprint(n.carrier), "-nostdin", "-timeout", "170s")
	carrier.Env = append(os.Environ(), "TERM=dumb")
	if err := carrier.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = carrier.Process.Kill()
		_ = carrier.Wait() // it was killed
	}()
	log := filepath.Join(n.dir, "messages.log")
	n.sipp("mixed", "-trace_msg", "-message_file", log, "-p", fmt.Sprint(freePort(t)), "-inf", injection, "-m", fmt.Sprint(count), "-r", "400", fmt.Sprintf("127.0.0.1:%d", n.sip))()
	stop()

	live := n.judged("audit", "list", "--json")
	file := filepath.Join(n.dir, "wire.pcap")
	again := n.judged("replay", "--format", "json", file)
	n.stop()
	offline := n.judged("replay", "--format", "json", file)
	if len(live) != count {
		t.Errorf("%d calls were judged, want %d", len(live), count)
	}
	fromLog := n.judged("replay", "--format", "json", "--peer", "dialer", log)
	reasons := map[string]int{}
	for _, replayed := range []map[string]string{again, offline, fromLog} {
		differ := 0
		for id, want := range live {
			reasons[want]++
			if got := replayed[id]; got != want {
				if differ++; differ < 5 {
					t.Errorf("%s: live %q, replayed %q", id, want, got)
				}
			}
		}
		if differ > 0 || len(replayed) != len(live) {
			t.Errorf("%d of %d decisions differ; %d were replayed", differ, len(live), len(replayed))
		}
	}
	if len(reasons) < 4 {
		t.Errorf("the calls are not mixed: %v", reasons)
	}
	t.Logf("%d calls: live equals the replayed capture, with the node running and stopped, and SIPp's log; counted thrice: %v", len(live), reasons)
}

// judged runs a command that prints decisions and gives each call's.
func (n *node) judged(args ...string) map[string]string {
	n.t.Helper()
	decisions := map[string]string{}
	sc := bufio.NewScanner(strings.NewReader(n.run(args...)))
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		var d struct{ Call_ID, Verdict, Reason, Unreadable string }
		if err := json.Unmarshal(sc.Bytes(), &d); err != nil {
			n.t.Fatalf("%v: %s", err, sc.Text())
		}
		if d.Unreadable != "" {
			n.t.Errorf("not judged: %s", d.Unreadable)
			continue
		}
		decisions[d.Call_ID] = d.Verdict + " " + d.Reason
	}
	return decisions
}

// mixed writes SIPp's injection file and the facts for calls of many kinds:
// consents, objections, strangers' numbers, hidden and wrong callers.
func (n *node) mixed(count int) (injection string) {
	n.t.Helper()
	n.numbers(count)
	var calls, objections strings.Builder
	calls.WriteString("SEQUENTIAL\n")
	objections.WriteString("id,number,at,via\n")
	callers := []string{
		"<sip:+31205550100@127.0.0.1>", "<sip:+31205550100@127.0.0.1>", "<sip:0205550100@127.0.0.1>", "<tel:+31205550100>",
		`"Anonymous" <sip:anonymous@anonymous.invalid>`, "<sip:+31205550199@127.0.0.1>", "<sip:+319012345@127.0.0.1>", "<sip:bob@127.0.0.1>",
	}
	for i := range count {
		number := fmt.Sprintf("+316%08d", 10_000_000+i)
		if i%10 == 0 {
			fmt.Fprintf(&objections, "o%d,%s,%s,letter\n", i, number, time.Now().AddDate(0, 0, -1).Format("2006-01-02"))
		}
		fmt.Fprintf(&calls, "%s;%s\n", number, callers[i/2%len(callers)])
	}
	injection = filepath.Join(n.dir, "mixed.csv")
	for path, text := range map[string]string{injection: calls.String(), filepath.Join(n.dir, "objections.csv"): objections.String()} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			n.t.Fatal(err)
		}
	}
	return injection
}

// telephoneOffer is what a gateway offers.
const telephoneOffer = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8 0 101\r\n" +
	"a=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=sendrecv\r\n"

// capture writes a capture of at least that many octets, with an INVITE in
// every so many packets; the others are speech. offer is the session
// description of each INVITE, if any. It gives the number of INVITEs.
func capture(to io.Writer, octets int64, every int, offer string) (calls int, err error) {
	counted := &counting{w: to}
	buffered := bufio.NewWriterSize(counted, 1<<20)
	w, err := trace.NewWriter(buffered)
	if err != nil {
		return 0, err
	}
	rtp := append([]byte{0x80, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1}, bytes.Repeat([]byte{0xd5}, 160)...)
	m := trace.Message{Time: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC), Transport: trace.UDP,
		Source: netip.MustParseAddrPort("127.0.0.1:5070"), Destination: netip.MustParseAddrPort("127.0.0.1:5060")}
	for i := 0; counted.n < octets; i++ {
		m.Time = m.Time.Add(20 * time.Microsecond)
		m.Bytes = rtp
		if i%every == 0 {
			m.Bytes = fmt.Appendf(nil, "INVITE sip:+316%08d@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:5070;branch=z9hG4bK-%d\r\nFrom: <sip:+31205550100@127.0.0.1>;tag=%d\r\n"+
				"To: <sip:+316%08d@127.0.0.1>\r\nCall-ID: huge-%d\r\nCSeq: 1 INVITE\r\nMax-Forwards: 70\r\nContent-Type: application/sdp\r\nContent-Length: %d\r\n\r\n%s", 10_000_000+i, i, i, 10_000_000+i, i, len(offer), offer)
			calls++
		}
		if err := w.Write(&m); err != nil {
			return calls, err
		}
	}
	return calls, buffered.Flush()
}

type counting struct {
	w io.Writer
	n int64
}

func (c *counting) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	return n, err
}

// lenient lets every call of a capture through, so that a replay remembers it.
const lenient = `listen: {udp: [{address: "127.0.0.1:5060"}]}
peers: [{id: dialer, sources: [127.0.0.1], campaigns: ["*"]}]
carriers: [{id: carrier, targets: ["127.0.0.1:5080"]}]
advertisers: [{id: example, name: Example BV}]
campaigns:
  - {id: example-energy, advertiser: example, purpose: commercial, products: [energy], callers: ["+31205550100"], objection_offered: true}
rules: {nl.basis: shadow}
`

// TestHugeCapture streams captures that are never on disk through replay, in
// bounded memory: 256 MB, in the long form 5 GB. One is nearly all speech, the
// other nothing but calls to different numbers, each of them allowed.
func TestHugeCapture(t *testing.T) {
	size := int64(256 << 20)
	if long {
		size = 5 << 30
	}
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	for name, every := range map[string]int{"speech": 1000, "allowed calls": 1} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "lenient.yaml"), []byte(lenient), 0o600); err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(path, "replay", "-c", "lenient.yaml", "--peer", "dialer", "-")
			cmd.Dir = dir
			var out ending
			cmd.Stdout, cmd.Stderr = &out, &out
			in, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			calls, err := capture(in, size, every, "")
			if err != nil {
				t.Fatal(err)
			}
			memory := peak(t, cmd.Process.Pid)
			if err := in.Close(); err != nil {
				t.Fatal(err)
			}
			if err := cmd.Wait(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			for _, want := range []string{fmt.Sprintf("%d calls among %d SIP messages in 1 traces", calls, calls), fmt.Sprintf("%8d  allow  not-enforced", calls)} {
				if !strings.Contains(string(out), want) {
					t.Errorf("want %q in:\n%s", want, out)
				}
			}
			if memory > 200 {
				t.Errorf("%d MB of memory for a capture of %d MB", memory, size>>20)
			}
			t.Logf("%d MB, %d calls: %d MB of memory at most, %s of CPU", size>>20, calls, memory, cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime())
		})
	}
}

// An ending is the last octets that were written to it.
type ending []byte

func (e *ending) Write(b []byte) (int, error) {
	*e = append(*e, b...)
	*e = (*e)[max(0, len(*e)-2000):]
	return len(b), nil
}

// peak is the most memory that a process has held so far, in MB. (The usage
// that is told at its end counts its parent's memory at the fork, too.)
func peak(t *testing.T, pid int) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		var kb int
		if n, _ := fmt.Sscanf(line, "VmHWM: %d kB", &kb); n == 1 {
			return kb / 1024
		}
	}
	t.Fatalf("no VmHWM in\n%s", status)
	return 0
}

// TestSpeedBesideTshark reads captures with both, each on one core, and takes
// the better of two rounds: what else the computer does costs both alike.
// Where calls offer speech, tshark remembers each stream, which costs it a
// hundred times as much; there the measure is replay without offers.
func TestSpeedBesideTshark(t *testing.T) {
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cpu := func(name string, args ...string) (least time.Duration) {
		for range 2 {
			cmd := exec.Command(name, args...)
			cmd.Dir, cmd.Env = dir, append(os.Environ(), "GOMAXPROCS=1")
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%s: %v: %s", name, err, tail(bytes.NewBuffer(out)))
			}
			if took := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(); least == 0 || took < least {
				least = took
			}
		}
		return least
	}
	var call time.Duration // of those without an offer
	for _, c := range []struct {
		name  string
		size  int64
		every int
		offer string
		least float64 // times as fast as tshark: less than half of what was measured
	}{
		{"speech", 64 << 20, 1000, "", 25},
		{"invites", 32 << 20, 1, "", 1},
		{"invites with offers", 48 << 20, 1, telephoneOffer, 0},
	} {
		file := filepath.Join(dir, c.name+".pcap")
		f, err := os.Create(file)
		if err != nil {
			t.Fatal(err)
		}
		calls, err := capture(f, c.size, c.every, c.offer)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		ours := cpu(path, "replay", "--peer", "dialer", "--format", "json", file)
		t.Logf("%s, %d MB, %d calls: replay with judging and JSON takes %s of CPU, %.0f MB/s, %.0f calls/s",
			c.name, c.size>>20, calls, ours, float64(c.size>>20)/ours.Seconds(), float64(calls)/ours.Seconds())
		if c.offer != "" {
			if each := ours / time.Duration(calls); each > 3*call {
				t.Errorf("%s: a call takes %s, without an offer %s", c.name, each, call)
			}
			continue
		}
		call = ours / time.Duration(calls)
		theirs := cpu(need(t, "tshark"), "-r", file, "-Y", "sip")
		times := theirs.Seconds() / ours.Seconds()
		t.Logf("%s: tshark -Y sip takes %s of CPU, %.1f times as much", c.name, theirs, times)
		if times < c.least {
			t.Errorf("%s: tshark takes %.1f times as much CPU, want %.0f", c.name, times, c.least)
		}
	}
}
