package review

import (
	"strings"

	"dialgate/policy"
	"dialgate/store"
)

// A Remedy is one record that was missing: had it been there before the call,
// no rule would have refused it.
type Remedy struct {
	Kind       string   `json:"kind"` // consent, verification, proof, callback, objection-offered, caller-number, register-copy, issues-per-year, licence-article
	Advertiser string   `json:"advertiser,omitempty"`
	Campaign   string   `json:"campaign,omitempty"`
	Purpose    string   `json:"purpose,omitempty"`
	Products   []string `json:"products,omitempty"`
	Channel    string   `json:"channel,omitempty"`
	Number     string   `json:"number,omitempty"` // a caller number, masked
}

// Why a refusal has no remedy of one record.
type helpless uint8

const (
	curable  helpless = iota
	several           // more than one record was missing, or the campaign is unknown
	noRecord          // it was about the call itself, or the called person's will
)

// remedyOf finds what one record would have made a refused call lawful, from
// the findings of its decision. A condition that is not met belongs to the
// basis: a whole new consent heals any number of them.
func (t *Tally) remedyOf(d *store.Decision) (Remedy, helpless) {
	var unmet, others []policy.Reason
	basis := false
	for _, f := range d.Findings {
		if f.Result != policy.Deny.String() {
			continue
		}
		r, ok := policy.ParseReason(f.Reason)
		switch {
		case !ok:
			return Remedy{}, noRecord
		case t.o.Condition(f.Rule):
			unmet = append(unmet, r)
		case r.Step() == policy.StepBasis:
			basis = true
		default:
			others = append(others, r)
		}
	}
	for _, r := range others {
		if !recordHelps[r] {
			return Remedy{}, noRecord
		}
	}
	if basis || len(unmet) > 0 {
		if len(others) > 0 || d.Advertiser == "" {
			return Remedy{}, several
		}
		return t.ground(d, unmet), curable
	}
	switch {
	case len(others) == 0:
		return Remedy{}, noRecord // the system itself
	case len(others) > 1:
		return Remedy{}, several
	}
	r := Remedy{Campaign: d.Campaign}
	switch others[0] {
	case policy.ReasonObjectionNotOffered:
		r.Kind = "objection-offered"
	case policy.ReasonFactsStale:
		r = Remedy{Kind: "register-copy"}
	case policy.ReasonCallerNotRegistered:
		r.Kind = "caller-number"
		if n, err := policy.ParseNumber(d.From); err == nil {
			r.Number = n.String()
		}
	default: // purpose-unknown: once the campaign is known, its own demands follow
		return Remedy{}, several
	}
	return r, curable
}

// recordHelps holds the reasons, beside those of the basis, that come of a
// record that is missing. The others come of the call itself, or of what the
// called person wants.
var recordHelps = map[policy.Reason]bool{
	policy.ReasonCallerNotRegistered: true,
	policy.ReasonPurposeUnknown:      true,
	policy.ReasonFactsStale:          true,
	policy.ReasonObjectionNotOffered: true,
}

// ground is the record that would have been a ground for the call.
func (t *Tally) ground(d *store.Decision, unmet []policy.Reason) Remedy {
	r := Remedy{Kind: "consent", Advertiser: d.Advertiser, Campaign: d.Campaign}
	if len(unmet) == 1 {
		switch unmet[0] {
		case policy.ReasonConsentUnverified:
			r.Kind = "verification"
			return r
		case policy.ReasonConsentUnproven:
			r.Kind = "proof"
			return r
		case policy.ReasonPublisherFrequency:
			return Remedy{Kind: "issues-per-year", Advertiser: d.Advertiser}
		case policy.ReasonLotteryLicence:
			return Remedy{Kind: "licence-article", Advertiser: d.Advertiser}
		}
	}
	k := t.o.Campaign(d.Campaign)
	if k == nil {
		return r // no longer configured: what for can't be said
	}
	if k.Effective() == policy.Requested {
		r.Kind = "callback"
		return r
	}
	r.Campaign, r.Purpose = "", k.Effective().String()
	if k.Effective() == policy.Commercial {
		r.Products = k.Products
	}
	if r.Channel = k.Mode.String(); d.Fax {
		r.Channel = policy.Robocall.String()
	}
	return r
}

// String says which record it is.
func (r Remedy) String() string {
	switch r.Kind {
	case "consent":
		s := "a valid consent to " + r.Advertiser
		if r.Purpose == "" {
			return s + " for campaign " + r.Campaign
		}
		s += " for the purpose " + r.Purpose
		switch len(r.Products) {
		case 0:
		case 1:
			s += " and the product " + r.Products[0]
		default:
			s += " and the products " + strings.Join(r.Products, ", ")
		}
		return s + ", " + r.Channel + " calls"
	case "verification":
		return "the verification (verified_at, verified_by) of the consent to " + r.Advertiser + " held, campaign " + r.Campaign
	case "proof":
		return "the proof (person, artefact) of the consent to " + r.Advertiser + " held, campaign " + r.Campaign
	case "callback":
		return "a request to be called back by " + r.Advertiser + ", campaign " + r.Campaign
	case "objection-offered":
		return "the attestation objection_offered of campaign " + r.Campaign
	case "caller-number":
		return "an entry of caller number " + r.Number + " for campaign " + r.Campaign
	case "register-copy":
		return "a fresh copy of the do-not-call register"
	case "issues-per-year":
		return "issues_per_year of advertiser " + r.Advertiser + ", when it is three or more"
	case "licence-article":
		return "licence_article of advertiser " + r.Advertiser + ", when it has the licence"
	}
	return r.Kind
}

// id tells remedies apart.
func (r Remedy) id() string {
	return strings.Join([]string{r.Kind, r.Advertiser, r.Campaign, r.Purpose, strings.Join(r.Products, ","), r.Channel, r.Number}, "\x00")
}
