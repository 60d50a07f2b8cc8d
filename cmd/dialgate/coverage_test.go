package main

import (
	"fmt"
	"strings"
	"testing"

	"dialgate/policy"
	"dialgate/policy/nl"
)

// A lawRow is one row of the law as it was read, and what became of it: the
// rules that judge it, and what of it no rule can judge.
type lawRow struct {
	id, asks string
	rules    string // ids, separated by spaces
	left     string // what a proxy can't check of it, and why
}

var lawRows = []lawRow{
	{"NL-SCOPE-1", "Calls for commercial, ideal or charitable purposes that nobody asked for", "base.campaign nl.ground.other", "The purpose is that of the configured campaign."},
	{"NL-SCOPE-2", "Natural persons are protected, sole traders and partnerships too; an unknown subscriber counts as one", "nl.basis nl.ground.legal-person", "Who holds a number is known from facts only."},
	{"NL-SCOPE-3", "A live call to a legal person needs no consent; caller identity and objection bind all the same", "nl.ground.legal-person base.caller.shown nl.objection", ""},
	{"NL-SCOPE-4", "A business published its number for just such calls", "nl.ground.published", "Whether the publication says so is a person's finding."},
	{"NL-SCOPE-5", "A business outside the EEA falls under its own country's law", "base.country", "Where it is established can't be seen; the country code stands for it, and without a book for that country the call is refused."},
	{"NL-CONSENT-1", "Consent before the call that the caller can prove", "nl.ground.consent nl.consent.prior nl.consent.withdrawn nl.consent.expired nl.consent.channel nl.consent.purpose nl.consent.product", ""},
	{"NL-CONSENT-2", "Free and specific: no pre-ticked box, not bundled", "nl.consent.free", "Whether it was truly free: only how it was recorded."},
	{"NL-CONSENT-3", "Traceable to the person called, by an artefact", "nl.consent.proven", ""},
	{"NL-CONSENT-4", "Verified before the call", "nl.consent.verified", ""},
	{"NL-CONSENT-5", "The first call within six months, or by the date that the request stated", "nl.consent.first-call", "That the request stood alone and said who calls about what. Members of DDMA were bound since 1 March 2024; the rule begins on 15 October 2024, for everyone."},
	{"NL-CONSENT-6", "Proof is shown on request within five working days", "", "No condition of a call. `dialgate facts list` shows what is held of a number."},
	{"NL-REL-1", "Customers, for every seller, until 30 June 2026", "nl.ground.customer nl.relationship.abolished nl.relationship.type nl.relationship.in-sale nl.relationship.similar nl.relationship.offered nl.relationship.objected", "The old text was read in summaries only."},
	{"NL-REL-2", "Charities: givers, volunteers, visitors of events, for the own purpose", "nl.ground.charity nl.relationship.own-purpose nl.relationship.type nl.relationship.offered nl.relationship.live", ""},
	{"NL-REL-3", "Publishers of three issues a year and licensed lotteries keep the customer exception", "nl.ground.publisher nl.ground.lottery nl.relationship.publisher nl.relationship.lottery", "The frequency and the licence are what the configuration says."},
	{"NL-REL-4", "At most three years after the end", "nl.relationship.term", "Whether the anniversary itself still counts is not settled: a parameter, by default it does not."},
	{"NL-REL-5", "A longer term with the advice of the Commissie Balanstoets Telemarketing", "nl.relationship.term", "The advice itself; the advertiser's `relationship_years` says that there is one."},
	{"NL-REL-6", "The same legal entity", "nl.basis nl.ground.customer", "Ids of legal entities are compared; there is no use across a group."},
	{"NL-OPT-1", "The right of objection is offered in every call", "nl.offer", "Whether it is truly offered: the campaign attests its script."},
	{"NL-OPT-2", "No more calls after an objection, at once", "nl.objection base.objection", ""},
	{"NL-OPT-3", "A fresh consent lifts an objection", "nl.ground.consent-after-objection nl.objection", ""},
	{"NL-ROBO-1", "Calls without human intervention need consent of any subscriber", "nl.relationship.live nl.consent.channel", "Whether a person will speak: the campaign's mode says so; a fax offer counts as a robocall."},
	{"NL-TYPE-1", "Service calls that offer nothing", "nl.ground.service", "Whether they stay free of offers."},
	{"NL-TYPE-2", "Calls that the person asked for", "nl.ground.requested", "A number of attempts for one request: see nl.attempts."},
	{"NL-TYPE-3", "Research", "nl.ground.research", "Whether it is research in the sense of the regulation."},
	{"NL-TYPE-4", "No offers to a person of sixteen or younger", "", "No message shows an age."},
	{"NL-CASE-1", "A breach needs an established connection; the principal answers for its call centre", "", "Case law, no condition: every refusal comes before the answer and is recorded."},
	{"NL-FINE-1", "Fines seen", "", "No condition of a call."},
	{"NL-FINE-2", "The greatest fine", "", "No condition of a call."},
	{"NL-CLI-1", "The caller number is not hidden, whoever is called", "base.caller.shown", ""},
	{"NL-CLI-2", "A recognisable number", "base.caller.number base.caller.valid base.caller.class base.caller.consistent", ""},
	{"NL-CLI-3", "The number can be called back and is published", "nl.caller.callback base.caller.class", "That it is kept for six months after its last use; a missing test or publication is a flag."},
	{"NL-CLI-4", "The right to use the number", "base.caller.registered", "The contract behind the inventory's entry."},
	{"NL-CLI-5", "Bill: nobody sends somebody else's number", "nl.caller.own", "Not in force in anything read: the rule waits for its date."},
	{"NL-CLI-6", "Providers filter Dutch numbers from abroad", "", "Where the carrier hands a call over can't be seen."},
	{"NL-CLI-7", "06 is for mobile telephony, 097 for machines", "base.caller.class nl.caller.kind", "What a subscription is used for."},
	{"NL-TIME-1", "Working days from 9:00 to 22:00", "nl.hours", "The text of the Code now in force was not read on hours."},
	{"NL-TIME-2", "Saturdays from 10:00 to 16:00, never on Sundays and public holidays", "nl.hours nl.holidays", "As above."},
	{"NL-TIME-3", "Until 18:30 on 4 May, 5 and 24 December", "nl.hours", "As above."},
	{"NL-TIME-4", "The hours may be left for a call that was asked for", "nl.hours nl.ground.requested", "Only campaigns of purpose requested: that a sales call has an appointment is not told."},
	{"NL-TIME-5", "Which days are public holidays", "nl.holidays", "The Code's own list was not read; the days are those of the Algemene termijnenwet."},
	{"NL-FREQ-1", "A greatest number of attempts", "nl.attempts", "Off until the operator sets a number. Ring time and abandoned calls: only with the agent's leg in sight."},
	{"NL-REG-1", "The Bel-me-niet Register, closed on 1 July 2021", "nl.register.bel-me-niet nl.register.listed nl.register.fresh", "Its rule applies to no call since. A register of another kind is asked when the configuration names one, and must be fresh."},
	{"NL-DATA-1", "Cooling-off before written acceptance", "", "No condition of a call."},
	{"NL-REC-1", "Recording of calls", "", "No condition of a call."},
	{"NL-RET-1", "How long proof is kept", "", "No condition of a call: proof and objections are not deleted by themselves; erasure is an act of its own."},
}

func coverageDoc() string {
	var b strings.Builder
	b.WriteString("# What became of the law\n\nGenerated from `cmd/dialgate/coverage_test.go`. Each row of the law that was read for the Dutch book, the rules that judge it ([policy.md](policy.md)), and what of it no rule can judge.\n\n" +
		"| row | asks | rules | what is left |\n|---|---|---|---|\n")
	for _, row := range lawRows {
		rules := "none"
		if ids := strings.Fields(row.rules); len(ids) > 0 {
			rules = "`" + strings.Join(ids, "` `") + "`"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", row.id, row.asks, rules, row.left)
	}
	return b.String()
}

// TestEveryRowOfTheLawIsAccountedFor: each row names rules that exist or says
// why there is none, and each rule that is not the house's own has a row.
func TestEveryRowOfTheLawIsAccountedFor(t *testing.T) {
	books, err := policy.NewBooks(policy.Settings{}, nl.Book())
	if err != nil {
		t.Fatal(err)
	}
	rules := map[string]*policy.Bound{}
	for _, r := range books.Rules() {
		rules[r.ID] = r
	}
	named := map[string]bool{}
	for _, row := range lawRows {
		if named[row.id] {
			t.Errorf("%s is there twice", row.id)
		}
		named[row.id] = true
		if row.rules == "" && row.left == "" {
			t.Errorf("%s has neither a rule nor a reason why there is none", row.id)
		}
		for _, id := range strings.Fields(row.rules) {
			named[id] = true
			if rules[id] == nil {
				t.Errorf("%s names %s, which is no rule", row.id, id)
			}
		}
	}
	for id, r := range rules {
		if !named[id] && r.Strength != policy.House && id != "base.emergency" {
			t.Errorf("%s, of %s, is named by no row", id, r.Source)
		}
	}
}
