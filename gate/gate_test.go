package gate

import (
	"errors"
	"sync"
	"testing"
	"time"

	"dialgate/policy"
)

var (
	plan = &policy.Plan{Country: "NL", Code: "31", Trunk: "0", Classify: func(policy.Number) policy.Class { return policy.Geographic }}
	now  = time.Date(2026, 11, 23, 14, 0, 0, 0, time.UTC)
)

// openBook allows whoever is known to the facts and objects to the others.
func openBook() *policy.Book {
	return &policy.Book{Country: "NL", Code: "31", Version: "test", Zone: time.UTC, Plan: plan, Rules: []policy.Rule{{
		ID: "test.known", Reasons: []policy.Reason{policy.ReasonNoConsent},
		Judge: func(c *policy.Call, _ *policy.Bound) policy.Finding {
			if len(c.Facts.All) == 0 {
				return policy.Finding{Result: policy.Deny, Reason: policy.ReasonNoConsent}
			}
			return policy.Finding{Result: policy.Allow, Reason: policy.ReasonConsent, Rests: [2]*policy.Fact{&c.Facts.All[0]}}
		},
	}}}
}

// facts knows one number and remembers what it was told.
type facts struct {
	known policy.Number
	err   error
	held  int
	made  []policy.EarlierCall
	mu    sync.Mutex
	taken []policy.EarlierCall
}

func (f *facts) Release(_ policy.Number, made *policy.EarlierCall) {
	f.held--
	if made != nil {
		f.made = append(f.made, *made)
	}
}

func (f *facts) TakeBack(_ policy.Number, made policy.EarlierCall) {
	f.mu.Lock() // a clock does it
	defer f.mu.Unlock()
	f.taken = append(f.taken, made)
}

func (f *facts) Hold(n policy.Number, into *policy.Facts) error {
	into.Number = n
	if f.err == nil {
		f.held++
	}
	if n == f.known {
		into.All = []policy.Fact{{ID: "c1", Kind: policy.Consent, Number: n}}
	}
	return f.err
}

// ledger keeps its records and makes them durable when told to.
type ledger struct {
	records  []policy.Record
	outcomes []policy.Outcome
	err      error
	later    bool
	waiting  []func(error) bool
}

func (l *ledger) Append(r *policy.Record, done func(error) bool) {
	l.records = append(l.records, *r)
	if l.later {
		l.waiting = append(l.waiting, done)
		return
	}
	done(l.err)
}

func (l *ledger) AppendOutcome(o *policy.Outcome, done func(error)) {
	l.outcomes = append(l.outcomes, *o)
	done(l.err)
}

var (
	caller   = policy.MustNumber("+31205550100")
	known    = policy.MustNumber("+31612345678")
	unknown  = policy.MustNumber("+31687654321")
	campaign = &policy.Campaign{ID: "energy", Advertiser: &policy.Advertiser{ID: "windkracht"}, Purpose: policy.Commercial}
	entry    = &policy.CallerNumber{Number: caller, Campaigns: []*policy.Campaign{campaign}}
)

func attempt(to policy.Number) *policy.Attempt {
	return &policy.Attempt{
		Peer:     &policy.PeerTerms{ID: "dialer"},
		Caller:   policy.Caller{Shown: caller, Class: policy.Geographic},
		Called:   policy.Called{Number: to, Class: policy.Mobile},
		Campaign: campaign, Entry: entry,
	}
}

func newGate(t *testing.T, f *facts, l *ledger, permit ...policy.Reason) *Gate {
	t.Helper()
	books, err := policy.NewBooks(policy.Settings{}, openBook())
	if err != nil {
		t.Fatal(err)
	}
	permitted := map[policy.Reason]bool{}
	for _, r := range permit {
		permitted[r] = true
	}
	return New(Options{
		Rules: Rules{Books: books, Config: "cfg"}, Facts: f, Ledger: l, Node: "n1", Now: func() time.Time { return now },
		Answer: func(*policy.PeerTerms, policy.Reason) int { return 403 }, Permit: permitted,
	})
}

// judge returns the ruling and how often ready was called.
func judge(g *Gate, a *policy.Attempt) (got policy.Ruling, times int) {
	g.Judge(a, func(r policy.Ruling) { got, times = r, times+1 })
	return got, times
}

func TestJudge(t *testing.T) {
	broken := errors.New("broken")
	emergency := attempt(policy.Number{})
	emergency.Called = policy.Called{Short: "112", Text: "112", Class: policy.Emergency, Emergency: true}
	emergency.Campaign = nil
	hidden := func() *policy.Attempt {
		a := attempt(known)
		a.Caller.Marks = []policy.Mark{{Kind: policy.MarkHidden, Header: "Privacy"}}
		return a
	}
	for name, c := range map[string]struct {
		attempt         *policy.Attempt
		facts, ledger   error
		permit          []policy.Reason
		verdict         policy.Verdict
		reason          policy.Reason
		recordedVerdict policy.Verdict
	}{
		"known number":                          {attempt: attempt(known), verdict: policy.Allowed, reason: policy.ReasonConsent, recordedVerdict: policy.Allowed},
		"unknown number":                        {attempt: attempt(unknown), reason: policy.ReasonNoConsent},
		"facts broken":                          {attempt: attempt(known), facts: broken, reason: policy.ReasonFactsUnavailable},
		"facts broken, caller hidden":           {attempt: hidden(), facts: broken, reason: policy.ReasonCallerAnonymous},
		"facts broken, operator permits":        {attempt: attempt(known), facts: broken, permit: []policy.Reason{policy.ReasonFactsUnavailable}, verdict: policy.Allowed, reason: policy.ReasonNotEnforced, recordedVerdict: policy.Allowed},
		"ledger broken":                         {attempt: attempt(known), ledger: broken, reason: policy.ReasonLedgerUnavailable, recordedVerdict: policy.Allowed},
		"ledger broken, refused anyway":         {attempt: attempt(unknown), ledger: broken, reason: policy.ReasonNoConsent},
		"ledger broken, operator permits":       {attempt: attempt(known), ledger: broken, permit: []policy.Reason{policy.ReasonLedgerUnavailable}, verdict: policy.Allowed, reason: policy.ReasonNotEnforced, recordedVerdict: policy.Allowed},
		"emergency with everything broken":      {attempt: emergency, facts: broken, ledger: broken, verdict: policy.Allowed, reason: policy.ReasonEmergency, recordedVerdict: policy.Allowed},
		"permission does not reach other rules": {attempt: attempt(unknown), permit: []policy.Reason{policy.ReasonFactsUnavailable, policy.ReasonLedgerUnavailable}, reason: policy.ReasonNoConsent},
	} {
		t.Run(name, func(t *testing.T) {
			l := &ledger{err: c.ledger}
			got, times := judge(newGate(t, &facts{known: known, err: c.facts}, l, c.permit...), c.attempt)
			if times != 1 {
				t.Fatalf("ready was called %d times", times)
			}
			if got.Decision.Verdict != c.verdict || got.Decision.Reason != c.reason {
				t.Errorf("got %s %s, want %s %s", got.Decision.Verdict, got.Decision.Reason, c.verdict, c.reason)
			}
			if len(l.records) != 1 || l.records[0].ID != got.ID || l.records[0].Config != "cfg" || l.records[0].Node != "n1" {
				t.Fatalf("records: %+v", l.records)
			}
			if answer := l.records[0].Answer; (answer == 403) != (c.recordedVerdict == policy.Denied) {
				t.Errorf("the record says answer %d", answer)
			}
		})
	}
}

func TestACallWaitsForItsRecordButAnEmergencyDoesNot(t *testing.T) {
	l := &ledger{later: true}
	g := newGate(t, &facts{known: known}, l)
	if _, times := judge(g, attempt(known)); times != 0 {
		t.Fatal("ready was called before the record was durable")
	}
	e := attempt(policy.Number{})
	e.Called = policy.Called{Short: "112", Emergency: true, Class: policy.Emergency}
	if _, times := judge(g, e); times != 1 {
		t.Fatal("the emergency call waited for its record")
	}
	if len(l.waiting) != 2 {
		t.Fatalf("%d records wait, want both", len(l.waiting))
	}
}

// TestACallThatGoesOutIsToldAtOnce: before its record is durable, and only if
// it goes out.
func TestACallThatGoesOutIsToldAtOnce(t *testing.T) {
	f := &facts{known: known}
	g := newGate(t, f, &ledger{later: true})
	for _, to := range []policy.Number{known, unknown} {
		a := attempt(to)
		a.CallID = "c1"
		judge(g, a)
	}
	e := attempt(policy.Number{})
	e.Called = policy.Called{Short: "112", Emergency: true, Class: policy.Emergency}
	judge(g, e)
	if f.held != 0 {
		t.Errorf("%d numbers are still held", f.held)
	}
	want := policy.EarlierCall{At: now, Advertiser: "windkracht", Allowed: true, Purpose: policy.Commercial, Attempt: (&policy.Attempt{CallID: "c1"}).ID()}
	if len(f.made) != 1 || f.made[0] != want {
		t.Errorf("told of %+v, want %+v", f.made, want)
	}
}

func TestTheGateOwnsTheTime(t *testing.T) {
	a := attempt(known)
	a.At = now.AddDate(-10, 0, 0) // whatever a message may claim
	judge(newGate(t, &facts{known: known}, &ledger{}), a)
	if !a.At.Equal(now) {
		t.Errorf("judged at %v, want the gate's own time %v", a.At, now)
	}
}

func TestIdsGrowWithTime(t *testing.T) {
	last := ""
	for range 100 {
		id := newID().String()
		if id <= last || len(id) != 36 || id[14] != '7' {
			t.Fatalf("%q after %q", id, last)
		}
		last = id
	}
}

// TestJudgeCaller: a caller identity that may be shown leaves no trace, and one
// that may not is refused when the record of it is durable. No facts are held.
func TestJudgeCaller(t *testing.T) {
	var f facts
	l := ledger{later: true}
	g := newGate(t, &f, &l)
	var got policy.Ruling
	times := 0
	ready := func(r policy.Ruling) { got, times = r, times+1 }

	g.JudgeCaller(attempt(unknown), ready)
	if times != 1 || got.Decision.Verdict != policy.Allowed || len(l.records) != 0 {
		t.Errorf("an identity that may be shown: %d rulings, %s, %d records", times, got.Decision.Verdict, len(l.records))
	}
	hidden := attempt(known)
	hidden.Caller.Marks = []policy.Mark{{Kind: policy.MarkHidden, Header: "Privacy"}}
	g.JudgeCaller(hidden, ready)
	if times != 1 || len(l.records) != 1 {
		t.Fatalf("before the record is durable: %d rulings, %d records", times, len(l.records))
	}
	l.waiting[0](nil)
	if times != 2 || got.Decision.Verdict != policy.Denied || got.Decision.Reason != policy.ReasonCallerAnonymous || l.records[0].Answer != 403 || l.records[0].At != now {
		t.Errorf("a hidden caller: %d rulings, %s %s, record %+v", times, got.Decision.Verdict, got.Decision.Reason, l.records[0])
	}
	if f.held != 0 || len(f.made) != 0 {
		t.Errorf("facts were held %d times, %d calls made", f.held, len(f.made))
	}
}
