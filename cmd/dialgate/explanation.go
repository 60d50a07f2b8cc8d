package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"dialgate/policy"
)

// An explanation is one judged call with all that led to its verdict: for
// people as text, for scripts as JSON with these keys.
type explanation struct {
	Verdict  string          `json:"verdict"`
	Reason   string          `json:"reason"`
	Means    string          `json:"means"`
	Rule     string          `json:"rule,omitempty"`
	Would    string          `json:"would,omitempty"` // of not-enforced: the reason of the refusal that is not made
	By       string          `json:"by,omitempty"`    // and why it is not: shadow, off or permit
	Basis    []string        `json:"basis,omitempty"`
	At       string          `json:"at"`
	From     string          `json:"from,omitempty"`
	To       string          `json:"to,omitempty"`
	Peer     string          `json:"peer,omitempty"`
	Campaign string          `json:"campaign,omitempty"`
	Mode     string          `json:"mode"`
	Offers   []string        `json:"offers,omitempty"` // streams and their codecs
	Book     string          `json:"book,omitempty"`
	SIP      *sipAnswer      `json:"sip,omitempty"` // of a refusal, or of an allowed call that the switch makes itself
	Findings []findingReport `json:"findings"`
	Marks    []string        `json:"marks,omitempty"`
	Facts    []factReport    `json:"facts"`
}

// sipAnswer is how the verdict is said in the peer's dialect.
type sipAnswer struct {
	Code    int      `json:"code"`
	Phrase  string   `json:"phrase"`
	Headers []string `json:"headers,omitempty"`
}

type findingReport struct {
	Rule     string   `json:"rule"`
	Result   string   `json:"result"`
	Reason   string   `json:"reason,omitempty"`
	Mode     string   `json:"mode"`
	Strength string   `json:"strength"`
	Source   string   `json:"source"`
	Asks     string   `json:"asks"`
	Note     string   `json:"note,omitempty"`
	Facts    []string `json:"facts,omitempty"`
}

type factReport struct {
	ID         string          `json:"id"`
	Kind       string          `json:"kind"`
	Advertiser string          `json:"advertiser,omitempty"`
	At         string          `json:"at"`
	Fact       json.RawMessage `json:"fact"`
	Undone     bool            `json:"undone,omitempty"`
}

// explain puts a decision into words. The numbers are written in full: whoever
// runs the command is an authorised reader.
func explain(a *policy.Attempt, facts *policy.Facts, d *policy.Decision, answer *sipAnswer) explanation {
	e := explanation{
		Verdict: d.Verdict.String(), Reason: d.Reason.String(), Means: d.Reason.Text(), Rule: d.Rule(), Basis: d.Basis(),
		At: a.At.Format(time.RFC3339), From: a.Caller.Shown.E164(), To: a.Called.Number.E164(), Mode: a.Mode().String(), Book: d.Book, SIP: answer,
		Findings: []findingReport{}, Facts: []factReport{},
	}
	if e.To == "" {
		e.To = a.Called.Text
	}
	if w := d.Waived(); w.Reason != policy.NoReason {
		e.Would, e.By = w.Reason.String(), w.By
	}
	if a.Peer != nil {
		e.Peer = a.Peer.ID
	}
	if a.Campaign != nil {
		e.Campaign = a.Campaign.ID
	}
	for _, m := range a.Media {
		e.Offers = append(e.Offers, m.String())
	}
	for i := range d.Findings {
		e.Findings = append(e.Findings, reportFinding(&d.Findings[i]))
	}
	for _, m := range a.Caller.Marks {
		e.Marks = append(e.Marks, m.Sentence())
	}
	for i := range facts.All {
		f := &facts.All[i]
		e.Facts = append(e.Facts, factReport{f.ID, f.Kind.String(), f.Advertiser, f.At.Format(time.RFC3339), f.AppendJSON(nil), facts.UndoneBy(f) != nil})
	}
	return e
}

func reportFinding(f *policy.Finding) findingReport {
	r := findingReport{
		Rule: f.Rule.ID, Result: f.Result.String(), Mode: f.Mode.String(), Strength: f.Rule.Strength.String(),
		Source: f.Rule.Source, Asks: f.Rule.English, Note: f.Note, Facts: f.Facts(),
	}
	if f.Result == policy.Deny || f.Result == policy.Allow {
		r.Reason = f.Reason.String()
	}
	return r
}

// text prints the explanation for people.
func (e *explanation) text(w io.Writer) error {
	p := printer{w: w}
	p.line("%s  %s", strings.ToUpper(e.Verdict), e.Reason)
	p.line("  %s", e.Means)
	p.line("")
	p.line("call      %s -> %s at %s", orNone(e.From), orNone(e.To), e.At)
	p.line("peer      %s, campaign %s, %s", orNone(e.Peer), orNone(e.Campaign), e.Mode)
	if len(e.Offers) > 0 {
		p.line("offers    %s", strings.Join(e.Offers, "; "))
	}
	if e.Book != "" {
		p.line("book      %s", e.Book)
	}
	if e.Rule != "" {
		p.line("decided   by %s", e.Rule)
	}
	if e.Would != "" {
		p.line("otherwise refused with %s; the rule is in mode %s", e.Would, e.By)
	}
	if e.SIP != nil {
		p.line("answer    %d %s", e.SIP.Code, e.SIP.Phrase)
		for _, h := range e.SIP.Headers {
			p.line("          %s", h)
		}
	}
	p.line("\nRules judged (%d):", len(e.Findings))
	for _, f := range e.Findings {
		p.finding(f)
	}
	if len(e.Marks) > 0 {
		p.line("\nSeen in the identity headers:")
		for _, m := range e.Marks {
			p.line("  %s", m)
		}
	}
	p.line("\nFacts held of the called number: %d", len(e.Facts))
	for _, f := range e.Facts {
		undone := ""
		if f.Undone {
			undone = " (undone)"
		}
		p.line("  %s%s %s", f.ID, undone, f.Fact)
	}
	p.line("\nThis says what was checked, on these rules and these facts; it is no legal advice.")
	return p.err
}

// A printer writes lines and remembers the first error.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format+"\n", args...)
	}
}

func (p *printer) finding(f findingReport) {
	result := f.Result
	if f.Reason != "" {
		result += " " + f.Reason
	}
	if f.Mode != policy.Enforce.String() {
		result += " (" + f.Mode + ")"
	}
	p.line("  %-28s %s", f.Rule, result)
	if f.Note != "" {
		p.line("  %-28s   %s", "", f.Note)
	}
	if len(f.Facts) > 0 {
		p.line("  %-28s   rests on %s", "", strings.Join(f.Facts, ", "))
	}
	p.line("  %-28s   %s: %s", "", f.Strength, f.Source)
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

// listRules prints every rule for explain --rules.
func listRules(w io.Writer, rules []*policy.Bound) error {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(t, "RULE\tMODE\tIN FORCE\tSTRENGTH\tJURISDICTION\tSOURCE")
	for _, r := range rules {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", r.ID, modesOf(r), inForce(r.Rule), r.Strength, jurisdiction(r.Rule), r.Source)
	}
	return t.Flush()
}

// jurisdiction is whose numbers a rule is judged for.
func jurisdiction(r *policy.Rule) string {
	if r.Jurisdiction == "" {
		return "any"
	}
	return r.Jurisdiction
}

// ground stands in place of the mode of a rule that refuses nothing.
const ground = "ground"

func isGround(r *policy.Bound) bool { return len(r.Reasons) > 0 && r.Reasons[0].Allows() }

// modeOf is a rule's mode for a call that no other choice is about.
func modeOf(r *policy.Bound) string {
	if isGround(r) {
		return ground
	}
	return r.Mode.String()
}

// modesOf is a rule's mode with the choices for campaigns, peers and shares.
func modesOf(r *policy.Bound) string {
	if isGround(r) {
		return ground
	}
	return r.Modes()
}

func inForce(r *policy.Rule) string {
	switch {
	case r.From == policy.NotInForce:
		return "not in force"
	case r.From == 0 && r.To == 0:
		return "always"
	case r.To == 0:
		return "from " + r.From.String()
	case r.From == 0:
		return "until " + r.To.AddDays(-1).String()
	}
	return r.From.String() + " to " + r.To.AddDays(-1).String()
}

// ruleReport is a rule in JSON.
type ruleReport struct {
	ID       string `json:"id"`
	Mode     string `json:"mode"`
	Modes    string `json:"modes,omitempty"` // in words, when the mode is not that of every call
	From     string `json:"from,omitempty"`
	To       string `json:"to,omitempty"` // the first day it no longer applies
	Strength string `json:"strength"`
	// Jurisdiction is the country whose numbers it is judged for, or any.
	Jurisdiction string        `json:"jurisdiction"`
	Source       string        `json:"source"`
	English      string        `json:"english"`
	Dutch        string        `json:"dutch"`
	Needs        string        `json:"needs,omitempty"`
	Reasons      []string      `json:"reasons,omitempty"`
	Params       []paramReport `json:"params,omitempty"`
}

type paramReport struct {
	Name    string `json:"name"`
	Value   int    `json:"value"`
	Default int    `json:"default"`
	Doc     string `json:"doc"`
}

func reportRules(rules []*policy.Bound) []ruleReport {
	var out []ruleReport
	for _, r := range rules {
		report := ruleReport{ID: r.ID, Mode: modeOf(r), Jurisdiction: jurisdiction(r.Rule), From: r.From.String(), To: r.To.String(), Strength: r.Strength.String(),
			Source: r.Source, English: r.English, Dutch: r.Dutch, Needs: r.Needs}
		if modes := modesOf(r); modes != report.Mode {
			report.Modes = modes
		}
		for _, reason := range r.Reasons {
			report.Reasons = append(report.Reasons, reason.String())
		}
		for i, p := range r.Params {
			report.Params = append(report.Params, paramReport{p.Name, r.Value(i), p.Default, p.Doc})
		}
		out = append(out, report)
	}
	return out
}

func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}
