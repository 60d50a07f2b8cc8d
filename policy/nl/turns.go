package nl

import "dialgate/policy"

// basisTurns are the instants that a fact does not state itself: the end of the
// time for the first call under a consent, and of the term of a relationship.
func basisTurns(c *policy.Call, b *policy.Bound, turns *policy.Turns) {
	if c.Campaign == nil {
		return
	}
	for i := range c.Facts.All {
		f := &c.Facts.All[i]
		if f.Advertiser != c.Campaign.Advertiser.ID {
			continue
		}
		switch f.Kind {
		case policy.Consent:
			turns.After(lastFirstCall(c, f, &b.Conditions[condFirstCall]))
			turns.After(lastFirstCall(c, f, nil)) // by which a consent lifts an objection
		case policy.Relationship:
			if end := f.EndDate(); end != 0 {
				last := anniversary(c, end, &b.Conditions[condTerm])
				turns.On(last)
				turns.On(last.AddDays(1)) // where the anniversary itself counts
			}
		}
	}
}
