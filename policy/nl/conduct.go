package nl

import (
	"fmt"
	"time"

	"dialgate/policy"
)

// conductRules: what the campaign's script offers, when may be called, and how
// often. The hours are those of the Code's text of 2012; later texts could not
// be read on this point, so they are switchable like every rule.
var conductRules = []policy.Rule{
	{
		ID: "nl.offer", From: start, Strength: policy.Statute,
		Source:  "Telecommunicatiewet art. 11.7(2), (4)-(6)",
		English: "The campaign's script offers the right of objection in every call.",
		Dutch:   "Het script van de campagne biedt in elk gesprek het recht van verzet aan.",
		Needs:   "the script, attested by objection_offered",
		Reasons: []policy.Reason{policy.ReasonObjectionNotOffered},
		Judge: func(c *policy.Call, _ *policy.Bound) policy.Finding {
			if c.Campaign == nil || !c.Telemarketing() {
				return policy.Finding{}
			}
			if !c.Campaign.ObjectionOffered {
				return policy.Finding{Result: policy.Deny, Reason: policy.ReasonObjectionNotOffered,
					Note: c.Note("campaign %s does not attest that it offers the right of objection", c.Campaign.ID)}
			}
			return policy.Finding{Result: policy.Pass}
		},
	},
	{
		ID: "nl.holidays", From: code2012, Strength: policy.Code,
		Source:  "Code Telemarketing (2012); the days: Algemene termijnenwet art. 3",
		English: "No telemarketing on public holidays.",
		Dutch:   "Geen telemarketing op feestdagen.",
		Reasons: []policy.Reason{policy.ReasonPublicHoliday},
		Params: []policy.Param{
			paramGoodFriday:    {Name: "good_friday", Switch: true, Doc: "Good Friday counts as a public holiday"},
			paramLiberationDay: {Name: "liberation_day", Switch: true, Default: 1, Doc: "5 May counts as a public holiday every year"},
		},
		Judge: judgeHoliday,
	},
	{
		ID: "nl.hours", From: code2012, Strength: policy.Code,
		Source:  "Code Telemarketing (2012)",
		English: "Telemarketing on working days from 9:00 to 22:00, on Saturdays from 10:00 to 16:00, never on Sundays; until 18:30 on 4 May, 5 and 24 December.",
		Dutch:   "Telemarketing op werkdagen van 9.00 tot 22.00 uur, op zaterdag van 10.00 tot 16.00 uur, nooit op zondag; op 4 mei, 5 en 24 december tot 18.30 uur.",
		Reasons: []policy.Reason{policy.ReasonOutsideHours},
		Params: []policy.Param{
			paramWeekdayFrom:  {Name: "weekday_from", Default: 900, Doc: "first minute on Monday to Friday, as hhmm"},
			paramWeekdayTo:    {Name: "weekday_to", Default: 2200, Doc: "first minute after the hours on Monday to Friday, as hhmm"},
			paramSaturdayFrom: {Name: "saturday_from", Default: 1000, Doc: "first minute on Saturday, as hhmm"},
			paramSaturdayTo:   {Name: "saturday_to", Default: 1600, Doc: "first minute after the hours on Saturday, as hhmm"},
			paramEveTo:        {Name: "eve_to", Default: 1830, Doc: "first minute after the hours on 4 May, 5 and 24 December, as hhmm"},
		},
		Judge: judgeHours,
	},
	{
		ID: "nl.attempts", From: start, Strength: policy.House,
		Source:  "dialgate: off until the operator sets a greatest number; the Gedragscode Telemarketing could not be read",
		English: "A number is not called more often than the operator allows.",
		Dutch:   "Een nummer wordt niet vaker gebeld dan de beheerder toestaat.",
		Reasons: []policy.Reason{policy.ReasonAttemptsExceeded},
		Params: []policy.Param{
			paramAttempts: {Name: "max", Most: policy.CallsKept, Doc: fmt.Sprintf("telemarketing calls to a number by one advertiser within the window, at most %d; 0: any number", policy.CallsKept)},
			paramWindow:   {Name: "days", Default: 30, Doc: "length of the window in days"},
		},
		Judge: judgeAttempts,
	},
}

// code2012 is the first day of the Code's text in which the hours were read.
const code2012 = policy.Date(20120701)

const (
	paramGoodFriday = iota
	paramLiberationDay
)

const (
	paramWeekdayFrom = iota
	paramWeekdayTo
	paramSaturdayFrom
	paramSaturdayTo
	paramEveTo
)

const (
	paramAttempts = iota
	paramWindow
)

func judgeHoliday(c *policy.Call, b *policy.Bound) policy.Finding {
	if !c.Telemarketing() {
		return policy.Finding{}
	}
	name := Holiday(c.Date)
	switch {
	case name == "":
		return policy.Finding{Result: policy.Pass}
	case name == goodFriday && !b.Is(paramGoodFriday), name == liberationDay && !b.Is(paramLiberationDay):
		return policy.Finding{Result: policy.Pass, Note: c.Note("%s does not count as a public holiday here", name)}
	}
	return policy.Finding{Result: policy.Deny, Reason: policy.ReasonPublicHoliday, Note: c.Note("%s is %s", c.Date, name)}
}

// judgeHours: a call that the person asked for may come at any hour.
func judgeHours(c *policy.Call, b *policy.Bound) policy.Finding {
	if !c.Telemarketing() {
		return policy.Finding{}
	}
	from, to := b.Value(paramWeekdayFrom), b.Value(paramWeekdayTo)
	switch c.Local.Weekday() {
	case time.Sunday:
		from, to = 0, 0
	case time.Saturday:
		from, to = b.Value(paramSaturdayFrom), b.Value(paramSaturdayTo)
	}
	if eve(c.Date) {
		to = min(to, b.Value(paramEveTo))
	}
	if now := c.Local.Hour()*100 + c.Local.Minute(); now >= from && now < to {
		return policy.Finding{Result: policy.Pass}
	}
	return policy.Finding{Result: policy.Deny, Reason: policy.ReasonOutsideHours, Note: hoursNote(c, from, to)}
}

func hoursNote(c *policy.Call, from, to int) string {
	if from >= to {
		return c.Note("no calls on %s %s", c.Local.Weekday(), c.Date)
	}
	return c.Note("it is %s on %s; calls are from %02d:%02d to %02d:%02d", c.Local.Format("15:04:05"), c.Local.Weekday(), from/100, from%100, to/100, to%100)
}

// judgeAttempts counts the telemarketing calls that went out; a refused one
// reached nobody. A further INVITE of an attempt that went out is no other one.
func judgeAttempts(c *policy.Call, b *policy.Bound) policy.Finding {
	most := b.Value(paramAttempts)
	if most == 0 || c.Campaign == nil || !c.Telemarketing() {
		return policy.Finding{}
	}
	since := c.Local.AddDate(0, 0, -b.Value(paramWindow))
	this, _ := c.Made()
	n := 0
	for i := range c.Facts.Calls {
		call := &c.Facts.Calls[i]
		if call.Allowed && call.Advertiser == c.Campaign.Advertiser.ID && call.Telemarketing() &&
			call.At.After(since) && !call.At.After(c.At) && !call.SameAttempt(&this) {
			n++
		}
	}
	if n >= most {
		return policy.Finding{Result: policy.Deny, Reason: policy.ReasonAttemptsExceeded, Note: c.Note("%d calls in %d days, %d are allowed", n, b.Value(paramWindow), most)}
	}
	return policy.Finding{Result: policy.Pass}
}
