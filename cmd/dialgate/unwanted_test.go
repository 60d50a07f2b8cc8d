package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"dialgate/policy"
)

// TestUnwantedCalls: a 607 is listed, and binds the next call where the peer's
// configuration says that it is an objection.
func TestUnwantedCalls(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		peer   string
		became string
	}{
		{"", unwantedCandidate},
		{", unwanted: objection", unwantedObjection},
	} {
		w := newWireOf(t, fmt.Sprintf(attemptsConfig, 0), c.peer)
		to := policy.MustNumber("+31612345678")
		w.add(legal(to))
		w.answer = func(int) string { return "607 Unwanted" }
		h := hypothetical{from: "+31205550100", to: to.E164(), callID: "first"}
		if got := w.call(h, 1, workday); got.code != 607 {
			t.Fatalf("the 607 was not passed on: %d", got.code)
		}
		list := ""
		for range 2000 { // the outcome's record is nobody's to wait for
			if list = w.command(exitOK, "audit", "blocked", "-c", w.config, "--by", "unwanted"); list != "" && counted(w, `dialgate_unwanted_total{became="`+c.became+`"}`) {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		if !strings.Contains(list, "+31205550100") || !strings.Contains(list, to.E164()) || !strings.Contains(list, " 607 unwanted ") || !counted(w, `dialgate_blocked_calls_total{by="unwanted",card="none"}`) {
			t.Errorf("audit blocked lists %q", list)
		}
		if other := w.command(exitOK, "audit", "blocked", "-c", w.config, "--by", "rejected"); other != "" {
			t.Errorf("rejected: %q", other)
		}
		h.callID = "second"
		// At night or on a holiday too: an objection comes before the hours.
		if got := w.call(h, 2, time.Now().Add(time.Second)); (got.decision.Reason == policy.ReasonObjected) != (c.became == unwantedObjection) {
			t.Errorf("%s: the next call is %s", c.became, got.decision.Reason)
		}
		facts, err := w.node.store.History(to)
		if err != nil || (len(facts.All) == 2) != (c.became == unwantedObjection) {
			t.Errorf("%s: %d facts, %v", c.became, len(facts.All), err)
		}
	}
}

// counted reports whether a counter of the node stands at 1.
func counted(w *wire, series string) bool {
	families, err := w.node.registry.Gather()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
			}
			if f.GetName()+"{"+strings.Join(labels, ",")+"}" == series {
				return m.GetCounter().GetValue() == 1
			}
		}
	}
	return false
}
