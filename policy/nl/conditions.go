package nl

import "dialgate/policy"

// The conditions of the basis, by their place in the table below.
const (
	condWithdrawn = iota
	condExpired
	condPrior
	condProven
	condVerified
	condFree
	condFirstCall
	condChannel
	condProduct
	condPurpose
	condRobocall
	condAbolished
	condOwnPurpose
	condPublisher
	condLottery
	condType
	condInSale
	condSimilar
	condOffered
	condObjected
	condTerm
)

// gdpr is the first day on which Regulation (EU) 2016/679 applied.
const gdpr = policy.Date(20180525)

// conditions can each be put in shadow or off; one that is then counts as met
// and keeps its finding.
var conditions = []policy.Rule{
	condWithdrawn: {
		ID: "nl.consent.withdrawn", From: gdpr, Strength: policy.Statute, Source: "Regulation (EU) 2016/679 art. 7(3)",
		Needs:   "withdrawals with their time, as easily made as the consent",
		English: "The consent was not withdrawn.", Dutch: "De toestemming is niet ingetrokken.",
		Reasons: []policy.Reason{policy.ReasonConsentWithdrawn},
	},
	condExpired: {
		ID: "nl.consent.expired", From: gdpr, Strength: policy.Statute, Source: "Regulation (EU) 2016/679 art. 4(11): specific",
		Needs:   "the end of the period that the request promised, if it promised one",
		English: "The period that the consent was given for is not over.", Dutch: "De periode waarvoor toestemming is gegeven is niet voorbij.",
		Reasons: []policy.Reason{policy.ReasonConsentExpired},
	},
	condPrior: {
		ID: "nl.consent.prior", From: start, Strength: policy.Statute, Source: "Telecommunicatiewet art. 11.7(1)-(2)",
		English: "The consent was given before the call.", Dutch: "De toestemming is vóór de oproep gegeven.",
		Needs:   "the time at which consent was given",
		Reasons: []policy.Reason{policy.ReasonConsentNotPrior},
	},
	condProven: {
		ID: "nl.consent.proven", From: policy.NewDate(2022, 6, 29), Strength: policy.Supervisor, Source: "ACM, 29 June 2022; Regulation (EU) 2016/679 art. 7(1)",
		English: "The consent can be traced to the person who gave it, by an artefact.", Dutch: "De toestemming is herleidbaar tot de persoon die haar gaf, met een bewijsstuk.",
		Needs:   "a reference to the person and the SHA-256 of the artefact (screen capture, form, recording)",
		Reasons: []policy.Reason{policy.ReasonConsentUnproven},
	},
	condVerified: {
		ID: "nl.consent.verified", From: policy.NewDate(2025, 7, 1), Strength: policy.Supervisor, Source: "ACM, March 2025: checks from 1 July 2025",
		English: "The consent was verified before the call, by app, SMS, e-mail or phone.", Dutch: "De toestemming is vóór de oproep geverifieerd, via app, sms, e-mail of telefoon.",
		Needs:   "time and channel of the verification",
		Reasons: []policy.Reason{policy.ReasonConsentUnverified},
	},
	condFree: {
		ID: "nl.consent.free", From: gdpr, Strength: policy.Statute, Source: "Regulation (EU) 2016/679 art. 4(11), 7(4)",
		English: "The consent was free and specific: no pre-ticked box, not bundled.", Dutch: "De toestemming is vrij en specifiek: geen vooraf aangevinkt vakje, niet gekoppeld.",
		Needs:   "how the consent was given",
		Reasons: []policy.Reason{policy.ReasonConsentInvalid},
	},
	condFirstCall: {
		ID: "nl.consent.first-call", From: policy.NewDate(2024, 10, 15), Strength: policy.Code, Source: "Code Telemarketing (2024; for members of DDMA since 1 March 2024)",
		English: "The first call came within six months of the consent, or by the date that the request stated.",
		Dutch:   "De eerste oproep kwam binnen zes maanden na de toestemming, of voor de datum die het verzoek noemde.",
		Needs:   "the date stated in the request, the date of the first call",
		Reasons: []policy.Reason{policy.ReasonConsentFirstCallLate},
		Params: []policy.Param{
			paramMonths: {Name: "months", Default: firstCallMonths, Doc: "months after the consent within which the first call comes"},
		},
	},
	condChannel: {
		ID: "nl.consent.channel", From: start, Strength: policy.Statute, Source: "Telecommunicatiewet art. 11.7(1)-(2)",
		English: "The consent covers the channel: a person or a machine that speaks.", Dutch: "De toestemming dekt het kanaal: een mens of een automaat.",
		Needs:   "the channels consented to",
		Reasons: []policy.Reason{policy.ReasonConsentOtherChannel},
	},
	condProduct: {
		ID: "nl.consent.product", From: start, Strength: policy.Statute, Source: "Regulation (EU) 2016/679 art. 4(11): specific",
		English: "The consent covers all products of the campaign.", Dutch: "De toestemming dekt alle producten van de campagne.",
		Needs:   "the products consented to",
		Reasons: []policy.Reason{policy.ReasonConsentOtherProduct},
	},
	condPurpose: {
		ID: "nl.consent.purpose", From: start, Strength: policy.Statute, Source: "Telecommunicatiewet art. 11.7(2); Regulation (EU) 2016/679 art. 5(1)(b)",
		English: "The consent covers the purpose of the campaign.", Dutch: "De toestemming dekt het doel van de campagne.",
		Needs:   "the purposes consented to",
		Reasons: []policy.Reason{policy.ReasonConsentOtherPurpose},
	},
	condRobocall: {
		ID: "nl.relationship.live", From: start, Strength: policy.Statute, Source: "Telecommunicatiewet art. 11.7(1), (5)-(6); Directive 2002/58/EC art. 13(1)-(2)",
		English: "A relationship allows calls by a person; calls without human intervention need consent, save a charity's to its donors.",
		Dutch:   "Een relatie staat oproepen door een mens toe; automatische oproepen vergen toestemming, behalve van een goed doel aan zijn gevers.",
		Needs:   "the campaign's mode",
		Reasons: []policy.Reason{policy.ReasonRobocallNeedsConsent},
	},
	condAbolished: {
		ID: "nl.relationship.abolished", From: abolition, Strength: policy.Statute, Source: "Telecommunicatiewet art. 11.7(4) in the text of 1 July 2026 (Stb. 2025, 12)",
		English: "A customer relationship allows no live call, save of publishers and licensed lotteries.",
		Dutch:   "Een klantrelatie staat geen oproep meer toe, behalve van uitgevers en vergunde loterijen.",
		Needs:   "the advertiser's sector",
		Reasons: []policy.Reason{policy.ReasonRelationshipAbolished},
	},
	condOwnPurpose: {
		ID: "nl.relationship.own-purpose", From: start, Strength: policy.Statute, Source: "Telecommunicatiewet art. 11.7(5)",
		English: "A charity calls its givers for its own ideal or charitable purpose only.", Dutch: "Een goed doel belt zijn gevers alleen voor het eigen ideële of charitatieve doel.",
		Needs:   "the campaign's purpose",
		Reasons: []policy.Reason{policy.ReasonPurposeNotOwn},
	},
	condPublisher: {
		ID: "nl.relationship.publisher", From: abolition, Strength: policy.Statute, Source: "Telecommunicatiewet art. 11.7(6)",
		English: "The publication appears at least three times a year.", Dutch: "De uitgave verschijnt ten minste drie keer per jaar.",
		Needs:   "issues a year of the publication",
		Reasons: []policy.Reason{policy.ReasonPublisherFrequency},
	},
	condLottery: {
		ID: "nl.relationship.lottery", From: abolition, Strength: policy.Statute, Source: "Telecommunicatiewet art. 11.7(6); Wet op de kansspelen art. 3, 9, 27b",
		English: "The lottery holds a licence under article 3, 9 or 27b.", Dutch: "De loterij heeft een vergunning op grond van artikel 3, 9 of 27b.",
		Needs:   "the article of the licence",
		Reasons: []policy.Reason{policy.ReasonLotteryLicence},
	},
	condType: {
		ID: "nl.relationship.type", From: start, Strength: policy.Statute, Source: "Telecommunicatiewet art. 11.7(4)-(6)",
		English: "The relationship is of a kind that the law names for this advertiser.", Dutch: "De relatie is van een soort die de wet voor deze adverteerder noemt.",
		Needs:   "order, subscription, gift, volunteer or event record",
		Reasons: []policy.Reason{policy.ReasonRelationshipType},
	},
	condInSale: {
		ID: "nl.relationship.in-sale", From: start, Strength: policy.Statute, Source: "Telecommunicatiewet art. 11.7(4), (6)",
		English: "The number was collected from the customer in a sale.", Dutch: "Het nummer is bij een verkoop van de klant verkregen.",
		Needs:   "how the number was collected",
		Reasons: []policy.Reason{policy.ReasonRelationshipNotInSale},
	},
	condSimilar: {
		ID: "nl.relationship.similar", From: start, Strength: policy.Statute, Source: "Telecommunicatiewet art. 11.7(4), (6)",
		English: "The campaign offers the advertiser's own similar products.", Dutch: "De campagne biedt eigen gelijksoortige producten aan.",
		Needs:   "product codes, assigned by a person",
		Reasons: []policy.Reason{policy.ReasonProductNotSimilar},
	},
	condOffered: {
		ID: "nl.relationship.offered", From: start, Strength: policy.Statute, Source: "Telecommunicatiewet art. 11.7(4)-(6)",
		English: "The right of objection was offered when the number was collected.", Dutch: "Bij het verkrijgen van het nummer is het recht van verzet aangeboden.",
		Needs:   "the wording at collection",
		Reasons: []policy.Reason{policy.ReasonObjectionNotOfferedAtCollection},
	},
	condObjected: {
		ID: "nl.relationship.objected", From: start, Strength: policy.Statute, Source: "Telecommunicatiewet art. 11.7(4)-(6)",
		English: "The person did not object when the number was collected.", Dutch: "De persoon heeft bij het verkrijgen van het nummer geen bezwaar gemaakt.",
		Needs:   "objections at collection (objected)",
		Reasons: []policy.Reason{policy.ReasonObjectedAtCollection},
	},
	condTerm: {
		ID: "nl.relationship.term", From: policy.NewDate(2020, 6, 1), Strength: policy.Code, Source: "Code Telemarketing (2020)",
		English: "The relationship ended less than three years ago.", Dutch: "De relatie is minder dan drie jaar geleden geëindigd.",
		Needs:   "the end of the contract, or the last purchase or gift",
		Reasons: []policy.Reason{policy.ReasonRelationshipExpired},
		Params: []policy.Param{
			paramYears:       {Name: "years", Default: 3, Doc: "years after the end in which the relationship still counts"},
			paramAnniversary: {Name: "anniversary_inclusive", Switch: true, Doc: "the anniversary itself still counts"},
		},
	},
}
