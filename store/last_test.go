package store

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"dialgate/policy"
	"dialgate/store/ledger"
)

// TestLastLooksBackOverOtherRecords: decisions far apart are found, in order.
func TestLastLooksBackOverOtherRecords(t *testing.T) {
	s := open(t, t.TempDir(), nil)
	defer s.Close()
	decide := func(i int) {
		d := policy.Operational(policy.ReasonNoConsent)
		done := make(chan error, 1)
		s.Append(&policy.Record{At: noon.Add(time.Duration(i) * time.Second), Attempt: &policy.Attempt{CallID: fmt.Sprint(i)}, Decision: &d}, func(err error) bool { done <- err; return true })
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	if last, err := s.Last(3); err != nil || len(last) != 0 {
		t.Fatalf("%v, %v", last, err)
	}
	for i := range 5 {
		decide(i)
		for j := range 100 { // what lies between
			add(t, s, objection(fmt.Sprint("o", i, "-", j), bob, noon))
		}
	}
	for n, want := range map[int]int{1: 1, 3: 3, 5: 5, 9: 5} {
		last, err := s.Last(n)
		if err != nil || len(last) != want || last[len(last)-1].CallID != "4" || last[0].CallID != fmt.Sprint(5-want) {
			t.Errorf("the last %d: %d decisions, %v", n, len(last), err)
		}
	}
}

// TestADecisionOfAnEarlierVersionIsRead: it tells what it told, and that it
// lacks the rest.
func TestADecisionOfAnEarlierVersionIsRead(t *testing.T) {
	d, err := readDecision(ledger.Record{Seq: 7,
		Public:  []byte(`{"id":"01a20f09-3477-74f6-af03-d08ae2096fe8","verdict":"deny","reason":"caller-anonymous","rule":"base.caller.shown","answer":433,"us":3}`),
		Payload: []byte(`{"at":"2026-11-23T14:00:00Z","from_text":"anonymous","to":"+31612345602","peer":"dialer","findings":[],"marks":["hidden: Privacy with id asks to hide the caller"]}`)})
	if err != nil || d.Version != 0 || d.Reason != "caller-anonymous" || d.To != bob.E164() || len(d.Marks) != 1 || d.Seq != 7 {
		t.Errorf("%+v, %v", d, err)
	}
}

// TestADecisionKeepsAllOfItsAttempt: what a record is judged again by.
func TestADecisionKeepsAllOfItsAttempt(t *testing.T) {
	d := policy.Permitted(policy.ReasonFactsUnavailable, policy.Decision{})
	a := policy.Attempt{Fax: true, Malformed: "X-Campaign is there more than once", Named: "ener\"gy",
		Caller: policy.Caller{Text: "1234", Class: policy.Operator},
		Called: policy.Called{Short: "112", Text: "112", Class: policy.Emergency, Emergency: true, Hides: "*31*"}}
	public, payload := appendDecision(nil, nil, &policy.Record{At: noon, Attempt: &a, Decision: &d})
	got, err := readDecision(ledger.Record{Public: public, Payload: payload})
	want := Decision{Version: recordVersion, At: noon, ID: policy.RulingID{}.String(), Verdict: "allow", Reason: "not-enforced", Would: "facts-unavailable", By: "permit",
		FromText: "1234", FromClass: "operator", ToText: "112", ToShort: "112", ToClass: "emergency", Emergency: true, Hides: "*31*",
		Malformed: "X-Campaign is there more than once", Named: "ener\"gy", Mode: "robocall", Fax: true, Findings: []Finding{}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v (%v)\nwant %+v", got, err, want)
	}
}
