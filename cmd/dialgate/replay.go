package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/diff"

	"dialgate/trace"
)

type replayCmd struct {
	Config    string   `short:"c" help:"Configuration file; default: the embedded one." placeholder:"FILE"`
	Facts     string   `help:"What is known of the called numbers, as facts export writes it; default: the configuration's store, if there is one." placeholder:"FILE.jsonl"`
	Register  []string `help:"With --facts: the date of the copy of a do-not-call register whose entries the file holds, such as nobellen=2026-11-20. Repeatable; a register without one was never loaded." placeholder:"ID=DATE" sep:"none"`
	At        string   `help:"Judge every call as made at this instant, RFC 3339; default: the trace's time." placeholder:"TIME"`
	Peer      string   `help:"The dialer that sent all calls; default: told by the source address, or the only one there is." placeholder:"ID"`
	Legs      bool     `help:"Judge every leg of a call that a proxy passed on; default: only the first one seen."`
	Compare   string   `help:"A second configuration: only calls that it judges otherwise are printed." placeholder:"FILE"`
	CompareAt string   `help:"A second instant: only calls that are judged otherwise then are printed." placeholder:"TIME"`
	Golden    string   `help:"A file with what must come out." placeholder:"FILE"`
	Rewrite   bool     `help:"Write what came out into the golden file."`
	Format    string   `help:"${enum}" enum:"text,json,junit" default:"text"`
	Ledger    string   `help:"The store of a node, running or not: the calls that it has recorded are judged again." placeholder:"DIR"`
	Trace     []string `arg:"" optional:"" help:"Captures (pcap, pcapng), HEP dumps, message logs and texts, also in gzip; a folder means all in it, - standard input, hep:ADDRESS:PORT HEP over UDP until interrupted. A time without a zone is Dutch time."`
}

// Help is printed by --help.
func (replayCmd) Help() string {
	return "Example: dialgate replay --facts facts.jsonl --compare-at 2026-07-01T12:00:00+02:00 capture.pcap\n\n" +
		"Exit status 0: done and as wished, 1: differs from golden or compare, 3: a trace or a call in it could not be read."
}

// Run judges every call of the traces by the same reading, facts and rules as
// a live one. A call of which something is missing is listed, not judged.
func (c replayCmd) Run(s streams) error {
	if c.Rewrite && c.Golden == "" {
		return usageError("--rewrite needs --golden FILE")
	}
	switch {
	case c.Ledger == "" && len(c.Trace) == 0:
		return usageError("nothing to replay: name a trace, or a node's store with --ledger DIR")
	case len(c.Register) > 0 && c.Facts == "":
		return usageError("--register tells of a file of facts (--facts); a store knows the dates of its copies")
	case c.Ledger != "" && (c.Peer != "" || c.Legs):
		return usageError("--peer and --legs are about traces; a ledger tells who called, once")
	}
	first, second, done, err := c.judges()
	if err != nil {
		return err
	}
	defer done()
	defer collectSeldom()()
	var out io.Writer = s.out
	var kept bytes.Buffer
	if c.Golden != "" {
		out = &kept
	}
	w := bufio.NewWriterSize(out, 64<<10)
	r := replay{first: first, second: second, selector: trace.Selector{Legs: c.Legs}, stdin: s.in, report: newReport(c.Format, w, second != nil), flush: w.Flush}
	err = nil
	if c.Ledger != "" {
		err = r.ledger(c.Ledger, c.Facts, c.Register)
	}
	if err == nil {
		err = r.run(c.Trace)
	}
	if err := errors.Join(err, w.Flush()); err != nil {
		return err
	}
	if c.Golden != "" {
		if r.differ, err = c.golden(kept.Bytes(), s.out); err != nil {
			return err
		}
	}
	switch {
	case r.unread > 0 || r.lost > 0:
		return &statusError{exitFailed, fmt.Sprintf("%d traces could not be read to their end and %d calls could not be judged; the report lists them", r.unread, r.lost)}
	case r.differ:
		return errFinding
	}
	return nil
}

// judges makes the judge of the calls and, for a comparison, a second one.
// done closes what they have opened.
func (c replayCmd) judges() (first, second *judge, done func(), err error) {
	w, err := loadWorld(c.Config)
	if err != nil {
		return nil, nil, nil, err
	}
	at, err := instant(c.At)
	if err != nil {
		return nil, nil, nil, err
	}
	lookup, done, err := noFacts, func() {}, error(nil)
	if len(c.Trace) > 0 {
		lookup, done, err = replayFacts(w, c.Facts, c.Register)
	}
	if err != nil {
		return nil, nil, nil, err
	}
	if first, err = newJudge(w, lookup, c.Peer, at); err != nil {
		done()
		return nil, nil, nil, err
	}
	if c.Compare == "" && c.CompareAt == "" {
		return first, nil, done, nil
	}
	if c.Compare != "" {
		w, err = loadWorld(c.Compare)
	}
	if err == nil && c.CompareAt != "" {
		at, err = instant(c.CompareAt)
	}
	if err == nil {
		second, err = newJudge(w, lookup, c.Peer, at)
	}
	if err != nil {
		done()
	}
	return first, second, done, err
}

// instant reads a time of the command line, zero when there is none.
func instant(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return at, usageError("%q is no instant, such as 2026-07-01T09:00:00+02:00", s)
	}
	return at, nil
}

// golden compares what came out with what must, or writes it.
func (c replayCmd) golden(got []byte, to io.Writer) (differ bool, err error) {
	if c.Rewrite {
		if err := os.WriteFile(c.Golden, got, 0o644); err != nil {
			return false, fmt.Errorf("the golden file can't be written: %w", err)
		}
		return false, nil
	}
	want, err := os.ReadFile(c.Golden)
	if err != nil {
		return false, usageError("the golden file can't be read: %v; --rewrite makes it", err)
	}
	if bytes.Equal(want, got) {
		return false, nil
	}
	_, err = to.Write(diff.Diff(c.Golden, want, "this replay", got))
	return true, err
}

// A replay goes through traces and judges their calls.
type replay struct {
	first, second *judge // second: nil without a comparison
	selector      trace.Selector
	stdin         io.Reader
	report        replayReport
	flush         func() error // of what was reported

	unread int  // traces that could not be read to their end
	lost   int  // calls that could not be judged
	differ bool // a comparison found a difference
}

func (r *replay) run(names []string) error {
	for _, name := range names {
		if name == "-" {
			if err := r.trace("standard input", trace.Read(r.stdin, trace.Options{Zone: calledZone()})); err != nil {
				return err
			}
			continue
		}
		if addr, ok := strings.CutPrefix(name, "hep:"); ok {
			if err := r.live(name, addr); err != nil {
				return err
			}
			continue
		}
		files, err := trace.Files(name)
		if err != nil {
			r.unreadable(name, &trace.Problem{Cause: err.Error(), Ends: true})
		}
		for _, file := range files {
			if err := r.trace(file, trace.Open(file, trace.Options{Zone: calledZone()})); err != nil {
				return err
			}
		}
	}
	r.report.end(&r.selector.Stats)
	return nil
}

// live judges the calls of HEP packets as they come, until the program is
// interrupted.
func (r *replay) live(name, addr string) error {
	c, err := net.ListenPacket("udp", addr)
	if err != nil {
		return usageError("can't listen for HEP: %v", err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	defer context.AfterFunc(ctx, func() { _ = c.Close() })() // ends the reading
	defer c.Close()
	return r.trace(name, func(yield func(trace.Message, error) bool) {
		for m, err := range trace.Listen(c) {
			if !yield(m, err) || r.flush() != nil {
				return
			}
		}
	})
}

// trace judges the calls of one trace. What can't be read is reported; an
// error means that nothing can be judged.
func (r *replay) trace(name string, messages trace.Messages) error {
	r.report.begin(name)
	for call, err := range r.selector.Calls(messages) {
		if err == nil {
			err = r.call(name, call)
		}
		var p *trace.Problem
		if errors.As(err, &p) {
			r.unreadable(name, p)
		} else if err != nil {
			return err
		}
	}
	return nil
}

func (r *replay) unreadable(name string, p *trace.Problem) {
	if p.Ends {
		r.unread++
	}
	if p.Call {
		r.lost++
	}
	r.report.problem(name, p)
}

// ledger judges the calls that a node has recorded again, on the facts of a
// file, or on what its store knew when each call was made. Its packets are the
// ledger's records.
func (r *replay) ledger(dir, facts string, registers []string) error {
	r.report.begin(dir)
	k, err := r.first.world.keeperOf(dir)
	if err != nil {
		return err
	}
	defer k.Close()
	known := k.History
	if facts != "" {
		if known, err = r.first.world.factsOf(facts, registers); err != nil {
			return err
		}
	}
	for d, err := range k.Decisions(1) {
		if err == nil {
			err = r.judged(func(j *judge) (*judgement, error) { return j.again(dir, &d, known) })
		}
		var p *trace.Problem
		if errors.As(err, &p) {
			r.unreadable(dir, p)
		} else if err != nil {
			return err
		}
	}
	return nil
}

// call judges one call of a trace.
func (r *replay) call(name string, c *trace.Call) error {
	return r.judged(func(j *judge) (*judgement, error) { return j.judge(name, c) })
}

// judged has one call judged, by both judges in a comparison.
func (r *replay) judged(by func(*judge) (*judgement, error)) error {
	got, err := by(r.first)
	if err != nil {
		return err
	}
	if r.second == nil {
		r.report.call(got)
		return nil
	}
	other, err := by(r.second)
	if err != nil {
		return err
	}
	if other.Verdict != got.Verdict || other.Reason != got.Reason {
		r.differ = true
		r.report.difference(got, other)
	}
	return nil
}
