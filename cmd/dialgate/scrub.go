package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"dialgate/policy"
	"dialgate/store"
)

type scrubCmd struct {
	Config       string `short:"c" help:"Configuration file; default: the embedded one." placeholder:"FILE"`
	Campaign     string `required:"" help:"The campaign that would call." placeholder:"ID"`
	At           string `help:"When it would call, RFC 3339; default: now, without opening hours and holidays." placeholder:"TIME"`
	Peer         string `help:"The dialer; default: the first that may call for the campaign." placeholder:"ID"`
	NumberColumn string `help:"Name of the column that holds the number, or its place from 1; default: found." placeholder:"NAME"`
	Out          string `help:"Where the list goes; default: standard output." placeholder:"FILE"`
	List         string `arg:"" help:"CSV with comma, semicolon or tab, with or without a header line; - is standard input."`
}

// Help is printed by --help.
func (scrubCmd) Help() string {
	return `Example: dialgate scrub --campaign example-energy --out scrubbed.csv list.csv

Appends verdict, reason and valid-until to every row, as a call of the campaign
would be judged on what is known now. A row without a readable number is
refused with callee-invalid. Without --at, opening hours and public holidays
are left out, since a list is scrubbed before it is called; they are judged
again with every call. valid-until is the first instant at which an allowed
call would be refused if nothing new is learnt, opening hours and holidays
aside; it is empty when there is none. An objection of tomorrow is not known
today: calls are judged anew whatever a list says.`
}

// Run judges a list. Exit status 0, whatever the verdicts are.
func (c scrubCmd) Run(s streams) (err error) {
	w, err := loadWorld(c.Config)
	if err != nil {
		return err
	}
	j, err := c.judge(w)
	if err != nil {
		return err
	}
	in, size, err := openInput(c.List, s.in)
	if err != nil {
		return usageError("the list can't be read: %v", err)
	}
	defer in.Close()
	progress := bar(s.err, size, "scrubbing")
	list, err := openList(io.TeeReader(in, progress), c.NumberColumn, j.isNumber)
	if err != nil {
		return err
	}
	if store.Exists(w.cfg.Store.Path) {
		var k keeper
		if k, err = openKeeper(w.cfg.Store.Path, storeOptions(w.cfg)); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, k.Close()) }()
		j.known = k.Known
	}
	out, closeOut, err := c.open(s.out)
	if err != nil {
		return err
	}
	sc := newScrubber(j, list, out)
	err = errors.Join(sc.run(), closeOut(), progress.Close())
	if err != nil {
		return err
	}
	fmt.Fprintf(s.err, "%d rows: %d allowed, %d refused, judged for campaign %s at %s%s\n", sc.allowed+sc.refused, sc.allowed, sc.refused,
		c.Campaign, j.call.At.In(j.zone).Format(time.RFC3339), j.leftOut)
	return nil
}

// open opens what is written; nothing is overwritten that is being read.
func (c scrubCmd) open(stdout io.Writer) (io.Writer, func() error, error) {
	if c.Out == "" {
		return stdout, func() error { return nil }, nil
	}
	if from, err := os.Stat(c.List); err == nil {
		if to, err := os.Stat(c.Out); err == nil && os.SameFile(from, to) {
			return nil, nil, usageError("--out is the list itself; choose another file")
		}
	}
	f, err := os.OpenFile(c.Out, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, nil, usageError("the list can't be written: %v", err)
	}
	return f, f.Close, nil
}

// A listJudge judges numbers as calls of one campaign at one time.
type listJudge struct {
	world    *world
	books    *policy.Books // that give the verdict
	lasting  *policy.Books // without opening hours and holidays, for valid-until
	zone     *time.Location
	leftOut  string // what was not judged, for people
	call     policy.Attempt
	decision policy.Decision // memory for the next
	known    func([]policy.Number, []policy.Facts) error
}

// callFor makes a call for a campaign, but for the called number: a real INVITE.
func (w *world) callFor(id, peerID string, at time.Time) (*policy.Attempt, error) {
	campaign := w.domain.Directory.Campaign(id)
	if campaign == nil {
		return nil, usageError("there is no campaign %q", id)
	}
	caller, err := w.callerOf(campaign, policy.DateOf(at.In(calledZone())))
	if err != nil {
		return nil, err
	}
	peer, err := w.peerFor(campaign, peerID)
	if err != nil {
		return nil, err
	}
	h := hypothetical{from: caller.E164(), to: caller.E164()}
	if peer.DisplayFrom != policy.HeaderFrom { // the called person sees this one's number
		h.headers = []string{fmt.Sprintf("%s: <sip:%s@%s>", peer.DisplayFrom.Header(), caller.E164(), hypotheticalDialer)}
	}
	return w.attempt(h.invite(), peer, id, at)
}

// judge makes the call that every row stands for.
func (c scrubCmd) judge(w *world) (*listJudge, error) {
	at := time.Now()
	if c.At != "" {
		var err error
		if at, err = time.Parse(time.RFC3339, c.At); err != nil {
			return nil, usageError("%q is no instant, such as 2026-07-01T09:00:00+02:00", c.At)
		}
	}
	a, err := w.callFor(c.Campaign, c.Peer, at)
	if err != nil {
		return nil, err
	}
	lasting, err := w.lasting()
	if err != nil {
		return nil, err
	}
	j := &listJudge{world: w, books: w.books, lasting: lasting, zone: calledZone(), call: *a,
		known: func([]policy.Number, []policy.Facts) error { return nil }} // no store yet: nothing is known
	if c.At == "" {
		j.books, j.leftOut = j.lasting, "; opening hours and holidays were left out, give --at to have them judged"
	}
	return j, nil
}

// clockRules are the rules that ask for the hour and the day alone.
func clockRules(books *policy.Books) (ids []string) {
	for _, r := range books.Rules() {
		if len(r.Reasons) > 0 && !slices.ContainsFunc(r.Reasons, func(why policy.Reason) bool {
			return why != policy.ReasonOutsideHours && why != policy.ReasonPublicHoliday
		}) {
			ids = append(ids, r.ID)
		}
	}
	return ids
}

// callerOf is the number that a campaign would show: the first that is
// registered for it on the day, else the first.
func (w *world) callerOf(campaign *policy.Campaign, d policy.Date) (policy.Number, error) {
	var first policy.Number
	for i := range w.cfg.Campaigns {
		if w.cfg.Campaigns[i].ID != campaign.ID {
			continue
		}
		for _, text := range w.cfg.Campaigns[i].Callers {
			n := policy.MustNumber(text) // checked when it was read
			if w.domain.Directory.Caller(n).Registered(campaign, d) {
				return n, nil
			}
			if first.IsZero() {
				first = n
			}
		}
	}
	if first.IsZero() {
		return first, usageError("campaign %q has no caller number, so every call of it is refused; add one under callers", campaign.ID)
	}
	return first, nil
}

// peerFor finds a dialer by its id; without one, the first that may call for
// the campaign.
func (w *world) peerFor(campaign *policy.Campaign, id string) (*policy.PeerTerms, error) {
	if id != "" {
		return w.peer(id)
	}
	for _, p := range w.domain.Peers {
		if p.Terms.AllCampaigns || slices.Contains(p.Terms.Campaigns, campaign.ID) {
			return p.Terms, nil
		}
	}
	return nil, usageError("no peer may call for campaign %q; add it to a peer's campaigns", campaign.ID)
}

// isNumber reports whether a cell could be called.
func (j *listJudge) isNumber(cell []byte) bool {
	return !j.world.reader.Dialled(cell, j.call.Peer).Number.IsZero()
}

// judge judges a call to one number; until is when an allowed call ends to be
// one, zero when it does not.
func (j *listJudge) judge(called policy.Called, facts *policy.Facts) (v policy.Verdict, why policy.Reason, until time.Time) {
	j.call.Called = called
	j.books.DecideAgain(&j.decision, &j.call, facts)
	v, why = j.decision.Verdict, j.decision.Reason
	if v == policy.Allowed {
		until, _ = j.lasting.Until(&j.decision, &j.call, facts)
	}
	return v, why, until
}

// A scrubber copies a list with three columns more. Rows are taken in batches,
// so that one look-up serves many.
type scrubber struct {
	judge            *listJudge
	list             *numberList
	out              *bufio.Writer
	allowed, refused int

	rows    []scrubRow
	text    []byte // of the rows
	numbers []policy.Number
	facts   []policy.Facts
}

type scrubRow struct {
	from, to int // in text
	end      string
	missing  int // cells
	called   policy.Called
}

const scrubBatch = 512

func newScrubber(j *listJudge, l *numberList, out io.Writer) *scrubber {
	return &scrubber{judge: j, list: l, out: bufio.NewWriterSize(out, 1<<20), facts: make([]policy.Facts, scrubBatch)}
}

var scrubColumns = [...]string{"verdict", "reason", "valid-until"}

func (s *scrubber) run() error {
	l := s.list
	if l.dialect.BOM {
		s.out.WriteString(byteOrderMark)
	}
	if h := l.header; h.text != nil {
		s.write(h.text, h.end, 0, scrubColumns[:]...)
	}
	for {
		more, err := s.fill()
		if err != nil {
			return err
		}
		if err := s.flush(); err != nil {
			return err
		}
		if !more {
			return s.out.Flush()
		}
	}
}

// fill reads a batch. An empty line is no row; it is kept where it stands.
func (s *scrubber) fill() (more bool, err error) {
	s.rows, s.text, s.numbers = s.rows[:0], s.text[:0], s.numbers[:0]
	for len(s.rows) < scrubBatch {
		row, cell, missing, err := s.list.next()
		if errors.Is(err, io.EOF) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		r := scrubRow{from: len(s.text), end: row.end, missing: missing}
		s.text = append(s.text, row.text...)
		r.to = len(s.text)
		if !r.blank() {
			r.called = s.judge.world.reader.Dialled(cell, s.judge.call.Peer)
		}
		s.rows, s.numbers = append(s.rows, r), append(s.numbers, r.called.Number)
	}
	return true, nil
}

func (r *scrubRow) blank() bool { return r.from == r.to }

// flush judges and writes a batch.
func (s *scrubber) flush() error {
	facts := s.facts[:len(s.rows)]
	if err := s.judge.known(s.numbers, facts); err != nil {
		return fmt.Errorf("the facts can't be read; nothing is written after row %d: %w", s.allowed+s.refused, err)
	}
	for i := range s.rows {
		r := &s.rows[i]
		if r.blank() {
			s.out.WriteString(r.end)
			continue
		}
		verdict, reason, at := s.judge.judge(r.called, &facts[i])
		until := ""
		if !at.IsZero() {
			until = at.In(s.judge.zone).Format(time.RFC3339)
		}
		if verdict == policy.Allowed {
			s.allowed++
		} else {
			s.refused++
		}
		s.write(s.text[r.from:r.to], r.end, r.missing, verdict.String(), reason.String(), until)
	}
	_, err := s.out.Write(nil) // the error of all the writes
	if err != nil {
		return fmt.Errorf("the list can't be written: %w", err)
	}
	return nil
}

// write writes a row as it was, with cells for those that it lacks, and more.
func (s *scrubber) write(text []byte, end string, missing int, more ...string) {
	s.out.Write(text)
	for range missing {
		s.out.WriteByte(s.list.separator)
	}
	for _, cell := range more {
		s.out.WriteByte(s.list.separator)
		s.out.WriteString(cell)
	}
	if end == "" {
		end = "\n"
	}
	s.out.WriteString(end)
}
