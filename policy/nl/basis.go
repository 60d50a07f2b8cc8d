package nl

import "dialgate/policy"

// basisRule asks for one of the grounds on which a call may be made. Its
// alternatives are tried in a fixed order, and the first that holds gives the
// call its reason; when none holds, the nearest miss does.
var basisRule = policy.Rule{
	ID: "nl.basis", From: start, Strength: policy.Statute,
	Source:  "Telecommunicatiewet art. 11.7(1)-(6)",
	English: "There is a ground for the call: consent, a relationship that the law accepts, or no need of either.",
	Dutch:   "Er is een grond voor de oproep: toestemming, een relatie die de wet aanvaardt, of geen van beide is nodig.",
	Needs:   "who holds the number, consents, relationships, requests to be called back",
	Reasons: []policy.Reason{
		policy.ReasonNoConsent, policy.ReasonConsentOtherAdvertiser, policy.ReasonRobocallNeedsConsent, policy.ReasonRequestExpired,
		policy.ReasonRelationshipOtherAdvertiser,
	},
	Judge:      judgeBasis,
	Turns:      basisTurns,
	Conditions: conditions,
	Grounds:    grounds,
}

func judgeBasis(c *policy.Call, b *policy.Bound) policy.Finding {
	if c.Campaign == nil {
		return policy.Finding{Result: policy.Deny, Reason: policy.ReasonNoConsent, Note: "no advertiser and purpose are known to look for a ground for"}
	}
	if f := bySubscriber(c); f.Result == policy.Allow {
		return f
	}
	if f := c.JudgePurpose(); f.Result != policy.NotApplicable {
		return f
	}
	s := search{c: c, b: b}
	if f := s.consents(); f.Result == policy.Allow {
		return f
	}
	if f := s.relationships(); f.Result == policy.Allow {
		return f
	}
	return s.conclude()
}

// bySubscriber: a live call to a legal person needs no consent (Tw art.
// 11.7(2) e contrario), nor one to a business that published its number for
// just such calls (Tw art. 11.7(3)(a)).
func bySubscriber(c *policy.Call) policy.Finding {
	if c.Mode() != policy.Live {
		return policy.Finding{}
	}
	f := subscriber(c)
	switch {
	case f == nil:
	case f.Subscriber == policy.Legal:
		return policy.Finding{Result: policy.Allow, Reason: policy.ReasonLegalPerson, Rests: [2]*policy.Fact{f},
			Note: note(c, "the subscriber is a legal person", f)}
	case f.Subscriber == policy.NaturalBusiness && c.Telemarketing() && publishedFor(c, f.PublishedFor):
		return policy.Finding{Result: policy.Allow, Reason: policy.ReasonPublishedForMarketing, Rests: [2]*policy.Fact{f},
			Note: note(c, "the subscriber published the number for such calls", f)}
	}
	return policy.Finding{}
}

// note keeps its arguments from being collected when nobody reads them.
func note(c *policy.Call, what string, f *policy.Fact) string {
	if !c.Explaining() {
		return ""
	}
	return what + " (" + f.ID + ")"
}

// subscriber is the latest fact about who holds the number; of several of one
// instant the one that protects more, which is how facts are ordered.
func subscriber(c *policy.Call) *policy.Fact {
	for i := len(c.Facts.All) - 1; i >= 0; i-- {
		if f := &c.Facts.All[i]; f.Kind == policy.Subscriber && !f.At.After(c.At) {
			return f
		}
	}
	return nil
}

// publishedFor reports whether purpose and all products are among the codes.
func publishedFor(c *policy.Call, codes []string) bool {
	holds := func(code string) bool {
		for _, have := range codes {
			if have == code {
				return true
			}
		}
		return false
	}
	for _, p := range c.Campaign.Products {
		if !holds(p) {
			return false
		}
	}
	if c.Purpose() == policy.Commercial && len(c.Campaign.Products) == 0 {
		return false // a service campaign that attests nothing: what it offers is not known
	}
	return holds(c.Purpose().String())
}

// A search goes through a number's consents and relationships and remembers
// what came nearest to a ground.
type search struct {
	c *policy.Call
	b *policy.Bound

	waived miss // the first ground that holds only because a condition is not enforced
	miss   miss // of the consents, else of the relationships, the one whose defect comes latest
	other  bool // another advertiser has a consent
	theirs bool // another advertiser has a relationship
}

// A miss is a fact held against a list of conditions.
type miss struct {
	fact   *policy.Fact
	checks []check
	defect int // index of the first enforced condition that is not met
}

// defect finds the first enforced condition that a fact does not meet, -1 when
// it meets them all, and whether it does so only by conditions not enforced.
func (s *search) defect(f *policy.Fact, checks []check) (first int, waived bool) {
	for i := range checks {
		k := &checks[i]
		cond := &s.b.Conditions[k.cond]
		if !cond.Applies(s.c.Date) || k.met(s.c, f, cond) {
			continue
		}
		if s.c.ModeOf(cond) == policy.Enforce {
			return i, false
		}
		waived = true
	}
	return -1, waived
}

// try holds one fact against a list of conditions. It reports whether the fact
// is a ground in full; else it notes how near it came.
func (s *search) try(f *policy.Fact, checks []check) bool {
	d, waived := s.defect(f, checks)
	switch {
	case d < 0 && !waived:
		return true
	case d < 0:
		if s.waived.fact == nil {
			s.waived = miss{f, checks, d}
		}
	case s.miss.fact != nil && s.miss.fact.Kind != f.Kind:
		// a consent that fails is nearer than a relationship that does
	case s.miss.fact == nil || checks[d].reason > s.miss.checks[s.miss.defect].reason:
		s.miss = miss{f, checks, d}
	}
	return false
}

// consents looks for a consent to this advertiser, the latest first.
func (s *search) consents() policy.Finding {
	c := s.c
	for i := len(c.Facts.All) - 1; i >= 0; i-- {
		f := &c.Facts.All[i]
		if f.Kind != policy.Consent {
			continue
		}
		if f.Advertiser != c.Campaign.Advertiser.ID {
			s.other = true
			continue
		}
		if s.try(f, consentChecks) {
			return policy.Finding{Result: policy.Allow, Reason: consentReason(c, f), Rests: [2]*policy.Fact{f}, Note: note(c, "a valid consent is held", f)}
		}
	}
	return policy.Finding{}
}

// consentReason tells whether the consent had to lift an objection.
func consentReason(c *policy.Call, f *policy.Fact) policy.Reason {
	if o := c.Objection(policy.ScopeTelemarketing); o != nil && f.AfterObjection && f.At.After(o.At) {
		return policy.ReasonConsentAfterObjection
	}
	return policy.ReasonConsent
}

// relationships looks for a relationship with this advertiser of a kind that
// the law accepts, the latest first.
func (s *search) relationships() policy.Finding {
	c := s.c
	kinds := accepted(c)
	charity := c.Campaign.Advertiser.Sector == policy.Charity
	for i := len(c.Facts.All) - 1; i >= 0; i-- {
		f := &c.Facts.All[i]
		if f.Kind != policy.Relationship || f.At.After(c.At) || f.Started > c.Date {
			continue // not yet begun
		}
		if f.Advertiser != c.Campaign.Advertiser.ID {
			s.theirs = true
			continue
		}
		for k, checks := range kinds {
			if checks != nil && s.try(f, checks) {
				return policy.Finding{Result: policy.Allow, Reason: relationshipReason(c, f, charity && k == 0), Rests: [2]*policy.Fact{f},
					Note: note(c, "a relationship that the law accepts is held", f)}
			}
		}
	}
	return policy.Finding{}
}

// conclude is the finding when no ground holds in full: one that holds by
// conditions not enforced, else a denial with the reason of the nearest miss.
// A consent of this advertiser is nearer than a relationship of it, and both
// are nearer than anything of another advertiser.
func (s *search) conclude() policy.Finding {
	c := s.c
	if w := s.waived; w.fact != nil {
		s.record(w)
		return policy.Finding{Result: policy.Allow, Reason: policy.ReasonNotEnforced, Waived: true, Rests: [2]*policy.Fact{w.fact},
			Note: note(c, "a ground holds only by conditions that are not enforced", w.fact)}
	}
	if m := s.miss; m.fact != nil {
		s.record(m)
		return policy.Finding{Result: policy.Deny, Reason: m.checks[m.defect].reason, Rests: [2]*policy.Fact{m.fact}, Note: m.checks[m.defect].note(c, m.fact)}
	}
	reason, what := policy.NothingHeld(c.Mode()), "no consent and no relationship of this advertiser is held"
	switch {
	case s.other:
		reason, what = policy.ReasonConsentOtherAdvertiser, "a consent is held, but of another advertiser"
	case s.theirs:
		reason, what = policy.ReasonRelationshipOtherAdvertiser, "a relationship is held, but with another advertiser"
	case c.Mode() == policy.Robocall:
		what = "a call without human intervention needs consent of any subscriber, and none is held"
	}
	return policy.Finding{Result: policy.Deny, Reason: reason, Note: what}
}

// record keeps a finding for every condition that a fact does not meet.
func (s *search) record(m miss) {
	for i := range m.checks {
		k := &m.checks[i]
		cond := &s.b.Conditions[k.cond]
		if !cond.Applies(s.c.Date) || k.met(s.c, m.fact, cond) {
			continue
		}
		text := ""
		if s.c.Explaining() {
			text = k.note(s.c, m.fact)
		}
		s.c.Unmet(cond, k.reason, m.fact, text)
	}
}
