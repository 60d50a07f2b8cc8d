package policy

// A Reason is the closed vocabulary of why a call was allowed or refused. Its
// text goes unchanged to the log, the metrics, the ledger and the SIP answer.
type Reason uint8

// The order of the deny reasons inside a step is the order in which they
// outrank each other; Step tells the order of the steps.
const (
	NoReason Reason = iota

	// allow
	ReasonEmergency
	ReasonConsent
	ReasonConsentAfterObjection
	ReasonRelationshipCustomer
	ReasonRelationshipCharity
	ReasonRelationshipPublisher
	ReasonRelationshipLottery
	ReasonLegalPerson
	ReasonPublishedForMarketing
	ReasonServiceCall
	ReasonResearch
	ReasonRequestedCall
	ReasonNotTelemarketing
	ReasonNotEnforced

	// deny, caller ID
	ReasonCallerAnonymous
	ReasonCallerMissing
	ReasonCallerInvalid
	ReasonCallerClassForbidden
	ReasonCallerNotRegistered
	ReasonCallerContradictory

	// deny, call
	ReasonCalleeInvalid
	ReasonPurposeUnknown
	ReasonPeerUnknown
	ReasonNoRulesForCountry
	ReasonNoRulesForDate
	ReasonMalformed

	// deny, will of the called
	ReasonObjected
	ReasonListed
	ReasonNoConsent
	ReasonConsentWithdrawn
	ReasonConsentExpired
	ReasonConsentNotPrior
	ReasonConsentUnproven
	ReasonConsentUnverified
	ReasonConsentInvalid
	ReasonConsentFirstCallLate
	ReasonConsentOtherChannel
	ReasonConsentOtherProduct
	ReasonConsentOtherPurpose
	ReasonConsentOtherAdvertiser
	ReasonRobocallNeedsConsent
	ReasonRequestExpired

	// deny, relationship
	ReasonRelationshipAbolished
	ReasonPurposeNotOwn
	ReasonPublisherFrequency
	ReasonLotteryLicence
	ReasonRelationshipType
	ReasonRelationshipNotInSale
	ReasonProductNotSimilar
	ReasonObjectionNotOfferedAtCollection
	ReasonObjectedAtCollection
	ReasonRelationshipExpired
	ReasonRelationshipOtherAdvertiser

	// deny, conduct
	ReasonObjectionNotOffered
	ReasonPublicHoliday // before the hours: a holiday is one at any hour
	ReasonOutsideHours
	ReasonAttemptsExceeded

	// deny, operation
	ReasonFactsUnavailable
	ReasonFactsStale
	ReasonLedgerUnavailable
	ReasonOverloaded

	reasonCount
)

// A Step is a stage of the judgement. Of several denying rules, the one in the
// earliest step gives the call its reason.
type Step uint8

const (
	StepMessage   Step = iota + 1 // malformed, peer
	StepCaller                    // caller ID
	StepCallee                    // callee, country, date
	StepCampaign                  // can the purpose be told
	StepWill                      // objections and registers
	StepBasis                     // consent, relationship, or no need of either
	StepFlags                     // what the campaign's script offers
	StepHours                     // hours and holidays
	StepAttempts                  // how often
	StepOperation                 // the system itself could not judge or record
)

var reasons = [reasonCount]struct {
	name string
	step Step // 0: an allow reason
	text string
}{
	NoReason: {"", 0, ""},

	ReasonEmergency:             {"emergency", 0, "an emergency number was called"},
	ReasonConsent:               {"consent", 0, "the called person gave a valid consent to this advertiser"},
	ReasonConsentAfterObjection: {"consent-after-objection", 0, "a valid consent was given after the objection and lifts it"},
	ReasonRelationshipCustomer:  {"relationship-customer", 0, "the called person is a customer of this advertiser (until 30 June 2026)"},
	ReasonRelationshipCharity:   {"relationship-charity", 0, "the called person gave to, volunteered for or attended an event of this charity"},
	ReasonRelationshipPublisher: {"relationship-publisher", 0, "the called person is a customer of this publisher"},
	ReasonRelationshipLottery:   {"relationship-lottery", 0, "the called person is a customer of this licensed lottery"},
	ReasonLegalPerson:           {"legal-person", 0, "the subscriber is a legal person; a live call needs no consent"},
	ReasonPublishedForMarketing: {"published-for-marketing", 0, "the subscriber published the number for such calls"},
	ReasonServiceCall:           {"service-call", 0, "a service call without any offer"},
	ReasonResearch:              {"research", 0, "research without any offer"},
	ReasonRequestedCall:         {"requested-call", 0, "the called person asked to be called back"},
	ReasonNotTelemarketing:      {"not-telemarketing", 0, "not a call for commercial, ideal or charitable purposes"},
	ReasonNotEnforced:           {"not-enforced", 0, "a rule that would have refused the call is not enforced"},

	ReasonCallerAnonymous:      {"caller-anonymous", StepCaller, "the caller number is hidden"},
	ReasonCallerMissing:        {"caller-missing", StepCaller, "the call carries no caller number"},
	ReasonCallerInvalid:        {"caller-invalid", StepCaller, "the caller number is no number of its country's plan"},
	ReasonCallerClassForbidden: {"caller-class-forbidden", StepCaller, "the caller number is of a kind that may not be shown for such calls"},
	ReasonCallerNotRegistered:  {"caller-not-registered", StepCaller, "the caller number is not registered for this campaign"},
	ReasonCallerContradictory:  {"caller-contradictory", StepCaller, "the caller numbers in the message contradict each other"},

	ReasonCalleeInvalid:     {"callee-invalid", StepCallee, "the called number is no number that may be called"},
	ReasonPurposeUnknown:    {"purpose-unknown", StepCampaign, "the campaign, and with it the purpose, can't be told"},
	ReasonPeerUnknown:       {"peer-unknown", StepMessage, "the call comes from a source that is no configured peer"},
	ReasonNoRulesForCountry: {"no-rules-for-country", StepCallee, "there is no rule book for the called number's country"},
	ReasonNoRulesForDate:    {"no-rules-for-date", StepCallee, "there is no rule book for the date of the call"},
	ReasonMalformed:         {"malformed", StepMessage, "the message is malformed where it is judged"},

	ReasonObjected:               {"objected", StepWill, "the called person objected to such calls"},
	ReasonListed:                 {"listed", StepWill, "the called number is on a do-not-call register"},
	ReasonNoConsent:              {"no-consent", StepBasis, "there is no consent and no relationship that allows the call"},
	ReasonConsentWithdrawn:       {"consent-withdrawn", StepBasis, "the consent was withdrawn"},
	ReasonConsentExpired:         {"consent-expired", StepBasis, "the consent's period is over"},
	ReasonConsentNotPrior:        {"consent-not-prior", StepBasis, "the consent was not given before the call"},
	ReasonConsentUnproven:        {"consent-unproven", StepBasis, "the consent lacks evidence of the person and the record"},
	ReasonConsentUnverified:      {"consent-unverified", StepBasis, "the consent was not verified before the call"},
	ReasonConsentInvalid:         {"consent-invalid", StepBasis, "the consent was not free or not specific (pre-ticked or bundled)"},
	ReasonConsentFirstCallLate:   {"consent-first-call-late", StepBasis, "the first call comes later than the request for consent allowed"},
	ReasonConsentOtherChannel:    {"consent-other-channel", StepBasis, "the consent is for another channel"},
	ReasonConsentOtherProduct:    {"consent-other-product", StepBasis, "the consent is for other products"},
	ReasonConsentOtherPurpose:    {"consent-other-purpose", StepBasis, "the consent is for another purpose"},
	ReasonConsentOtherAdvertiser: {"consent-other-advertiser", StepBasis, "the consent was given to another advertiser"},
	ReasonRobocallNeedsConsent:   {"robocall-needs-consent", StepBasis, "a call without human intervention needs consent of any subscriber"},
	ReasonRequestExpired:         {"request-expired", StepBasis, "the request to be called back has lapsed"},

	ReasonRelationshipAbolished:           {"relationship-abolished", StepBasis, "a customer relationship no longer allows calls since 1 July 2026"},
	ReasonPurposeNotOwn:                   {"purpose-not-own", StepBasis, "a charity's relationship covers only its own ideal or charitable purpose"},
	ReasonPublisherFrequency:              {"publisher-frequency", StepBasis, "the publication appears less than three times a year"},
	ReasonLotteryLicence:                  {"lottery-licence", StepBasis, "the lottery holds no licence of the kind that the law names"},
	ReasonRelationshipType:                {"relationship-type", StepBasis, "a relationship of this type does not count here"},
	ReasonRelationshipNotInSale:           {"relationship-not-in-sale", StepBasis, "the number was not collected in a sale"},
	ReasonProductNotSimilar:               {"product-not-similar", StepBasis, "the offer is not for own similar products"},
	ReasonObjectionNotOfferedAtCollection: {"objection-not-offered-at-collection", StepBasis, "no objection was offered when the number was collected"},
	ReasonObjectedAtCollection:            {"objected-at-collection", StepBasis, "the person objected when the number was collected"},
	ReasonRelationshipExpired:             {"relationship-expired", StepBasis, "the relationship ended too long ago"},
	ReasonRelationshipOtherAdvertiser:     {"relationship-other-advertiser", StepBasis, "the relationship is with another advertiser"},

	ReasonObjectionNotOffered: {"objection-not-offered", StepFlags, "the campaign does not offer the right of objection in the call"},
	ReasonOutsideHours:        {"outside-hours", StepHours, "the call falls outside the hours for such calls"},
	ReasonPublicHoliday:       {"public-holiday", StepHours, "the call falls on a public holiday"},
	ReasonAttemptsExceeded:    {"attempts-exceeded", StepAttempts, "the number was tried too often"},

	ReasonFactsUnavailable:  {"facts-unavailable", StepOperation, "the facts could not be read"},
	ReasonFactsStale:        {"facts-stale", StepWill, "a register that must be consulted is too old"},
	ReasonLedgerUnavailable: {"ledger-unavailable", StepOperation, "the decision could not be recorded"},
	ReasonOverloaded:        {"overloaded", StepOperation, "there are more calls than the system may take"},
}

// String is the reason's fixed name, such as "no-consent".
func (r Reason) String() string {
	if r >= reasonCount {
		return "unknown"
	}
	return reasons[r].name
}

// Text is one plain sentence in English that says what the reason means.
func (r Reason) Text() string {
	if r >= reasonCount {
		return ""
	}
	return reasons[r].text
}

// Allows reports whether r is a reason for allowing a call.
func (r Reason) Allows() bool { return r > NoReason && r < reasonCount && reasons[r].step == 0 }

// Step is the stage of the judgement that gives this reason, 0 for an allow reason.
func (r Reason) Step() Step {
	if r >= reasonCount {
		return 0
	}
	return reasons[r].step
}

// outranks reports whether deny reason r is named before s: the earlier step
// first, and within a step the order of the vocabulary.
func (r Reason) outranks(s Reason) bool {
	if r.Step() != s.Step() {
		return r.Step() < s.Step()
	}
	return r < s
}

// TellsOfOthers reports whether r says that a number gave its consent to, or
// does business with, another advertiser, which is nobody else's business.
func (r Reason) TellsOfOthers() bool {
	return r == ReasonConsentOtherAdvertiser || r == ReasonRelationshipOtherAdvertiser
}

// NothingHeld is the reason of a refusal when nothing is held that comes near a
// ground for a call.
func NothingHeld(m CallMode) Reason {
	if m == Robocall {
		return ReasonRobocallNeedsConsent
	}
	return ReasonNoConsent
}

// Public is what a dialer or an advertiser is told in place of r, the reason for
// a call of a mode: what it would have been if nothing of other advertisers
// were known.
func (r Reason) Public(m CallMode) Reason {
	if r.TellsOfOthers() {
		return NothingHeld(m)
	}
	return r
}

// Told is Public for a reason and a mode of a record. One that does not tell its
// mode, since it is of before modes were recorded, may be of a robocall or not:
// then all that means that nothing is held reads alike.
func Told(reason, mode string) string {
	r, _ := ParseReason(reason)
	m, known := ParseCallMode(mode)
	switch {
	case r == NoReason:
		return reason
	case !known && r == NothingHeld(Robocall):
		r = NothingHeld(Live)
	}
	return r.Public(m).String()
}

// ParseReason finds a reason by its name.
func ParseReason(s string) (Reason, bool) {
	for r := NoReason + 1; r < reasonCount; r++ {
		if reasons[r].name == s {
			return r, true
		}
	}
	return NoReason, false
}

// Reasons is the whole vocabulary in its fixed order.
func Reasons() []Reason {
	all := make([]Reason, 0, reasonCount-1)
	for r := NoReason + 1; r < reasonCount; r++ {
		all = append(all, r)
	}
	return all
}
