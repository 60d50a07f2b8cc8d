package console

import (
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"dialgate/policy"
)

// TestLadder: what went over the wire, as far as the ledger tells.
func TestLadder(t *testing.T) {
	for name, c := range map[string]struct {
		call Call
		want string
	}{
		"refused":         {Call{Verdict: "deny", Answer: 603}, "0→1 INVITE, 1→0 603, 0→1 ACK"},
		"sent back":       {Call{Verdict: "allow", Answer: 302}, "0→1 INVITE, 1→0 302"},
		"not known":       {Call{Verdict: "allow"}, "0→1 INVITE, 1→2 INVITE"},
		"answered":        {Call{Verdict: "allow", Outcome: &Outcome{Code: 200, RingMS: 1500, EndedBy: "callee", Tried: 1}}, "0→1 INVITE, 1→2 INVITE, 2→1 180, 1→0 180, 1.5 s, 2→1 200, 1→0 200"},
		"several targets": {Call{Verdict: "allow", Outcome: &Outcome{Code: 503, EndedBy: "callee", Carrier: "b", Tried: 3}}, "0→1 INVITE, 1→2 INVITE (3×), 2→1 503, 1→0 503"},
		"given up":        {Call{Verdict: "allow", Outcome: &Outcome{Code: 487, EndedBy: "dialer", Tried: 1}}, "0→1 INVITE, 1→2 INVITE, 0→1 CANCEL, 1→2 CANCEL, 1→0 487"},
		"objected to":     {Call{Verdict: "allow", Outcome: &Outcome{Code: 603, EndedBy: "objection", Tried: 1}}, "0→1 INVITE, 1→2 INVITE, 1→2 CANCEL, 1→0 603"},
	} {
		got := ""
		for i, s := range ladder(&c.call) {
			if i > 0 {
				got += ", "
			}
			got += fmt.Sprintf("%d→%d %s", s.From, s.To, s.Text)
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

// pastCalls is a node whose ledger holds decisions of before its console began,
// ten in a step.
type pastCalls struct {
	Node
	at   []time.Time // of decisions, all of which are refusals
	fail bool
}

var now = time.Date(2026, 11, 24, 10, 30, 0, 0, time.UTC)

func (pastCalls) Zone() *time.Location { return time.FixedZone("", 3600) }
func (pastCalls) Now() time.Time       { return now }

func (p pastCalls) Reasons(before uint64, tell func(time.Time, policy.Reason)) (uint64, error) {
	from := max(int(before)-1-10, 0)
	for _, at := range p.at[from : before-1] {
		tell(at, policy.ReasonObjected)
	}
	if p.fail {
		return 0, errors.New("a record can't be read")
	}
	if from == 0 {
		return 0, nil
	}
	return uint64(from) + 1, nil
}

func pastServer(p pastCalls) *Server {
	s := &Server{o: Options{Node: p, Log: slog.New(slog.DiscardHandler)}, meter: newMeter(), stream: newStream(nil), pastRead: make(chan struct{})}
	s.meter.now = func() time.Time { return now }
	s.readPast(uint64(len(p.at)) + 1)
	return s
}

// TestWhatWasBeforeTheStart is counted from the ledger: as far as a week, and
// the page knows how far.
func TestWhatWasBeforeTheStart(t *testing.T) {
	every := func(n int, d time.Duration) (at []time.Time) {
		for i := range n {
			at = append(at, now.Add(-time.Duration(n-i)*d))
		}
		return at
	}
	for name, c := range map[string]struct {
		node    pastCalls
		since   time.Time
		refused uint32 // in the last day
	}{
		"nothing":          {pastCalls{}, now, 0},
		"all of it":        {pastCalls{at: every(25, time.Minute)}, now.Add(-25 * time.Minute), 25},
		"more than a week": {pastCalls{at: every(400, time.Hour)}, now.Add(-pastReaches), 23},
		"not readable":     {pastCalls{at: every(25, time.Minute), fail: true}, now, 10},
	} {
		s := pastServer(c.node)
		sum := uint32(0)
		for _, one := range s.meter.Hours(now, 24).Spans {
			_, refused := one.Sum()
			sum += refused
		}
		if !s.meter.Since().Equal(c.since) || sum != c.refused {
			t.Errorf("%s: %d since %s, want %d since %s", name, sum, s.meter.Since(), c.refused, c.since)
		}
	}
	s := pastServer(pastCalls{at: every(25, time.Minute)})
	if r := s.meter.Minutes(60); r.Refused != 0 || r.Spans[58].Counts[policy.ReasonObjected] != 1 {
		t.Errorf("%+v", r.Spans[58])
	}
	s.stream.close()
	s.pastRead = make(chan struct{})
	s.readPast(26) // the node ends meanwhile: it reads no further
}

// TestHeat puts calls where the called live, those before the start beside those since.
func TestHeat(t *testing.T) {
	late := time.Date(2026, 11, 23, 23, 30, 0, 0, time.UTC) // Tuesday, half past midnight, where the called live
	s := pastServer(pastCalls{at: []time.Time{late}})
	s.meter.Observe(policy.ReasonConsent, late)
	tuesday := time.Date(2026, 11, 24, 9, 59, 0, 0, time.UTC)
	for range 4 {
		s.meter.Observe(policy.ReasonObjected, tuesday)
	}
	s.meter.Observe(policy.ReasonConsent, tuesday.Add(time.Minute))
	h := s.heat()
	if h.Calls != 7 || h.Most != 4 {
		t.Fatalf("%+v", h)
	}
	day := h.Days[1]
	for hour, want := range map[int]heatHour{0: {All: 2, Refused: 1, Level: 2}, 10: {All: 4, Refused: 4, Level: 5}, 11: {All: 1}} {
		if got := day.Hours[hour]; day.Day != time.Tuesday || got.All != want.All || got.Refused != want.Refused || got.Level != want.Level {
			t.Errorf("%s, %d h: %+v", day.Day, hour, got)
		}
	}
}

// TestChart: the parts of a bar add up, the legend counts what is drawn, and a
// reason beyond the colours is among the others.
func TestChart(t *testing.T) {
	s := pastServer(pastCalls{})
	v := &view{s: s, Lang: "nl"}
	reasons := []policy.Reason{policy.ReasonObjected, policy.ReasonNoConsent, policy.ReasonListed, policy.ReasonOutsideHours, policy.ReasonPublicHoliday,
		policy.ReasonCallerAnonymous, policy.ReasonCallerMissing}
	for i, r := range reasons {
		for range 10 - i {
			s.meter.Observe(r, now)
		}
	}
	s.meter.Observe(policy.ReasonConsent, now)
	s.meter.Past(policy.ReasonObjected, now.Add(-30*time.Hour))
	for span, objected := range map[string]uint64{"hour": 10, "day": 10, "week": 11} {
		d := &nowData{Span: span, Reading: s.meter.Minutes(60)}
		switch span {
		case "day":
			d.Reading = s.meter.Hours(now, 24)
		case "week":
			d.Reading = s.meter.Hours(now, meterHours)
		}
		d.chart(v)
		last := d.Bars[len(d.Bars)-1]
		height := 0.0
		for _, p := range last.Parts {
			height += p.Height
		}
		if d.Most != 50 || len(last.Parts) != 8 || height < chartHeight-0.01 || height > chartHeight+0.01 || last.X+d.Width > chartWidth {
			t.Errorf("%s: %d at most, %d parts of %.2f", span, d.Most, len(last.Parts), height)
		}
		if d.Legend[0].Count != 1 || d.Legend[1].Reason != "objected" || d.Legend[1].Count != objected || d.Legend[7].Reason != "other" || d.Legend[7].Count != 4 {
			t.Errorf("%s: %+v", span, d.Legend)
		}
		if d.Ticks[0].Text != map[string]string{"hour": "10:31", "day": "12:00", "week": "Di 12:00"}[span] {
			t.Errorf("%s begins at %s", span, d.Ticks[0].Text)
		}
	}
}

// TestAStreamComparesReasonsAsTheyAreTold to one advertiser.
func TestAStreamComparesReasonsAsTheyAreTold(t *testing.T) {
	c := Call{Reason: policy.ReasonConsentOtherAdvertiser.String(), Advertiser: "windkracht"}
	for q, want := range map[Search]bool{
		{Reason: "no-consent", Advertiser: "windkracht", Public: true}: true, {Reason: "no-consent"}: false, {Reason: "consent-other-advertiser"}: true, {Rule: "nl.hours"}: false,
	} {
		if q.fits(&c) != want {
			t.Errorf("%+v fits: %v", q, !want)
		}
	}
	c.Mode = "robocall"
	for reason, want := range map[string]bool{"no-consent": false, "robocall-needs-consent": true} {
		if q := (Search{Reason: reason, Public: true}); q.fits(&c) != want {
			t.Errorf("a robocall fits %s: %v", reason, !want)
		}
	}
}
