package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"dialgate/policy"
)

// An insertion is one way in which dialgate stands in the path of calls.
type insertion struct {
	name string
	peer string // what differs in the peer's configuration
	// right reports whether an allowed call went on as it should.
	right func(w *wire, c *agreement, got wireCall) bool
}

var insertions = []insertion{
	{"inline", "", func(w *wire, c *agreement, got wireCall) bool {
		return got.passed && strings.Contains(w.invite, "Record-Route: ")
	}},
	{"inline without Record-Route", ", no_record_route: true", func(w *wire, c *agreement, got wireCall) bool {
		return got.passed && !strings.Contains(w.invite, "Record-Route: ")
	}},
	{"redirect", ", dialect: redirect-302", func(w *wire, c *agreement, got wireCall) bool {
		want := fmt.Sprintf("<sip:%s@%s;user=phone>", c.to.E164(), w.carrier.LocalAddr())
		return !got.passed && got.code == 302 && header(got.answer, "Contact") == want
	}},
}

// TestEveryInsertionJudgesAlike sends the same 800 INVITEs, in the long form 2,000, through every
// insertion mode and asks the function under them, each on a node of its own
// with the same facts: verdict and reason are the same, and so is the number of
// calls that went before, since what was allowed counts in every mode.
func TestEveryInsertionJudgesAlike(t *testing.T) {
	t.Parallel()
	groups := 10
	if os.Getenv("DIALGATE_LONG") == "" {
		groups = 4
	}
	var nodes []*wire
	for _, mode := range insertions {
		nodes = append(nodes, newWireOf(t, agreeConfig, mode.peer))
	}
	asked := newWire(t, agreeConfig)
	r := rand.New(rand.NewPCG(4, 12))
	calls, allowed, reasons := 0, 0, map[policy.Reason]int{}
	for group := range groups {
		cases := drawGroup(r, asked.node.world, group)
		var facts []policy.Fact
		for _, c := range cases {
			facts = append(facts, c.facts...)
		}
		for _, w := range append(nodes, asked) {
			w.add(facts...)
		}
		for again := range 4 {
			for i, c := range cases {
				at := c.at.Add(time.Duration(again*r.IntN(10*24)) * time.Hour)
				h := hypothetical{from: c.from, to: c.to.E164(), callID: fmt.Sprintf("%d-%d-%d@dialer.invalid", group, i, again)}
				want := asked.decide(h, at)
				for m, w := range nodes {
					got := w.call(h, 1, at)
					if got.decision.Verdict != want.Verdict || got.decision.Reason != want.Reason {
						t.Fatalf("%s: %s %s, the decision is %s %s", insertions[m].name, got.decision.Verdict, got.decision.Reason, want.Verdict, want.Reason)
					}
					if want.Verdict == policy.Allowed && !insertions[m].right(w, c, got) {
						t.Fatalf("%s: an allowed call was answered %d, passed on: %t\n%s\n%s", insertions[m].name, got.code, got.passed, got.answer, w.invite)
					}
					if want.Verdict == policy.Denied && (got.passed || got.code < 400) {
						t.Fatalf("%s: a refused call was answered %d, passed on: %t", insertions[m].name, got.code, got.passed)
					}
				}
				calls++
				reasons[want.Reason]++
				if want.Verdict == policy.Allowed {
					allowed++
				}
			}
		}
	}
	t.Logf("%d INVITEs in each mode, %d allowed, by reason: %v", calls, allowed, reasons)
	if calls != groups*4*agreementsInGroup || len(reasons) < 15 || allowed < 15*groups || reasons[policy.ReasonAttemptsExceeded] == 0 {
		t.Errorf("%d INVITEs with %d reasons, %d allowed, do not say much", calls, len(reasons), allowed)
	}
}

// decide asks the function that every mode comes down to, without SIP on the
// wire: an attempt read from the message, judged and recorded by the gate.
func (w *wire) decide(h hypothetical, at time.Time) policy.Decision {
	w.t.Helper()
	w.clock.Store(&at)
	world := w.node.current.Load()
	attempt, err := world.attempt(h.invite(), world.domain.Peers[0].Terms, "", at)
	if err != nil {
		w.t.Fatal(err)
	}
	ruled := make(chan policy.Ruling, 1)
	w.node.newGate(world).Judge(attempt, func(r policy.Ruling) { ruled <- r })
	return (<-ruled).Decision
}
