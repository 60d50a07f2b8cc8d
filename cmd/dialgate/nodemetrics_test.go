package main

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"dialgate/policy"
	"dialgate/store"
)

// TestNotEnforcedIsCountedByRuleReasonAndMode, each finding by itself, and what
// the operator let through unjudged too.
func TestNotEnforcedIsCountedByRuleReasonAndMode(t *testing.T) {
	w := testWorld(t, rejudgeConfig)
	s, err := store.Open(store.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	r := prometheus.NewRegistry()
	m := newNodeMetrics(r, s, w)

	h := hypothetical{from: "+31885550200", to: "+31612345678", headers: []string{"P-Asserted-Identity: <sip:+31885550200@x.invalid>"}}
	night := time.Date(2026, 11, 23, 23, 0, 0, 0, time.UTC) // dialer-b has the hours off
	a, err := w.attempt(h.invite(), w.domain.Peers[1].Terms, "", night)
	if err != nil {
		t.Fatal(err)
	}
	n := a.Called.Number
	gift := policy.Fact{ID: "g1", Kind: policy.Relationship, Number: n, Advertiser: "kust", Type: policy.Gift, ObjectionOffered: true,
		At: night.AddDate(0, -1, 0), Started: policy.NewDate(2026, 10, 23)}
	known, unknown := policy.Facts{Number: n, All: []policy.Fact{gift}}, policy.Facts{Number: n}
	d := w.books.Decide(a, &known)
	m.observe(a, &d, 0)
	m.observe(a, &d, 0)
	refused := w.books.Decide(a, &unknown) // by another rule: nothing went on
	m.observe(a, &refused, 0)
	permitted := policy.Permitted(policy.ReasonFactsUnavailable, refused)
	m.observe(a, &permitted, 0)

	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range families {
		if f.GetName() != "dialgate_not_enforced_total" {
			continue
		}
		for _, metric := range f.Metric {
			line := ""
			for _, l := range metric.Label {
				line += l.GetName() + "=" + l.GetValue() + " "
			}
			got = append(got, line+fmt.Sprint(metric.Counter.GetValue()))
		}
	}
	want := []string{"mode=off reason=outside-hours rule=nl.hours 2", "mode=permit reason=facts-unavailable rule=none 1"}
	if slices.Sort(got); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
