package nl

import (
	"testing"
	"time"

	"dialgate/policy"
)

// TestDecideCallerAsksOnlyWhoCalls: the same rules about the caller as for a
// first INVITE, in their modes, and none about the person called.
func TestDecideCallerAsksOnlyWhoCalls(t *testing.T) {
	campaign := &policy.Campaign{ID: "campaign", Advertiser: &policy.Advertiser{ID: "ours"}, Purpose: policy.Commercial, Products: []string{"energy"}}
	number := policy.MustNumber("+31205550100")
	called := policy.MustNumber("+31612345678")
	own := policy.Attempt{
		At: time.Date(2026, 11, 23, 14, 0, 0, 0, time.UTC), Peer: &policy.PeerTerms{ID: "dialer", AllCampaigns: true}, Campaign: campaign,
		Entry:  &policy.CallerNumber{Number: number, Campaigns: []*policy.Campaign{campaign}},
		Caller: policy.Caller{Shown: number, Class: policy.Geographic},
		Called: policy.Called{Number: called, Class: policy.Mobile},
	}
	books := newBooks(policy.Settings{})
	if d := books.Decide(&own, &policy.Facts{Number: called}); d.Reason != policy.ReasonNoConsent {
		t.Fatalf("a call without consent is decided by %s", d.Reason)
	}
	hidden := own
	hidden.Caller.Marks = []policy.Mark{{Kind: policy.MarkHidden, Header: "Privacy"}}
	foreign := own
	foreign.Entry = nil
	missing := own
	missing.Caller = policy.Caller{}
	contradicts := own
	contradicts.Caller.Marks = []policy.Mark{{Kind: policy.MarkContradicts, Header: "P-Asserted-Identity"}}
	nobody := own
	nobody.Peer = nil
	for name, c := range map[string]struct {
		a    policy.Attempt
		want policy.Reason
	}{
		"own":         {own, policy.NoReason},
		"hidden":      {hidden, policy.ReasonCallerAnonymous},
		"foreign":     {foreign, policy.ReasonCallerNotRegistered},
		"missing":     {missing, policy.ReasonCallerMissing},
		"contradicts": {contradicts, policy.ReasonCallerContradictory},
		"nobody":      {nobody, policy.ReasonPeerUnknown},
	} {
		d := books.DecideCaller(&c.a)
		if d.Reason != c.want || (d.Verdict == policy.Allowed) != (c.want == policy.NoReason) {
			t.Errorf("%s: %s, %s, want %q", name, d.Verdict, d.Reason, c.want)
		}
		if full := books.Decide(&c.a, &policy.Facts{Number: called}); c.want != policy.NoReason && full.Reason != c.want {
			t.Errorf("%s: a first INVITE is decided by %s, a change by %s", name, full.Reason, c.want)
		}
	}
	shadow := newBooks(policy.Settings{Modes: map[string]policy.Mode{"base.caller": policy.Shadow}})
	if d := shadow.DecideCaller(&hidden); d.Verdict != policy.Allowed {
		t.Errorf("in shadow a hidden caller is refused by %s", d.Reason)
	}
}
