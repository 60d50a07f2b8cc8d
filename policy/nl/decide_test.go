package nl_test

import (
	"testing"
	"time"

	"dialgate/policy"
	"dialgate/policy/nl"
)

var (
	caller  = policy.MustNumber("+31205550100")
	called  = policy.MustNumber("+31612345678")
	monday  = time.Date(2026, 11, 23, 14, 0, 0, 0, time.UTC)
	energy  = &policy.Campaign{ID: "energy", Advertiser: &policy.Advertiser{ID: "windkracht"}, Purpose: policy.Commercial, Products: []string{"energy"}, ObjectionOffered: true}
	dialerA = &policy.PeerTerms{ID: "dialer-a", AllCampaigns: true}
)

// lawful is a call with everything the book asks for, and what is known of
// its number.
func lawful() (*policy.Attempt, *policy.Facts) {
	a := &policy.Attempt{At: monday, Peer: dialerA, Campaign: energy,
		Caller: policy.Caller{Shown: caller, Class: policy.Geographic},
		Called: policy.Called{Number: called, Class: policy.Mobile},
		Entry:  &policy.CallerNumber{Number: caller, Campaigns: []*policy.Campaign{energy}},
	}
	at := monday.AddDate(0, -1, 0)
	return a, &policy.Facts{Number: called, All: []policy.Fact{{
		ID: "c1", Kind: policy.Consent, Number: called, Advertiser: "windkracht", At: at, RecordedAt: at,
		Purposes: []policy.Purpose{policy.Commercial}, Products: []string{"energy"}, Channels: []policy.CallMode{policy.Live},
		VerifiedAt: at, Evidence: policy.Evidence{Person: "p1", SHA256: "00"},
	}}}
}

var theBook = nl.Book()

func newBooks(t testing.TB, s policy.Settings) *policy.Books {
	t.Helper()
	books, err := policy.NewBooks(s, theBook)
	if err != nil {
		t.Fatal(err)
	}
	return books
}

func BenchmarkDecide(b *testing.B) {
	books := newBooks(b, policy.Settings{})
	a, facts := lawful()
	b.ReportAllocs()
	for b.Loop() {
		if d := books.Decide(a, facts); d.Reason != policy.ReasonConsent {
			b.Fatal(d.Reason)
		}
	}
}
