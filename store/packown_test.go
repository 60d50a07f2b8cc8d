package store

import (
	"bytes"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"dialgate/policy"
	"dialgate/store/ledger"
)

// callOf appends a decision about a call for an advertiser, with what rules found.
func callOf(t *testing.T, s *Store, i byte, advertiser string, verdict policy.Verdict, reason policy.Reason, found ...policy.Reason) {
	t.Helper()
	d := policy.Operational(reason)
	d.Verdict = verdict
	for _, r := range found {
		d.Findings = append(d.Findings, policy.Finding{Rule: &policy.Rule{ID: "nl.basis"}, Result: policy.Deny, Reason: r})
	}
	a := &policy.Attempt{CallID: advertiser, Called: policy.Called{Number: alice}, Campaign: &policy.Campaign{ID: "of-" + advertiser, Advertiser: &policy.Advertiser{ID: advertiser}}}
	done := make(chan error, 2)
	id := policy.RulingID{15: i}
	s.Append(&policy.Record{ID: id, At: noon, Attempt: a, Decision: &d}, func(err error) bool { done <- err; return true })
	s.AppendOutcome(&policy.Outcome{ID: id, At: noon, Code: 200, Carrier: "line-of-" + advertiser}, func(err error) { done <- err })
	for range 2 {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
}

// TestAPackOfOneAdvertiserHoldsNothingOfAnother: neither its name, nor a fact or
// a call of it, nor a record that says that there is one; and one that does is
// found out.
func TestAPackOfOneAdvertiserHoldsNothingOfAnother(t *testing.T) {
	s := open(t, t.TempDir(), nil)
	defer s.Close()
	own, others := consent("own-fact", alice), consent("others-fact", alice)
	others.Advertiser = "zonbank"
	all := objection("objection-to-all", alice, noon)
	all.Advertiser = "*"
	add(t, s, own, others, all)
	callOf(t, s, 1, "windkracht", policy.Allowed, policy.ReasonConsent)
	callOf(t, s, 2, "zonbank", policy.Allowed, policy.ReasonConsent)
	callOf(t, s, 3, "windkracht", policy.Denied, policy.ReasonConsentOtherAdvertiser)
	callOf(t, s, 4, "windkracht", policy.Denied, policy.ReasonNoConsent)
	callOf(t, s, 5, "windkracht", policy.Denied, policy.ReasonObjected, policy.ReasonRelationshipOtherAdvertiser)
	callOf(t, s, 6, "windkracht", policy.Denied, policy.ReasonObjected, policy.ReasonRobocallNeedsConsent)
	callOf(t, s, 7, "windkracht", policy.Denied, policy.ReasonObjected, policy.ReasonConsentExpired)

	p, err := s.ProveTo("windkracht", alice, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	text, err := p.AppendJSON(nil)
	if err != nil {
		t.Fatal(err)
	}
	page, err := p.HTML()
	if err != nil {
		t.Fatal(err)
	}
	if len(p.View.Calls) != 2 || p.View.Calls[0].Outcome == nil || len(p.View.Consents) != 1 || len(p.View.Objections) != 0 || len(p.Records) != 5 {
		t.Errorf("%s", text)
	}
	whole := append(bytes.Clone(text), page...)
	for _, r := range p.Records { // as they stand in the ledger
		whole = append(append(whole, r.Leaf...), r.Payload...)
	}
	for _, never := range []string{"zonbank", "others-fact", "objection-to-all", "other-advertiser", "no-consent"} {
		if bytes.Contains(whole, []byte(never)) || bytes.Contains(whole, []byte(base64.StdEncoding.EncodeToString([]byte(never)))) {
			t.Errorf("it holds %q", never)
		}
	}
	if !strings.Contains(string(page), "facts and calls of windkracht alone") {
		t.Error("the page does not say what it leaves out")
	}
	key, _ := s.PublicKey()
	for _, form := range [][]byte{text, page} {
		if _, _, err := ReadPack(form, key); err != nil {
			t.Error(err)
		}
	}
	// Who smuggles another's record in is found out, and so is who says that
	// the whole is one advertiser's.
	if p, err = s.Prove(alice, time.Time{}); err != nil {
		t.Fatal(err)
	}
	p.Advertiser = "windkracht"
	if _, err := p.verify([]ledger.Key{key}); err == nil || !strings.Contains(err.Error(), "has no place in a pack of windkracht") {
		t.Error(err)
	}
}

// TestCarriedOverIsKeptApart: a record that holds facts of several is left out.
func TestCarriedOverIsKeptApart(t *testing.T) {
	own, others := consent("a", alice), consent("b", alice)
	others.Advertiser = "zonbank"
	for _, c := range []struct {
		facts []policy.Fact
		calls []policy.EarlierCall
		want  bool
	}{
		{[]policy.Fact{own}, nil, true}, {[]policy.Fact{own, others}, nil, false},
		{[]policy.Fact{own}, []policy.EarlierCall{{Advertiser: "windkracht"}}, true}, {[]policy.Fact{own}, []policy.EarlierCall{{Advertiser: "zonbank"}}, false},
	} {
		r := carriedRecord(alice, appendValue(nil, c.facts, c.calls), "n", noon)
		holds, err := (&Pack{Advertiser: "windkracht"}).holds(&r, map[string]bool{})
		if err != nil || holds != c.want {
			t.Errorf("%v and %v: %v, %v", c.facts, c.calls, holds, err)
		}
	}
}

// TestEventsSinceARecord: decisions and objections in the ledger's order, each
// under a key that stays, in steps of any size; what was erased is left out.
func TestEventsSinceARecord(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, nil)
	add(t, s, consent("c1", alice), objection("o1", alice, noon), objection("o2", bob, noon))
	decided(t, s, 1, alice, policy.ReasonObjected)
	decided(t, s, 2, bob, policy.ReasonObjected)
	var keys string
	for _, step := range []int{1, 2, 3, 100} {
		var got []string
		after, now := uint64(0), ""
		for {
			events, last, missed, err := s.Since(after, step)
			if err != nil || missed != 0 {
				t.Fatal(missed, err)
			}
			for _, e := range events {
				if e.Objection != nil {
					got = append(got, e.Objection.ID)
				} else {
					got = append(got, e.Decision.CallID)
				}
				now += e.Key + " "
			}
			if last == after {
				break
			}
			after = last
		}
		if strings.Join(got, " ") != "o1 o2 1 2" || after != s.LedgerEnd() || keys != "" && now != keys {
			t.Errorf("in steps of %d: %q up to %d, %s", step, got, after, now)
		}
		keys = now
	}
	if _, err := s.Erase(alice, "request 1"); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, nil)
	defer s.Close()
	events, _, _, err := s.Since(0, 100)
	if err != nil || len(events) != 2 || events[0].Objection.ID != "o2" || events[1].Decision.CallID != "2" || !strings.Contains(keys, events[1].Key) {
		t.Errorf("after an erasure: %+v, %v", events, err)
	}
	if events, last, _, err := s.Since(1_000_000, 10); err != nil || events != nil || last != 1_000_000 {
		t.Error(events, last, err)
	}
}

// TestReasonsAreFilteredAsTheyAreTold: to one advertiser another's consent is
// none, whatever it filters by.
func TestReasonsAreFilteredAsTheyAreTold(t *testing.T) {
	s := open(t, t.TempDir(), nil)
	defer s.Close()
	for i, r := range []policy.Reason{policy.ReasonNoConsent, policy.ReasonConsentOtherAdvertiser, policy.ReasonObjected} {
		decided(t, s, i, alice, r)
	}
	for _, n := range []policy.Number{{}, alice} {
		if got := walk(t, s, Search{Number: n, Reason: "no-consent", Public: true, Most: 5}); len(got) != 2 {
			t.Errorf("%q", got)
		}
		if got := walk(t, s, Search{Number: n, Reason: "no-consent", Most: 5}); len(got) != 1 {
			t.Errorf("%q", got)
		}
	}
}

// TestReasonsOfRecords as they are told: by the mode where the record tells it;
// where one does not, what stands for nothing held reads alike.
func TestReasonsOfRecords(t *testing.T) {
	for _, c := range []struct{ reason, mode, want string }{
		{"consent-other-advertiser", "live", "no-consent"}, {"relationship-other-advertiser", "live", "no-consent"}, {"no-consent", "live", "no-consent"},
		{"consent-other-advertiser", "robocall", "robocall-needs-consent"}, {"relationship-other-advertiser", "robocall", "robocall-needs-consent"},
		{"robocall-needs-consent", "robocall", "robocall-needs-consent"}, {"no-consent", "robocall", "no-consent"},
		{"consent-other-advertiser", "", "no-consent"}, {"robocall-needs-consent", "", "no-consent"}, {"objected", "", "objected"}, {"", "live", ""}, {"of-later", "", "of-later"},
	} {
		if got := policy.Told(c.reason, c.mode); got != c.want {
			t.Errorf("%s of mode %q is told as %s, want %s", c.reason, c.mode, got, c.want)
		}
	}
	for payload, want := range map[string]string{`{"v":1}`: "", `{"v":2}`: "live", `{"v":2,"mode":"robocall"}`: "robocall"} {
		if d, err := readDecision(ledger.Record{Public: []byte(`{"id":"x"}`), Payload: []byte(payload)}); err != nil || d.Mode != want {
			t.Errorf("%s: mode %q, want %q (%v)", payload, d.Mode, want, err)
		}
	}
}

// TestAKeptInviteIsErasedWithItsNumber.
func TestAKeptInviteIsErasedWithItsNumber(t *testing.T) {
	s := open(t, t.TempDir(), nil)
	defer s.Close()
	raw := []byte("INVITE sip:+31612345678@x SIP/2.0\r\nSubject: \xff\"\\\r\n\r\n")
	d := policy.Operational(policy.ReasonObjected)
	done := make(chan error, 1)
	s.Append(&policy.Record{ID: policy.RulingID{1}, At: noon, Attempt: &policy.Attempt{Called: policy.Called{Number: alice}, Raw: raw}, Decision: &d}, func(err error) bool { done <- err; return true })
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	got, _, err := s.Decision(s.LedgerEnd())
	if err != nil || !bytes.Equal(got.Raw, raw) || got.To != alice.E164() {
		t.Errorf("%+v %v", got, err)
	}
	if places, err := s.placesOf(alice, true); err != nil || len(places) != 1 {
		t.Error(places, err)
	}
	seq := s.LedgerEnd()
	if _, err := s.Erase(alice, "request 1"); err != nil {
		t.Fatal(err)
	}
	if got, _, err := s.Decision(seq); err != nil || got.Raw != nil || !got.Erased {
		t.Errorf("%+v %v", got, err)
	}
}
