package policy

import "slices"

// BaseRules are judged for every call, before and without a country's book:
// who sends it, which caller number it shows, whom it calls, and for what.
func BaseRules() []Rule {
	return slices.Concat([]Rule{emergencyRule}, messageRules, callerRules, calleeRules, purposeRules)
}

// emergencyRule is carried out by Books.Decide before any other.
var emergencyRule = Rule{
	ID: "base.emergency", Strength: Statute, Source: "Telecommunicatiewet art. 7.7, 11.10",
	English: "A call to an emergency number from a known peer always passes.",
	Dutch:   "Een oproep naar een alarmnummer van een bekende afzender gaat altijd door.",
	Judge:   func(*Call, *Bound) Finding { return Finding{} },
}

// passed is the finding of a demand that is met, when nobody asks for sentences.
// Rules return it on the allow path before they format a note: formatting, and
// even collecting its arguments, costs allocations.
var passed = Finding{Result: Pass}

func deny(why Reason, note string) Finding { return Finding{Result: Deny, Reason: why, Note: note} }
func pass(note string) Finding             { return Finding{Result: Pass, Note: note} }

var messageRules = []Rule{
	{
		ID: "base.peer", Strength: House, Source: "dialgate: only configured dialers may call",
		English: "The call must come from a configured peer.",
		Dutch:   "De oproep moet van een geconfigureerde afzender komen.",
		Reasons: []Reason{ReasonPeerUnknown},
		Judge: func(c *Call, _ *Bound) Finding {
			if c.Peer == nil {
				return deny(ReasonPeerUnknown, "the source address belongs to no configured peer")
			}
			if !c.explain {
				return passed
			}
			return pass(c.Note("the call comes from peer %s", c.Peer.ID))
		},
	},
	{
		ID: "base.message", Strength: House, Source: "RFC 3261 section 8.1.1; dialgate: what two parsers could read differently is refused",
		English: "What is judged must stand in the message once and readable.",
		Dutch:   "Wat beoordeeld wordt moet eenmaal en leesbaar in het bericht staan.",
		Reasons: []Reason{ReasonMalformed},
		Judge: func(c *Call, _ *Bound) Finding {
			if c.Malformed != "" {
				return deny(ReasonMalformed, c.Malformed)
			}
			return Finding{}
		},
	},
}

var calleeRules = []Rule{
	{
		ID: "base.callee", Strength: House, Source: "ITU-T E.164; Nummerplan telefoon- en ISDN-diensten",
		English: "The called number must be one that may be called for this purpose.",
		Dutch:   "Het gebelde nummer moet voor dit doel gebeld mogen worden.",
		Reasons: []Reason{ReasonCalleeInvalid},
		Judge:   judgeCallee,
	},
	{
		ID: "base.protected", Strength: House, Source: "dialgate: help lines and public services are never blocked for lack of consent",
		English: "A call to a protected short number needs no consent.",
		Dutch:   "Een oproep naar een beschermd kort nummer vergt geen toestemming.",
		Judge: func(c *Call, _ *Bound) Finding {
			if c.Called.Class != Protected {
				return Finding{}
			}
			return Finding{Result: Allow, Reason: ReasonNotTelemarketing, Note: c.Note("%s is never blocked for lack of consent", c.Called.Text)}
		},
	},
	{
		ID: "base.country", Strength: House, Source: "dialgate: unknown is never allow",
		English: "There must be a rule book for the called number's country.",
		Dutch:   "Er moet een regelboek zijn voor het land van het gebelde nummer.",
		Reasons: []Reason{ReasonNoRulesForCountry},
		Judge: func(c *Call, _ *Bound) Finding {
			if c.book != nil || c.Called.Number.IsZero() || !c.Telemarketing() {
				return Finding{}
			}
			return deny(ReasonNoRulesForCountry, c.Note("no rule book is loaded for the country of %s", c.Called.Number))
		},
	},
	{
		ID: "base.date", Strength: House, Source: "dialgate: unknown is never allow",
		English: "There must be rules for the date of the call.",
		Dutch:   "Er moeten regels zijn voor de datum van de oproep.",
		Reasons: []Reason{ReasonNoRulesForDate},
		Judge: func(c *Call, _ *Bound) Finding {
			if c.book == nil || c.booked() || !c.Telemarketing() {
				return Finding{}
			}
			return deny(ReasonNoRulesForDate, c.Note("the book of %s begins on %s; the call is of %s", c.book.Country, c.book.From, c.Date))
		},
	},
}

func judgeCallee(c *Call, _ *Bound) Finding {
	switch c.Called.Class {
	case Protected, Emergency:
		if !c.explain {
			return passed
		}
		return pass(c.Note("%s is a protected short number", c.Called.Text))
	case Unassigned, Paging, Private:
		if c.Called.Number.IsZero() {
			return deny(ReasonCalleeInvalid, c.Note("the Request-URI holds no number that can be called: %s", c.Called.Text))
		}
		return deny(ReasonCalleeInvalid, c.Note("%s is of class %s", c.Called.Number, c.Called.Class))
	case Premium, SharedCost, Machine, Operator, Freephone:
		if c.Telemarketing() {
			return deny(ReasonCalleeInvalid, c.Note("a number of class %s is not called for telemarketing", c.Called.Class))
		}
		if c.Called.Class == Operator {
			return pass(c.Note("%s is a short number of the carrier's", c.Called.Text))
		}
	}
	if c.Called.Number.IsZero() {
		return deny(ReasonCalleeInvalid, c.Note("the Request-URI holds no number that can be called: %s", c.Called.Text))
	}
	if !c.explain {
		return passed
	}
	return pass(c.Note("%s is a %s number", c.Called.Number, c.Called.Class))
}

var purposeRules = []Rule{
	{
		ID: "base.campaign", Strength: Statute, Source: "Telecommunicatiewet art. 11.7(1)-(2): who calls, and for what, decides",
		English: "The campaign, and with it advertiser and purpose, must be known.",
		Dutch:   "De campagne, en daarmee adverteerder en doel, moet bekend zijn.",
		Reasons: []Reason{ReasonPurposeUnknown},
		Judge: func(c *Call, _ *Bound) Finding {
			if c.Called.Class == Protected {
				return Finding{}
			}
			if c.Campaign == nil {
				return deny(ReasonPurposeUnknown, c.NoCampaign)
			}
			if !c.explain {
				return passed
			}
			return pass(c.Note("campaign %s calls for %s, purpose %s", c.Campaign.ID, c.Campaign.Advertiser.ID, c.Purpose()))
		},
	},
	{
		ID: "base.objection", Strength: Statute, Source: "Regulation (EU) 2016/679 art. 21",
		English: "Without a country's book, an objection to every call still binds, and one made after a request to be called back voids it.",
		Dutch:   "Zonder regelboek van het land bindt een bezwaar tegen elke oproep toch, en een bezwaar na een terugbelverzoek doet dat vervallen.",
		Reasons: []Reason{ReasonObjected},
		Judge: func(c *Call, _ *Bound) Finding {
			if c.booked() {
				return Finding{}
			}
			o := c.Objection(ScopeAll)
			if o == nil && c.Purpose() == Requested {
				o = c.ObjectionAfterRequest()
			}
			if o != nil {
				return Finding{Result: Deny, Reason: ReasonObjected, Rests: [2]*Fact{o}, Note: c.Note("objection %s of %s binds", o.ID, o.At.Format("2006-01-02"))}
			}
			return Finding{}
		},
	},
	{
		ID: "base.purpose", Strength: House, Source: "Telecommunicatiewet art. 11.7(1)-(2) e contrario",
		English: "Without a country's book, a call that is no telemarketing passes.",
		Dutch:   "Zonder regelboek van het land gaat een oproep die geen telemarketing is door.",
		Reasons: []Reason{ReasonRequestExpired},
		Judge: func(c *Call, _ *Bound) Finding {
			if c.booked() || c.Telemarketing() || c.Called.Class == Protected {
				return Finding{}
			}
			return c.JudgePurpose()
		},
	},
}

// JudgePurpose judges a call by its purpose alone: service, research and other
// calls that offer nothing, and calls that the called person asked for. It has
// nothing to say of telemarketing.
func (c *Call) JudgePurpose() Finding {
	switch c.Purpose() {
	case Service:
		return Finding{Result: Allow, Reason: ReasonServiceCall, Note: c.Note("campaign %s attests that it only informs and offers nothing", c.Campaign.ID)}
	case Research:
		return Finding{Result: Allow, Reason: ReasonResearch, Note: c.Note("campaign %s attests research without an offer", c.Campaign.ID)}
	case OtherPurpose:
		return Finding{Result: Allow, Reason: ReasonNotTelemarketing, Note: c.Note("campaign %s attests that it offers nothing", c.Campaign.ID)}
	case Requested:
		return c.judgeRequest()
	}
	return Finding{}
}

// judgeRequest looks for a request of this advertiser to be called back that
// is in force, the latest first. What was asked before an objection does not
// come back to life when a later request has lapsed.
func (c *Call) judgeRequest() Finding {
	o := c.Objection(ScopeTelemarketing)
	var lapsed *Fact
	for i := len(c.Facts.All) - 1; i >= 0; i-- {
		f := &c.Facts.All[i]
		if f.Kind != Callback || f.Advertiser != c.Campaign.Advertiser.ID || f.At.After(c.At) {
			continue
		}
		if lapsed != nil && o != nil && !f.At.After(o.At) {
			break
		}
		if f.ValidUntil.IsZero() || !c.At.After(f.ValidUntil) {
			return Finding{Result: Allow, Reason: ReasonRequestedCall, Rests: [2]*Fact{f}, Note: c.Note("request %s of %s asks for this call", f.ID, f.At.Format("2006-01-02 15:04"))}
		}
		if lapsed == nil {
			lapsed = f
		}
	}
	if lapsed != nil {
		return Finding{Result: Deny, Reason: ReasonRequestExpired, Rests: [2]*Fact{lapsed}, Note: c.Note("request %s was valid until %s", lapsed.ID, lapsed.ValidUntil.Format("2006-01-02 15:04"))}
	}
	return Finding{Result: Deny, Reason: ReasonNoConsent, Note: "no request to be called back is held"}
}

// Objection is the latest objection to this advertiser's calls, or to all
// calls, that reaches at least as far as scope and binds at the time of the
// call; nil if there is none.
func (c *Call) Objection(scope Scope) *Fact {
	var latest *Fact
	for i := range c.Facts.All {
		f := &c.Facts.All[i]
		if f.Kind != Objection || f.Scope < scope || f.Binds().After(c.At) {
			continue
		}
		if f.Advertiser != "*" && (c.Campaign == nil || f.Advertiser != c.Campaign.Advertiser.ID) {
			continue
		}
		latest = f
	}
	return latest
}

// ObjectionAfterRequest is an objection to this advertiser's calls that was
// made after the latest request to it to be called back, and voids it; nil if there
// is none.
func (c *Call) ObjectionAfterRequest() *Fact {
	o := c.Objection(ScopeTelemarketing)
	if o == nil {
		return nil
	}
	for i := range c.Facts.All {
		f := &c.Facts.All[i]
		if f.Kind == Callback && f.Advertiser == c.Campaign.Advertiser.ID && !f.At.After(c.At) && f.At.After(o.At) {
			return nil
		}
	}
	return o
}
