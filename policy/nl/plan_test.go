package nl

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"dialgate/policy"
)

// The area codes as the plan lists them: 30 of three digits and 111 of four.
const (
	planThree = "010 013 015 020 023 024 026 030 033 035 036 038 040 043 045 046 050 053 055 058 070-079"
	planFour  = "0111 0113-0115 0117 0118 0161 0162 0164-0168 0172 0174 0180-0184 0186 0187 0222-0224 0226-0229 0251 0252 0255 0294 0297 " +
		"0299 0313-0318 0320 0321 0341-0348 0411-0413 0416 0418 0475 0478 0481 0485-0488 0492 0493 0495 0497 0499 0511-0519 0521-0525 0527-0529 " +
		"0541 0543-0548 0561 0562 0566 0570-0573 0575 0577 0578 0591-0599"
)

// areaCodes spells out a list of codes and ranges.
func areaCodes(t *testing.T, list string) map[string]bool {
	all := map[string]bool{}
	for _, item := range strings.Fields(list) {
		var from, to int
		if n, _ := fmt.Sscanf(item, "%d-%d", &from, &to); n == 1 {
			to = from
		} else if n == 0 {
			t.Fatalf("%q is no code", item)
		}
		width := len(strings.Split(item, "-")[0])
		for c := from; c <= to; c++ {
			all[fmt.Sprintf("%0*d", width, c)] = true
		}
	}
	return all
}

func classOf(t *testing.T, national string) policy.Class {
	t.Helper()
	n, ok := Plan().National(national)
	if !ok {
		t.Fatalf("%s is no number", national)
	}
	return Plan().Classify(n)
}

// TestEveryAreaCode goes through all codes of three and four digits: the 141
// of the plan are geographic, with a subscriber part that begins with 2 to 8,
// and no other is.
func TestEveryAreaCode(t *testing.T) {
	three, four := areaCodes(t, planThree), areaCodes(t, planFour)
	if len(three) != 30 || len(four) != 111 {
		t.Fatalf("%d codes of three digits and %d of four; want 30 and 111", len(three), len(four))
	}
	geographic := map[string]bool{}
	for code := 100; code <= 999; code++ { // the first three digits of the national number
		for first := '0'; first <= '9'; first++ {
			text := fmt.Sprintf("0%d", code)
			inThree, inFour := three[text[:3]], four[text]
			subscriber := first
			if inThree {
				subscriber = rune(text[3])
			}
			assignable := subscriber >= '2' && subscriber <= '8'
			national := text + string(first) + "23456"[:5]
			got := classOf(t, national)
			want := (inThree || inFour) && assignable
			if (got == policy.Geographic) != want {
				t.Errorf("%s is %s; in the plan: %v, subscriber part begins with %c", national, got, inThree || inFour, subscriber)
			}
			if got == policy.Geographic {
				if inThree {
					text = text[:3]
				}
				geographic[text] = true
			}
		}
	}
	if len(geographic) != 141 {
		t.Errorf("%d area codes have geographic numbers, want 141", len(geographic))
	}
	for code := range three {
		for _, wrong := range []string{code + "234567", code + "23456789"} {
			if got := classOf(t, wrong); got != policy.Unassigned {
				t.Errorf("%s has the wrong length and is %s", wrong, got)
			}
		}
	}
}

// How a number of a range may be used.
const (
	anyCall     = "any call"
	noMarketing = "no telemarketing"
	never       = "never"
)

// TestRangesOfThePlan: each row of the plan that is no area code, with its
// class, whether it may be shown when it is registered (and no call-back was
// tested), and for what it may be called.
func TestRangesOfThePlan(t *testing.T) {
	books := newBooks(policy.Settings{})
	for _, row := range []struct {
		national string
		class    policy.Class
		shown    bool
		called   string
	}{
		{"0205550100", policy.Geographic, true, anyCall}, {"0205550", policy.Unassigned, false, never},
		{"0201234567", policy.Unassigned, false, never}, {"0200234567", policy.Unassigned, false, never}, {"0209234567", policy.Unassigned, false, never},
		{"0612345678", policy.Mobile, true, anyCall}, {"0622345678", policy.Mobile, true, anyCall}, {"0632345678", policy.Mobile, true, anyCall},
		{"0642345678", policy.Mobile, true, anyCall}, {"0652345678", policy.Mobile, true, anyCall}, {"0682345678", policy.Mobile, true, anyCall},
		{"061234567", policy.Unassigned, false, never}, {"06123456789", policy.Unassigned, false, never},
		{"0662345678", policy.Paging, false, never},
		{"067123", policy.Private, false, never}, {"0676123456", policy.Private, false, never}, {"0671234567", policy.Private, false, never},
		{"0602345678", policy.Unassigned, false, never}, {"0692345678", policy.Unassigned, false, never},
		{"0842345678", policy.Personal, false, anyCall}, {"0872345678", policy.Personal, false, anyCall},
		{"0852345678", policy.LocationFree, true, anyCall}, {"0882345678", policy.LocationFree, true, anyCall}, {"0912345678", policy.LocationFree, true, anyCall},
		{"0822345678", policy.Private, false, never}, {"08212345678", policy.Private, false, never},
		{"097012345678", policy.Machine, false, noMarketing}, {"0970123456", policy.Unassigned, false, never},
		{"0979123456", policy.Unassigned, false, never}, {"097912345678", policy.Unassigned, false, never},
		{"08001234", policy.Freephone, false, noMarketing}, {"08001234567", policy.Freephone, false, noMarketing}, {"080012345", policy.Unassigned, false, never},
		{"09001234", policy.Premium, false, noMarketing}, {"09001234567", policy.Premium, false, noMarketing},
		{"09061234", policy.Premium, false, noMarketing}, {"09091234567", policy.Premium, false, noMarketing}, {"09011234", policy.Unassigned, false, never},
		{"0832345678", policy.Unassigned, false, never}, {"0862345678", policy.Unassigned, false, never}, {"0892345678", policy.Unassigned, false, never},
		{"0142345678", policy.Unassigned, false, never}, {"0192345678", policy.Unassigned, false, never},
	} {
		n, ok := Plan().National(row.national)
		if !ok {
			t.Fatalf("%s is no number", row.national)
		}
		if got := Plan().Classify(n); got != row.class {
			t.Errorf("%s is %s, want %s", row.national, got, row.class)
		}
		if got := mayShow(books, n); got != row.shown {
			t.Errorf("%s may be shown: %v", row.national, got)
		}
		if got := mayCall(books, policy.Called{Number: n, Class: row.class}); got != row.called {
			t.Errorf("%s may be called: %s, want %s", row.national, got, row.called)
		}
	}
}

// mayShow reports whether the rules about caller identity let a registered number pass.
func mayShow(books *policy.Books, n policy.Number) bool {
	campaign := &policy.Campaign{ID: "campaign", Advertiser: &policy.Advertiser{ID: "ours"}, Purpose: policy.Commercial, Products: []string{"energy"}}
	called := policy.MustNumber("+31612345678")
	d := books.Decide(&policy.Attempt{At: policy.Date(20261123).In(Book().Zone).Add(12 * time.Hour), Peer: &policy.PeerTerms{ID: "dialer"}, Campaign: campaign,
		Caller: policy.Caller{Shown: n, Class: Plan().Classify(n)}, Entry: &policy.CallerNumber{Number: n, Campaigns: []*policy.Campaign{campaign}},
		Called: policy.Called{Number: called, Class: policy.Mobile}}, &policy.Facts{Number: called})
	return d.Reason.Step() > policy.StepCaller
}

// mayCall says for which campaigns a number may be called.
func mayCall(books *policy.Books, called policy.Called) string {
	refuses := func(purpose policy.Purpose) bool {
		campaign := &policy.Campaign{ID: "campaign", Advertiser: &policy.Advertiser{ID: "ours"}, Purpose: purpose, Products: []string{"energy"}, NoOffer: true}
		shown := policy.MustNumber("+31205550100")
		d := books.Decide(&policy.Attempt{At: policy.Date(20261123).In(Book().Zone).Add(12 * time.Hour), Peer: &policy.PeerTerms{ID: "dialer"}, Campaign: campaign,
			Caller: policy.Caller{Shown: shown, Class: policy.Geographic}, Entry: &policy.CallerNumber{Number: shown, Campaigns: []*policy.Campaign{campaign}},
			Called: called}, &policy.Facts{Number: called.Number})
		return d.Reason == policy.ReasonCalleeInvalid
	}
	switch {
	case refuses(policy.Service):
		return never
	case refuses(policy.Commercial):
		return noMarketing
	}
	return anyCall
}

// TestShortNumbers: what is dialled inside the country and is no E.164
// number, with its class and for what it may be called.
func TestShortNumbers(t *testing.T) {
	books := newBooks(policy.Settings{})
	for _, row := range []struct {
		class  policy.Class
		called string
		digits string // separated by spaces
	}{
		{policy.Emergency, anyCall, "112"},
		{policy.Protected, anyCall, "144 113 116000 116006 116111 116117 116123 08000113 09008844 1400 14020 14088 140318"},
		{policy.Operator, noMarketing, "1200 1204 1233 1234 1244 1300 1309 1330 1399 1800 1888 1899"},
		{policy.Unassigned, never, "1655 10123 1012 116001 1403180 18000 911 2345 1 14a20"},
	} {
		for _, digits := range strings.Fields(row.digits) {
			if got := Plan().Short(digits); got != row.class {
				t.Errorf("%s is %s, want %s", digits, got, row.class)
			}
			if got := mayCall(books, policy.Called{Short: digits, Text: digits, Class: row.class}); got != row.called {
				t.Errorf("%s may be called: %s, want %s", digits, got, row.called)
			}
		}
	}
	if got := Plan().Short(""); got != policy.Unassigned {
		t.Errorf("nothing is %s", got)
	}
}

// TestTrapsOfThePlan: what other tables take for a good number.
func TestTrapsOfThePlan(t *testing.T) {
	for e164, want := range map[string]policy.Class{
		"+310201234567":  policy.Unassigned, // a trunk zero behind the country code
		"+31201234567":   policy.Unassigned, // the favourite test number: no subscriber begins with 1
		"+31200234567":   policy.Unassigned,
		"+31209234567":   policy.Unassigned,
		"+31205550100":   policy.Geographic,
		"+31662345678":   policy.Paging, // valid is not the same as acceptable
		"+31970123456":   policy.Unassigned,
		"+3197012345678": policy.Machine,
		"+31112000":      policy.Unassigned,
		"+3114020":       policy.Unassigned, // a short number has no international form
	} {
		n := policy.MustNumber(e164)
		if got := Plan().Classify(n); got != want {
			t.Errorf("%s is %s, want %s", e164, got, want)
		}
	}
	plans := policy.NewPlans(Plan())
	for e164, country := range map[string]string{"+5999123456": "CW", "+3225551234": "BE", "+31205550100": "NL"} {
		if got := plans.Country(policy.MustNumber(e164)); got != country {
			t.Errorf("%s belongs to %q, want %q", e164, got, country)
		}
	}
	for _, network := range []string{"+88213300000", "+979123456789", "+808123456789"} {
		if c := plans.Country(policy.MustNumber(network)); c != "" && plans.Class(policy.MustNumber(network)) != policy.Unassigned {
			t.Errorf("%s belongs to %q", network, c)
		}
	}
}
