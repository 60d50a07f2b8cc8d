package policy

// callerRules ask that the called person sees a number that is not hidden, is
// one, may be shown, and is the caller's own. They hold for every call and
// whoever is called, legal persons too: Tw art. 11.7(8) has no limit.
var callerRules = []Rule{
	{
		ID: "base.caller.shown", Strength: Statute, Source: "Telecommunicatiewet art. 11.7(8), 11.9; RFC 5079 section 3",
		English: "The caller's number is not hidden.",
		Dutch:   "Het nummer van de beller is niet afgeschermd.",
		Reasons: []Reason{ReasonCallerAnonymous},
		Judge: func(c *Call, _ *Bound) Finding {
			if c.Called.Hides != "" {
				return deny(ReasonCallerAnonymous, c.Note("Request-URI begins with %s, which hides the caller", c.Called.Hides))
			}
			if m := c.Caller.Mark(MarkHidden); m != nil {
				return deny(ReasonCallerAnonymous, c.sentence(m))
			}
			return pass(c.Note("nothing in the message hides the caller"))
		},
	},
	{
		ID: "base.caller.number", Strength: Code, Source: "Code Telemarketing (2020): a recognisable number",
		English: "The call carries a caller number.",
		Dutch:   "De oproep draagt een nummer van de beller.",
		Reasons: []Reason{ReasonCallerMissing},
		Judge: func(c *Call, _ *Bound) Finding {
			if !c.Caller.Shown.IsZero() {
				if !c.explain {
					return passed
				}
				return pass(c.Note("%s shows %s", c.Caller.From.Header(), c.Caller.Shown))
			}
			if c.Caller.Mark(MarkHidden) != nil || c.Caller.Class != Unassigned {
				return Finding{} // hidden is not missing (RFC 5079 section 3), and a short code is there
			}
			if c.Caller.Text == "" {
				return deny(ReasonCallerMissing, c.Note("%s holds no caller number", c.Caller.From.Header()))
			}
			return deny(ReasonCallerMissing, c.Note("%s holds %q, which is no number", c.Caller.From.Header(), c.Caller.Text))
		},
	},
	{
		ID: "base.caller.valid", Strength: Code, Source: "Code Telemarketing (2020); ITU-T E.164; Nummerplan telefoon- en ISDN-diensten",
		English: "The caller number is a number of its country's plan.",
		Dutch:   "Het nummer van de beller bestaat in het nummerplan van zijn land.",
		Reasons: []Reason{ReasonCallerInvalid},
		Judge: func(c *Call, _ *Bound) Finding {
			if c.Caller.Shown.IsZero() {
				return Finding{}
			}
			if c.Caller.Class == Unassigned {
				return deny(ReasonCallerInvalid, c.Note("%s is no number of its country's plan", c.Caller.Shown))
			}
			if !c.explain {
				return passed
			}
			return pass(c.Note("%s is a %s number", c.Caller.Shown, c.Caller.Class))
		},
	},
	{
		ID: "base.caller.class", Strength: House, Source: "Nummerplan telefoon- en ISDN-diensten; Code Telemarketing (2024): the number can be called back",
		English: "The caller number is of a kind that a called person can ring back without paying more.",
		Dutch:   "Het nummer van de beller is van een soort die zonder meerkosten teruggebeld kan worden.",
		Reasons: []Reason{ReasonCallerClassForbidden},
		Params: []Param{
			{Name: "personal", Switch: true, Doc: "allow 084 and 087 numbers"},
			{Name: "machine", Switch: true, Doc: "allow 097 numbers"},
		},
		Judge: judgeClass,
	},
	{
		ID: "base.caller.registered", Strength: Statute, Source: "Telecommunicatiewet art. 11.7(8); Code Telemarketing (2024): the advertiser's own published number",
		English: "The caller number is registered for this campaign on the day of the call.",
		Dutch:   "Het nummer van de beller is op de dag van de oproep voor deze campagne geregistreerd.",
		Needs:   "the inventory of caller numbers: number, holder, validity, date of the last call-back test",
		Reasons: []Reason{ReasonCallerNotRegistered},
		Judge: func(c *Call, _ *Bound) Finding {
			if c.Caller.Shown.IsZero() {
				return Finding{}
			}
			if !c.Entry.Registered(c.Campaign, c.Date) || c.Campaign == nil && c.Peer != nil && !c.Entry.usableBy(c.Peer) {
				return deny(ReasonCallerNotRegistered, c.Note("%s is not registered for %s on %s", c.Caller.Shown, c.campaignName(), c.Date))
			}
			if !c.explain {
				return passed
			}
			return pass(c.Note("%s is registered for %s", c.Caller.Shown, c.campaignName()))
		},
	},
	{
		ID: "base.caller.consistent", Strength: House, Source: "RFC 3325 section 9.1; dialgate: the numbers in a message agree",
		English: "The caller numbers in the message agree with each other.",
		Dutch:   "De nummers van de beller in het bericht komen overeen.",
		Reasons: []Reason{ReasonCallerContradictory},
		Judge: func(c *Call, _ *Bound) Finding {
			if m := c.Caller.Mark(MarkContradicts); m != nil {
				return deny(ReasonCallerContradictory, c.sentence(m))
			}
			return Finding{}
		},
	},
}

func (c *Call) sentence(m *Mark) string {
	if !c.explain {
		return ""
	}
	return m.Sentence()
}

func (c *Call) campaignName() string {
	if c.Campaign == nil {
		return "any campaign of this peer"
	}
	return "campaign " + c.Campaign.ID
}

const (
	paramPersonal = iota
	paramMachine
)

// judgeClass refuses numbers that cost more to ring back, or that nobody
// answers. 0800 is accepted when a call-back was tested.
func judgeClass(c *Call, r *Bound) Finding {
	if c.Caller.Shown.IsZero() && c.Caller.Class == Unassigned {
		return Finding{}
	}
	ok := true
	switch c.Caller.Class {
	case Premium, SharedCost, Paging, Private, Emergency, Protected, Operator:
		ok = false
	case Personal:
		ok = r.Is(paramPersonal)
	case Machine:
		ok = r.Is(paramMachine)
	case Freephone:
		ok = c.Entry != nil && c.Entry.CallbackTestedAt != 0 && c.Entry.CallbackTestedAt <= c.Date
	}
	if !ok {
		return deny(ReasonCallerClassForbidden, c.Note("a number of class %s may not be shown: the called person can't ring it back as an ordinary number", c.Caller.Class))
	}
	if !c.explain {
		return passed
	}
	return pass(c.Note("a number of class %s may be shown", c.Caller.Class))
}
