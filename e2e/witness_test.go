//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"dialgate/sipproxy/message"
)

// A witness is a dialer and a carrier that remember what they were told, so that
// it can be compared with what the node's records say after a fault.
type witness struct {
	t       *testing.T
	n       *node
	dialer  *net.UDPConn
	carrier *net.UDPConn

	mu       sync.Mutex
	made     int
	answered map[string]int  // final status by Call-ID
	excused  map[string]bool // of these, calls that were told that they have no record
	reached  map[string]bool // Call-IDs that the carrier saw
	facts    map[string]bool // ids of facts that were acknowledged
}

// newWitness puts itself in the carrier's place, before the node is started.
func newWitness(t *testing.T, n *node) *witness {
	t.Helper()
	w := &witness{t: t, n: n, answered: map[string]int{}, excused: map[string]bool{}, reached: map[string]bool{}, facts: map[string]bool{}}
	for conn, port := range map[**net.UDPConn]int{&w.dialer: 0, &w.carrier: n.carrier} {
		c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetReadBuffer(4 << 20) // as much as the system gives
		t.Cleanup(func() { c.Close() })
		*conn = c
	}
	go w.listen(w.dialer, w.heardByDialer)
	go w.listen(w.carrier, w.heardByCarrier)
	return w
}

func (w *witness) listen(c *net.UDPConn, heard func(v *message.View, from netip.AddrPort)) {
	buf := make([]byte, 1<<16)
	for {
		n, from, err := c.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		var v message.View
		if v.Parse(buf[:n]) == nil {
			heard(&v, from)
		}
	}
}

func (w *witness) heardByDialer(v *message.View, from netip.AddrPort) {
	if v.IsRequest() || v.Status < 200 {
		return
	}
	id := string(v.Value(message.CallID))
	w.mu.Lock()
	w.answered[id] = v.Status
	w.excused[id] = bytes.Contains(v.Raw, []byte(`"ledger-unavailable"`)) || bytes.Contains(v.Raw, []byte(`"overloaded"`))
	w.mu.Unlock()
	via, _, _ := strings.Cut(string(v.Raw[bytes.Index(v.Raw, []byte("Via:")):]), "\r\n")
	ack := fmt.Appendf(nil, "ACK sip:x@127.0.0.1 SIP/2.0\r\n%s\r\nMax-Forwards: 70\r\nFrom: %s\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: 1 ACK\r\nContent-Length: 0\r\n\r\n",
		via, v.Value(message.From), v.Value(message.To), id)
	_, _ = w.dialer.WriteToUDPAddrPort(ack, from) // lost, then the answer comes again
}

// heardByCarrier notes the call, and is busy.
func (w *witness) heardByCarrier(v *message.View, from netip.AddrPort) {
	if !v.IsRequest() || !v.IsMethod("INVITE") {
		return
	}
	w.mu.Lock()
	w.reached[string(v.Value(message.CallID))] = true
	w.mu.Unlock()
	res := v.AppendResponse(nil, &message.Response{Status: 486, Phrase: "Busy Here", ToTag: []byte("carrier"), Source: from})
	_, _ = w.carrier.WriteToUDPAddrPort(res, from)
}

// call makes one call and does not wait for its answer.
func (w *witness) call(number string) (id string) {
	w.mu.Lock()
	w.made++
	id = fmt.Sprintf("call-%d", w.made)
	w.mu.Unlock()
	here := w.dialer.LocalAddr()
	_, _ = w.dialer.WriteToUDPAddrPort(fmt.Appendf(nil, "INVITE sip:%s@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bK-%s\r\nMax-Forwards: 70\r\nFrom: <sip:+31205550100@127.0.0.1>;tag=d\r\n"+
		"To: <sip:%s@127.0.0.1>\r\nCall-ID: %s\r\nCSeq: 1 INVITE\r\nContact: <sip:d@%s>\r\nContent-Length: 0\r\n\r\n", number, here, id, number, id, here),
		netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(w.n.sip))) // while the node is down nobody listens
	return id
}

// calls makes calls to numbers that are known and not known by turns until ctx is done.
func (w *witness) calls(ctx context.Context, every time.Duration, numbers int) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for i := 0; ctx.Err() == nil; i++ {
		w.call(fmt.Sprintf("+316%08d", 10_000_000+i%numbers))
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// answer waits for a call's final status.
func (w *witness) answer(id string, within time.Duration) int {
	for end := time.Now().Add(within); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		w.mu.Lock()
		status := w.answered[id]
		w.mu.Unlock()
		if status != 0 {
			return status
		}
	}
	return 0
}

// A door is a way by which facts come in one at a time.
type door struct {
	client *http.Client
	url    string
	token  string
}

// doors are the HTTP API and the control socket.
func (w *witness) doors() []door {
	token := strings.TrimSpace(lastLine(w.n.run("token", "create", fmt.Sprint("witness", w.made), "--role", "editor")))
	socket := filepath.Join(w.n.dir, "data", "control.sock")
	return []door{
		{&http.Client{Timeout: 10 * time.Second}, w.n.url("/v1/facts"), token},
		{&http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		}}}, "http://node/facts", ""},
	}
}

func lastLine(s string) string {
	s = strings.TrimSpace(s)
	return s[strings.LastIndexByte(s, '\n')+1:]
}

// add adds a fact and returns the status; it is acknowledged below 300.
func (w *witness) add(ctx context.Context, d door, fact string) (status int, body string, err error) {
	req, err := http.NewRequestWithContext(ctx, "POST", d.url, strings.NewReader(fact))
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("Content-Type", "application/json")
	if d.token != "" {
		req.Header.Set("Authorization", "Bearer "+d.token)
	}
	res, err := d.client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode < 300 {
		var f struct{ ID string }
		if err := json.Unmarshal([]byte(fact), &f); err != nil {
			w.t.Error(err)
		}
		w.mu.Lock()
		w.facts[f.ID] = true
		w.mu.Unlock()
	}
	return res.StatusCode, string(text), err
}

// objectionOf is a fact as it goes in by a door.
func objectionOf(id string, number int) string {
	return `{"id":"` + id + `","kind":"objection","number":"+31687` + fmt.Sprintf("%06d", number) + `","advertiser":"*","at":"` + time.Now().UTC().Format(time.RFC3339) + `","source":"` + strconv.Itoa(number) + `"}`
}

// sums says how much came to pass.
func (w *witness) sums() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return fmt.Sprintf("%d calls made, %d answered, %d at the carrier, %d facts acknowledged one by one", w.made, len(w.answered), len(w.reached), len(w.facts))
}

// missing compares what was acknowledged with what the node has now.
func (w *witness) missing(recorded map[string]string, exported map[string]string) (lost []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for id, status := range w.answered {
		if recorded[id] == "" && !w.excused[id] {
			lost = append(lost, fmt.Sprintf("call %s was answered %d and is not recorded", id, status))
		}
	}
	for id := range w.reached {
		if recorded[id] != "allow" {
			lost = append(lost, fmt.Sprintf("call %s reached the carrier, and the record says %q", id, recorded[id]))
		}
	}
	for id := range w.facts {
		if exported[id] == "" {
			lost = append(lost, fmt.Sprintf("fact %s was acknowledged and is gone", id))
		}
	}
	return lost
}

// exported is every fact that the node has, by its id.
func (n *node) exported() map[string]string {
	n.t.Helper()
	all := map[string]string{}
	for line := range strings.Lines(n.run("facts", "export")) {
		var f struct{ ID string }
		if err := json.Unmarshal([]byte(line), &f); err != nil {
			n.t.Fatalf("%v: %s", err, line)
		}
		all[f.ID] = line
	}
	return all
}
