package main

import (
	"bytes"
	"cmp"
	"encoding/xml"
	"fmt"
	"io"
	"slices"
	"strings"

	"dialgate/trace"
)

// A replayReport prints what a replay finds, in one of its formats. The same traces,
// configuration and facts give the same octets.
type replayReport interface {
	begin(file string)
	call(c *judgement)
	difference(was, now *judgement)
	problem(file string, p *trace.Problem)
	end(s *trace.Stats)
}

func newReport(format string, w io.Writer, comparing bool) replayReport {
	switch format {
	case "json":
		return newJSONReport(w)
	case "junit":
		return &junitReport{w: w}
	}
	return &textReport{p: printer{w: w}, comparing: comparing, counts: map[[2]string]int{}}
}

// maxListed bounds the list of what could not be read; the rest is counted.
const maxListed = 1000

// A textReport is for people: one line a call, then a summary.
type textReport struct {
	p         printer
	comparing bool
	files     int
	counts    map[[2]string]int // by verdict and reason; in a comparison by what was and what is
	problems  []string
	unlisted  int
}

func (t *textReport) begin(string) { t.files++ }

func (t *textReport) call(c *judgement) {
	t.counts[[2]string{c.Verdict, c.Reason}]++
	caller, called := c.parties()
	t.p.line("%s  %s -> %s  %-5s  %-24s %s  [%s:%d]", c.At, caller, called, strings.ToUpper(c.Verdict), c.Reason, c.because(), c.File, c.Packet)
}

// because is why a call was judged so, with the rule that said it.
func (c *judgement) because() string {
	if c.Rule == "" {
		return c.why
	}
	return c.why + " (" + c.Rule + ")"
}

func (t *textReport) difference(was, now *judgement) {
	before, after := was.Verdict+" "+was.Reason, now.Verdict+" "+now.Reason
	t.counts[[2]string{before, after}]++
	caller, called := was.parties()
	t.p.line("%s  %s -> %s  %s => %s: %s  [%s:%d]", was.At, caller, called, before, after, now.because(), was.File, was.Packet)
}

func (t *textReport) problem(file string, p *trace.Problem) {
	if len(t.problems) == maxListed {
		t.unlisted++
		return
	}
	t.problems = append(t.problems, file+": "+p.Error())
}

func (t *textReport) end(s *trace.Stats) {
	t.p.line("\n%d calls among %d SIP messages in %d traces; %d repeated INVITEs, %d within calls", s.Calls, s.Messages, t.files, s.Repeats, s.Reinvite)
	if t.comparing {
		total := 0
		for _, n := range t.counts {
			total += n
		}
		t.p.line("%d calls are judged otherwise", total)
	}
	var keys [][2]string
	for k := range t.counts {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b [2]string) int {
		return cmp.Or(cmp.Compare(t.counts[b], t.counts[a]), slices.Compare(a[:], b[:]))
	})
	for _, k := range keys {
		if t.comparing {
			t.p.line("%8d  %s => %s", t.counts[k], k[0], k[1])
		} else {
			t.p.line("%8d  %-5s  %s", t.counts[k], k[0], k[1])
		}
	}
	if len(t.problems) > 0 {
		t.p.line("\nCould not be read:")
		for _, line := range t.problems {
			t.p.line("  %s", line)
		}
		if t.unlisted > 0 {
			t.p.line("  and %d more", t.unlisted)
		}
	}
}

// A junitReport is what test dashboards read: a suite for each trace, a case
// for each call. A refused call is a failure; in a comparison one that is
// judged otherwise.
type junitReport struct {
	w      io.Writer
	suites []*junitSuite
}

type junitSuite struct {
	XMLName  xml.Name    `xml:"testsuite"`
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Errors   int         `xml:"errors,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Class   string       `xml:"classname,attr"`
	Name    string       `xml:"name,attr"`
	Failure *junitResult `xml:"failure"`
	Error   *junitResult `xml:"error"`
}

type junitResult struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

func (j *junitReport) begin(file string) {
	j.suites = append(j.suites, &junitSuite{Name: file})
}

func (j *junitReport) add(c junitCase) {
	s := j.suites[len(j.suites)-1]
	c.Class = s.Name
	s.Tests++
	if c.Failure != nil {
		s.Failures++
	}
	if c.Error != nil {
		s.Errors++
	}
	s.Cases = append(s.Cases, c)
}

func (j *junitReport) call(c *judgement) {
	one := junitCase{Name: c.CallID}
	if c.Verdict != "allow" {
		one.Failure = &junitResult{c.Verdict + " " + c.Reason, c.because()}
	}
	j.add(one)
}

func (j *junitReport) difference(was, now *judgement) {
	j.add(junitCase{Name: was.CallID, Failure: &junitResult{
		fmt.Sprintf("%s %s => %s %s", was.Verdict, was.Reason, now.Verdict, now.Reason), now.because()}})
}

func (j *junitReport) problem(file string, p *trace.Problem) {
	if len(j.suites) == 0 || j.suites[len(j.suites)-1].Name != file {
		j.begin(file)
	}
	j.add(junitCase{Name: fmt.Sprintf("packet %d", p.Packet), Error: &junitResult{"could not be read", p.Cause}})
}

func (j *junitReport) end(*trace.Stats) {
	var b bytes.Buffer
	b.WriteString(xml.Header + "<testsuites>\n")
	enc := xml.NewEncoder(&b)
	enc.Indent("  ", "  ")
	for _, s := range j.suites {
		_ = enc.Encode(s) // strings and numbers always encode
	}
	b.WriteString("\n</testsuites>\n")
	_, _ = j.w.Write(b.Bytes()) // the writer keeps its error
}
