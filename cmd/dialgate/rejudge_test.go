package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"dialgate/configs"
	"dialgate/gate"
	"dialgate/policy"
	"dialgate/store"
	"dialgate/store/ledger"
)

// rejudgeConfig has what makes judging again hard: two dialers, campaigns told
// by peer, by caller number and by name, shares and shadows, a bound on attempts.
const rejudgeConfig = `
peers:
  - {id: dialer-a, sources: [192.0.2.1], campaigns: ["*"], names: [energy, solar, survey]}
  - {id: dialer-b, sources: [192.0.2.2], campaigns: [donors], dialect: strict, display_from: pai, trust_identity: true}
advertisers:
  - {id: windkracht}
  - {id: kust, sector: charity}
campaigns:
  - {id: energy, advertiser: windkracht, purpose: commercial, products: [energy], callers: ["+31205550100"], objection_offered: true}
  - {id: solar, advertiser: windkracht, purpose: commercial, products: [energy, solar], callers: ["+31205550100", "+31205550101"]}
  - {id: donors, advertiser: kust, purpose: charitable, callers: ["+31885550200"], objection_offered: true}
  - {id: survey, advertiser: kust, purpose: research, callers: ["+31885550201"], no_offer: true}
rules:
  nl.hours: {mode: enforce, percent: 50, peers: {dialer-b: off}}
  nl.consent.verified: {campaigns: {energy: shadow}}
  nl.attempts: {max: 2, days: 7}
`

func testWorld(t testing.TB, text string) *world {
	t.Helper()
	cfg, err := configs.Parse("test.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	w, err := newWorld(cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// pick takes one of some values.
func pick[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

// randomCall makes an INVITE of what dialers send: four in five are right.
func randomCall(r *rand.Rand) hypothetical {
	own := pick(r, "+31205550100", "+31205550101", "+31885550200", "+31885550201")
	h := hypothetical{from: own, to: fmt.Sprintf("+316123456%02d", r.IntN(40)), callID: fmt.Sprint("call-", r.Uint64()),
		headers: []string{"P-Asserted-Identity: <sip:" + own + "@x.invalid>"}}
	switch r.IntN(20) {
	case 0:
		h.from = pick(r, "+31999", "nobody", "1234", "+319001234567", "+31205550199")
	case 1:
		h.to = pick(r, "112", "14020", "0800-0113", "+4930123456", "131+31612345601", "0906123456", "garbage")
	case 2:
		h.headers = append(h.headers, pick(r, "Privacy: id", "X-Campaign: nonsense"))
	case 3:
		h.headers = append(h.headers, "X-Campaign: energy", "X-Campaign: solar")
	case 4:
		h.fromHeader = `"Anonymous" <sip:anonymous@anonymous.invalid>`
	default:
		if own == "+31205550100" { // of two campaigns
			h.headers = append(h.headers, "X-Campaign: "+pick(r, "energy", "energy", "energy", "solar"))
		}
	}
	return h
}

// randomFact is something learnt of a number.
func randomFact(r *rand.Rand, id string, now time.Time) policy.Fact {
	n := policy.MustNumber(fmt.Sprintf("+316123456%02d", r.IntN(40)))
	at := now.Add(-time.Duration(r.IntN(400*24)) * time.Hour)
	f := policy.Fact{ID: id, Number: n, Advertiser: pick(r, "windkracht", "kust"), At: at}
	switch r.IntN(12) {
	case 0:
		f.Kind, f.Advertiser = policy.Objection, pick(r, "*", "windkracht", "kust", "kust")
	case 1:
		f.Kind, f.Type, f.Started, f.ObjectionOffered = policy.Relationship, pick(r, policy.Gift, policy.Donorship, policy.Subscription), policy.DateOf(at), true
	case 2:
		f.Kind, f.Advertiser, f.Subscriber = policy.Subscriber, "", pick(r, policy.Natural, policy.Legal)
	case 3:
		f.Kind = policy.Withdrawal
	default:
		f.Kind, f.Purposes, f.Channels = policy.Consent, []policy.Purpose{policy.Commercial, policy.Charitable}, []policy.CallMode{policy.Live}
		f.Products, f.Evidence = pick(r, []string{"energy"}, []string{"energy", "solar"}), policy.Evidence{Person: "p1", SHA256: strings.Repeat("0f", 32)}
		f.AfterObjection = r.IntN(2) == 0
		if r.IntN(2) == 0 {
			f.VerifiedAt = at.Add(time.Hour)
		}
	}
	return f
}

// judgeSome judges random calls through the gate with a real store, while
// facts come in between them, and opens the store anew.
func judgeSome(t *testing.T, w *world, dir string, calls int) (*store.Store, map[string]policy.Decision) {
	t.Helper()
	r := rand.New(rand.NewPCG(2026, 7))
	now := time.Date(2026, 6, 25, 6, 0, 0, 0, time.UTC)
	o := store.Options{Dir: dir, Now: func() time.Time { return now }, Ledger: ledger.Options{SegmentSize: 1 << 20, Memory: true}}
	s, err := store.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	g := gate.New(gate.Options{Rules: gate.Rules{Books: w.books, Config: w.cfg.ID()}, Facts: s, Ledger: s, Now: func() time.Time { return now },
		Answer: func(p *policy.PeerTerms, r policy.Reason) int { return answer(p, r).Code }})
	live := map[string]policy.Decision{}
	for i := range calls {
		// A fact a call: taking it in also waits until the store knows of the call before.
		now = now.Add(time.Duration(1+r.IntN(30*60)) * time.Second)
		if _, err := s.Add(context.Background(), randomFact(r, fmt.Sprint("f", i), now)); err != nil {
			t.Fatal(err)
		}
		now = now.Add(time.Second)
		h := randomCall(r)
		peer := w.domain.Peers[0].Terms
		switch {
		case r.IntN(30) == 0:
			peer = nil
		case h.from == "+31885550200" || r.IntN(20) == 0:
			peer = w.domain.Peers[1].Terms
		}
		a, err := w.attempt(h.invite(), peer, "", now)
		if err != nil {
			t.Fatal(err)
		}
		a.Fax = r.IntN(20) == 0
		g.Judge(a, func(ruling policy.Ruling) { live[ruling.ID.String()] = ruling.Decision })
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = store.Open(o); err != nil {
		t.Fatal(err)
	}
	return s, live
}

// TestThePastIsJudgedAgainAsItWas: 500 calls are judged through the gate with
// a real store, while facts come in between them; judged again from the ledger
// under the same configuration, after all those facts, each comes out with the
// same verdict, reason and rule.
func TestThePastIsJudgedAgainAsItWas(t *testing.T) {
	t.Parallel()
	const calls = 500
	w := testWorld(t, rejudgeConfig)
	s, live := judgeSome(t, w, t.TempDir(), calls)
	defer s.Close()
	same, reasons := 0, map[policy.Reason]int{}
	for d, err := range s.Decisions(1) {
		if err != nil {
			t.Fatal(err)
		}
		want := live[d.ID]
		got, err := w.rejudge(&d, s.History, 0)
		if err != nil {
			t.Fatal(err)
		}
		if got.Verdict != want.Verdict || got.Reason != want.Reason || got.Rule() != want.Rule() || got.Waived() != want.Waived() {
			t.Errorf("%s -> %s at %s: live %s %s by %s, again %s %s by %s", d.From, d.To, d.At, want.Verdict, want.Reason, want.Rule(), got.Verdict, got.Reason, got.Rule())
		}
		if r := rejudged(&got); r != recorded(&d) {
			t.Errorf("recorded %s, again %s", recorded(&d), r)
		}
		same++
		reasons[want.Reason]++
	}
	if same != calls {
		t.Errorf("%d calls were judged again, want %d", same, calls)
	}
	if len(reasons) < 20 {
		t.Errorf("only %d reasons came up: %v", len(reasons), reasons)
	}
}

// TestWhatTheSystemDecidedIsSetApart: such a decision says nothing of the call.
func TestWhatTheSystemDecidedIsSetApart(t *testing.T) {
	w := testWorld(t, rejudgeConfig)
	for _, d := range []store.Decision{
		{Version: 1, Verdict: "deny", Reason: "facts-unavailable"},
		{Version: 1, Verdict: "deny", Reason: "overloaded"},
		{Version: 1, Verdict: "allow", Reason: "not-enforced", Would: "facts-unavailable", By: "permit"},
		{Version: 0, Verdict: "deny", Reason: "no-consent"},
	} {
		found := newChanges(1)
		_, err := w.rejudge(&d, func(policy.Number) (policy.Facts, error) { t.Fatal("looked up"); return policy.Facts{}, nil }, 0)
		if err == nil || found.setApart(err) != nil {
			t.Errorf("%s: %v", d.Reason, err)
		}
	}
	d := store.Decision{Version: 1, Verdict: "deny", Reason: "no-consent", To: "12", At: time.Now()}
	if _, err := w.rejudge(&d, nil, 0); err == nil || newChanges(1).setApart(err) == nil {
		t.Errorf("a record that can't be read must be an error: %v", err)
	}
}

// TestAnotherDateMovesTheCallWithItsFacts: a consent stays as old as it was,
// and what was learnt after the call stays unknown.
func TestAnotherDateMovesTheCallWithItsFacts(t *testing.T) {
	w := testWorld(t, rejudgeConfig)
	n := policy.MustNumber("+31612345678")
	at := time.Date(2026, 6, 30, 10, 0, 0, 0, time.UTC)
	learnt := func(f policy.Fact, before time.Duration) policy.Fact {
		f.Number, f.At, f.RecordedAt = n, at.Add(-before), at.Add(-before)
		return f
	}
	const day = 24 * time.Hour
	sale := learnt(policy.Fact{ID: "r1", Kind: policy.Relationship, Advertiser: "windkracht", Type: policy.Subscription, Products: []string{"energy"},
		Started: policy.NewDate(2024, 1, 1), Ended: policy.NewDate(2025, 1, 1), CollectedInSale: true, ObjectionOffered: true}, 500*day)
	consent := learnt(policy.Fact{ID: "c1", Kind: policy.Consent, Advertiser: "windkracht", Products: []string{"energy"}, Purposes: []policy.Purpose{policy.Commercial},
		Channels: []policy.CallMode{policy.Live}, VerifiedAt: at.Add(-day), ValidUntil: at.Add(day), Evidence: policy.Evidence{Person: "p", SHA256: "00"}}, 2*day)
	objection := learnt(policy.Fact{ID: "o1", Kind: policy.Objection, Advertiser: "*"}, -time.Hour)
	d := store.Decision{Version: 1, At: at, From: "+31205550100", To: n.E164(), Peer: "dialer-a", Named: "energy"}
	for _, c := range []struct {
		on    policy.Date
		facts []policy.Fact
		want  policy.Reason
	}{
		{0, []policy.Fact{sale, objection}, policy.ReasonRelationshipCustomer},
		{policy.NewDate(2026, 7, 1), []policy.Fact{sale, objection}, policy.ReasonRelationshipAbolished},
		{policy.NewDate(2021, 7, 2), []policy.Fact{sale, objection}, policy.ReasonRelationshipCustomer}, // three years before the sale
		{policy.NewDate(2036, 7, 2), []policy.Fact{sale, consent, objection}, policy.ReasonConsent},
		{policy.NewDate(2021, 7, 2), []policy.Fact{consent, objection}, policy.ReasonConsent},
		{policy.NewDate(2020, 7, 2), []policy.Fact{consent}, policy.ReasonNoRulesForDate},
	} {
		known := func(policy.Number) (policy.Facts, error) { return policy.Facts{Number: n, All: c.facts}, nil }
		got, err := w.rejudge(&d, known, c.on)
		if err != nil || got.Reason != c.want {
			t.Errorf("on %s: %s (%v), want %s", c.on, got.Reason, err, c.want)
		}
	}
	if !consent.At.Equal(at.Add(-2 * day)) {
		t.Error("the facts that were looked up were changed")
	}
}

// TestANodeAnswersLikeItsStore: what a command finds through the control
// socket is what it would find in the store.
func TestANodeAnswersLikeItsStore(t *testing.T) {
	t.Parallel()
	w, dir := testWorld(t, rejudgeConfig), t.TempDir()
	s, _ := judgeSome(t, w, dir, 400)
	defer s.Close()
	control, err := serveControl(dir, s, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer control.Close()
	other := testWorld(t, strings.Replace(rejudgeConfig, "percent: 50", "percent: 0", 1))
	var texts []string
	for _, k := range []keeper{s, newRemote(socketPath(dir))} {
		found, err := diffWorlds(k, w, other, 300)
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		if err := found.print(&b, true); err != nil {
			t.Fatal(err)
		}
		if found.Calls != 300 || found.Changed == 0 {
			t.Errorf("%d calls, %d changed", found.Calls, found.Changed)
		}
		texts = append(texts, b.String())
	}
	if texts[0] != texts[1] {
		t.Errorf("store:\n%s\nsocket:\n%s", texts[0], texts[1])
	}
}
