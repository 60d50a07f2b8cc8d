package nl

import (
	"strings"
	"testing"
	"time"

	"dialgate/policy"
)

// shown judges a call that shows a registered number, and gives what the
// rules about it flagged.
func shown(t *testing.T, at time.Time, number string, entry policy.CallerNumber) map[string]string {
	t.Helper()
	campaign := &policy.Campaign{ID: "campaign", Advertiser: &policy.Advertiser{ID: "ours"}, Purpose: policy.Commercial, Products: []string{"energy"}}
	entry.Number = policy.MustNumber(number)
	entry.Campaigns = []*policy.Campaign{campaign}
	called := policy.MustNumber("+31612345678")
	a := policy.Attempt{At: at, Peer: &policy.PeerTerms{ID: "dialer"}, Campaign: campaign, Entry: &entry,
		Caller: policy.Caller{Shown: entry.Number, Class: policy.NewPlans(Plan()).Class(entry.Number)},
		Called: policy.Called{Number: called, Class: Plan().Classify(called)}}
	flags := map[string]string{}
	d := newBooks(policy.Settings{}).Explain(&a, &policy.Facts{Number: called})
	for _, f := range d.Findings {
		if f.Result == policy.Flag {
			flags[f.Rule.ID] = f.Note
		}
	}
	if f := d.Deciding(); f == nil || f.Reason != policy.ReasonNoConsent {
		t.Errorf("%s decided, and flags decide nothing", d.Rule())
	}
	return flags
}

// TestCallbackIsFlagged: a test of the last thirty days and a place of
// publication are asked since 15 October 2024; what is missing is flagged.
func TestCallbackIsFlagged(t *testing.T) {
	noon := func(d policy.Date) time.Time { return d.In(Book().Zone).Add(12 * time.Hour) }
	for _, row := range []struct {
		on, tested policy.Date
		published  string
		want       string // "": no flag
	}{
		{20261123, 20261024, "site", ""}, // thirty days
		{20261123, 20261023, "site", "the last call-back test is of 2026-10-23"},
		{20261123, 20261123, "site", ""},
		{20261123, 20261124, "site", "the last call-back test is of 2026-11-24"},
		{20261123, 0, "site", "no call-back test is known"},
		{20261123, 20261123, "", "no place is known"},
		{20261123, 0, "", "no call-back test is known; no place is known"},
		{20241014, 0, "", ""}, // the day before the Code asked for it
		{20241015, 0, "", "no call-back test is known"},
	} {
		note := shown(t, noon(row.on), "+31205550100", policy.CallerNumber{CallbackTestedAt: row.tested, PublishedAt: row.published})["nl.caller.callback"]
		if (note == "") != (row.want == "") || !strings.Contains(note, row.want) {
			t.Errorf("on %s, tested %s, published %q: flagged %q, want %q", row.on, row.tested, row.published, note, row.want)
		}
		if strings.Contains(note, "+31205550100") {
			t.Errorf("a note holds a whole number: %s", note)
		}
	}
}

// TestUnusualNumbersAreFlagged: 06 and 091 may be shown, and somebody looks.
func TestUnusualNumbersAreFlagged(t *testing.T) {
	at := policy.Date(20261123).In(Book().Zone).Add(12 * time.Hour)
	for number, want := range map[string]bool{
		"+31612345678": true, "+31582345678": false, "+31682345678": true, "+31912345678": true, "+31852345678": false,
		"+31882345678": false, "+31205550100": false, "+4915112345678": false,
	} {
		if _, got := shown(t, at, number, policy.CallerNumber{})["nl.caller.kind"]; got != want {
			t.Errorf("%s is flagged: %v", number, got)
		}
	}
}
