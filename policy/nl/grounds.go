package nl

import "dialgate/policy"

// The grounds on which a call may be made, by their place in the table below.
const (
	groundLegal = iota
	groundPublished
	groundService
	groundResearch
	groundRequested
	groundOther
	groundConsent
	groundReconsent
	groundCustomer
	groundCharity
	groundPublisher
	groundLottery
)

// grounds are the alternatives of the basis, in the order in which they are tried.
var grounds = []policy.Rule{
	groundLegal: {
		ID: "nl.ground.legal-person", From: start, Strength: policy.Statute, Source: "Telecommunicatiewet art. 11.7(2) e contrario",
		English: "A live call to a legal person needs no consent; sole traders, partnerships and unknown subscribers are protected as natural persons are.",
		Dutch:   "Voor een gewone oproep naar een rechtspersoon is geen toestemming nodig; zzp'ers, vof's, maatschappen en onbekende abonnees zijn beschermd als natuurlijke personen.",
		Needs:   "who holds the number, the legal form, source and date of that finding",
		Reasons: []policy.Reason{policy.ReasonLegalPerson},
	},
	groundPublished: {
		ID: "nl.ground.published", From: start, Strength: policy.Statute, Source: "Telecommunicatiewet art. 11.7(3)(a)",
		English: "A business published its number for calls of just this purpose and these products; a listing in a directory or on a website alone is not enough.",
		Dutch:   "Een onderneming maakte haar nummer bekend voor oproepen met juist dit doel en deze producten; een vermelding in een register of op een website alleen is niet genoeg.",
		Needs:   "where and when it was seen, and the wording of the purpose (published_for)",
		Reasons: []policy.Reason{policy.ReasonPublishedForMarketing},
	},
	groundService: {
		ID: "nl.ground.service", From: start, Strength: policy.House, Source: "Telecommunicatiewet art. 11.7(1)-(2) e contrario; DDMA: questions on the rules for telemarketing (2021)",
		English: "A call that only informs and offers nothing is no telemarketing.",
		Dutch:   "Een oproep die alleen informeert en niets aanbiedt is geen telemarketing.",
		Needs:   "the script, attested by no_offer",
		Reasons: []policy.Reason{policy.ReasonServiceCall},
	},
	groundResearch: {
		ID: "nl.ground.research", From: policy.NewDate(2020, 3, 1), Strength: policy.Code, Source: "Code Telemarketing (2020); Regulation (EU) 2016/679 art. 89",
		English: "Historical, statistical or scientific research without an offer is no telemarketing.",
		Dutch:   "Historisch, statistisch of wetenschappelijk onderzoek zonder aanbod is geen telemarketing.",
		Needs:   "the script, attested by no_offer",
		Reasons: []policy.Reason{policy.ReasonResearch},
	},
	groundRequested: {
		ID: "nl.ground.requested", From: start, Strength: policy.Statute, Source: "Telecommunicatiewet art. 11.7(1)-(2): unsolicited; Code Telemarketing: definitions",
		English: "The person asked this advertiser to be called, and the request is in force.",
		Dutch:   "De persoon vroeg deze adverteerder om gebeld te worden, en dat verzoek geldt nog.",
		Needs:   "the request with its time, topic and end",
		Reasons: []policy.Reason{policy.ReasonRequestedCall},
	},
	groundOther: {
		ID: "nl.ground.other", From: start, Strength: policy.Statute, Source: "Telecommunicatiewet art. 11.7(1)-(2) e contrario",
		English: "A call for another than a commercial, ideal or charitable purpose is no telemarketing.",
		Dutch:   "Een oproep met een ander dan een commercieel, ideëel of charitatief doel is geen telemarketing.",
		Needs:   "the campaign's purpose and its no_offer",
		Reasons: []policy.Reason{policy.ReasonNotTelemarketing},
	},
	groundConsent: {
		ID: "nl.ground.consent", From: start, Strength: policy.Statute, Source: "Telecommunicatiewet art. 11.7(1)-(2); Regulation (EU) 2016/679 art. 4(11), 7",
		English: "The called person consented before the call, and the caller can prove it.",
		Dutch:   "De gebelde gaf vóór de oproep toestemming, en de beller kan dat bewijzen.",
		Needs:   "a consent that meets every condition nl.consent",
		Reasons: []policy.Reason{policy.ReasonConsent},
	},
	groundReconsent: {
		ID: "nl.ground.consent-after-objection", From: start, Strength: policy.House, Source: "Regulation (EU) 2016/679 art. 7, 21(3); dialgate: a fresh consent in the knowledge of the objection lifts it",
		English: "A valid consent that was given after the objection, and in the knowledge of it, lifts the objection.",
		Dutch:   "Een geldige toestemming die na het bezwaar en met kennis daarvan is gegeven, heft het bezwaar op.",
		Needs:   "both records, and after_objection on the consent",
		Reasons: []policy.Reason{policy.ReasonConsentAfterObjection},
	},
	groundCustomer: {
		ID: "nl.ground.customer", From: start, To: abolition, Strength: policy.Statute, Source: "Telecommunicatiewet art. 11.7(4) in the text until 30 June 2026",
		English: "The called person was a customer of this same legal entity, and is offered its own similar products.",
		Dutch:   "De gebelde was klant van dezelfde rechtspersoon, die eigen gelijksoortige producten aanbiedt.",
		Needs:   "order or contract, how the number was collected, products, end date",
		Reasons: []policy.Reason{policy.ReasonRelationshipCustomer},
	},
	groundCharity: {
		ID: "nl.ground.charity", From: start, Strength: policy.Statute, Source: "Telecommunicatiewet art. 11.7(5)",
		English: "The called person gave to this charity or ideal organisation, volunteered for it or attended its event.",
		Dutch:   "De gebelde gaf aan dit goede doel of deze ideële organisatie, werkte er als vrijwilliger of bezocht er een evenement.",
		Needs:   "gift, volunteer or event record, the wording at collection",
		Reasons: []policy.Reason{policy.ReasonRelationshipCharity},
	},
	groundPublisher: {
		ID: "nl.ground.publisher", From: abolition, Strength: policy.Statute, Source: "Telecommunicatiewet art. 11.7(6)",
		English: "The called person is a customer of the publisher of a publication that appears at least three times a year.",
		Dutch:   "De gebelde is klant van de uitgever van een uitgave die ten minste drie keer per jaar verschijnt.",
		Needs:   "title and frequency, order or subscription",
		Reasons: []policy.Reason{policy.ReasonRelationshipPublisher},
	},
	groundLottery: {
		ID: "nl.ground.lottery", From: abolition, Strength: policy.Statute, Source: "Telecommunicatiewet art. 11.7(6); Wet op de kansspelen art. 3, 9, 27b",
		English: "The called person is a customer of a lottery with a licence under article 3, 9 or 27b.",
		Dutch:   "De gebelde is klant van een loterij met een vergunning op grond van artikel 3, 9 of 27b.",
		Needs:   "the article of the licence, order or participation",
		Reasons: []policy.Reason{policy.ReasonRelationshipLottery},
	},
}
