package store

import (
	"slices"

	"dialgate/policy"
	"dialgate/store/ledger"
)

// A pack of one advertiser holds its own facts and calls alone. The records of
// a pack are the ledger's own octets, in which nothing can be blacked out, and
// that of a refused call may say that another advertiser has a consent or a
// relationship. So calls that were refused for want of a basis, or would have
// been, are left out whatever the record says: what is missing tells nothing.

// tellsOfOthers reports whether a decision's record could.
func (d *Decision) tellsOfOthers() bool {
	names := []string{d.Reason, d.Would}
	for i := range d.Findings {
		names = append(names, d.Findings[i].Reason)
	}
	return slices.ContainsFunc(names, func(name string) bool {
		r, ok := policy.ParseReason(name)
		return ok && (r.TellsOfOthers() || r == policy.NothingHeld(policy.Live) || r == policy.NothingHeld(policy.Robocall))
	})
}

// holds reports whether a record may stand in the pack. calls are the ids of
// those that do.
func (p *Pack) holds(r *ledger.Record, calls map[string]bool) (bool, error) {
	if p.Advertiser == "" {
		return true, nil
	}
	switch r.Kind {
	case kindFact:
		f, err := factForm.ParseJSON(r.Payload)
		return err == nil && f.Advertiser == p.Advertiser, err
	case kindCarried:
		carried, err := readCarried(r)
		others := slices.ContainsFunc(carried.All, func(f policy.Fact) bool { return f.Advertiser != p.Advertiser }) ||
			slices.ContainsFunc(carried.Calls, func(c policy.EarlierCall) bool { return c.Advertiser != p.Advertiser })
		return err == nil && !others, err
	case kindDecision:
		d, err := readDecision(*r)
		if err != nil || d.Advertiser != p.Advertiser || d.tellsOfOthers() {
			return false, err
		}
		calls[d.ID] = true
		return true, nil
	case kindOutcome:
		o, err := readOutcome(r)
		return err == nil && calls[o.ID], err
	}
	return false, nil
}
