package nl

import (
	"fmt"
	"strings"

	"dialgate/policy"
)

// callerRules: what the Code and the numbering plan ask of the number shown,
// beyond what is asked of every call (package policy, caller.go). A missing
// test or publication refuses no call; somebody has to look at it.
var callerRules = []policy.Rule{
	{
		ID: "nl.caller.callback", From: policy.NewDate(2024, 10, 15), Strength: policy.Code,
		Source:  "Code Telemarketing (2024; for members of DDMA since 1 March 2024)",
		English: "The number shown can be called back, which was tested lately, and the advertiser publishes it; else the call is flagged.",
		Dutch:   "Het getoonde nummer kan worden teruggebeld, wat onlangs is getest, en de adverteerder maakt het bekend; anders krijgt de oproep een aantekening.",
		Needs:   "date of the last call-back test (callback_tested_at), where the number is published (published_at)",
		Params: []policy.Param{
			paramTestAge: {Name: "days", Default: 30, Doc: "greatest age of a call-back test in days"},
		},
		Judge: judgeCallback,
	},
	{
		ID: "nl.caller.kind", From: start, Strength: policy.House,
		Source:  "Nummerplan telefoon- en ISDN-diensten: 06 is for mobile telephony, 091 is rare",
		English: "A mobile or 091 number that is registered may be shown, but the call is flagged: is it what the plan means it for?",
		Dutch:   "Een geregistreerd 06- of 091-nummer mag getoond worden, maar de oproep krijgt een aantekening: wordt het gebruikt waarvoor het plan het bedoelt?",
		Needs:   "the inventory of caller numbers",
		Judge: func(c *policy.Call, _ *policy.Bound) policy.Finding {
			if !c.Telemarketing() || c.Entry == nil || !unusual(c.Caller.Shown) {
				return policy.Finding{}
			}
			return policy.Finding{Result: policy.Flag, Note: c.Note("%s is a mobile or 091 number: see that it is used as the numbering plan means it", c.Caller.Shown)}
		},
	},
	{
		ID: "nl.caller.own", From: policy.NotInForce, Strength: policy.Statute,
		Source:  "bill on the use of Dutch numbers abroad and of other people's numbers; not in force in anything read",
		English: "Nobody sends a number as caller identity that is somebody else's.",
		Dutch:   "Niemand zendt een nummer als nummerweergave dat van een ander is.",
		Needs:   "the holder of the number (callers: holder)",
		Reasons: []policy.Reason{policy.ReasonCallerNotRegistered},
		Judge: func(c *policy.Call, _ *policy.Bound) policy.Finding {
			if c.Entry != nil && c.Entry.Holder != "" {
				return policy.Finding{Result: policy.Pass}
			}
			return policy.Finding{Result: policy.Deny, Reason: policy.ReasonCallerNotRegistered, Note: "nobody is known to hold the number shown"}
		},
	},
}

const paramTestAge = 0

func judgeCallback(c *policy.Call, b *policy.Bound) policy.Finding {
	e := c.Entry
	if e == nil || !c.Telemarketing() {
		return policy.Finding{}
	}
	tested := e.CallbackTestedAt
	fresh := tested != 0 && tested <= c.Date && c.Date <= tested.AddDays(b.Value(paramTestAge))
	if fresh && e.PublishedAt != "" {
		return policy.Finding{Result: policy.Pass}
	}
	f := policy.Finding{Result: policy.Flag}
	if !c.Explaining() {
		return f
	}
	var missing []string
	switch {
	case tested == 0:
		missing = append(missing, "no call-back test is known")
	case !fresh:
		missing = append(missing, fmt.Sprintf("the last call-back test is of %s", tested))
	}
	if e.PublishedAt == "" {
		missing = append(missing, "no place is known where the advertiser publishes it")
	}
	f.Note = fmt.Sprintf("%s: %s", c.Caller.Shown, strings.Join(missing, "; "))
	return f
}

// unusual reports whether a Dutch number is of 06 or 091.
func unusual(n policy.Number) bool {
	switch n.Key() / 10_000_000 {
	case 3191:
		return true
	case 3161, 3162, 3163, 3164, 3165, 3168:
		return true
	}
	return false
}
