package console

import (
	"fmt"
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

// pastCalls is a node that judged two calls before its console began.
type pastCalls struct{ Node }

func (pastCalls) Zone() *time.Location { return time.FixedZone("", 3600) }

func (pastCalls) Search(s Search) (Page, error) {
	monday := time.Date(2026, 11, 23, 23, 30, 0, 0, time.UTC) // Tuesday, half past midnight, where the called live
	if s.Before != 3 {
		return Page{}, fmt.Errorf("asked for what is before %d", s.Before)
	}
	return Page{Calls: []Call{{At: monday, Verdict: "deny"}, {At: monday, Verdict: "allow"}}}, nil
}

// TestHeat puts calls where the called live, those before the start beside those since.
func TestHeat(t *testing.T) {
	s := &Server{o: Options{Node: pastCalls{}}, meter: newMeter(), began: 2}
	tuesday := time.Date(2026, 11, 24, 9, 59, 0, 0, time.UTC)
	for range 4 {
		s.meter.Observe(policy.ReasonObjected, tuesday)
	}
	s.meter.Observe(policy.ReasonConsent, tuesday.Add(time.Minute))
	h, err := s.heat()
	if err != nil || h.Calls != 7 {
		t.Fatalf("%+v %v", h, err)
	}
	day := h.Days[1]
	for hour, want := range map[int]heatHour{0: {All: 2, Refused: 1, Level: 2}, 10: {All: 4, Refused: 4, Level: 5}, 11: {All: 1}} {
		if got := day.Hours[hour]; day.Day != time.Tuesday || got.All != want.All || got.Refused != want.Refused || got.Level != want.Level {
			t.Errorf("%s, %d h: %+v", day.Day, hour, got)
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
