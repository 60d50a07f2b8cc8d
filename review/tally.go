package review

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	"dialgate/policy"
	"dialgate/store"
)

// Options of a Tally. All are required.
type Options struct {
	Zone      *time.Location
	Campaign  func(id string) *policy.Campaign // nil for one that is not configured
	Condition func(rule string) bool           // whether a rule is a condition of the basis
}

// Counts are calls by what became of them. A call that only rules in shadow
// or off would have refused, or that the operator let through unjudged, is in
// Would and not in Allowed.
type Counts struct {
	Allowed int `json:"allowed"`
	Refused int `json:"refused"`
	Would   int `json:"would_be_refused"`
}

// Total is all calls.
func (c Counts) Total() int { return c.Allowed + c.Refused + c.Would }

// Stopped is the calls that some rule was against.
func (c Counts) Stopped() int { return c.Refused + c.Would }

func (c *Counts) add(d *store.Decision) {
	switch {
	case d.Verdict != policy.Allowed.String():
		c.Refused++
	case d.Reason == policy.ReasonNotEnforced.String():
		c.Would++
	default:
		c.Allowed++
	}
}

// A table counts by a key. Keys come from configurations, so they are few; a
// ledger of many years may have more, and the rest is then one row.
type table map[string]*Counts

const (
	maxKeys = 1000
	rest    = "all others"
)

func (t table) add(key string, d *store.Decision) {
	if t[key] == nil && len(t) >= maxKeys {
		key = rest
	}
	c := t[key]
	if c == nil {
		c = &Counts{}
		t[key] = c
	}
	c.add(d)
}

// A Row is one line of a table.
type Row struct {
	Key string `json:"key"`
	Counts
}

// rows are the table's, those with the most refusals first.
func (t table) rows() []Row {
	out := []Row{}
	for key, c := range t {
		out = append(out, Row{key, *c})
	}
	slices.SortFunc(out, func(a, b Row) int {
		return cmp.Or(cmp.Compare(b.Stopped(), a.Stopped()), cmp.Compare(b.Allowed, a.Allowed), cmp.Compare(a.Key, b.Key))
	})
	return out
}

// A Tally adds up decisions. Its memory does not grow with their number.
type Tally struct {
	o           Options
	all         Counts
	first, last time.Time
	numbers     sketch
	rules       table
	reasons     table
	campaigns   table
	peers       table
	remedies    map[string]*cure
	uncounted   int // refusals whose remedy had no room
	helpless    [noRecord + 1]int
	series      series
}

// A cure is a remedy with the calls it would have made lawful.
type cure struct {
	remedy  Remedy
	counts  Counts
	numbers sketch
}

// maxRemedies bounds them; each may hold a sketch.
const maxRemedies = 500

// New makes an empty Tally.
func New(o Options) *Tally {
	return &Tally{o: o, rules: table{}, reasons: table{}, campaigns: table{}, peers: table{}, remedies: map[string]*cure{},
		series: newSeries(o.Zone)}
}

// Add counts one decision.
func (t *Tally) Add(d *store.Decision) {
	if t.first.IsZero() || d.At.Before(t.first) {
		t.first = d.At
	}
	if d.At.After(t.last) {
		t.last = d.At
	}
	t.all.add(d)
	number, err := policy.ParseNumber(d.To)
	called := err == nil
	if called {
		t.numbers.add(number)
	}
	reason := d.Reason
	if d.Would != "" {
		reason = d.Would
	}
	t.rules.add(cmp.Or(d.Rule, "none"), d)
	t.reasons.add(reason, d)
	t.campaigns.add(cmp.Or(d.Campaign, "none"), d)
	t.peers.add(cmp.Or(d.Peer, "none"), d)
	t.series.add(d, reason)
	var c Counts
	if c.add(d); c.Stopped() == 0 {
		return
	}
	remedy, why := t.remedyOf(d)
	t.helpless[why]++
	if why != curable {
		return
	}
	id := remedy.id()
	k := t.remedies[id]
	if k == nil {
		if len(t.remedies) >= maxRemedies {
			t.uncounted++
			return
		}
		k = &cure{remedy: remedy}
		t.remedies[id] = k
	}
	k.counts.add(d)
	if called {
		k.numbers.add(number)
	}
}

// A Cure is a remedy with the calls it would have made lawful.
type Cure struct {
	Record string `json:"record"` // in words
	Remedy
	Refused int     `json:"refused"`
	Would   int     `json:"would_be_refused"`
	Numbers Numbers `json:"numbers"`
}

// Stopped is the calls that it would have made lawful.
func (c Cure) Stopped() int { return c.Refused + c.Would }

// A Summary is all that a Tally found.
type Summary struct {
	First     string  `json:"first,omitempty"` // decision
	Last      string  `json:"last,omitempty"`
	Decisions int     `json:"decisions"`
	Numbers   Numbers `json:"numbers"`
	Counts
	Rules     []Row    `json:"by_rule"`
	Reasons   []Row    `json:"by_reason"`
	Campaigns []Row    `json:"by_campaign"`
	Peers     []Row    `json:"by_peer"`
	Missing   Missing  `json:"missing_records"`
	Time      []Period `json:"over_time"`
	Bar       string   `json:"period"` // how long each of Time is, in words
}

// Missing tells which records were missing for the refused calls.
type Missing struct {
	Refusals  int    `json:"refusals"` // actual and would-be
	Single    []Cure `json:"one_record"`
	Uncounted int    `json:"one_record_uncounted"` // by records for which there was no room
	Several   int    `json:"several_records"`
	None      int    `json:"no_record_helps"`
}

// Summary is what was added up so far.
func (t *Tally) Summary() *Summary {
	s := &Summary{Decisions: t.all.Total(), Numbers: t.numbers.numbers(), Counts: t.all,
		Rules: t.rules.rows(), Reasons: t.reasons.rows(), Campaigns: t.campaigns.rows(), Peers: t.peers.rows(),
		Missing: Missing{Refusals: t.all.Stopped(), Single: []Cure{}, Uncounted: t.uncounted, Several: t.helpless[several], None: t.helpless[noRecord]},
		Time:    t.series.periods(), Bar: t.series.bar()}
	if s.Decisions > 0 {
		s.First, s.Last = t.first.In(t.o.Zone).Format(time.RFC3339), t.last.In(t.o.Zone).Format(time.RFC3339)
	}
	for _, k := range t.remedies {
		s.Missing.Single = append(s.Missing.Single, Cure{k.remedy.String(), k.remedy, k.counts.Refused, k.counts.Would, k.numbers.numbers()})
	}
	slices.SortFunc(s.Missing.Single, func(a, b Cure) int {
		return cmp.Or(cmp.Compare(b.Stopped(), a.Stopped()), cmp.Compare(a.Record, b.Record))
	})
	return s
}

// thousands writes a count with commas.
func thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
