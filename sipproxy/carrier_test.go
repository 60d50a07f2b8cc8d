package sipproxy

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// TestWeights chooses often: each carrier gets its share.
func TestWeights(t *testing.T) {
	p := &Proxy{o: Options{Random: rand.New(rand.NewPCG(1, 1)).IntN}}
	some := []hop{{weight: 6}, {}, {weight: 3}, {weight: 1}}
	const calls = 100_000
	var got [4]int
	for range calls {
		got[p.weigh(some)]++
	}
	for i, want := range []int{60, 0, 30, 10} {
		if share := 100 * got[i] / calls; share < want-1 || share > want+1 {
			t.Errorf("choice %d got %d %% of the calls, want %d", i, share, want)
		}
	}
	if n := p.weigh(make([]hop, 2)); n != 0 {
		t.Errorf("of two without weight the %d. was taken", n+1)
	}
}

// TestHealth draws events at random: whatever happens, a target changes its
// state only along the edges of the machine, and by as many events as it asks for.
func TestHealth(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := Probing{Down: rapid.IntRange(1, 4).Draw(t, "down"), Up: rapid.IntRange(1, 4).Draw(t, "up")}
		if rapid.Bool().Draw(t, "on") {
			p.Every = time.Second
		}
		now := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
		h := health{since: now}
		failures, answers := 0, 0
		for range rapid.IntRange(1, 40).Draw(t, "events") {
			now = now.Add(time.Duration(rapid.IntRange(0, 20).Draw(t, "seconds")) * time.Second)
			before, resting := h, now.Before(h.rest)
			changed := false
			event := rapid.SampledFrom([]string{"failed", "answered", "resting", "rested"}).Draw(t, "event")
			switch event {
			case "failed":
				changed = h.failed(now, "no answer", &p)
				failures, answers = failures+1, 0
			case "answered":
				changed = h.answered(now, &p)
				failures = 0
				if !resting {
					answers++
				}
			case "resting":
				changed = h.resting(now, time.Duration(rapid.IntRange(1, 1000).Draw(t, "rest"))*time.Second)
				failures, answers = 0, 0
				if h.state != targetDown || h.rest.Sub(now) > maxRest {
					t.Fatalf("a Retry-After left it %s until %s", h.state, h.rest)
				}
			case "rested":
				changed = h.rested(now, &p)
			}
			if changed != (h.state != before.state) {
				t.Fatalf("%s: from %s to %s, and it said %v", event, before.state, h.state, changed)
			}
			if changed && (h.since != now || h.why == "") {
				t.Fatalf("%s to %s without when or why: %+v", event, h.state, h)
			}
			switch {
			case !changed:
			case h.state == targetUp && p.on() && answers < p.Up:
				t.Fatalf("up after %d answers in a row", answers)
			case h.state == targetUp && resting:
				t.Fatal("up while a Retry-After runs")
			case h.state == targetDown && before.state == targetUp && event == "failed" && (!p.on() || failures < p.Down):
				t.Fatalf("down after %d failures in a row, probing %v", failures, p.on())
			case h.state == targetProbing && before.state != targetDown:
				t.Fatalf("probing after %s", before.state)
			}
			if changed {
				failures = 0
				if h.state != targetProbing || event != "answered" {
					answers = 0
				}
			}
			if p.on() && h.state == targetUp && failures >= p.Down {
				t.Fatalf("still up after %d failures in a row", failures)
			}
		}
	})
}

// TestCarrierMetrics looks at what is shown after a call that found its first
// carrier down, one for which the other had no room, and one that went on.
func TestCarrierMetrics(t *testing.T) {
	for _, c := range []struct{ script, want string }{
		{`
with first probing=10
with second priority=1 setup=1
wait 12s
dialer INVITE call-id=a
second 180
dialer INVITE call-id=b
dialer ACK
`, `
dialgate_carrier_calls_in_setup{carrier="carrier"} 0
dialgate_carrier_calls_in_setup{carrier="second"} 1
dialgate_carrier_names_failed{carrier="carrier"} 0
dialgate_carrier_names_failed{carrier="second"} 0
dialgate_carrier_passed_over_total{carrier="second"} 1
dialgate_carrier_targets{carrier="carrier",state="down"} 1
dialgate_carrier_targets{carrier="carrier",state="probing"} 0
dialgate_carrier_targets{carrier="carrier",state="up"} 0
dialgate_carrier_targets{carrier="second",state="down"} 0
dialgate_carrier_targets{carrier="second",state="probing"} 0
dialgate_carrier_targets{carrier="second",state="up"} 1
dialgate_carrier_transitions_total{carrier="carrier",state="down"} 1
dialgate_carrier_up{carrier="carrier"} 0
dialgate_carrier_up{carrier="second"} 1
`},
		{`
dialer INVITE
carrier 486
dialer ACK
`, `
dialgate_carrier_calls_in_setup{carrier="carrier"} 0
dialgate_carrier_names_failed{carrier="carrier"} 0
dialgate_carrier_targets{carrier="carrier",state="down"} 0
dialgate_carrier_targets{carrier="carrier",state="probing"} 0
dialgate_carrier_targets{carrier="carrier",state="up"} 1
dialgate_carrier_up{carrier="carrier"} 1
`},
		{`
with second priority=1
dialer INVITE
carrier 503
second 486
dialer ACK
reload other-carrier
`, `
dialgate_carrier_calls_in_setup{carrier="carrier"} 0
dialgate_carrier_calls_in_setup{carrier="second"} 0
dialgate_carrier_names_failed{carrier="carrier"} 0
dialgate_carrier_names_failed{carrier="second"} 0
dialgate_carrier_targets{carrier="carrier",state="down"} 0
dialgate_carrier_targets{carrier="carrier",state="probing"} 0
dialgate_carrier_targets{carrier="carrier",state="up"} 1
dialgate_carrier_targets{carrier="second",state="down"} 0
dialgate_carrier_targets{carrier="second",state="probing"} 0
dialgate_carrier_targets{carrier="second",state="up"} 1
dialgate_carrier_up{carrier="carrier"} 1
dialgate_carrier_up{carrier="second"} 1
dialgate_failovers_total{carrier="carrier",cause="503"} 1
`},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := perform(t, c.script)
			if got := s.shown(t, "dialgate_carrier_", "dialgate_failovers_"); got != strings.TrimLeft(c.want, "\n") {
				t.Errorf("after%s\ngot\n%swant%s", c.script, got, c.want)
			}
		})
	}
}

// shown are the metrics whose names begin so, as Prometheus reads them.
func (s *stage) shown(t *testing.T, names ...string) string {
	families, err := s.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, f := range families {
		if !slices.ContainsFunc(names, func(n string) bool { return strings.HasPrefix(f.GetName(), n) }) {
			continue
		}
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
			}
			fmt.Fprintf(&b, "%s{%s} %v\n", f.GetName(), strings.Join(labels, ","), m.GetGauge().GetValue()+m.GetCounter().GetValue())
		}
	}
	return b.String()
}
