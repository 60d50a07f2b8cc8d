package sipproxy

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	"dialgate/internal/simnet"
	"dialgate/sipproxy/message"
)

// reviewed are the messages of RFC 4475 of which a gate in front of a carrier
// makes something else than a general proxy, and why.
var reviewed = map[string]struct{ outcome, why string }{
	"intmeth.dat":    {"405", "only calls pass: a method that is not ours outside a call is refused"},
	"esc02.dat":      {"405", "the method is none of ours, and not REGISTER"},
	"lwsdisp.dat":    {"200", "OPTIONS outside a call asks us and is answered here"},
	"semiuri.dat":    {"200", "OPTIONS outside a call asks us and is answered here"},
	"transports.dat": {"200", "OPTIONS outside a call asks us and is answered here"},
	"dblreq.dat":     {"405", "REGISTER is not for us; what follows in the datagram is dropped with it"},
	"mpart01.dat":    {"405", "MESSAGE outside a call is refused"},
	"regaut01.dat":   {"405", "REGISTER is not for us"},
	"cparam01.dat":   {"405", "REGISTER is not for us"},
	"cparam02.dat":   {"405", "REGISTER is not for us"},
	"regescrt.dat":   {"405", "REGISTER is not for us"},
	"unksm2.dat":     {"405", "REGISTER is not for us"},
	"regbadct.dat":   {"405", "REGISTER is not for us, whatever its Contact"},
	"badbranch.dat":  {"200", "OPTIONS outside a call asks us; it is matched as RFC 2543 does"},
}

// TestTortureMessages sends each message of RFC 4475 from a dialer that may
// choose its way through a proxy that allows every call: what comes of it is what EXPECTED.tsv demands,
// or was reviewed.
func TestTortureMessages(t *testing.T) {
	dir := filepath.Join("..", "..", "shared", "testdata", "rfc4475")
	table, err := os.ReadFile(filepath.Join(dir, "EXPECTED.tsv"))
	if err != nil {
		t.Skip("RFC 4475's messages are not beside the repository")
	}
	rows := strings.Split(strings.TrimSpace(string(table)), "\n")[1:]
	if len(rows) != 50 {
		t.Errorf("%d messages, want the RFC's 49 and the one that is only in its archive", len(rows))
	}
	for _, row := range rows {
		cells := strings.Split(row, "\t")
		name, expected := cells[0], cells[4]
		t.Run(strings.TrimSuffix(name, ".dat"), func(t *testing.T) {
			raw, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			outcome := ""
			synctest.Test(t, func(t *testing.T) { outcome = outcomeOf(t, raw) })
			if r, ok := reviewed[name]; ok {
				if outcome != r.outcome {
					t.Errorf("%s, want %s: %s", outcome, r.outcome, r.why)
				}
				return
			}
			if !slices.Contains(strings.Split(strings.NewReplacer("absorb", "drop", "by-Via", "").Replace(expected), "-or-"), outcome) &&
				!strings.HasPrefix(expected, outcome) {
				t.Errorf("%s, expected %s", outcome, expected)
			}
			t.Logf("%s: %s", expected, outcome)
		})
	}
}

// outcomeOf is what comes of a message from a dialer: "forward" when it, and
// nothing else, goes to the carrier, the status of our answer, or "drop".
func outcomeOf(t *testing.T, raw []byte) string {
	s := newStage(t, func(o *Options) { o.Peers[0].Terms.MayRoute = true })
	s.net.Drop = func(p simnet.Packet) bool { return p.From == gateAddr } // the tap sees it all
	var seen []string
	s.net.Tap = func(p simnet.Packet) {
		if p.From != gateAddr {
			return
		}
		var v message.View
		err := v.Parse(p.Payload)
		switch {
		case p.To == carrierAddr && err == nil && v.IsRequest():
			if string(v.Body) != string(bodyOf(raw)) {
				t.Errorf("the body that left is another:\n%q", p.Payload)
			}
			seen = append(seen, "forward")
		case p.To.Addr() == dialerAddr.Addr() && strings.HasPrefix(string(p.Payload), "SIP/2.0 "):
			// An answer to a malformed request holds what of it could be read.
			if status, err := strconv.Atoi(string(p.Payload[8:11])); err != nil || status != 100 {
				seen = append(seen, string(p.Payload[8:11]))
			}
		default:
			t.Errorf("sent to %s:\n%s", p.To, p.Payload)
		}
	}
	s.dialer.send(raw)
	synctest.Wait()
	outcome := append(seen, "drop")[0]
	if len(seen) > 1 {
		t.Errorf("one message, and this came of it: %v", seen)
	}
	return outcome
}

// bodyOf is the body as the message itself frames it.
func bodyOf(raw []byte) []byte {
	var v message.View
	if v.Parse(raw) != nil {
		return nil
	}
	return v.Body
}
