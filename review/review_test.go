package review

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"dialgate/policy"
	"dialgate/store"
)

var (
	windkracht = &policy.Advertiser{ID: "windkracht"}
	campaigns  = map[string]*policy.Campaign{
		"energy":    {ID: "energy", Advertiser: windkracht, Purpose: policy.Commercial, Products: []string{"energy", "gas"}},
		"robot":     {ID: "robot", Advertiser: windkracht, Purpose: policy.Ideal, Mode: policy.Robocall},
		"callbacks": {ID: "callbacks", Advertiser: windkracht, Purpose: policy.Requested},
	}
	noon = time.Date(2026, 11, 23, 11, 0, 0, 0, time.UTC) // a Monday
)

func newTally() *Tally {
	zone, err := time.LoadLocation("Europe/Amsterdam")
	if err != nil {
		panic(err)
	}
	return New(Options{Zone: zone, Campaign: func(id string) *policy.Campaign { return campaigns[id] },
		Condition: func(rule string) bool {
			return strings.HasPrefix(rule, "nl.consent.") || strings.HasPrefix(rule, "nl.relationship.")
		}})
}

// refused is a decision with one denial for each reason: of a condition when
// the rule is one.
func refused(campaign string, denials ...string) *store.Decision {
	d := &store.Decision{At: noon, Verdict: "deny", Campaign: campaign, Advertiser: "windkracht", From: "+31205550199", To: "+31612345678", Peer: "dialer"}
	for _, text := range denials {
		rule, reason, _ := strings.Cut(text, " ")
		d.Findings = append(d.Findings, store.Finding{Rule: rule, Result: "deny", Reason: reason})
		d.Rule, d.Reason = rule, reason
	}
	return d
}

// TestTheMissingRecord: what one record would have made the call lawful.
func TestTheMissingRecord(t *testing.T) {
	fax := refused("energy", "nl.basis robocall-needs-consent")
	fax.Fax = true
	unknown := refused("", "base.campaign purpose-unknown", "nl.basis no-consent")
	unknown.Advertiser = ""
	waived := refused("energy", "nl.consent.verified consent-unverified")
	waived.Verdict, waived.Reason, waived.Would = "allow", "not-enforced", "consent-unverified"
	for _, c := range []struct {
		d    *store.Decision
		want string
	}{
		{refused("energy", "nl.basis no-consent"), "a valid consent to windkracht for the purpose commercial and the products energy, gas, live calls"},
		{refused("robot", "nl.basis robocall-needs-consent"), "a valid consent to windkracht for the purpose ideal, robocall calls"},
		{fax, "a valid consent to windkracht for the purpose commercial and the products energy, gas, robocall calls"},
		{refused("gone", "nl.basis no-consent"), "a valid consent to windkracht for campaign gone"},
		{refused("callbacks", "nl.basis request-expired"), "a request to be called back by windkracht, campaign callbacks"},
		{refused("energy", "nl.basis consent-unverified", "nl.consent.verified consent-unverified"), "the verification (verified_at, verified_by) of the consent to windkracht held, campaign energy"},
		{waived, "the verification (verified_at, verified_by) of the consent to windkracht held, campaign energy"},
		{refused("energy", "nl.basis consent-unproven", "nl.consent.proven consent-unproven"), "the proof (person, artefact) of the consent to windkracht held, campaign energy"},
		{refused("robot", "nl.basis consent-unproven", "nl.consent.proven consent-unproven", "nl.consent.verified consent-unverified"), "a valid consent to windkracht for the purpose ideal, robocall calls"},
		{refused("energy", "nl.basis publisher-frequency", "nl.relationship.publisher publisher-frequency"), "issues_per_year of advertiser windkracht, when it is three or more"},
		{refused("energy", "nl.offer objection-not-offered"), "the attestation objection_offered of campaign energy"},
		{refused("energy", "base.caller.registered caller-not-registered"), "an entry of caller number +312******99 for campaign energy"},
		{refused("energy", "nl.registers facts-stale"), "a fresh copy of the do-not-call register"},
		{refused("energy", "nl.basis no-consent", "nl.offer objection-not-offered"), "several"},
		{refused("energy", "base.caller.registered caller-not-registered", "nl.offer objection-not-offered"), "several"},
		{unknown, "several"},
		{refused("energy", "nl.objection objected"), "none"},
		{refused("energy", "nl.basis no-consent", "nl.hours outside-hours"), "none"},
		{refused("energy", "base.caller.shown caller-anonymous"), "none"},
		{&store.Decision{At: noon, Verdict: "deny", Reason: "facts-unavailable"}, "none"},
		{refused("energy", "x.y a-reason-of-the-future"), "none"},
	} {
		tally := newTally()
		tally.Add(c.d)
		m := tally.Summary().Missing
		got := "nothing"
		switch {
		case len(m.Single) == 1:
			got = m.Single[0].Record
		case m.Several == 1:
			got = "several"
		case m.None == 1:
			got = "none"
		}
		if got != c.want || m.Refusals != 1 {
			t.Errorf("%v: %s, want %s", c.d.Findings, got, c.want)
		}
	}
}

// TestEveryRefusalIsInOnePlace: the tables and the missing records each add up
// to all calls, whatever comes and however much.
func TestEveryRefusalIsInOnePlace(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tally := newTally()
		calls := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) *store.Decision {
			d := refused(fmt.Sprint(rapid.IntRange(0, 3000).Draw(t, "campaign")), rapid.SampledFrom([]string{"nl.basis no-consent", "nl.hours outside-hours", "nl.offer objection-not-offered"}).Draw(t, "denial"))
			d.At = noon.Add(time.Duration(rapid.Int64Range(-1e18, 1e18).Draw(t, "at")))
			switch rapid.IntRange(0, 2).Draw(t, "verdict") {
			case 0:
				d.Verdict, d.Reason, d.Findings = "allow", "consent", nil
			case 1:
				d.Verdict, d.Would, d.Reason = "allow", d.Reason, "not-enforced"
			}
			return d
		}), 0, 200).Draw(t, "calls")
		for _, d := range calls {
			tally.Add(d)
		}
		s := tally.Summary()
		if s.Total() != len(calls) || s.Decisions != len(calls) {
			t.Fatalf("%d calls of %d", s.Total(), len(calls))
		}
		for _, rows := range [][]Row{s.Rules, s.Reasons, s.Campaigns, s.Peers} {
			var sum Counts
			for _, r := range rows {
				sum.Allowed, sum.Refused, sum.Would = sum.Allowed+r.Allowed, sum.Refused+r.Refused, sum.Would+r.Would
			}
			if sum != s.Counts {
				t.Fatalf("%+v adds up to %+v, not %+v", rows, sum, s.Counts)
			}
		}
		var over Counts
		reasons := 0
		for _, p := range s.Time {
			over.Allowed, over.Refused, over.Would = over.Allowed+p.Allowed, over.Refused+p.Refused, over.Would+p.Would
			for _, n := range p.Reasons {
				reasons += n
			}
		}
		if over != s.Counts || reasons != s.Stopped() || len(s.Time) > maxSlots {
			t.Fatalf("%d periods add up to %+v with %d reasons, want %+v", len(s.Time), over, reasons, s.Counts)
		}
		m := s.Missing
		sum := m.Uncounted + m.Several + m.None
		for _, c := range m.Single {
			sum += c.Stopped()
		}
		if sum != s.Stopped() || m.Refusals != sum {
			t.Fatalf("%+v adds up to %d, want %d", m, sum, s.Stopped())
		}
		var b strings.Builder
		if err := s.HTML(&b); err != nil {
			t.Fatal(err)
		}
		if err := s.Text(&b); err != nil {
			t.Fatal(err)
		}
	})
}

// TestMemoryDoesNotGrow: campaigns, caller numbers and called numbers without end.
func TestMemoryDoesNotGrow(t *testing.T) {
	tally := newTally()
	for i := range 20000 {
		d := refused(fmt.Sprint("c", i), "base.caller.registered caller-not-registered")
		d.From, d.To = fmt.Sprintf("+3120%07d", i), fmt.Sprintf("+316%08d", i)
		d.At = noon.Add(time.Duration(i) * time.Hour)
		tally.Add(d)
	}
	s := tally.Summary()
	if len(s.Campaigns) != maxKeys+1 || s.Campaigns[0].Key != rest || len(s.Missing.Single) != maxRemedies || s.Missing.Uncounted != 20000-maxRemedies || len(s.Time) > maxSlots {
		t.Errorf("%d campaigns, %d records and %d uncounted, %d periods", len(s.Campaigns), len(s.Missing.Single), s.Missing.Uncounted, len(s.Time))
	}
	if tally.numbers.exact != nil || len(tally.numbers.registers) != 1<<sketchBits {
		t.Error("the numbers are kept")
	}
}

func TestNumbersAreCounted(t *testing.T) {
	for _, n := range []int{0, 1, exactNumbers, exactNumbers + 1, 5000, 20000, 300000} {
		var s sketch
		for range 2 { // a number counts once
			for i := range n {
				k, _ := policy.NumberOfKey(31600000000 + uint64(i))
				s.add(k)
			}
		}
		got := s.numbers()
		if got.Exact != (n <= exactNumbers) || math.Abs(float64(got.Count-n)) > 0.06*float64(n) || got.Exact && got.Count != n {
			t.Errorf("%d numbers: %+v", n, got)
		}
	}
	for n, want := range map[Numbers]string{{12345, false}: "about 12,345 numbers", {1, true}: "1 number", {999, true}: "999 numbers"} {
		if got := n.Phrase(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// TestPeriodsFollowTheClockOnTheWall, also over the change to winter time.
func TestPeriodsFollowTheClockOnTheWall(t *testing.T) {
	tally := newTally()
	for _, at := range []string{"2026-10-24T00:30:00+02:00", "2026-10-25T23:30:00+01:00", "2026-11-20T12:00:00+01:00"} {
		d := refused("energy", "nl.basis no-consent")
		d.At, _ = time.Parse(time.RFC3339, at)
		tally.Add(d)
	}
	s := tally.Summary()
	first, last := s.Time[0], s.Time[len(s.Time)-1]
	if first.From != "2026-10-24 00:00" || first.To != "2026-10-25 00:00" || first.Refused != 1 || last.From != "2026-11-20 00:00" || len(s.Time) != 28 || s.Bar != "a day" {
		t.Errorf("%+v ... %+v", first, last)
	}
}

// TestThePageIsSafeAndWhole: whatever stood in a message or a configuration is
// text on the page, which asks nothing of anybody.
func TestThePageIsSafeAndWhole(t *testing.T) {
	const evil = `"><script>alert(1)</script><img src=https://evil.example/x onerror=y>&{{.}}`
	tally := newTally()
	d := refused(evil, "nl.basis no-consent")
	d.Advertiser, d.Peer, d.Reason, d.Rule = evil, evil, evil, evil
	tally.Add(d)
	tally.Add(refused("energy", "base.caller.registered caller-not-registered"))
	s := tally.Summary()
	var b strings.Builder
	if err := s.HTML(&b); err != nil {
		t.Fatal(err)
	}
	page := b.String()
	if bad := regexp.MustCompile(`<script|<img|<link|<iframe|<object|[^;]alert\(1\)<|\ssrc=[^h]|@import|url\(`).FindString(page); bad != "" {
		t.Errorf("the page holds %s", bad)
	}
	if strings.Contains(page, "+31205550199") || strings.Contains(page, "+31612345678") {
		t.Error("the page holds a full number")
	}
	for _, want := range []string{"&lt;script&gt;", "<svg viewBox", "prefers-color-scheme: dark", "default-src 'none'", "312******99", "</html>"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
}

// TestKeysForScripts: a script relies on them.
func TestKeysForScripts(t *testing.T) {
	tally := newTally()
	tally.Add(refused("energy", "nl.basis no-consent"))
	text, err := json.Marshal(tally.Summary())
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"first":"2026-11-23T12:00:00+01:00","last":"2026-11-23T12:00:00+01:00","decisions":1,"numbers":{"count":1,"exact":true},"allowed":0,"refused":1,"would_be_refused":0,` +
		`"by_rule":[{"key":"nl.basis","allowed":0,"refused":1,"would_be_refused":0}],"by_reason":[{"key":"no-consent","allowed":0,"refused":1,"would_be_refused":0}],` +
		`"by_campaign":[{"key":"energy","allowed":0,"refused":1,"would_be_refused":0}],"by_peer":[{"key":"dialer","allowed":0,"refused":1,"would_be_refused":0}],` +
		`"missing_records":{"refusals":1,"one_record":[{"record":"a valid consent to windkracht for the purpose commercial and the products energy, gas, live calls","kind":"consent","advertiser":"windkracht","purpose":"commercial","products":["energy","gas"],"channel":"live","refused":1,"would_be_refused":0,"numbers":{"count":1,"exact":true}}],"one_record_uncounted":0,"several_records":0,"no_record_helps":0},` +
		`"over_time":[{"from":"2026-11-23 12:00","to":"2026-11-23 13:00","allowed":0,"refused":1,"would_be_refused":0,"reasons":{"no-consent":1}}],"period":"an hour"}`
	if string(text) != want {
		t.Errorf("got\n%s\nwant\n%s", text, want)
	}
}

func BenchmarkAdd(b *testing.B) {
	tally, r := newTally(), rand.New(rand.NewPCG(1, 2))
	d := refused("energy", "nl.basis no-consent")
	b.ReportAllocs()
	for b.Loop() {
		d.To = fmt.Sprintf("+316%08d", r.IntN(1e8))
		tally.Add(d)
	}
}
