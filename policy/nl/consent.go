package nl

import (
	"slices"
	"time"

	"dialgate/policy"
)

// A check is one condition of an alternative basis: whether a fact meets it,
// and what to say when it does not.
type check struct {
	cond   int // index into the basis rule's conditions
	reason policy.Reason
	met    func(c *policy.Call, f *policy.Fact, cond *policy.Bound) bool
	note   func(c *policy.Call, f *policy.Fact) string
}

// consentChecks are the conditions of a consent, in the order in which their
// defects are named. Tw art. 11.7(1)-(2); Regulation (EU) 2016/679 art. 4(11), 7.
var consentChecks = []check{
	{condWithdrawn, policy.ReasonConsentWithdrawn,
		func(c *policy.Call, f *policy.Fact, _ *policy.Bound) bool { return withdrawal(c, f) == nil },
		func(c *policy.Call, f *policy.Fact) string {
			w := withdrawal(c, f)
			return c.Note("consent %s was withdrawn on %s (%s)", f.ID, day(c, w), w.ID)
		}},
	{condExpired, policy.ReasonConsentExpired,
		func(c *policy.Call, f *policy.Fact, _ *policy.Bound) bool {
			return f.ValidUntil.IsZero() || !c.At.After(f.ValidUntil)
		},
		func(c *policy.Call, f *policy.Fact) string {
			return c.Note("consent %s was valid until %s", f.ID, f.ValidUntil.In(c.Local.Location()).Format("2006-01-02 15:04:05"))
		}},
	{condPrior, policy.ReasonConsentNotPrior,
		func(c *policy.Call, f *policy.Fact, _ *policy.Bound) bool { return f.At.Before(c.At) },
		func(c *policy.Call, f *policy.Fact) string {
			return c.Note("consent %s is of %s, not before the call", f.ID, day(c, f))
		}},
	{condProven, policy.ReasonConsentUnproven,
		func(_ *policy.Call, f *policy.Fact, _ *policy.Bound) bool {
			return f.Evidence.Person != "" && f.Evidence.SHA256 != ""
		},
		func(c *policy.Call, f *policy.Fact) string {
			return c.Note("consent %s names no person or no artefact that proves it", f.ID)
		}},
	{condVerified, policy.ReasonConsentUnverified,
		func(c *policy.Call, f *policy.Fact, _ *policy.Bound) bool {
			return !f.VerifiedAt.IsZero() && !f.VerifiedAt.After(c.At)
		},
		func(c *policy.Call, f *policy.Fact) string {
			return c.Note("consent %s was not verified before the call", f.ID)
		}},
	{condFree, policy.ReasonConsentInvalid,
		func(_ *policy.Call, f *policy.Fact, _ *policy.Bound) bool { return !f.Preticked && !f.Bundled },
		func(c *policy.Call, f *policy.Fact) string {
			return c.Note("consent %s came from a pre-ticked box or was bundled with something else", f.ID)
		}},
	{condFirstCall, policy.ReasonConsentFirstCallLate, firstCallInTime,
		func(c *policy.Call, f *policy.Fact) string {
			return c.Note("no call followed consent %s of %s in time, nor by a date stated in it", f.ID, day(c, f))
		}},
	{condChannel, policy.ReasonConsentOtherChannel,
		func(c *policy.Call, f *policy.Fact, _ *policy.Bound) bool {
			return slices.Contains(f.Channels, c.Mode())
		},
		func(c *policy.Call, f *policy.Fact) string {
			return c.Note("consent %s does not cover %s calls", f.ID, c.Mode())
		}},
	{condProduct, policy.ReasonConsentOtherProduct,
		func(c *policy.Call, f *policy.Fact, _ *policy.Bound) bool { return coversProducts(c, f.Products) },
		func(c *policy.Call, f *policy.Fact) string {
			return c.Note("consent %s covers %v, the campaign offers %v", f.ID, f.Products, c.Campaign.Products)
		}},
	{condPurpose, policy.ReasonConsentOtherPurpose,
		func(c *policy.Call, f *policy.Fact, _ *policy.Bound) bool {
			return slices.Contains(f.Purposes, c.Purpose())
		},
		func(c *policy.Call, f *policy.Fact) string {
			return c.Note("consent %s does not cover the purpose %s", f.ID, c.Purpose())
		}},
}

// withdrawal is a withdrawal that reaches a consent: of this advertiser,
// before the call, and not before the consent.
func withdrawal(c *policy.Call, consent *policy.Fact) *policy.Fact {
	for i := range c.Facts.All {
		w := &c.Facts.All[i]
		if w.Kind == policy.Withdrawal && w.Advertiser == consent.Advertiser && (w.Consent == "" || w.Consent == consent.ID) &&
			!w.At.After(c.At) && !w.At.Before(consent.At) {
			return w
		}
	}
	return nil
}

// firstCallMonths is how long after the consent the first call may come when
// the request did not say by when (Code Telemarketing 2024).
const firstCallMonths = 6

const paramMonths = 0

// firstCallInTime: the first call under the consent, this one or an earlier
// one, came within six months of it or by the date that the request stated.
func firstCallInTime(c *policy.Call, f *policy.Fact, cond *policy.Bound) bool {
	last := lastFirstCall(c, f, cond)
	if !c.At.After(last) {
		return true
	}
	for _, call := range c.Facts.Calls {
		if call.Allowed && !call.Unsure && call.Advertiser == f.Advertiser && !call.At.Before(f.At) && !call.At.After(last) {
			return true
		}
	}
	return false
}

// lastFirstCall is the last instant at which the first call may come. Where no
// setting is at hand (cond is nil), the Code's own term counts.
func lastFirstCall(c *policy.Call, f *policy.Fact, cond *policy.Bound) time.Time {
	months := firstCallMonths
	if cond != nil {
		months = cond.Value(paramMonths)
	}
	zone := c.Local.Location()
	last := policy.DateOf(f.At.In(zone)).AddMonths(months).End(zone)
	if f.FirstCallBy.After(last) {
		return f.FirstCallBy
	}
	return last
}

// coversProducts reports whether all that a commercial campaign offers is
// among the products. An organisation's own ideal or charitable purpose has no
// products to compare.
func coversProducts(c *policy.Call, products []string) bool {
	if c.Purpose() != policy.Commercial {
		return true
	}
	for _, p := range c.Campaign.Products {
		if !slices.Contains(products, p) {
			return false
		}
	}
	return len(c.Campaign.Products) > 0
}

// holdsInFull reports whether a consent meets every condition in force on the
// day of the call, whether or not it is enforced.
func holdsInFull(c *policy.Call, f *policy.Fact) bool {
	for i := range consentChecks {
		k := &consentChecks[i]
		if conditions[k.cond].Applies(c.Date) && !k.met(c, f, nil) {
			return false
		}
	}
	return true
}
