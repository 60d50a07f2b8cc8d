package gate

import "dialgate/policy"

// Objected reports whether an objection refuses an attempt that was allowed, by
// what is known now. It records nothing. Where nothing can be said of the
// number, the call is refused: unknown is never allow.
func (g *Gate) Objected(a *policy.Attempt) bool {
	again := *a
	again.At = g.o.Now()
	var facts policy.Facts
	if err := g.o.Facts.Hold(a.Called.Number, &facts); err != nil {
		return true
	}
	g.o.Facts.Release(a.Called.Number, nil)
	d := g.o.Rules.Books.Decide(&again, &facts)
	for _, f := range d.Findings {
		if f.Result == policy.Deny && f.Mode == policy.Enforce && f.Reason == policy.ReasonObjected {
			return true
		}
	}
	return false
}
