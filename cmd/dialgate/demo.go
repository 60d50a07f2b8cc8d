package main

import (
	"bytes"
	"context"
	"crypto/rand"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/emiago/sipgo/sip"

	"dialgate/configs"
	"dialgate/console/access"
	"dialgate/policy"
)

//go:embed demo/story.yaml
var demoStory []byte

// demoTour tells whoever sees the console for the first time where to look. The
// numbers are those of the story.
const demoTour = `
look round:
  Calls       open a refused one: the rule, its article, the facts it rests on, the SIP answer
  Try a call  to +31206234513: it would be allowed, since the number is a company's
  Numbers     +31206234513: add an objection, then try the call again; take the proof pack
  Numbers     +31612345601: a consent, an objection, and each call judged by what was known
  Rules       what holds today, and on another date; 2026-06-30 is the last day of the customer exception
  Settings    make a token for curl, or somebody of another role
`

type demoCmd struct {
	Calls int  `help:"Further calls after the story, taken from it in turn; with --stay 200 unless said otherwise." placeholder:"N"`
	Rate  int  `help:"Further calls a second." default:"100" placeholder:"CPS"`
	Stay  bool `help:"Keep the node up until interrupted."`
}

// Help is printed by --help.
func (demoCmd) Help() string {
	return "Example: dialgate demo\nAn in-process dialer and carrier speak real SIP over loopback through the real proxy,\non a temporary store. Each call is judged at the time that its story names."
}

// Run plays the story. It fails unless every call ended as its facts demand,
// seen from the dialer and from the carrier.
func (c demoCmd) Run(s streams) (err error) {
	// sipgo's user agents log each lost race with a timer; nobody can act on it here.
	sip.SetDefaultLogger(slog.New(slog.DiscardHandler))
	dir, err := os.MkdirTemp("", "dialgate-demo-")
	if err != nil {
		return fmt.Errorf("the demo needs a temporary directory: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()

	story, err := configs.ParseCases("demo/story.yaml", demoStory, configs.Default, policy.FactForm{Zone: calledZone()})
	if err != nil {
		return configError(err)
	}
	carrier, err := startCarrier()
	if err != nil {
		return err
	}
	defer carrier.close()
	cfg := story.Config
	cfg.Store.Path = dir
	cfg.Ledger.SegmentSize = 1 << 20
	cfg.Listen.UDP = []configs.Listener{{Address: "127.0.0.1:0"}}
	cfg.Carriers = []configs.Carrier{{ID: "carrier", Targets: []string{carrier.addr.String()}}}
	cfg.API.Address = "127.0.0.1:0"
	w, err := newWorld(cfg, nil)
	if err != nil {
		return err
	}
	d := &demo{out: s.out, carrier: carrier, story: story}
	d.clock.Store(new(time.Time))
	d.node, err = startNode(w, nodeOptions{
		now: func() time.Time { return *d.clock.Load() }, log: slog.New(slog.DiscardHandler), observe: d.observe,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.node.close()) }()
	if d.dialer, err = startDialer(d.node.sip[0]); err != nil {
		return err
	}
	defer d.dialer.close()
	fmt.Fprintf(s.out, "dialer %s -> dialgate %s -> carrier %s, all on loopback; each call is judged at its own time\n\n", d.dialer.addr, d.node.sip[0], carrier.addr)
	if c.Stay && c.Calls == 0 {
		c.Calls = 200 // so that there is something to look at
	}
	if err := d.play(c.Calls, c.Rate); err != nil {
		return err
	}
	if c.Stay {
		stop := make(chan os.Signal, 1)
		signal.Notify(stop, os.Interrupt, syscall.SIGTERM)
		d.rest()
		password, err := d.node.demoPerson()
		if err != nil {
			return err
		}
		fmt.Fprintf(s.out, "\nstaying up, with these calls in the console at\n  %s   name: demo   password: %s\n%s\nSIP on udp %s, metrics on %[1]s/metrics; interrupt to end\n", d.node.url(), password, demoTour, d.node.sip[0])
		<-stop
	}
	if d.wrong > 0 {
		return &statusError{exitFailed, fmt.Sprintf("%d calls did not end as their facts demand", d.wrong)}
	}
	return nil
}

// rest has the clock stand just after the latest call, so that whoever looks
// round sees everything in force that the story has told.
func (d *demo) rest() {
	var last time.Time
	for i := range d.story.Cases {
		if at := d.story.Cases[i].At; at.After(last) {
			last = at
		}
	}
	last = last.Add(time.Minute)
	d.clock.Store(&last)
}

// demoPerson lets somebody log in to the demo's console.
func (n *node) demoPerson() (password string, err error) {
	password = strings.ToLower(rand.Text())[:16]
	return password, n.keys.SetPerson(access.Person{Name: "demo", Role: access.Admin}, password, time.Now())
}

// A demo plays a story.
type demo struct {
	out     io.Writer
	story   *configs.CaseFile
	node    *node
	carrier *demoCarrier
	dialer  *demoDialer
	clock   atomic.Pointer[time.Time]

	mu   sync.Mutex // the proxy's readers tell of decisions
	last judged     // about the call under way: calls are made one by one

	wrong, allowed, refused int
	took                    []time.Duration
}

// judged is a decision and how long it took.
type judged struct {
	decision policy.Decision
	took     time.Duration
}

func (d *demo) observe(_ *policy.Attempt, decision *policy.Decision, took time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.last = judged{*decision, took}
}

// decided takes the decision about the call that has just been answered; it is
// empty when the call was refused without being judged.
func (d *demo) decided() judged {
	d.mu.Lock()
	defer d.mu.Unlock()
	got := d.last
	d.last = judged{}
	return got
}

// play makes every call of the story, then further ones.
func (d *demo) play(more, rate int) error {
	t := tabwriter.NewWriter(d.out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(t, "TIME JUDGED\tFROM\tTO\tVERDICT\tREASON\tSIP\tµs\tWHAT IS SHOWN")
	for i := range d.story.Cases {
		line, err := d.one(&d.story.Cases[i], i)
		if err != nil {
			return err
		}
		fmt.Fprintln(t, line)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if more > 0 {
		if err := d.further(more, rate); err != nil {
			return err
		}
	}
	d.summary()
	return nil
}

// further repeats calls of the story whose facts still hold.
func (d *demo) further(n, rate int) error {
	var repeatable []*configs.Case
	objected := map[string]bool{}
	for i := len(d.story.Cases) - 1; i >= 0; i-- { // later facts rule earlier calls out
		c := &d.story.Cases[i]
		if !objected[c.Call.To] {
			repeatable = append(repeatable, c)
		}
		for _, f := range c.Facts {
			objected[c.Call.To] = objected[c.Call.To] || f.Kind == policy.Objection
		}
	}
	pace := time.NewTicker(time.Second / time.Duration(max(rate, 1)))
	defer pace.Stop()
	for i := range n {
		<-pace.C
		if _, err := d.one(repeatable[i%len(repeatable)], len(d.story.Cases)+i); err != nil {
			return err
		}
	}
	return nil
}

// one enters a case's facts, makes its call, and compares what came of it.
func (d *demo) one(c *configs.Case, i int) (string, error) {
	if len(c.Facts) > 0 {
		results, err := d.node.store.Add(context.Background(), c.Facts...)
		if err != nil {
			return "", err
		}
		for _, r := range results {
			if r.Err != nil {
				return "", fmt.Errorf("the story's fact %s: %w", r.ID, r.Err)
			}
		}
	}
	at := c.At
	d.clock.Store(&at)
	h := hypothetical{from: c.Call.From, to: c.Call.To, fromHeader: c.Call.FromHeader, ruri: c.Call.RURI, headers: c.Call.Headers,
		callID: fmt.Sprintf("demo-%d@%s", i+1, hypotheticalDialer)}
	req, err := parseInvite(h.invite())
	if err != nil {
		return "", fmt.Errorf("the story's call %q: %w", c.Name, err)
	}
	answer, err := d.dialer.call(req)
	if err != nil {
		return "", err
	}
	got := d.decided()
	d.took = append(d.took, got.took)
	wrong := d.compare(c, &got.decision, answer)
	to := c.Call.To
	if n, err := policy.ParseNumber(to); err == nil {
		to = n.String()
	}
	from := c.Call.From
	if n, err := policy.ParseNumber(from); err == nil {
		from = n.String()
	}
	return fmt.Sprintf("%s\t%s\t%s\t%s\t%s\t%d %s\t%d\t%s%s", c.At.In(calledZone()).Format("2006-01-02 Mon 15:04"), from, to,
		got.decision.Verdict, got.decision.Reason, answer.code, answer.phrase, got.took.Microseconds(), c.Name, wrong), nil
}

// compare holds what the dialer and the carrier saw against what the case demands.
func (d *demo) compare(c *configs.Case, got *policy.Decision, answer demoAnswer) string {
	var b bytes.Buffer
	if got.Verdict.String() != c.Expected.Verdict || got.Reason.String() != c.Expected.Reason {
		fmt.Fprintf(&b, " WRONG: want %s %s", c.Expected.Verdict, c.Expected.Reason)
	}
	allowed := c.Expected.Verdict == policy.Allowed.String()
	want := c.Expected.SIP
	if allowed {
		want = 200
	}
	if answer.code != want {
		fmt.Fprintf(&b, " WRONG: the dialer got %d, want %d", answer.code, want)
	}
	saw := d.carrier.saw(answer.callID)
	if saw {
		d.allowed++
	} else {
		d.refused++
	}
	if saw != allowed {
		fmt.Fprintf(&b, " WRONG: the carrier saw the call: %t, want %t", saw, allowed)
	}
	if b.Len() > 0 {
		d.wrong++
	}
	return b.String()
}

func (d *demo) summary() {
	var sum, most time.Duration
	for _, t := range d.took {
		sum += t
		most = max(most, t)
	}
	n := d.allowed + d.refused
	fmt.Fprintf(d.out, "\n%d calls: %d reached the carrier, %d were refused before it; %d not as their facts demand\n", n, d.allowed, d.refused, d.wrong)
	fmt.Fprintf(d.out, "decided in %d µs on average, %d µs at most; every decision is in the ledger (%d records)\n", (sum / time.Duration(max(n, 1))).Microseconds(), most.Microseconds(), d.node.store.LedgerEnd())
}
