package nl

import (
	"fmt"
	"time"

	"pgregory.net/rapid"

	"dialgate/policy"
)

// Generators of calls and of what is known, crowded where the rules change.

func newBooks(s policy.Settings) *policy.Books {
	books, err := policy.NewBooks(s, Book())
	if err != nil {
		panic(err)
	}
	return books
}

// bookSets are the books that laws are held against: all enforced, parts in
// shadow and off, and other values of parameters.
var bookSets = []*policy.Books{
	newBooks(policy.Settings{}),
	newBooks(policy.Settings{Modes: map[string]policy.Mode{"nl.hours": policy.Off, "nl.holidays": policy.Off}}),
	newBooks(policy.Settings{Modes: map[string]policy.Mode{"nl.consent": policy.Shadow, "nl.hours": policy.Off}}),
	newBooks(policy.Settings{Modes: map[string]policy.Mode{"nl.relationship": policy.Off, "nl.objection": policy.Shadow}}),
	newBooks(policy.Settings{Modes: map[string]policy.Mode{"nl.basis": policy.Shadow}}),
	newBooks(policy.Settings{Params: map[string]map[string]int{"nl.relationship.term": {"years": 2, "anniversary_inclusive": 1}}}),
}

func anyBooks(t *rapid.T) *policy.Books {
	return bookSets[rapid.IntRange(0, len(bookSets)-1).Draw(t, "books")]
}

// A madeCase is one call with what is known of the called number.
type madeCase struct {
	at      time.Time
	attempt policy.Attempt
	facts   policy.Facts
}

func (c *madeCase) decide(books *policy.Books) policy.Decision {
	c.facts.Sort()
	return books.Decide(&c.attempt, &c.facts)
}

// boundaries are days on which a rule begins, a term ends, or a clock changes.
var boundaries = []policy.Date{
	20261123, 20260630, 20260701, 20210701, 20220629, 20240229, 20241015, 20250701, 20260329, 20261025, 20261224, 20261225, 20270227, 20270228, 20280229,
}

func anyTime(t *rapid.T) time.Time {
	day := rapid.SampledFrom(boundaries).Draw(t, "day").In(Book().Zone)
	clock := rapid.SampledFrom([]string{"14h", "9h", "0s", "18h30m", "22h", "24h"}).Draw(t, "clock")
	d, err := time.ParseDuration(clock)
	if err != nil {
		panic(err)
	}
	return day.Add(d + time.Duration(rapid.IntRange(-1, 1).Draw(t, "second"))*time.Second)
}

// near is an instant near the call, or none.
func near(t *rapid.T, label string, at time.Time) time.Time {
	if rapid.IntRange(0, 9).Draw(t, label+" is none") == 0 {
		return time.Time{}
	}
	return around(t, label, at)
}

// around is an instant near the call: within every term, at its edges, and past it.
func around(t *rapid.T, label string, at time.Time) time.Time {
	if rapid.IntRange(0, 200).Draw(t, label+" absurd") == 97 {
		return rapid.SampledFrom([]time.Time{{}, time.Date(9999, time.December, 31, 23, 59, 59, 999999999, time.UTC), time.Unix(0, 0)}).Draw(t, label)
	}
	months := rapid.SampledFrom([]int{-1, 0, -5, -6, -36, -7, -37, 6}).Draw(t, label+" months")
	days := rapid.IntRange(-1, 1).Draw(t, label+" days")
	date := policy.DateOf(at)
	moved := date.AddMonths(months).AddDays(days).In(time.UTC).Sub(date.In(time.UTC))
	return at.Add(moved + time.Duration(rapid.IntRange(-1, 1).Draw(t, label+" second"))*time.Second)
}

var products = []string{"energy", "solar"}

func some(t *rapid.T, label string, from []string) []string {
	return rapid.SliceOfNDistinct(rapid.SampledFrom(from), 0, len(from), rapid.ID[string]).Draw(t, label)
}

func anyCampaign(t *rapid.T) *policy.Campaign {
	return &policy.Campaign{
		ID: "campaign",
		Advertiser: &policy.Advertiser{
			ID: "ours", Sector: rapid.SampledFrom([]policy.Sector{policy.General, policy.Charity, policy.Publisher, policy.Lottery}).Draw(t, "sector"),
			IssuesPerYear:     rapid.IntRange(2, 3).Draw(t, "issues"),
			LicenceArticle:    rapid.SampledFrom([]string{"", "3", "9", "14b", "27b"}).Draw(t, "licence"),
			RelationshipYears: rapid.SampledFrom([]int{0, 0, 5}).Draw(t, "years"),
		},
		Purpose: rapid.SampledFrom([]policy.Purpose{policy.Commercial, policy.Commercial, policy.Ideal, policy.Charitable,
			policy.Service, policy.Research, policy.Requested, policy.OtherPurpose}).Draw(t, "purpose"),
		Products:         unless(t, "offered", []string{"energy"}, products, nil),
		Mode:             unless(t, "mode", policy.Live, policy.Robocall),
		ObjectionOffered: !seldom(t, "objection not offered"),
		NoOffer:          rapid.Bool().Draw(t, "no offer"),
	}
}

// seldom is true in few draws: rapid prefers small numbers and the ends.
func seldom(t *rapid.T, label string) bool { return rapid.IntRange(0, 40).Draw(t, label)%13 == 11 }

// unless is the usual value, seldom one of the others.
func unless[V any](t *rapid.T, label string, usual V, others ...V) V {
	if seldom(t, label+" unusual") {
		return rapid.SampledFrom(others).Draw(t, label)
	}
	return usual
}

func anyCase(t *rapid.T) *madeCase {
	c := &madeCase{at: anyTime(t)}
	a := &c.attempt
	a.At, a.Campaign = c.at, anyCampaign(t)
	a.Peer = &policy.PeerTerms{ID: "dialer", AllCampaigns: true}
	plans := policy.NewPlans(Plan())
	a.Caller.Shown = policy.MustNumber(unless(t, "shown", "+31205550100", "+31612345699", "+31201234567", "+319001234567"))
	a.Caller.Class = plans.Class(a.Caller.Shown)
	a.Entry = &policy.CallerNumber{Number: a.Caller.Shown, Campaigns: []*policy.Campaign{a.Campaign},
		CallbackTestedAt: policy.DateOf(around(t, "tested", c.at)), PublishedAt: rapid.SampledFrom([]string{"", "site"}).Draw(t, "published")}
	a.Called.Number = policy.MustNumber(unless(t, "called", "+31612345678", "+31209123456", "+3225551234"))
	a.Called.Class = plans.Class(a.Called.Number)
	a.Fax = seldom(t, "fax")
	if seldom(t, "odd") {
		switch rapid.IntRange(0, 6).Draw(t, "oddity") {
		case 0:
			a.Peer = nil
		case 1:
			a.Campaign, a.NoCampaign = nil, "nothing tells the campaign"
		case 2:
			a.Entry = nil
		case 3:
			a.Caller.Marks = []policy.Mark{{Kind: rapid.SampledFrom([]policy.MarkKind{policy.MarkNote, policy.MarkHidden, policy.MarkContradicts}).Draw(t, "mark"), Header: "Privacy", Saw: "id", Means: "asks to hide the caller"}}
		case 4:
			a.Caller = policy.Caller{}
		case 5:
			a.Called = policy.Called{Short: "14020", Text: "14020", Class: policy.Protected}
		case 6:
			a.Malformed = "two campaigns are named"
		}
	}
	if seldom(t, "registers") {
		a.Registers = []policy.Register{{ID: "nobellen", MaxAge: 30}}
		c.facts.AsOf = map[string]time.Time{"nobellen": around(t, "as of", c.at)}
	}
	c.facts.Number = a.Called.Number
	for i := range rapid.IntRange(0, 6).Draw(t, "facts") {
		kind := rapid.SampledFrom([]policy.Kind{policy.Consent, policy.Relationship, policy.Withdrawal, policy.Objection, policy.Consent, policy.Relationship, policy.Callback, policy.Subscriber, policy.Listed}).Draw(t, "kind")
		c.facts.All = append(c.facts.All, anyFact(t, fmt.Sprintf("f%d", i), c.at, kind))
	}
	for range rapid.IntRange(0, 2).Draw(t, "calls") {
		c.facts.Calls = append(c.facts.Calls, policy.EarlierCall{At: around(t, "call", c.at), Advertiser: rapid.SampledFrom([]string{"ours", "theirs"}).Draw(t, "on behalf of"), Allowed: rapid.Bool().Draw(t, "was allowed")})
	}
	return c
}

// anyFact makes a fact of a kind with every field that the kind has. Most of a
// consent is in order, so that grounds that hold are not rare.
func anyFact(t *rapid.T, id string, at time.Time, kind policy.Kind) policy.Fact {
	f := policy.Fact{ID: id, Kind: kind, Number: policy.MustNumber("+31612345678"),
		Advertiser: unless(t, "advertiser", "ours", "theirs"), At: around(t, "at", at)}
	f.RecordedAt = rapid.SampledFrom([]time.Time{{}, f.At, f.At.Add(-time.Hour), f.At.Add(time.Hour)}).Draw(t, "recorded")
	switch kind {
	case policy.Consent:
		f.Purposes = unless(t, "purposes", []policy.Purpose{policy.Commercial, policy.Ideal, policy.Charitable}, []policy.Purpose{policy.Commercial}, nil)
		f.Products = unless(t, "products", products, []string{"solar"}, nil)
		f.Channels = unless(t, "channels", []policy.CallMode{policy.Live, policy.Robocall}, []policy.CallMode{policy.Live}, []policy.CallMode{policy.Robocall})
		f.Preticked, f.Bundled = seldom(t, "preticked"), seldom(t, "bundled")
		if !seldom(t, "unverified") {
			f.VerifiedAt = f.At.Add(time.Duration(rapid.IntRange(0, 60).Draw(t, "verified after")) * time.Second)
		}
		if !seldom(t, "unproven") {
			f.Evidence = policy.Evidence{Person: "person", SHA256: "digest"}
		}
		if seldom(t, "ends") {
			f.ValidUntil = around(t, "valid until", at)
		}
		if seldom(t, "first call by") {
			f.FirstCallBy = around(t, "deadline", at)
		}
		f.AfterObjection = !seldom(t, "before objection")
	case policy.Withdrawal:
		f.Consent = rapid.SampledFrom([]string{"", "f0", "f1", "added"}).Draw(t, "of")
	case policy.Objection:
		f.Advertiser = rapid.SampledFrom([]string{"ours", "theirs", "*"}).Draw(t, "to")
		f.Scope = rapid.SampledFrom([]policy.Scope{policy.ScopeTelemarketing, policy.ScopeAll}).Draw(t, "scope")
	case policy.Relationship:
		f.Type = rapid.SampledFrom([]policy.RelationshipType{policy.Sale, policy.Subscription, policy.Gift, policy.Donorship,
			policy.Volunteer, policy.Event, policy.Participant, policy.Petition}).Draw(t, "type")
		f.Products = unless(t, "products", products, []string{"solar"}, nil)
		f.Started = policy.DateOf(around(t, "started", at))
		if rapid.Bool().Draw(t, "ended") {
			f.Ended = max(f.Started, policy.DateOf(around(t, "end", at)))
		}
		f.CollectedInSale, f.ObjectionOffered, f.Objected = !seldom(t, "not in a sale"), !seldom(t, "not offered"), seldom(t, "objected")
	case policy.Subscriber:
		f.Advertiser = ""
		f.Subscriber = rapid.SampledFrom([]policy.SubscriberKind{policy.UnknownSubscriber, policy.Natural, policy.NaturalBusiness, policy.Legal}).Draw(t, "subscriber")
		f.PublishedFor = some(t, "published for", []string{"commercial", "ideal", "energy", "solar"})
	case policy.Callback:
		f.ValidUntil = near(t, "valid until", at)
	case policy.Listed:
		f.Advertiser, f.List, f.Until = "", rapid.SampledFrom([]string{"nobellen", "bel-me-niet"}).Draw(t, "list"), near(t, "until", at)
	}
	return f
}
