package policy

import "time"

// A RegisterCopy is one copy of a do-not-call register that was loaded.
type RegisterCopy struct {
	Register   string
	AsOf       time.Time // the date of the copy
	RecordedAt time.Time // when it was loaded
	Batch      string    // the import that brought its entries in
	Undone     bool      // from RecordedAt on the copy of this batch counts no more
}

// RegistersAsOf is the date of the newest copy of each register, of copies in
// the order in which they were recorded.
func RegistersAsOf(copies []RegisterCopy) map[string]time.Time {
	type loading struct{ register, batch string }
	asOf, undone := map[string]time.Time{}, map[loading]bool{}
	for i := len(copies) - 1; i >= 0; i-- {
		c := &copies[i]
		of := loading{c.Register, c.Batch}
		switch t, loaded := asOf[c.Register]; {
		case c.Undone:
			undone[of] = true
		case undone[of]:
		case !loaded || c.AsOf.After(t):
			asOf[c.Register] = c.AsOf
		}
	}
	return asOf
}

// Entry is the latest entry of a register that had begun by an instant, nil if
// there is none: like every fact, it outweighs those before it, and so one that
// ends on the day it begins takes a number off the register. Of several that
// begin at once the one that lasts longest counts.
func (f *Facts) Entry(register string, at time.Time) (latest *Fact) {
	for i := range f.All {
		e := &f.All[i]
		if e.Kind != Listed || e.List != register || e.At.After(at) {
			continue
		}
		if latest == nil || e.At.After(latest.At) || e.At.Equal(latest.At) && !latest.Until.IsZero() && (e.Until.IsZero() || e.Until.After(latest.Until)) {
			latest = e
		}
	}
	return latest
}
