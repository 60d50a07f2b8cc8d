package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"dialgate/policy"
)

const slowDiskConfig = `
advertisers: [{id: windkracht, name: Windkracht BV}]
campaigns:
  - {id: energy, advertiser: windkracht, purpose: commercial, products: [energy], callers: ["+31205550100"], objection_offered: true}
`

// slowSync is how long the test's disk takes, as a dying one does.
const slowSync = 2 * time.Second

// TestSlowDisk: while every sync of the disk takes two seconds, calls are
// answered within the bound by the operator's choice, once each, and the reader
// takes what comes. What the ledger holds afterwards says what was done.
func TestSlowDisk(t *testing.T) {
	const bound = 300 * time.Millisecond
	for name, c := range map[string]struct {
		permit  string
		code    int
		passed  bool
		instead string
	}{
		"refuse": {"", 603, false, "ledger-unavailable"},
		"permit": {"permit: [ledger-unavailable]\n", 486, true, "not-enforced"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var slow atomic.Bool
			w := newWireOn(t, c.permit+slowDiskConfig+fmt.Sprintf("ledger: {answer_within: %s}\n", bound), func(f *os.File) error {
				if slow.Load() {
					time.Sleep(slowSync)
				}
				return f.Sync()
			})
			yes := policy.MustNumber("+31612345678")
			w.add(policy.Fact{ID: "c1", Kind: policy.Consent, Number: yes, Advertiser: "windkracht", At: workday.AddDate(0, -1, 0), VerifiedAt: workday.AddDate(0, -1, 0), VerifiedBy: "sms",
				Purposes: []policy.Purpose{policy.Commercial}, Products: []string{"energy"}, Channels: []policy.CallMode{policy.Live}, Method: "web-form",
				Evidence: policy.Evidence{URI: "u", SHA256: strings.Repeat("ab", 32), TextVersion: "v3", TextSHA256: strings.Repeat("cd", 32), Person: "p1"}})
			call := func(to, id string) (wireCall, time.Duration) {
				began := time.Now()
				got := w.call(hypothetical{from: "+31205550100", to: to, callID: id}, 1, workday)
				return got, time.Since(began)
			}
			if got, _ := call(yes.E164(), "before"); got.code != 486 || !got.passed {
				t.Fatalf("before: %+v", got)
			}
			slow.Store(true)
			for i := range 3 { // the second and third come while the first one's sync runs
				got, took := call(yes.E164(), fmt.Sprint("slow-", i))
				if got.code != c.code || got.passed != c.passed {
					t.Errorf("call %d: code %d, passed on %t", i, got.code, got.passed)
				}
				if took < bound || took > bound+slowSync/2 {
					t.Errorf("call %d took %s, the bound is %s", i, took, bound)
				}
			}
			if got, took := call("+31687654321", "slow-refused"); got.code != 403 || took > bound+slowSync/2 {
				t.Errorf("a refused call: code %d after %s", got.code, took)
			}
			if took := w.ping(); took > slowSync/4 {
				t.Errorf("the reader answered after %s", took)
			}
			slow.Store(false)
			time.Sleep(slowSync) // the last slow sync
			if got, _ := call(yes.E164(), "after"); got.code != 486 || !got.passed {
				t.Errorf("after: %+v", got)
			}

			p, err := w.node.store.Prove(yes, time.Time{})
			if err != nil {
				t.Fatal(err)
			}
			var instead []string
			for _, call := range p.View.Calls {
				if call.Outcome == nil {
					t.Fatalf("record %d has no outcome", call.Record)
				}
				instead = append(instead, fmt.Sprint(call.Decision.CallID, "=", call.Outcome.Instead))
			}
			want := "before= slow-0=I slow-1=I slow-2=I after="
			if got := strings.Join(instead, " "); got != strings.ReplaceAll(want, "I", c.instead) {
				t.Errorf("the record says %s", got)
			}
			if list := w.command(0, "audit", "-c", w.config, "late"); strings.Count(list, "\n") != 3 || strings.Count(list, fmt.Sprint(" ", c.code, " ", c.instead)) != 3 {
				t.Errorf("audit late lists %q", list)
			}
			if list := w.command(0, "audit", "-c", w.config, "list", "--number", yes.E164()); strings.Count(list, "\n") != 5 || strings.Count(list, " instead="+c.instead+"\n") != 3 {
				t.Errorf("audit list marks %q", list)
			}
			if list := w.command(0, "audit", "-c", w.config, "list", "--json"); strings.Count(list, `"instead":"`+c.instead+`"}`) != 3 {
				t.Errorf("audit list --json marks %q", list)
			}
			export := filepath.Join(t.TempDir(), "export.jsonl")
			w.command(0, "audit", "-c", w.config, "export", "--from", "2020-01-01T00:00:00Z", "--to", "2030-01-01T00:00:00Z", export)
			if found := w.command(0, "audit", "verify", export); !strings.Contains(found, "3 calls were not answered as decided") {
				t.Errorf("of the export is said %q", found)
			}
			f, err := w.node.store.History(yes)
			if err != nil {
				t.Fatal(err)
			}
			counted := 2
			if c.passed {
				counted = 5
			}
			if len(f.Calls) != counted {
				t.Errorf("%d calls count as made, want %d", len(f.Calls), counted)
			}
			if n := gathered(t, w.node, "dialgate_unrecorded_calls_total"); n != 4 {
				t.Errorf("%v calls were counted as unrecorded, want 4", n)
			}
		})
	}
}

// ping asks the node by OPTIONS whether it is there, and how long that takes.
func (w *wire) ping() time.Duration {
	w.t.Helper()
	w.branch++
	began := time.Now()
	_, err := w.dialer.WriteTo(fmt.Appendf(nil, "OPTIONS sip:x@%s SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bK-%d\r\nMax-Forwards: 70\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:x@y>\r\nCall-ID: ping-%d\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n",
		w.node.sip[0], w.dialer.LocalAddr(), w.branch, w.branch), net.UDPAddrFromAddrPort(w.node.sip[0]))
	if err != nil {
		w.t.Fatal(err)
	}
	buf := make([]byte, 1<<16)
	for {
		_ = w.dialer.SetReadDeadline(time.Now().Add(5 * time.Second))
		n, err := w.dialer.Read(buf)
		if err != nil {
			w.t.Fatal(err)
		}
		if bytes.Contains(buf[:n], fmt.Appendf(nil, "Call-ID: ping-%d", w.branch)) {
			return time.Since(began)
		}
	}
}

// gathered is the sum of a counter's series.
func gathered(t *testing.T, n *node, name string) (sum float64) {
	t.Helper()
	families, err := n.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			for _, m := range f.GetMetric() {
				sum += m.GetCounter().GetValue()
			}
		}
	}
	return sum
}
