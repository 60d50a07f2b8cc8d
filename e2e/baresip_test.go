//go:build e2e

package e2e

import (
	"bufio"
	"bytes"
	"context"
	endian "encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A phone is a baresip without sound hardware, told what to do over its
// control connection (netstrings of JSON).
type phone struct {
	t       *testing.T
	port    int
	control net.Conn
	events  chan phoneEvent
}

type phoneEvent struct {
	Type  string `json:"type"`
	Param string `json:"param"`
}

// newPhone starts a baresip whose calls go by way of a proxy, and which answers
// every call. more is what else its account says.
func newPhone(t *testing.T, number string, proxy int, more ...string) *phone {
	t.Helper()
	modules, err := filepath.Glob("/usr/lib*/baresip/modules")
	if err != nil || len(modules) == 0 {
		t.Fatal("baresip is missing; install baresip-core")
	}
	dir := t.TempDir()
	p := &phone{t: t, port: freePort(t), events: make(chan phoneEvent, 256)}
	control := freePort(t)
	config := fmt.Sprintf(`sip_listen 127.0.0.1:%d
module_path %s
module g711.so
module aufile.so
module_tmp account.so
module_app menu.so
module_app ctrl_tcp.so
ctrl_tcp_listen 127.0.0.1:%d
audio_source aufile,%s
audio_player aufile,%s
`, p.port, modules[0], control, filepath.Join(dir, "said.wav"), filepath.Join(dir, "heard.wav"))
	account := fmt.Sprintf("<sip:%s@127.0.0.1>;regint=0;answermode=auto;outbound=\"sip:127.0.0.1:%d\"%s\n", number, proxy, strings.Join(more, ""))
	for name, text := range map[string]string{"config": config, "accounts": account, "contacts": "", "said.wav": silence()} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	cmd := exec.CommandContext(ctx, need(t, "baresip"), "-4", "-f", dir)
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if p.control != nil {
			p.control.Close()
		}
		cancel()
		_ = cmd.Wait() // killed
		if t.Failed() {
			t.Logf("baresip's log:\n%s", tail(&log))
		}
	})
	eventually(t, "baresip listens", 10*time.Second, func() (err error) {
		p.control, err = net.Dial("tcp4", fmt.Sprintf("127.0.0.1:%d", control))
		return err
	})
	go p.listen()
	return p
}

// silence is a WAV file of ten seconds at 8 kHz, 16 bits.
func silence() string {
	const size = 10 * 8000 * 2
	b := append([]byte("RIFF"), 0, 0, 0, 0)
	endian.LittleEndian.PutUint32(b[4:], 36+size)
	b = append(b, "WAVEfmt "...)
	for _, v := range []uint32{16, 1 | 1<<16, 8000, 16000, 2 | 16<<16} { // PCM, one channel
		b = endian.LittleEndian.AppendUint32(b, v)
	}
	b = endian.LittleEndian.AppendUint32(append(b, "data"...), size)
	return string(append(b, make([]byte, size)...))
}

// listen reads events until the connection ends.
func (p *phone) listen() {
	defer close(p.events)
	r := bufio.NewReader(p.control)
	for {
		size, err := r.ReadString(':')
		if err != nil {
			return
		}
		n, err := strconv.Atoi(strings.TrimSuffix(size, ":"))
		if err != nil || n > 1<<20 {
			return
		}
		text := make([]byte, n+1) // and the comma
		if _, err := io.ReadFull(r, text); err != nil {
			return
		}
		var e phoneEvent
		if json.Unmarshal(text[:n], &e) == nil && e.Type != "" {
			p.events <- e
		}
	}
}

// do gives the phone a command.
func (p *phone) do(command, params string) {
	p.t.Helper()
	text, err := json.Marshal(map[string]string{"command": command, "params": params})
	if err != nil {
		p.t.Fatal(err)
	}
	if _, err := fmt.Fprintf(p.control, "%d:%s,", len(text), text); err != nil {
		p.t.Fatal(err)
	}
}

// sees waits for an event and returns what it says.
func (p *phone) sees(kind string) string {
	p.t.Helper()
	timeout := time.After(10 * time.Second)
	var others []phoneEvent
	for {
		select {
		case e, ok := <-p.events:
			if !ok {
				p.t.Fatalf("baresip has ended; it told %v", others)
			}
			if e.Type == kind {
				return e.Param
			}
			others = append(others, e)
		case <-timeout:
			p.t.Fatalf("baresip did not tell %s, but %v", kind, others)
		}
	}
}

// TestPhones lets baresip make and receive calls through the node: an allowed
// call that both sides hold and either hangs up, a refused one, and a call in.
func TestPhones(t *testing.T) {
	n := newNode(t)
	dialer := newPhone(t, "+31205550100", n.sip)
	carrier := newPhone(t, "+31610000000", n.sip)
	n.configure(fmt.Sprintf(`targets: ["127.0.0.1:%d"]`, n.carrier), fmt.Sprintf(`targets: ["127.0.0.1:%d"]`, carrier.port),
		"advertisers:", fmt.Sprintf("inbound: [{number: \"+31205550100\", target: \"127.0.0.1:%d\"}]\nadvertisers:", dialer.port))
	n.numbers(2) // +31610000000 has given its consent, +31610000001 has not
	n.start()
	n.run("facts", "import", filepath.Join(n.dir, "facts.csv"))

	for i, hangs := range []*phone{dialer, carrier} {
		dialer.do("dial", "sip:+31610000000@127.0.0.1")
		dialer.sees("CALL_ESTABLISHED")
		carrier.sees("CALL_ESTABLISHED")
		for j, holds := range []*phone{dialer, carrier} { // a re-INVITE of either, and the ACKs
			holds.do("hold", "")
			want := 3*i + j + 2 // with those before
			for _, method := range []string{"INVITE", "ACK"} {
				eventually(t, "the call is held", 10*time.Second, func() error {
					if got := n.metrics("dialgate_sip_messages_total", `method="`+method+`"`, `direction="out"`); got != float64(want) {
						return fmt.Errorf("%v %ss have left, want %d", got, method, want)
					}
					return nil
				})
			}
		}
		hangs.do("hangup", "")
		for _, p := range []*phone{dialer, carrier} {
			if p != hangs {
				p.sees("CALL_CLOSED")
			}
		}
	}
	dialer.do("dial", "sip:+31610000001@127.0.0.1")
	if said := dialer.sees("CALL_CLOSED"); !strings.Contains(said, "403") {
		t.Errorf("a refused call ends with %q", said)
	}
	carrier.do("dial", "sip:+31205550100@127.0.0.1")
	carrier.sees("CALL_ESTABLISHED")
	dialer.sees("CALL_ESTABLISHED")
	carrier.do("hangup", "")
	dialer.sees("CALL_CLOSED")
	if got := n.metrics("dialgate_sip_messages_total", `method="INVITE"`, `direction="out"`); got != 7 {
		t.Errorf("%v INVITEs have left, want those of 3 calls and 4 re-INVITEs", got)
	}
	if got := n.metrics("dialgate_sip_messages_total", `method="BYE"`, `direction="out"`); got != 3 {
		t.Errorf("%v BYEs have left, want 3", got)
	}
	if got := n.metrics("dialgate_panics_total") + n.metrics("dialgate_sip_send_errors_total"); got != 0 {
		t.Errorf("%v panics and messages that could not be sent", got)
	}
}
