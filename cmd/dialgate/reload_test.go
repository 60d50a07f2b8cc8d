package main

import (
	"bytes"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// reloadText is a configuration that refuses the calls of the test in a
// dialect, on behalf of an advertiser.
const reloadText = `
listen: {udp: [{address: "127.0.0.1:0"}]}
peers: [{id: dialer, sources: [127.0.0.1], campaigns: ["*"], dialect: %s}]
carriers: [{id: carrier, targets: ["192.0.2.1:5060"]}]
advertisers: [{id: %s}]
campaigns: [{id: %[2]s, advertiser: %[2]s, purpose: commercial, products: [energy], callers: ["+31205550100"], objection_offered: true}]
store: {path: %q}
ledger: {segment_size: 1MiB}
api: {address: "127.0.0.1:0"}
`

// TestReloadsWhileCallsAreJudged reloads from two goroutines, also what is
// wrong, while calls are judged: the record of each call is of one configuration.
func TestReloadsWhileCallsAreJudged(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "dialgate.yaml")
	put := func(text string) {
		// Moved into place, so that no reload reads half a file.
		if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	text := map[string]string{}
	for advertiser, dialect := range map[string]string{"safely": "safe", "strictly": "strict"} {
		text[advertiser] = fmt.Sprintf(reloadText, dialect, advertiser, filepath.Join(dir, "data"))
	}
	put(text["safely"])
	w, err := loadAccepted(path)
	if err != nil {
		t.Fatal(err)
	}
	var level slog.LevelVar
	n, err := startNode(w, nodeOptions{now: time.Now, log: slog.New(slog.DiscardHandler), config: path, setLevel: func(s string) { _ = level.UnmarshalText([]byte(s)) }})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := n.close(); err != nil {
			t.Error(err)
		}
	}()
	strictly, err := func() (*world, error) { put(text["strictly"]); return loadAccepted(path) }()
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]string{w.cfg.ID(): "safely", strictly.cfg.ID(): "strictly"}

	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			put([]string{text["safely"], "peers: [", text["strictly"], text["safely"] + "carriers: []\n"}[i%4])
			_, err := n.reload()
			if fine := err == nil; fine != (i%2 == 0) {
				t.Errorf("reload %d: %v", i, err)
			}
		}
	})
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
				_ = report(func() error { _, err := n.reload(); return err }(), &bytes.Buffer{}) // of whatever is there
			}
		}
	})
	const calls = 150
	answers := refusals(t, n.sip[0].String(), calls)
	close(stop)
	wg.Wait()

	seen := map[string]int{}
	for d, err := range n.store.Decisions(1) {
		if err != nil {
			t.Fatal(err)
		}
		of := names[d.Config]
		want := map[string]int{"safely": 403, "strictly": 470}[of]
		if d.Advertiser != of || d.Answer != want || answers[d.CallID] != fmt.Sprint(want) {
			t.Errorf("%s: configuration %s (%s), advertiser %s, recorded answer %d, answered %s", d.CallID, d.Config, of, d.Advertiser, d.Answer, answers[d.CallID])
		}
		seen[of]++
	}
	if seen["safely"]+seen["strictly"] != calls || seen["safely"] == 0 || seen["strictly"] == 0 {
		t.Errorf("recorded: %v, want %d of both kinds", seen, calls)
	}

	// Label values stay bounded, however often other campaigns come.
	for round := range 3 {
		var more strings.Builder
		for i := range maxCampaigns {
			fmt.Fprintf(&more, "{id: c%d-%d, advertiser: safely, purpose: ideal}, ", round, i)
		}
		put(strings.Replace(text["safely"], "campaigns: [{", "campaigns: ["+more.String()+"{", 1))
		r, err := n.reload()
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(r.Changed, " "); !strings.Contains(got, "campaigns") {
			t.Errorf("changed: %s", got)
		}
	}
	if got := len(n.metrics.names); got != maxCampaigns {
		t.Errorf("%d campaigns are label values, want %d", got, maxCampaigns)
	}

	// A node on the embedded configuration has nothing to read again.
	before := n.current.Load()
	n.o.config = ""
	if _, err := n.reload(); err == nil || !strings.Contains(err.Error(), "start it with -c FILE") || n.current.Load() != before {
		t.Errorf("a reload without a file: %v", err)
	}
}

// refusals makes calls one by one and returns the final answer to each.
func refusals(t *testing.T, gate string, calls int) map[string]string {
	t.Helper()
	c, err := net.Dial("udp", gate)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	answers := map[string]string{}
	buf := make([]byte, 65535)
	for i := range calls {
		h := hypothetical{from: "+31205550100", to: "+31612345678", callID: fmt.Sprintf("reload-%d", i)}
		invite := strings.Replace(string(h.invite()), "branch=z9hG4bK-hypothetical", fmt.Sprintf("branch=z9hG4bK-%d;rport", i), 1)
		if _, err := c.Write([]byte(invite)); err != nil {
			t.Fatal(err)
		}
		for answers[h.callID] == "" {
			if err := c.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
				t.Fatal(err)
			}
			k, err := c.Read(buf)
			if err != nil {
				t.Fatalf("call %d is not answered: %v", i, err)
			}
			// Answers to earlier calls are repeated, since nobody acknowledges them.
			first, rest, _ := strings.Cut(string(buf[:k]), "\r\n")
			if words := strings.Fields(first); len(words) > 1 && words[1] >= "200" && strings.Contains(rest, "Call-ID: "+h.callID+"\r\n") {
				answers[h.callID] = words[1]
			}
		}
	}
	return answers
}
