package nl

import "dialgate/policy"

// willRules: the will of the called person comes before any consent or
// relationship. Tw art. 11.7(2), (4)-(6); Regulation (EU) 2016/679 art. 21(3).
var willRules = []policy.Rule{
	{
		ID: "nl.objection", From: start, Strength: policy.Statute,
		Source:  "Telecommunicatiewet art. 11.7(2), (4)-(6); Regulation (EU) 2016/679 art. 21(2)-(3)",
		English: "A person who objected is not called again, until a valid consent is given after the objection.",
		Dutch:   "Wie bezwaar maakte wordt niet meer gebeld, totdat na het bezwaar geldige toestemming is gegeven.",
		Needs:   "objections with time and channel, in force at once",
		Reasons: []policy.Reason{policy.ReasonObjected},
		Judge:   judgeObjection,
	},
	{
		ID: "nl.register.bel-me-niet", From: policy.NewDate(2009, 10, 1), To: start, Strength: policy.Statute,
		Source:  "Telecommunicatiewet art. 11.7(6)-(9) in the text until 30 June 2021",
		English: "A number in the Bel-me-niet Register was not called; the register closed on 1 July 2021.",
		Dutch:   "Een nummer in het Bel-me-niet Register werd niet gebeld; het register sloot op 1 juli 2021.",
		Needs:   "the register's entries of that time",
		Reasons: []policy.Reason{policy.ReasonListed},
		Judge: func(c *policy.Call, _ *policy.Bound) policy.Finding {
			return listed(c, ClosedRegister)
		},
	},
	{
		ID: "nl.register.listed", From: start, Strength: policy.House,
		Source:  "dialgate: a register that the operator configured is consulted for every call",
		English: "A number on a configured do-not-call register is not called.",
		Dutch:   "Een nummer in een geconfigureerd blokkaderegister wordt niet gebeld.",
		Needs:   "the register's entries",
		Reasons: []policy.Reason{policy.ReasonListed},
		Judge: func(c *policy.Call, _ *policy.Bound) policy.Finding {
			for _, r := range c.Registers {
				if f := listed(c, r.ID); f.Result == policy.Deny {
					return f
				}
			}
			return policy.Finding{}
		},
	},
	{
		ID: "nl.register.fresh", From: start, Strength: policy.House,
		Source:  "dialgate: a register older than its greatest age says nothing",
		English: "The copy of a configured register is not older than its greatest age.",
		Dutch:   "De kopie van een geconfigureerd register is niet ouder dan toegestaan.",
		Needs:   "the date of the register's copy",
		Reasons: []policy.Reason{policy.ReasonFactsStale},
		Judge:   judgeFresh,
	},
}

// start is the first day of the regime that this book knows.
const start = policy.Date(20210701)

// ClosedRegister is the Bel-me-niet Register, which closed on that day.
const ClosedRegister = "bel-me-niet"

// judgeObjection: an objection to telemarketing reaches telemarketing calls;
// one to all calls reaches every call. A request to be called back is voided
// by a later objection.
func judgeObjection(c *policy.Call, _ *policy.Bound) policy.Finding {
	o := c.Objection(policy.ScopeAll)
	if c.Telemarketing() {
		o = c.Objection(policy.ScopeTelemarketing)
	} else if o == nil && c.Purpose() == policy.Requested {
		o = c.ObjectionAfterRequest()
	}
	if o == nil {
		return policy.Finding{}
	}
	if f := consentAfter(c, o); f != nil {
		return policy.Finding{Result: policy.Pass, Rests: [2]*policy.Fact{o, f},
			Note: c.Note("objection %s of %s is lifted by consent %s of %s", o.ID, day(c, o), f.ID, day(c, f))}
	}
	return policy.Finding{Result: policy.Deny, Reason: policy.ReasonObjected, Rests: [2]*policy.Fact{o},
		Note: c.Note("objection %s of %s binds", o.ID, day(c, o))}
}

// consentAfter is a consent that lifts an objection: given to this advertiser
// after it, in the knowledge of it, and valid for this call in every respect,
// whatever conditions the operator does not enforce.
func consentAfter(c *policy.Call, o *policy.Fact) *policy.Fact {
	if !c.Telemarketing() || c.Campaign == nil {
		return nil
	}
	for i := len(c.Facts.All) - 1; i >= 0; i-- {
		f := &c.Facts.All[i]
		if f.Kind == policy.Consent && f.AfterObjection && f.Advertiser == c.Campaign.Advertiser.ID && f.At.After(o.At) && holdsInFull(c, f) {
			return f
		}
	}
	return nil
}

// listed finds an entry of a register that is in force.
func listed(c *policy.Call, register string) policy.Finding {
	if !c.Telemarketing() {
		return policy.Finding{}
	}
	f := c.Facts.Entry(register, c.At)
	if f == nil || !f.Until.IsZero() && c.At.After(f.Until) {
		return policy.Finding{}
	}
	return policy.Finding{Result: policy.Deny, Reason: policy.ReasonListed, Rests: [2]*policy.Fact{f},
		Note: c.Note("the number is on register %s since %s", register, day(c, f))}
}

func judgeFresh(c *policy.Call, _ *policy.Bound) policy.Finding {
	if !c.Telemarketing() {
		return policy.Finding{}
	}
	for _, r := range c.Registers {
		asOf, loaded := c.Facts.AsOf[r.ID]
		switch {
		case !loaded:
			return policy.Finding{Result: policy.Deny, Reason: policy.ReasonFactsStale, Note: c.Note("register %s was never loaded", r.ID)}
		case r.MaxAge > 0 && policy.DateOf(asOf.In(c.Local.Location())).AddDays(r.MaxAge) < c.Date:
			return policy.Finding{Result: policy.Deny, Reason: policy.ReasonFactsStale,
				Note: c.Note("register %s is of %s, older than %d days", r.ID, asOf.In(c.Local.Location()).Format("2006-01-02"), r.MaxAge)}
		}
	}
	return policy.Finding{}
}

// day is the local date of a fact, for notes.
func day(c *policy.Call, f *policy.Fact) string {
	return f.At.In(c.Local.Location()).Format("2006-01-02 15:04:05")
}
