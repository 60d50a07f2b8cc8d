package main

import (
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dialgate/configs"
	"dialgate/policy"
	"dialgate/policy/nl"
	"dialgate/sipproxy"
)

var update = flag.Bool("update", false, "rewrite the generated documents")

// TestDocsAreFresh holds each generated document against what it is made of.
func TestDocsAreFresh(t *testing.T) {
	for name, want := range map[string]string{
		"policy.md":       policyDoc(t),
		"law-coverage.md": coverageDoc(),
		"dialects.md":     sipproxy.DialectsMarkdown(),
		"config.md":       configs.Markdown(),
		"dependencies.md": dependenciesDoc(t),
		"roles.md":        rolesDoc(),
	} {
		path := filepath.Join("..", "..", "docs", name)
		if *update {
			if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		got, err := os.ReadFile(path)
		if err != nil || string(got) != want {
			t.Errorf("docs/%s is stale (%v); run go test ./cmd/dialgate -run TestDocs -update", name, err)
		}
	}
}

func policyDoc(t *testing.T) string {
	books, err := policy.NewBooks(policy.Settings{}, nl.Book())
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString("# The rules\n\nGenerated from the rules themselves. The base rules are judged for every call, the others by the book of the called number's country, on the local date of the call.\n" +
		"Every rule is enforced unless the configuration says `shadow` or `off`. Strength: statute (breach is unlawful), code (self-regulation), supervisor (published stance), policy (our own safe default).\n" +
		"Jurisdiction is the country of the called number; any: whoever is called. A ground is an alternative of the rule above it: it can only allow, so it has no mode. A flag refuses nothing: it is recorded, and `dialgate explain` shows it.\n" +
		"What each row of the law that was read became is in [law-coverage.md](law-coverage.md).\n" +
		"Sources were read in stored copies; the text of the Code Telemarketing now in force was not read on hours, holidays and attempts.\n")
	for _, r := range books.Rules() {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n*%s*\n\n", r.ID, r.English, r.Dutch)
		fmt.Fprintf(&b, "- jurisdiction: %s\n- in force: %s\n- strength: %s\n- source: %s\n", jurisdiction(r.Rule), inForce(r.Rule), r.Strength, r.Source)
		if r.Needs != "" {
			fmt.Fprintf(&b, "- evidence: %s\n", r.Needs)
		}
		if len(r.Reasons) > 0 {
			var names []string
			for _, reason := range r.Reasons {
				names = append(names, "`"+reason.String()+"`")
			}
			fmt.Fprintf(&b, "- reasons: %s\n", strings.Join(names, ", "))
		}
		for _, p := range r.Params {
			value := fmt.Sprint(p.Default)
			if p.Switch {
				value = fmt.Sprint(p.Default != 0)
			}
			fmt.Fprintf(&b, "- parameter `%s`: %s (default %s)\n", p.Name, p.Doc, value)
		}
	}
	b.WriteString("\n# The reasons\n\n| reason | verdict | means |\n|---|---|---|\n")
	for _, r := range policy.Reasons() {
		verdict := "deny"
		if r.Allows() {
			verdict = "allow"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", r, verdict, r.Text())
	}
	b.WriteString(cannotKnow)
	return b.String()
}

const cannotKnow = `
# What a proxy can't know

It judges what a message shows and what it was told. These it can't know, and it claims nothing of them:

1. What is said in the call: who calls and why, the offered objection, prices, duration, age, whether a claim is true. It can only ask that the campaign attests its script.
2. That a service or research call stays free of offers: the purpose comes from the configuration, not from SIP.
3. That consent was truly free, informed and specific, or that whoever answers is the person who gave it: telephones are shared, and numbers get new holders.
4. That products are similar: it compares codes that a person assigned.
5. Whether a subscriber is a natural or a legal person, beyond the data it was given.
6. That the number shown is answered when called back, or stands on a website, at the moment of the call: only that somebody tested it on a date.
7. That the carrier and the networks behind it keep the number visible; some countries hide or block their own numbers when a call comes in from abroad.
8. Calls that do not pass through it: mobile phones, other trunks, calls over the web. What it checks, it checks on its own path.
9. Rates of silent and abandoned calls: an answer in SIP says that a line was answered, not that a person heard a person.
10. Recording and its notice, cooling-off periods, written acceptance, whether a contract is valid.
11. Whether an AI voice agent is a system without human intervention, or says that it is one.
12. Where a mobile phone is: the hours are those of the called number's country.
13. Whether a call is lawful. It says which rule of which strength was not met, on the data held; it never says that all is well with the law.
14. A national opt-out register of the Netherlands: there is none since 1 July 2021. A register of another kind is asked when the configuration names one.
15. What an emergency call is about. It lets one through before anything else is read or known, since hindering one would be worse than any sales call.
`

// TestEveryReasonIsAnsweredAndExplained: no reason may leave a dialer or a
// reader without a word.
func TestEveryReasonIsAnsweredAndExplained(t *testing.T) {
	for _, r := range policy.Reasons() {
		if r.Text() == "" || r.String() == "" {
			t.Errorf("reason %d has no text", r)
		}
		if back, ok := policy.ParseReason(r.String()); !ok || back != r {
			t.Errorf("%s is not found by its name", r)
		}
		if r.Allows() {
			continue
		}
		if r.Step() == 0 {
			t.Errorf("%s has no step", r)
		}
		for _, d := range sipproxy.Dialects() {
			a := sipproxy.AnswerTo(d, r)
			if a.Code < 400 || a.Code > 699 || a.Phrase == "" || a.Text == "" {
				t.Errorf("%s in %s: %+v", r, d, a)
			}
			if d != sipproxy.Strict && (a.Code >= 500 && a.Code < 600 || a.Code == 408) {
				t.Errorf("%s in the dialect %s is %d, on which trunks go round us", r, d, a.Code)
			}
			if a.Code == 404 || a.Code == 484 || a.Code == 604 {
				t.Errorf("%s in the dialect %s is %d, by which a dialer files the number as disconnected", r, d, a.Code)
			}
			if len(a.Text) > 64 {
				t.Errorf("%s: the Reason text has more than 64 characters", r)
			}
		}
	}
}

// TestEveryDialectCanBeConfigured: the schema allows every dialect there is.
func TestEveryDialectCanBeConfigured(t *testing.T) {
	for _, d := range sipproxy.Dialects() {
		text := fmt.Sprintf("peers: [{id: a, sources: [192.0.2.1], campaigns: [\"*\"], dialect: %s}]\ncarriers: [{id: c, targets: [\"192.0.2.9:5060\"]}]\n", d)
		if _, err := configs.Parse("a.yaml", []byte(text)); err != nil {
			t.Error(err)
		}
	}
}

// TestDialplansKnowThePhrase: the snippets for dialers go by the phrase that
// their dialects have, and each refusal for good has it.
func TestDialplansKnowThePhrase(t *testing.T) {
	for file, d := range map[string]sipproxy.Dialect{
		"extensions.conf": sipproxy.VicidialPJSIP, "dialgate_disposition.lua": sipproxy.FreeSWITCH, "README.md": sipproxy.VicidialChanSIP,
	} {
		text, err := os.ReadFile(filepath.Join("..", "..", "deploy", "dialplan", file))
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range []policy.Reason{policy.ReasonObjected, policy.ReasonListed, policy.ReasonConsentWithdrawn} {
			if a := sipproxy.AnswerTo(d, r); !strings.Contains(string(text), a.Phrase) || a.Phrase == sipproxy.AnswerTo(d, policy.ReasonNoConsent).Phrase {
				t.Errorf("%s does not go by the phrase %q of %s in %s", file, a.Phrase, r, d)
			}
		}
	}
}

// TestEveryRuleIsDocumented: a rule has two sentences and a source.
func TestEveryRuleIsDocumented(t *testing.T) {
	books, err := policy.NewBooks(policy.Settings{}, nl.Book())
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, r := range books.Rules() {
		if seen[r.ID] {
			t.Errorf("%s is there twice", r.ID)
		}
		seen[r.ID] = true
		if r.English == "" || r.Dutch == "" || r.Source == "" {
			t.Errorf("%s lacks a sentence or its source", r.ID)
		}
		if want := strings.HasPrefix(r.ID, "nl."); want != (r.Jurisdiction == "NL") {
			t.Errorf("%s has jurisdiction %q", r.ID, r.Jurisdiction)
		}
		if r.To != 0 && r.To <= r.From {
			t.Errorf("%s ends on %s, before it begins on %s", r.ID, r.To, r.From)
		}
	}
}

// TestNothingIsCalledLawful: no text of the program or its documents says that
// a call obeys the law. It says what was checked, on which rule and which data.
func TestNothingIsCalledLawful(t *testing.T) {
	claim := "compl" + "iant"
	read := 0
	err := filepath.WalkDir(filepath.Join("..", ".."), func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if e.IsDir() && strings.HasPrefix(e.Name(), ".git") {
			return filepath.SkipDir
		}
		switch filepath.Ext(path) {
		case ".go", ".md", ".txt", ".yaml", ".txtar":
		default:
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		read++
		if strings.Contains(strings.ToLower(string(text)), claim) {
			t.Errorf("%s says %q: say what was checked instead", path, claim)
		}
		return nil
	})
	if err != nil || read < 50 {
		t.Errorf("%d files read, %v", read, err)
	}
}
