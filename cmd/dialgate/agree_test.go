package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dialgate/policy"
)

const agreeConfig = `
advertisers:
  - {id: windkracht, name: Windkracht BV}
  - {id: kust, name: Stichting Kustwacht, sector: charity}
  - {id: ochtend, name: De Ochtendkrant BV, sector: publisher, issues_per_year: 300}
  - {id: bank, name: Zonbank NV}
campaigns:
  - {id: energy, advertiser: windkracht, purpose: commercial, products: [energy], callers: ["+31205550100"], objection_offered: true}
  - {id: robot, advertiser: windkracht, purpose: commercial, products: [energy], mode: robocall, callers: ["+31205550101"], objection_offered: true}
  - {id: callback, advertiser: windkracht, purpose: requested, callers: ["+31205550102"]}
  - {id: coast, advertiser: kust, purpose: charitable, callers: ["+31205550110"], objection_offered: true}
  - {id: weekend, advertiser: ochtend, purpose: commercial, products: [newspaper], callers: ["+31205550120"], objection_offered: true}
  - {id: service, advertiser: bank, purpose: service, callers: ["+31205550140"], no_offer: true}
  - {id: silent, advertiser: bank, purpose: commercial, products: [loan], callers: ["+31205550141"]}
callers:
  - {number: "+31205550120", holder: Ochtend, valid_from: 2025-01-01, valid_to: 2026-06-30}
rules: {nl.attempts: {mode: enforce, max: 2, days: 30}}
ledger: {mode: memory, segment_size: 1MiB} # thousands of calls need not wait for the disk
`

// An agreement is one random case: the numbers and facts of its own, and what
// the call on the wire came to.
type agreement struct {
	campaign, from string
	at             time.Time
	to             policy.Number
	facts          []policy.Fact
	earlier        []string // as a case writes them
	got            wireCall
}

const agreementsInGroup = 50

// TestFourWaysToAskAgree: scrub, explain, check and a real INVITE through the
// real proxy give the same verdict and reason in 300 random cases, in the long form in 1,000.
func TestFourWaysToAskAgree(t *testing.T) {
	t.Parallel()
	w := newWire(t, agreeConfig)
	r := rand.New(rand.NewPCG(3, 8))
	var all []*agreement
	groups := 20
	if os.Getenv("DIALGATE_LONG") == "" {
		groups = 6
	}
	for group := range groups {
		cases := drawGroup(r, w.node.world, group)
		var facts []policy.Fact
		for _, c := range cases {
			facts = append(facts, c.facts...)
		}
		w.add(facts...)
		for i, c := range cases {
			for j := range r.IntN(4) {
				h := hypothetical{from: c.from, to: c.to.E164(), callID: fmt.Sprintf("before-%d-%d-%d@dialer.invalid", group, i, j)}
				at := c.at.Add(-time.Duration(1+r.IntN(40*24)) * time.Hour)
				got := w.call(h, 1, at)
				c.earlier = append(c.earlier, fmt.Sprintf("{at: %s, verdict: %s}", at.Format(time.RFC3339), got.decision.Verdict))
			}
		}
		scrubbed := w.scrub(cases)
		for i, c := range cases {
			said := w.explain(c)
			h := hypothetical{from: c.from, to: c.to.E164(), callID: fmt.Sprintf("%d-%d@dialer.invalid", group, i)}
			c.got = w.call(h, 1, c.at)
			want := c.got.decision.Verdict.String() + "," + c.got.decision.Reason.String()
			if scrubbed[i] != want || said != want || c.got.passed != (c.got.decision.Verdict == policy.Allowed) {
				t.Errorf("%s at %s: the call %s (passed on: %t), scrub %s, explain %s\n%s", c.campaign, c.at, want, c.got.passed, scrubbed[i], said, factLines(c))
			}
		}
		all = append(all, cases...)
	}
	file := filepath.Join(t.TempDir(), "cases.yaml")
	writeFile(t, file, caseFileOf(all))
	w.command(exitOK, "check", "-c", w.config, file)

	reasons := map[policy.Reason]int{}
	allowed := 0
	for _, c := range all {
		reasons[c.got.decision.Reason]++
		if c.got.decision.Verdict == policy.Allowed {
			allowed++
		}
	}
	t.Logf("%d cases, %d allowed, by reason: %v", len(all), allowed, reasons)
	if len(all) != groups*agreementsInGroup || len(reasons) < 15 || allowed < 5*groups || reasons[policy.ReasonAttemptsExceeded] == 0 {
		t.Errorf("%d cases with %d reasons, %d allowed, do not say much: %v", len(all), len(reasons), allowed, reasons)
	}
}

// scrub judges a group's numbers as a list.
func (w *wire) scrub(cases []*agreement) (out []string) {
	list := "id,number\n"
	for i, c := range cases {
		list += fmt.Sprintf("%d,0%s\n", i, c.to.Digits()[2:])
	}
	file := filepath.Join(w.t.TempDir(), "list.csv")
	writeFile(w.t, file, list)
	text := w.command(exitOK, "scrub", "-c", w.config, "--campaign", cases[0].campaign, "--at", cases[0].at.Format(time.RFC3339), file)
	for line := range strings.Lines(text) {
		cells := strings.Split(line, ",")
		out = append(out, cells[2]+","+cells[3])
	}
	return out[1:]
}

func (w *wire) explain(c *agreement) string {
	text := w.command(-1, "explain", "-c", w.config, "--json", "--from", c.from, "--to", c.to.E164(), "--at", c.at.Format(time.RFC3339))
	var e explanation
	if err := json.Unmarshal([]byte(text), &e); err != nil {
		w.t.Fatal(err)
	}
	return e.Verdict + "," + e.Reason
}

func factLines(c *agreement) (s string) {
	for i := range c.facts {
		s += string(c.facts[i].AppendJSON(nil)) + "\n"
	}
	return s + strings.Join(c.earlier, ", ")
}

// caseFileOf writes the cases as a compliance officer would; what they expect
// is what the calls on the wire came to.
func caseFileOf(all []*agreement) string {
	var b strings.Builder
	b.WriteString("cases:\n")
	for i, c := range all {
		fmt.Fprintf(&b, "  - name: case %d\n    at: %s\n    call: {from: %q, to: %q}\n    earlier_calls: [%s]\n    facts:\n", i, c.at.Format(time.RFC3339), c.from, c.to.E164(), strings.Join(c.earlier, ", "))
		for j := range c.facts {
			fmt.Fprintf(&b, "      - %s\n", c.facts[j].AppendJSON(nil))
		}
		if len(c.facts) == 0 {
			b.WriteString("      []\n")
		}
		fmt.Fprintf(&b, "    expect: {verdict: %s, reason: %s}\n", c.got.decision.Verdict, c.got.decision.Reason)
	}
	return b.String()
}

// drawGroup draws cases of one campaign and one time.
func drawGroup(r *rand.Rand, w *world, group int) (cases []*agreement) {
	k := w.cfg.Campaigns[group%len(w.cfg.Campaigns)]
	// Mostly within the hours, on any day, around the change of the law too.
	day := time.Date(2024, 6, 1, 0, 0, 0, 0, calledZone()).AddDate(0, 0, r.IntN(880))
	if group%5 == 0 {
		day = time.Date(2026, 6, 30+group%2, 0, 0, 0, 0, calledZone())
	}
	at := day.Add(time.Duration(8*60+r.IntN(13*60)) * time.Minute)
	for i := range agreementsInGroup {
		n, _ := policy.NumberOfKey(31_612_000_000 + uint64(group*1000+i))
		c := &agreement{campaign: k.ID, from: k.Callers[0], at: at, to: n}
		for f := range r.IntN(4) {
			fact := drawFact(r, k.Advertiser, at)
			fact.ID, fact.Number = fmt.Sprint("f", f), n
			c.facts = append(c.facts, fact)
		}
		if i%6 == 0 {
			c.facts = append(c.facts, legal(n)) // it may be called, and so too often
		}
		cases = append(cases, c)
	}
	return cases
}

func drawFact(r *rand.Rand, advertiser string, call time.Time) policy.Fact {
	pick := func(list ...string) string { return list[r.IntN(len(list))] }
	often := func() bool { return r.IntN(6) > 0 }
	f := policy.Fact{Advertiser: pick(advertiser, advertiser, advertiser, "windkracht", "kust"), At: call.AddDate(0, 0, -r.IntN(500)).Truncate(time.Second)}
	switch f.Kind = policy.Kinds()[r.IntN(7)]; f.Kind {
	case policy.Objection:
		f.Scope = policy.Scope(r.IntN(2))
	case policy.Relationship:
		f.Type = policy.RelationshipType(1 + r.IntN(8))
		f.Products, f.Started = []string{pick("energy", "newspaper", "loan")}, policy.DateOf(f.At)
		f.CollectedInSale, f.ObjectionOffered, f.Objected = often(), often(), !often()
		if r.IntN(2) == 0 {
			f.Ended = policy.DateOf(call.AddDate(-3, 0, r.IntN(3)-1))
			f.Started = f.Ended.AddYears(-1)
		}
	case policy.Subscriber:
		f.Advertiser, f.Subscriber = "", policy.SubscriberKind(1+r.IntN(3))
		f.PublishedFor = []string{"commercial", pick("energy", "loan")}
	case policy.Callback:
		f.ValidUntil = call.Add(time.Duration(r.IntN(5)-2) * time.Second)
	case policy.Listed:
		f.Advertiser, f.List = "", "own"
	case policy.Withdrawal:
	default:
		f.Kind = policy.Consent
		f.Purposes, f.Products = []policy.Purpose{policy.Commercial, policy.Charitable}, []string{"energy", "newspaper", "loan"}
		f.Channels, f.Method = []policy.CallMode{policy.CallMode(r.IntN(2)), policy.Live}, "web-form"
		if often() {
			f.VerifiedAt, f.VerifiedBy = f.At.Add(time.Hour), "sms"
		}
		if often() {
			f.Evidence = policy.Evidence{Person: "p", URI: "vault:1", SHA256: strings.Repeat("ab", 32)}
		}
		f.Bundled, f.AfterObjection = !often(), often()
		if r.IntN(3) == 0 {
			f.ValidUntil = call.Add(time.Duration(r.IntN(5)-2) * time.Second)
		}
	}
	return f
}
