package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"dialgate/configs"
	"dialgate/console"
	"dialgate/gate"
	"dialgate/policy"
)

type checkCmd struct {
	Config  string   `short:"c" help:"Configuration file; default: the embedded one." placeholder:"FILE"`
	Rewrite bool     `help:"Write what came out into the files where it differs."`
	Cases   []string `arg:"" optional:"" help:"Files of acceptance cases."`
}

// Help is printed by --help.
func (checkCmd) Help() string {
	return "Example: dialgate check -c dialgate.yaml cases.yaml"
}

// Run validates the configuration and runs every case through the same
// reading, rules and answers as a live call.
func (c checkCmd) Run(s streams) error {
	cfg, base, err := loadConfig(c.Config)
	if err != nil {
		return err
	}
	world, err := newWorld(cfg, nil)
	if err != nil {
		return err
	}
	own, err := caseFiles(cfg, c.Config)
	if err != nil {
		return err
	}
	for _, w := range world.warnings() {
		fmt.Fprintln(s.err, "warning:", w)
	}
	ran, failed := 0, 0
	for _, name := range append(own, c.Cases...) {
		file, data, err := readCases(name, base)
		if err != nil {
			return err
		}
		misses, _, err := runCases(file, name, s.out)
		if err != nil {
			return err
		}
		ran, failed = ran+len(file.Cases), failed+len(misses)
		if c.Rewrite && len(misses) > 0 {
			if err := rewriteCases(name, data, misses); err != nil {
				return err
			}
		}
	}
	if ran == 0 {
		fmt.Fprintln(s.out, "the configuration is right")
		return nil
	}
	fmt.Fprintf(s.out, "%d cases, %d as expected, %d not\n", ran, ran-failed, failed)
	if failed > 0 && !c.Rewrite {
		return errFinding
	}
	return nil
}

// readCases reads a file of acceptance cases that run on a configuration, whose
// text is base. data is what the file holds.
func readCases(name string, base []byte) (file *configs.CaseFile, data []byte, err error) {
	if data, err = os.ReadFile(name); err != nil {
		return nil, nil, usageError("the cases can't be read: %v", err)
	}
	file, err = configs.ParseCases(name, data, base, policy.FactForm{Zone: calledZone(), Number: localNumber})
	return file, data, configError(err)
}

// caseFiles are the files of acceptance cases that the configuration in path
// names, beside that file.
func caseFiles(cfg *configs.Config, path string) (files []string, err error) {
	var errs configs.Errors
	for i, name := range cfg.Cases {
		if !filepath.IsAbs(name) {
			name = filepath.Join(filepath.Dir(path), name)
		}
		if _, err := os.Stat(name); err != nil {
			errs = append(errs, cfg.At(fmt.Sprintf("cases[%d]", i), err))
		}
		files = append(files, name)
	}
	if len(errs) > 0 {
		return nil, configError(errs)
	}
	return files, nil
}

// loadAccepted reads a configuration that a node is to run on: the acceptance
// cases that it names come out as expected.
func loadAccepted(path string) (*world, error) {
	cfg, base, err := loadConfig(path)
	if err != nil {
		return nil, err
	}
	w, err := newWorld(cfg, nil)
	if err != nil {
		return nil, err
	}
	files, err := caseFiles(cfg, path)
	if err != nil {
		return nil, err
	}
	var wrong strings.Builder
	failed := 0
	for _, name := range files {
		file, _, err := readCases(name, base)
		if err != nil {
			return nil, err
		}
		misses, ran, err := runCases(file, name, &wrong)
		if err != nil {
			return nil, err
		}
		w.ran, failed = append(w.ran, ran...), failed+len(misses)
	}
	if failed > 0 {
		return nil, usageError("%d of %d acceptance cases did not come out as expected\n%s", failed, len(w.ran), strings.TrimSpace(wrong.String()))
	}
	return w, nil
}

// A miss is a case that came out otherwise than expected.
type miss struct {
	c   *configs.Case
	got outcome
}

// An outcome is what came of a case.
type outcome struct {
	verdict, reason, rule string
	sip                   int
	basis                 []string
	findings              []policy.Finding
}

// runCases runs a file's cases and prints each that came out otherwise.
func runCases(file *configs.CaseFile, name string, w io.Writer) (misses []miss, ran []console.CaseResult, err error) {
	for i := range file.Cases {
		c := &file.Cases[i]
		got, err := runCase(file.Config, c)
		if err != nil {
			return nil, nil, usageError("%s:%d: case %q: %v", name, c.Line, c.Name, err)
		}
		wrong := compare(&c.Expected, got)
		ran = append(ran, console.CaseResult{File: filepath.Base(name), Line: c.Line, Name: c.Name, At: c.At, Verdict: c.Expected.Verdict, Reason: c.Expected.Reason,
			GotVerdict: got.verdict, GotReason: got.reason, AsExpected: wrong == ""})
		if wrong != "" {
			fmt.Fprintf(w, "%s:%d: %s\n%s", name, c.Line, c.Name, wrong)
			misses = append(misses, miss{c, got})
		}
	}
	return misses, ran, nil
}

// compare says what differs, "" when nothing does.
func compare(want *configs.Expectation, got outcome) string {
	var b strings.Builder
	differ := func(what, want, got string) {
		if want != got {
			fmt.Fprintf(&b, "  %-8s want %s, got %s\n", what, want, got)
		}
	}
	differ("verdict", want.Verdict, got.verdict)
	if want.Reason != "" {
		differ("reason", want.Reason, got.reason)
	}
	if want.SIP != 0 {
		differ("sip", fmt.Sprint(want.SIP), fmt.Sprint(got.sip))
	}
	if want.Rule != "" {
		differ("rule", want.Rule, got.rule)
	}
	if want.Basis != nil {
		differ("basis", fmt.Sprint(want.Basis), fmt.Sprint(got.basis))
	}
	return b.String()
}

// stranger in the place of a peer is a source that is none.
const stranger = "stranger"

// runCase judges a case through the gate, with its facts in memory.
func runCase(cfg *configs.Config, c *configs.Case) (outcome, error) {
	w, err := newWorld(cfg, c.Without)
	if err != nil {
		return outcome{}, err
	}
	peer, err := w.peer(c.Call.Peer)
	if err != nil && c.Call.Peer != stranger {
		return outcome{}, err
	}
	raw := lineEnds([]byte(c.Raw))
	if c.Raw == "" {
		h := hypothetical{from: c.Call.From, to: c.Call.To, fromHeader: c.Call.FromHeader, ruri: c.Call.RURI, headers: c.Call.Headers}
		if err := h.check(); err != nil {
			return outcome{}, err
		}
		raw = h.invite()
	}
	a, err := w.attempt(raw, peer, c.Call.Campaign, c.At)
	if err != nil {
		return outcome{}, err
	}
	known := caseFacts{facts: policy.Facts{Number: a.Called.Number, AsOf: c.AsOf}}
	for _, f := range c.Facts {
		if f.Number == a.Called.Number && (c.KnownAt.IsZero() || !f.RecordedAt.After(c.KnownAt)) {
			known.facts.All = append(known.facts.All, f)
		}
	}
	known.facts.Sort()
	for _, e := range c.Earlier {
		earlier := policy.Attempt{At: e.At, Called: a.Called, Campaign: w.campaignOf(e.From, a), CallID: e.CallID}
		if call, ok := earlier.Made(); ok {
			call.Allowed = e.Allowed
			known.facts.Calls = append(known.facts.Calls, call)
		}
	}
	return judgeCase(w, c, a, &known)
}

// campaignOf is the campaign that a number calls for: that of the case's own
// call when the number tells nothing else.
func (w *world) campaignOf(from string, a *policy.Attempt) *policy.Campaign {
	if n, err := localNumber(from); err == nil {
		if entry := w.domain.Directory.Caller(n); entry != nil && len(entry.Campaigns) > 0 {
			return entry.Campaigns[0]
		}
	}
	return a.Campaign
}

func judgeCase(w *world, c *configs.Case, a *policy.Attempt, known *caseFacts) (outcome, error) {
	broken := errors.New("broken by the case")
	var ledger caseLedger
	if slices.Contains(c.Broken, "store") {
		known.err = broken
	}
	if slices.Contains(c.Broken, "ledger") {
		ledger.err = broken
	}
	var ruling policy.Ruling
	g := gate.New(gate.Options{
		Rules: gate.Rules{Books: w.books, Config: w.cfg.ID()}, Facts: known, Ledger: &ledger, Node: w.cfg.Node,
		Now: func() time.Time { return c.At }, Permit: w.permit(),
		Answer: func(p *policy.PeerTerms, r policy.Reason) int { return answer(p, r).Code },
	})
	g.Judge(a, func(r policy.Ruling) { ruling = r })
	d := &ruling.Decision
	if slices.Contains(c.Broken, "overload") && d.Reason != policy.ReasonEmergency {
		*d = policy.Operational(policy.ReasonOverloaded) // the proxy refuses before it asks the gate
	}
	out := outcome{verdict: d.Verdict.String(), reason: d.Reason.String(), rule: d.Rule(), basis: d.Basis(), findings: d.Findings}
	if d.Verdict == policy.Denied {
		out.sip = answer(a.Peer, d.Told()).Code
	}
	return out, nil
}

// permit is the operation reasons for which the operator lets calls through.
func (w *world) permit() map[policy.Reason]bool {
	out := map[policy.Reason]bool{}
	for _, name := range w.cfg.Permit {
		if r, ok := policy.ParseReason(name); ok {
			out[r] = true
		}
	}
	return out
}

// caseFacts are the facts of one case.
type caseFacts struct {
	facts policy.Facts
	err   error
}

func (f *caseFacts) Hold(_ policy.Number, into *policy.Facts) error {
	*into = f.facts
	return f.err
}

func (f *caseFacts) Release(policy.Number, *policy.EarlierCall) {}

func (f *caseFacts) TakeBack(policy.Number, policy.EarlierCall) {}

// caseLedger takes a record and forgets it.
type caseLedger struct{ err error }

func (l *caseLedger) Append(_ *policy.Record, done func(error) bool)    { done(l.err) }
func (l *caseLedger) AppendOutcome(_ *policy.Outcome, done func(error)) { done(l.err) }
