package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"dialgate/policy"
	"dialgate/store"
)

// A span of time, to the end exclusive; a zero end is open.
type span struct{ from, to time.Time }

func (s span) holds(t time.Time) bool {
	return !t.Before(s.from) && (s.to.IsZero() || t.Before(s.to))
}

// period reads --from and --to: instants, or local dates of which the last one
// is still in.
func period(from, to string) (s span, err error) {
	read := func(text string, days int) (time.Time, error) {
		if text == "" {
			return time.Time{}, nil
		}
		if t, err := time.Parse(time.RFC3339, text); err == nil {
			return t, nil
		}
		d, err := policy.ParseDate(text)
		if err != nil {
			return time.Time{}, usageError("%q is no date, such as 2026-07-01, and no instant, such as 2026-07-01T09:00:00+02:00", text)
		}
		return d.AddDays(days).In(calledZone()), nil
	}
	if s.from, err = read(from, 0); err != nil {
		return s, err
	}
	if s.to, err = read(to, 1); err != nil {
		return s, err
	}
	if !s.to.IsZero() && !s.from.Before(s.to) {
		return s, usageError("--from %s is not before --to %s", from, to)
	}
	return s, nil
}

// eachDecision walks the decisions of a period in the store of the
// configuration.
func (w *world) eachDecision(within span, use func(keeper, *store.Decision) error) error {
	k, err := w.keeper()
	if err != nil {
		return err
	}
	for d, err := range k.Decisions(1) {
		if err == nil && within.holds(d.At) {
			err = use(k, &d)
		}
		if err != nil {
			return errors.Join(err, k.Close())
		}
	}
	return k.Close()
}

// keeper reaches the configuration's store, which must be there: a command
// that only reads makes none.
func (w *world) keeper() (keeper, error) { return w.keeperOf(w.cfg.Store.Path) }

// keeperOf reaches the store in a directory.
func (w *world) keeperOf(dir string) (keeper, error) {
	if !store.Exists(dir) {
		return nil, fmt.Errorf("there is no store in %s; is it the store.path of the node's configuration?", dir)
	}
	cfg := *w.cfg
	cfg.Store.Path = dir
	return openKeeper(dir, storeOptions(&cfg))
}

// condition tells the conditions of the basis from rules.
func (w *world) condition() func(rule string) bool {
	conditions := map[string]bool{}
	for _, r := range w.books.Rules() {
		conditions[r.ID] = r.Judge == nil
	}
	return func(rule string) bool { return conditions[rule] }
}

// A ruled is what came of a call.
type ruled struct {
	Verdict string `json:"verdict"`
	Reason  string `json:"reason"`
	Would   string `json:"would,omitempty"` // of not-enforced
}

func (r ruled) String() string {
	if r.Would != "" {
		return fmt.Sprintf("%s %s (%s)", r.Verdict, r.Reason, r.Would)
	}
	return r.Verdict + " " + r.Reason
}

func recorded(d *store.Decision) ruled { return ruled{d.Verdict, d.Reason, d.Would} }

func rejudged(d *policy.Decision) ruled {
	r := ruled{Verdict: d.Verdict.String(), Reason: d.Reason.String()}
	if w := d.Waived(); w.Reason != policy.NoReason {
		r.Would = w.Reason.String()
	}
	return r
}

// changes are the calls that would come out otherwise.
type changes struct {
	Calls   int      `json:"calls"`   // that were judged again
	Changed int      `json:"changed"` // of these
	Apart   []apart  `json:"not_judged_again"`
	Changes []change `json:"changes"`

	apart    map[string]int
	found    map[[2]ruled]*change
	examples int // kept of each change
}

// An apart is calls that can't be judged again, and why.
type apart struct {
	Why   string `json:"why"`
	Calls int    `json:"calls"`
}

type change struct {
	Old      ruled     `json:"old"`
	New      ruled     `json:"new"`
	Calls    int       `json:"calls"`
	Examples []example `json:"examples"`
}

// An example is one call; its number is masked.
type example struct {
	ID       string `json:"id"`
	At       string `json:"at"`
	To       string `json:"to"`
	Campaign string `json:"campaign,omitempty"`
	Peer     string `json:"peer,omitempty"`
}

func newChanges(examples int) *changes {
	return &changes{apart: map[string]int{}, found: map[[2]ruled]*change{}, examples: examples}
}

// setApart counts a call that can't be judged again. Any other error is one.
func (c *changes) setApart(err error) error {
	var u *errUnjudgeable
	if !errors.As(err, &u) {
		return err
	}
	c.apart[u.why]++
	return nil
}

func (c *changes) add(d *store.Decision, before, after ruled) {
	c.Calls++
	if before == after {
		return
	}
	c.Changed++
	k := c.found[[2]ruled{before, after}]
	if k == nil {
		k = &change{Old: before, New: after}
		c.found[[2]ruled{before, after}] = k
	}
	if k.Calls++; len(k.Examples) < c.examples {
		k.Examples = append(k.Examples, example{d.ID, d.At.In(calledZone()).Format(time.RFC3339), maskedCallee(d), d.Campaign, d.Peer})
	}
}

// maskedCallee is the called number for a report that is passed on.
func maskedCallee(d *store.Decision) string {
	if n, err := policy.ParseNumber(d.To); err == nil {
		return n.String()
	}
	return orNone(d.ToText)
}

// settle puts all in order, the most frequent first.
func (c *changes) settle() {
	c.Apart, c.Changes = []apart{}, []change{}
	for why, n := range c.apart {
		c.Apart = append(c.Apart, apart{why, n})
	}
	slices.SortFunc(c.Apart, func(a, b apart) int { return cmp.Or(cmp.Compare(b.Calls, a.Calls), cmp.Compare(a.Why, b.Why)) })
	for _, k := range c.found {
		c.Changes = append(c.Changes, *k)
	}
	slices.SortFunc(c.Changes, func(a, b change) int {
		return cmp.Or(cmp.Compare(b.Calls, a.Calls), strings.Compare(a.Old.String(), b.Old.String()), strings.Compare(a.New.String(), b.New.String()))
	})
}

// print writes the changes for scripts or for people.
func (c *changes) print(out io.Writer, asJSON bool) error {
	c.settle()
	if asJSON {
		return printJSON(out, c)
	}
	p := printer{w: out}
	p.line("%d of %d calls would come out otherwise", c.Changed, c.Calls)
	for _, k := range c.Changes {
		p.line("\n%d\t%s -> %s", k.Calls, k.Old, k.New)
		for _, e := range k.Examples {
			p.line("\t%s  %s  %s  campaign %s, peer %s", e.ID, e.At, e.To, orNone(e.Campaign), orNone(e.Peer))
		}
		if more := k.Calls - len(k.Examples); more > 0 {
			p.line("\tand %d more", more)
		}
	}
	if len(c.Apart) > 0 {
		p.line("\nNot judged again, since they did not follow from the call and its facts alone:")
		for _, a := range c.Apart {
			p.line("%d\t%s", a.Calls, a.Why)
		}
	}
	return p.err
}

// whatIfExamples is how many calls are shown of each change.
const whatIfExamples = 3

// whatIf judges the calls of a period again, on another date or under another
// configuration, and shows what changes against what was recorded.
func (c reportCmd) whatIf(s streams, w *world, within span) error {
	var on policy.Date
	var err error
	if c.BookDate != "" {
		if on, err = policy.ParseDate(c.BookDate); err != nil {
			return usageError("%q is no date, such as 2026-07-01", c.BookDate)
		}
	}
	under := w
	if c.Under != "" {
		if under, err = loadWorld(c.Under); err != nil {
			return err
		}
	}
	found := newChanges(whatIfExamples)
	err = w.eachDecision(within, func(k keeper, d *store.Decision) error {
		again, err := under.rejudge(d, k.History, on)
		if err != nil {
			return found.setApart(err)
		}
		found.add(d, recorded(d), rejudged(&again))
		return nil
	})
	if err != nil {
		return err
	}
	return found.print(s.out, c.JSON)
}

type configDiffCmd struct {
	Old   string `arg:"" help:"The configuration in force."`
	New   string `arg:"" help:"The configuration to compare."`
	Store string `help:"Directory of the store; default: that of OLD." placeholder:"DIR"`
	Last  int    `help:"How many of the ledger's last calls to judge." default:"1000"`
	JSON  bool   `help:"As JSON."`
}

// Help is printed by --help.
func (configDiffCmd) Help() string { return "Example: dialgate config diff dialgate.yaml next.yaml" }

// Run judges the last calls under both configurations. Exit status 1: some
// would come out otherwise.
func (c configDiffCmd) Run(s streams) error {
	if c.Last < 1 || c.Last > mostLast {
		return usageError("--last is from 1 to %d", mostLast)
	}
	before, err := loadWorld(c.Old)
	if err != nil {
		return err
	}
	after, err := loadWorld(c.New)
	if err != nil {
		return err
	}
	if c.Store != "" {
		before.cfg.Store.Path = c.Store
	}
	k, err := before.keeper()
	if err != nil {
		return err
	}
	found, err := diffWorlds(k, before, after, c.Last)
	if err = errors.Join(err, k.Close()); err != nil {
		return err
	}
	if err := found.print(s.out, c.JSON); err != nil {
		return err
	}
	if found.Changed > 0 {
		return errFinding
	}
	return nil
}

// diffWorlds judges the last calls of a store under two configurations.
func diffWorlds(k keeper, before, after *world, last int) (*changes, error) {
	decisions, err := k.Last(last)
	if err != nil {
		return nil, err
	}
	found := newChanges(last)
	for i := range decisions {
		d := &decisions[i]
		old, err := before.rejudge(d, k.History, 0)
		if err == nil {
			var next policy.Decision
			if next, err = after.rejudge(d, k.History, 0); err == nil {
				found.add(d, rejudged(&old), rejudged(&next))
				continue
			}
		}
		if err := found.setApart(err); err != nil {
			return nil, err
		}
	}
	return found, nil
}
