package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"dialgate/configs"
	"dialgate/console"
	"dialgate/policy"
	"dialgate/store"
)

// A consoleNode is a node as its console knows it.
type consoleNode struct{ *node }

// asInvalid makes what the caller has to put right known to the console.
func asInvalid(path string, err error) error {
	var status *statusError
	if errors.As(err, &status) && status.status == exitUsage {
		return &console.Invalid{Path: path, Text: strings.ReplaceAll(status.text, "\n", "; ")}
	}
	return err
}

func (n consoleNode) Form() policy.FactForm {
	return policy.FactForm{Zone: calledZone(), Number: localNumber, Attested: true}
}

func (n consoleNode) Now() time.Time       { return n.o.now() }
func (n consoleNode) Zone() *time.Location { return calledZone() }

func (n consoleNode) Add(ctx context.Context, facts ...policy.Fact) ([]console.Added, error) {
	results, err := n.store.Add(ctx, facts...)
	out := make([]console.Added, len(results))
	for i, r := range results {
		out[i] = console.Added{ID: r.ID, Known: r.Known, Err: r.Err}
	}
	return out, asNoRoom(err)
}

// asNoRoom makes a full disk known to the console.
func asNoRoom(err error) error {
	if errors.Is(err, store.ErrNoRoom) {
		return fmt.Errorf("%w: %w", console.ErrNoRoom, err)
	}
	return err
}

func (n consoleNode) History(number policy.Number) (policy.Facts, error) {
	return n.store.History(number)
}

func (n consoleNode) Search(s console.Search) (page console.Page, err error) {
	found, err := n.store.Search(store.Search{Before: s.Before, From: s.From, To: s.To, Verdict: s.Verdict, Reason: s.Reason, Rule: s.Rule, Peer: s.Peer,
		Campaign: s.Campaign, Advertiser: s.Advertiser, Number: s.Number, Most: s.Most, Public: s.Public})
	page.Next = found.Next
	for i := range found.Decisions {
		page.Calls = append(page.Calls, callOf(&found.Decisions[i]))
	}
	return page, err
}

func (n consoleNode) Call(seq uint64) (*console.Call, *console.Outcome, error) {
	d, o, err := n.store.Decision(seq)
	if errors.Is(err, store.ErrNoDecision) {
		return nil, nil, console.ErrNoCall
	}
	if err != nil {
		return nil, nil, err
	}
	c := callOf(&d)
	c.Invite = string(d.Raw)
	if o == nil {
		return &c, nil, nil
	}
	return &c, &console.Outcome{At: o.At, Code: o.Code, RingMS: o.RingMS, EndedBy: o.EndedBy, Carrier: o.Carrier, Tried: o.Tried, Instead: o.Instead}, nil
}

// callOf is a decision as the console knows it.
func callOf(d *store.Decision) console.Call {
	c := console.Call{Seq: d.Seq, At: d.At, ID: d.ID, Erased: d.Erased, Verdict: d.Verdict, Reason: d.Reason, Rule: d.Rule, Would: d.Would, By: d.By,
		Book: d.Book, Config: d.Config, Node: d.Node, Answer: d.Answer, Micros: d.Us, From: d.From, FromText: d.FromText, To: d.To, ToText: d.ToText,
		Emergency: d.Emergency, Hides: d.Hides, Malformed: d.Malformed, Named: d.Named, Peer: d.Peer, Campaign: d.Campaign, Advertiser: d.Advertiser,
		Purpose: d.Purpose, Mode: d.Mode, CallID: d.CallID, Fax: d.Fax, Marks: d.Marks}
	if c.ToText == "" {
		c.ToText = d.ToShort
	}
	for _, f := range d.Findings {
		c.Findings = append(c.Findings, console.Finding(f))
	}
	for _, m := range d.Media {
		c.Offers = append(c.Offers, strings.Join(append([]string{m.Kind}, m.Codecs...), " "))
	}
	return c
}

func (n consoleNode) Events(after uint64, most int) (events []console.Event, last, missed uint64, err error) {
	found, last, missed, err := n.store.Since(after, most)
	for i := range found {
		e := console.Event{Seq: found[i].Seq, Key: found[i].Key, At: found[i].At, Objection: found[i].Objection}
		if d := found[i].Decision; d != nil {
			e.Call = new(callOf(d))
		}
		events = append(events, e)
	}
	return events, last, missed, err
}

func (n consoleNode) LedgerEnd() uint64 { return n.store.LedgerEnd() }

func (n consoleNode) LookedUp(l console.LookUp) error {
	return n.store.LookedUp(store.LookUp(l))
}

func (n consoleNode) LookUps(before uint64, most int) (looks []console.Look, next uint64, err error) {
	found, next, err := n.store.LookUps(before, most)
	for _, l := range found {
		looks = append(looks, console.Look(l))
	}
	return looks, next, err
}

func (n consoleNode) Prove(number policy.Number, knownAt time.Time, advertiser string) (p console.Proof, err error) {
	pack, err := n.store.ProveTo(advertiser, number, knownAt)
	if err != nil {
		return p, err
	}
	if p.JSON, err = pack.AppendJSON(nil); err != nil {
		return p, err
	}
	p.HTML, err = pack.HTML()
	return p, err
}

func (n consoleNode) Checkpoint() ([]byte, error) { return n.store.Checkpoint() }

func (n consoleNode) PublicKey() (string, error) {
	key, err := n.store.PublicKey()
	return key.String(), err
}

func (n consoleNode) Erase(number policy.Number, ground string) (console.Erased, error) {
	e, err := n.store.Erase(number, ground)
	if errors.Is(err, store.ErrGround) {
		err = &console.Invalid{Path: "ground", Text: err.Error()}
	}
	return console.Erased(e), asNoRoom(err)
}

func (n consoleNode) Judge(q console.Question) (*console.Judged, error) {
	w := n.current.Load()
	h := hypothetical{from: q.From, to: q.To, headers: q.Headers}
	var wrong []error
	for path, text := range map[string]string{"from": q.From, "to": q.To} {
		if text == "" {
			wrong = append(wrong, &console.Invalid{Path: path, Text: "is missing"})
		}
	}
	if err := h.check(); err != nil {
		wrong = append(wrong, &console.Invalid{Path: "headers", Text: err.Error()})
	}
	peer, err := w.peer(q.Peer)
	if err != nil {
		wrong = append(wrong, asInvalid("peer", err))
	}
	if len(wrong) > 0 {
		return nil, errors.Join(wrong...)
	}
	at := q.At
	if at.IsZero() {
		at = n.o.now()
	}
	a, err := w.attempt(h.invite(), peer, q.Campaign, at)
	if err != nil {
		return nil, asInvalid("campaign", err)
	}
	facts := policy.Facts{Number: a.Called.Number}
	if !facts.Number.IsZero() {
		if facts, err = n.store.History(facts.Number); err != nil {
			return nil, err
		}
	}
	if !q.KnownAt.IsZero() {
		facts = facts.KnownAt(q.KnownAt)
	}
	d := w.books.Explain(a, &facts)
	j := &console.Judged{Attempt: a, Facts: facts, Decision: d}
	answer := sipAnswerTo(a.Peer, &d)
	if answer != nil {
		j.Code, j.Phrase, j.Headers = answer.Code, answer.Phrase, answer.Headers
	}
	j.Explains = explain(a, &facts, &d, answer)
	return j, nil
}

// mostStandings bounds the campaigns that a number is judged for at once.
const mostStandings = 200

func (n consoleNode) Standings(number policy.Number) (out []console.Standing, err error) {
	w := n.current.Load()
	facts, err := n.store.History(number)
	if err != nil {
		return nil, err
	}
	lasting, err := w.lasting()
	if err != nil {
		return nil, err
	}
	var scratch policy.Decision
	for i := range w.cfg.Campaigns[:min(len(w.cfg.Campaigns), mostStandings)] {
		k := &w.cfg.Campaigns[i]
		a, err := w.callFor(k.ID, "", n.o.now())
		if err != nil {
			continue // nobody can call for it
		}
		a.Called = w.reader.Dialled([]byte(number.E164()), a.Peer)
		d := w.books.Decide(a, &facts)
		st := console.Standing{Campaign: k.ID, Advertiser: k.Advertiser, Purpose: k.Purpose, Mode: a.Mode().String(), Verdict: d.Verdict.String(), Reason: d.Reason.String()}
		if d.Verdict == policy.Allowed {
			st.Until, _ = lasting.Until(&scratch, a, &facts)
		}
		out = append(out, st)
	}
	return out, nil
}

func (n consoleNode) Scrub(o console.ScrubOptions, in io.Reader, out io.Writer) (r console.ScrubReport, err error) {
	c := scrubCmd{Campaign: o.Campaign, NumberColumn: o.Column}
	if !o.At.IsZero() {
		c.At = o.At.Format(time.RFC3339)
	}
	j, err := c.judge(n.current.Load())
	if err != nil {
		return r, asInvalid("campaign", err)
	}
	j.known = n.store.Known
	list, err := openList(in, o.Column, j.isNumber)
	if err != nil {
		return r, &console.Invalid{Path: "list", Text: oneLine(err)}
	}
	sc := newScrubber(j, list, out)
	err = sc.run()
	return console.ScrubReport{Allowed: sc.allowed, Refused: sc.refused}, err
}

func (n consoleNode) Rules() []*policy.Bound { return n.current.Load().books.Rules() }

func (n consoleNode) Cases() []console.CaseResult { return n.current.Load().ran }

func (n consoleNode) State() console.State {
	w := n.current.Load()
	s := console.State{Node: n.world.cfg.Node, Version: version, Ready: true, Since: n.began, Facts: map[string]int64{}, Names: map[string]string{},
		Peers: []console.Peer{}, Carriers: []console.Carrier{}, Campaigns: []console.CampaignState{},
		Ledger: console.LedgerState{Records: n.store.LedgerEnd(), Octets: n.store.LedgerBytes(), Mode: n.world.cfg.Ledger.Mode},
		Config: console.Config{File: n.o.config, ID: w.cfg.ID(), Loaded: *n.loaded.Load(), Cases: len(w.ran), Warnings: w.warnings()}}
	if err := n.ready(); err != nil {
		s.Ready, s.Why = false, oneLine(err)
	}
	if failed := n.reloadFailed.Load(); failed != nil {
		s.Config.Failed = *failed
	}
	for k, count := range n.store.Counts() {
		s.Facts[k.String()] = count
	}
	callers, carriers := n.proxy.Peers(), n.proxy.Carriers()
	for _, p := range w.cfg.Peers {
		live := callers[p.ID]
		s.Peers = append(s.Peers, console.Peer{ID: p.ID, Sources: p.Sources, Campaigns: p.Campaigns, Dialect: p.Dialect, InSetup: live.InSetup, LastCall: live.LastCall})
	}
	for _, c := range w.cfg.Carriers {
		live := carriers[c.ID]
		one := console.Carrier{ID: c.ID, Targets: c.Targets, Transport: kind(c.Transport).String(), Priority: c.Priority, Weight: c.Weight,
			State: live.State(), Probed: c.Probing.Every > 0, InSetup: live.InSetup, Reach: []console.Target{}}
		for _, t := range live.Targets {
			one.Reach = append(one.Reach, console.Target{Address: t.Addr.String(), State: t.State, Since: t.Since, Why: t.Why})
		}
		s.Carriers = append(s.Carriers, one)
	}
	for _, k := range w.cfg.Campaigns {
		s.Campaigns = append(s.Campaigns, console.CampaignState{ID: k.ID, Advertiser: k.Advertiser, Purpose: k.Purpose, Products: k.Products, Callers: k.Callers})
	}
	for _, a := range w.cfg.Advertisers {
		s.Names[a.ID] = a.Name
	}
	return s
}

func (n consoleNode) Reload() (console.Reloaded, error) {
	r, err := n.reload()
	if err == nil {
		return console.Reloaded(r), nil
	}
	var errs configs.Errors
	if _, again := configs.Load(n.o.config); n.o.config != "" && errors.As(again, &errs) {
		var all []error
		for _, e := range errs {
			all = append(all, &console.Invalid{Path: e.Path, Text: fmt.Sprintf("line %d, column %d: %s", e.Line, e.Col, e.Text)})
		}
		return console.Reloaded{}, errors.Join(all...)
	}
	return console.Reloaded{}, &console.Invalid{Path: n.o.config, Text: err.Error()}
}

// Import works a file off as dialgate facts import does.
func (n consoleNode) Import(ctx context.Context, o console.ImportOptions, in io.Reader) (r console.ImportReport, err error) {
	i := importer{ctx: ctx, keeper: n.store, report: newImportReport(o.Name, o.DryRun), rejects: rejects{path: o.Rejects}, bar: bar(io.Discard, -1, "")}
	intake := store.Intake{Form: n.Form(), Constants: o.Constants, Batch: o.Name}
	if err := setColumns(&intake, &o); err != nil {
		return r, err
	}
	err = i.run(intake, &progressReader{ctx: ctx, r: in, tell: o.Progress})
	r = console.ImportReport{Rows: i.report.Rows, Added: i.report.sums.imported, Known: i.report.sums.known, Rejected: i.report.sums.rejected}
	return r, errors.Join(err, i.rejects.close())
}

// setColumns has an intake read columns as was asked for.
func setColumns(intake *store.Intake, o *console.ImportOptions) error {
	if o.Columns == nil && o.Ignore == nil && o.Values == nil && !o.Dutch && !o.Guess {
		return nil
	}
	intake.Columns = &store.Columns{Fields: o.Columns, Ignore: o.Ignore, Values: o.Values, Dutch: o.Dutch, Guess: o.Guess}
	if err := intake.Columns.Check(); err != nil {
		return &console.Invalid{Path: "columns", Text: oneLine(err)}
	}
	return nil
}

const (
	previewLook  = 1000 // rows that are looked at for texts
	previewTexts = 20   // that are shown of a column
)

// words lists the words that a field can have here: those of the vocabulary, and
// for an advertiser and products what the configuration names.
func (n consoleNode) words(field string) (words []string) {
	cfg := n.current.Load().cfg
	switch field {
	case "advertiser":
		for i := range cfg.Advertisers {
			words = append(words, cfg.Advertisers[i].ID)
		}
		return append(words, "*")
	case "products":
		for i := range cfg.Campaigns {
			words = append(words, cfg.Campaigns[i].Products...)
		}
		slices.Sort(words)
		return slices.Compact(words)
	}
	return policy.FactWords(field)
}

func (n consoleNode) Preview(ctx context.Context, o console.ImportOptions, in io.Reader, rows int) (p console.Preview, err error) {
	p = console.Preview{Columns: []console.PreviewColumn{}, Rows: []console.PreviewRow{}}
	intake := store.Intake{Form: n.Form(), Constants: o.Constants, Batch: o.Name}
	if err := setColumns(&intake, &o); err != nil {
		return p, err
	}
	var columns, fields []string
	var texts, words [][]string // by column
	intake.Heads = func(c, f []string) {
		columns, fields, texts = c, f, make([][]string, len(c))
		for _, field := range f {
			words = append(words, n.words(field))
		}
	}
	read := 0
	for row, err := range intake.Rows(in) {
		if err != nil {
			return p, &console.Invalid{Path: "file", Text: oneLine(err)}
		}
		if read++; read > previewLook || ctx.Err() != nil {
			break
		}
		for i := range min(len(row.Cells), len(texts)) {
			text := strings.TrimSpace(row.Cells[i])
			if len(words[i]) > 0 && text != "" && len(texts[i]) < previewTexts && !slices.ContainsFunc(texts[i], func(t string) bool { return strings.EqualFold(t, text) }) {
				texts[i] = append(texts[i], text)
			}
		}
		if len(p.Rows) == rows {
			continue
		}
		one := console.PreviewRow{Line: row.Line, Text: row.Text, Fault: row.Err}
		if row.Err == nil {
			one.Fact = row.Fact.AppendJSON(nil)
		}
		p.Rows = append(p.Rows, one)
	}
	for i, name := range columns {
		c := console.PreviewColumn{Name: name, Field: fields[i], Guessed: fields[i] != ""}
		for of := range o.Columns {
			c.Guessed = c.Guessed && !strings.EqualFold(strings.TrimSpace(of), strings.TrimSpace(name))
		}
		c.Texts, c.Words = texts[i], words[i]
		p.Columns = append(p.Columns, c)
	}
	return p, ctx.Err()
}

func (n consoleNode) Undo(ctx context.Context, o console.UndoOptions) (console.Undone, error) {
	u, err := n.store.Undo(ctx, o.Batch, store.UndoOptions{Lift: o.Lift, Ground: o.Ground, DryRun: o.DryRun, From: o.From, To: o.To, All: o.All})
	undone := console.Undone{Batch: u.Batch, Undone: u.Undone, Before: u.Before, Stay: u.Stay, Numbers: u.Numbers, Freed: u.Freed,
		Registers: u.Registers, Batches: u.Batches, Several: u.Several}
	for _, r := range u.Runs {
		undone.Runs = append(undone.Runs, console.ImportRun(r))
	}
	return undone, err
}

// A progressReader tells how far a file was read, and ends when the node does.
type progressReader struct {
	ctx  context.Context
	r    io.Reader
	at   int64
	tell func(int64)
}

func (p *progressReader) Read(b []byte) (int, error) {
	if err := p.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := p.r.Read(b)
	p.at += int64(n)
	p.tell(p.at)
	return n, err
}
