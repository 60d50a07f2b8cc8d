package nl

import (
	"slices"

	"dialgate/policy"
)

// The kinds of relationship that the law accepts, each with its conditions in
// the order in which their defects are named.
var (
	// customerChecks: Tw art. 11.7(4) as it applied to live calls until 30 June 2026.
	customerChecks = []check{
		liveOnly,
		typeOf(policy.Sale, policy.Subscription),
		inSale, similar, offered, notObjected, inTerm,
	}
	// charityChecks: Tw art. 11.7(5).
	charityChecks = []check{
		{condRobocall, policy.ReasonRobocallNeedsConsent,
			func(c *policy.Call, f *policy.Fact, _ *policy.Bound) bool {
				return c.Mode() == policy.Live || f.Type == policy.Gift || f.Type == policy.Donorship
			}, robocallNote},
		{condOwnPurpose, policy.ReasonPurposeNotOwn,
			func(c *policy.Call, _ *policy.Fact, _ *policy.Bound) bool {
				return c.Purpose() == policy.Ideal || c.Purpose() == policy.Charitable
			},
			func(c *policy.Call, f *policy.Fact) string {
				return c.Note("relationship %s covers the charity's own purpose, not %s", f.ID, c.Purpose())
			}},
		typeOf(policy.Gift, policy.Donorship, policy.Volunteer, policy.Event),
		offered, notObjected, inTerm,
	}
	// publisherChecks: Tw art. 11.7(6), publications of at least three issues a year.
	publisherChecks = []check{
		liveOnly,
		{condPublisher, policy.ReasonPublisherFrequency,
			func(c *policy.Call, _ *policy.Fact, _ *policy.Bound) bool {
				return c.Campaign.Advertiser.IssuesPerYear >= 3
			},
			func(c *policy.Call, _ *policy.Fact) string {
				return c.Note("advertiser %s publishes %d issues a year, three are needed", c.Campaign.Advertiser.ID, c.Campaign.Advertiser.IssuesPerYear)
			}},
		typeOf(policy.Sale, policy.Subscription),
		inSale, similar, offered, notObjected, inTerm,
	}
	// lotteryChecks: Tw art. 11.7(6), licences under Wet op de kansspelen art. 3, 9, 27b.
	lotteryChecks = []check{
		liveOnly,
		{condLottery, policy.ReasonLotteryLicence,
			func(c *policy.Call, _ *policy.Fact, _ *policy.Bound) bool {
				switch c.Campaign.Advertiser.LicenceArticle {
				case "3", "9", "27b":
					return true
				}
				return false
			},
			func(c *policy.Call, _ *policy.Fact) string {
				return c.Note("advertiser %s holds a licence under article %q of the Wet op de kansspelen, not 3, 9 or 27b", c.Campaign.Advertiser.ID, c.Campaign.Advertiser.LicenceArticle)
			}},
		typeOf(policy.Sale, policy.Subscription, policy.Participant),
		inSale, similar, offered, notObjected, inTerm,
	}
	// abolishedChecks: any other advertiser since 1 July 2026 (Stb. 2025, 12).
	abolishedChecks = []check{
		liveOnly,
		{condAbolished, policy.ReasonRelationshipAbolished,
			func(*policy.Call, *policy.Fact, *policy.Bound) bool { return false },
			func(c *policy.Call, f *policy.Fact) string {
				return c.Note("relationship %s no longer allows a call: the customer exception ended on 30 June 2026", f.ID)
			}},
		typeOf(policy.Sale, policy.Subscription),
		inSale, similar, offered, notObjected, inTerm,
	}
)

var (
	liveOnly = check{condRobocall, policy.ReasonRobocallNeedsConsent,
		func(c *policy.Call, _ *policy.Fact, _ *policy.Bound) bool { return c.Mode() == policy.Live }, robocallNote}

	inSale = check{condInSale, policy.ReasonRelationshipNotInSale,
		func(_ *policy.Call, f *policy.Fact, _ *policy.Bound) bool {
			return f.CollectedInSale || f.Type == policy.Participant
		},
		func(c *policy.Call, f *policy.Fact) string {
			return c.Note("the number of relationship %s was not collected in a sale", f.ID)
		}}

	similar = check{condSimilar, policy.ReasonProductNotSimilar,
		func(c *policy.Call, f *policy.Fact, _ *policy.Bound) bool {
			return c.Purpose() == policy.Commercial && coversProducts(c, f.Products)
		},
		func(c *policy.Call, f *policy.Fact) string {
			return c.Note("relationship %s is about %v, the campaign offers %v", f.ID, f.Products, c.Campaign.Products)
		}}

	offered = check{condOffered, policy.ReasonObjectionNotOfferedAtCollection,
		func(_ *policy.Call, f *policy.Fact, _ *policy.Bound) bool { return f.ObjectionOffered },
		func(c *policy.Call, f *policy.Fact) string {
			return c.Note("no objection was offered when the number of relationship %s was collected", f.ID)
		}}

	notObjected = check{condObjected, policy.ReasonObjectedAtCollection,
		func(_ *policy.Call, f *policy.Fact, _ *policy.Bound) bool { return !f.Objected },
		func(c *policy.Call, f *policy.Fact) string {
			return c.Note("the person objected when the number of relationship %s was collected", f.ID)
		}}

	inTerm = check{condTerm, policy.ReasonRelationshipExpired, withinTerm,
		func(c *policy.Call, f *policy.Fact) string {
			return c.Note("relationship %s ended on %s, too long before %s", f.ID, f.EndDate(), c.Date)
		}}
)

func robocallNote(c *policy.Call, f *policy.Fact) string {
	return c.Note("relationship %s does not allow a call without human intervention", f.ID)
}

func typeOf(types ...policy.RelationshipType) check {
	return check{condType, policy.ReasonRelationshipType,
		func(_ *policy.Call, f *policy.Fact, _ *policy.Bound) bool { return slices.Contains(types, f.Type) },
		func(c *policy.Call, f *policy.Fact) string {
			return c.Note("relationship %s is a %s, which does not count here", f.ID, f.Type)
		}}
}

// withinTerm: at most three years after the end of the relationship. Whether
// the anniversary itself still counts is not settled; by default it does not.
func withinTerm(c *policy.Call, f *policy.Fact, cond *policy.Bound) bool {
	end := f.EndDate()
	if end == 0 || c.Date <= end {
		return true
	}
	last := anniversary(c, end, cond)
	return c.Date < last || c.Date == last && cond.Is(paramAnniversary)
}

// anniversary is the day on which the term after the end of a relationship is over.
func anniversary(c *policy.Call, end policy.Date, cond *policy.Bound) policy.Date {
	years := c.Campaign.Advertiser.RelationshipYears
	if years == 0 {
		years = cond.Value(paramYears)
	}
	return end.AddYears(years)
}

const (
	paramYears = iota
	paramAnniversary
)

// abolition is the first day on which a customer relationship allows a live
// call only to publishers and lotteries.
const abolition = policy.Date(20260701)

// accepted are the kinds of relationship by which this call may be judged.
func accepted(c *policy.Call) [2][]check {
	sector := c.Campaign.Advertiser.Sector
	if grounds[groundCustomer].Applies(c.Date) {
		if sector == policy.Charity {
			return [2][]check{charityChecks, customerChecks}
		}
		return [2][]check{customerChecks}
	}
	switch sector {
	case policy.Charity:
		return [2][]check{charityChecks}
	case policy.Publisher:
		return [2][]check{publisherChecks}
	case policy.Lottery:
		return [2][]check{lotteryChecks}
	}
	return [2][]check{abolishedChecks}
}

// relationshipReason names the relationship that allows the call.
func relationshipReason(c *policy.Call, f *policy.Fact, byCharityRule bool) policy.Reason {
	switch {
	case byCharityRule:
		return policy.ReasonRelationshipCharity
	case grounds[groundCustomer].Applies(c.Date):
		return policy.ReasonRelationshipCustomer
	case c.Campaign.Advertiser.Sector == policy.Publisher:
		return policy.ReasonRelationshipPublisher
	case c.Campaign.Advertiser.Sector == policy.Lottery:
		return policy.ReasonRelationshipLottery
	}
	return policy.ReasonRelationshipCustomer // its abolition is not enforced
}
