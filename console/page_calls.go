package console

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"dialgate/console/access"
	"dialgate/policy"
)

// A callsData is the page of calls.
type callsData struct {
	Calls   []Call
	Filter  url.Values
	Next    string // address of the next page
	Reasons []policy.Reason
	State   State
	First   bool // no cursor: the newest
}

// Get is a filter's value.
func (d callsData) Get(name string) string { return d.Filter.Get(name) }

func (v *view) calls() error {
	values := v.r.URL.Query()
	for name, list := range values { // an empty field of the form asks for nothing
		if list[0] == "" {
			values.Del(name)
		}
	}
	zone := v.s.o.Node.Zone()
	for _, name := range []string{"from", "to"} {
		if t, err := time.ParseInLocation("2006-01-02T15:04", values.Get(name), zone); err == nil {
			values.Set(name, t.Format(time.RFC3339))
		}
	}
	r := v.r.Clone(v.r.Context())
	r.URL.RawQuery = values.Encode()
	q := &query{r: r}
	search := q.search(v.Who())
	d := callsData{Filter: v.r.URL.Query(), Reasons: policy.Reasons(), First: search.Before == 0}
	if v.Who().Advertiser == "" {
		d.State = v.s.o.Node.State()
	} else {
		d.Reasons = slices.DeleteFunc(d.Reasons, policy.Reason.TellsOfOthers)
	}
	status := http.StatusOK
	if err := q.err(); err != nil {
		status = http.StatusUnprocessableEntity
		if err := v.wrong(err); err != nil {
			return err
		}
	} else {
		page, err := v.s.search(search)
		if err != nil {
			return err
		}
		for _, c := range page.Calls {
			d.Calls = append(d.Calls, show(c, v.Who(), false))
		}
		if page.Next != 0 {
			next := v.r.URL.Query()
			next.Set("cursor", strconv.FormatUint(page.Next, 10))
			d.Next = "/calls?" + next.Encode()
		}
	}
	return v.show(status, "calls", v.T("Calls"), d)
}

// A callData is the page of one call.
type callData struct {
	Call
	Steps    []step
	Height   int
	Findings []findingData
	Full     bool
}

// A findingData is a finding with what its rule says.
type findingData struct {
	Finding
	Source, Text, Strength string
	Decides                bool
}

func (v *view) oneCall() error {
	seq, err := strconv.ParseUint(v.r.PathValue("seq"), 10, 64)
	if err != nil {
		return ErrNoCall
	}
	v.Name = "calls"
	full := v.r.URL.Query().Get("full") == "true"
	c, err := v.s.call(v.Who(), seq, full)
	if err != nil {
		return err
	}
	d := callData{Call: c, Full: full, Steps: ladder(&c)}
	d.Height = 56 + 34*len(d.Steps)
	byID := v.rulesByID()
	for _, f := range c.Findings {
		one := findingData{Finding: f, Decides: f.Rule == c.Rule}
		if r := byID[f.Rule]; r != nil {
			one.Source, one.Text, one.Strength = r.Source, v.ruleText(r), r.Strength.String()
		}
		d.Findings = append(d.Findings, one)
	}
	slices.SortStableFunc(d.Findings, func(a, b findingData) int { return weight(b) - weight(a) })
	return v.show(http.StatusOK, "call", v.T("One call"), d)
}

// weight puts what decided first, then what refused, what allowed, and the rest.
func weight(f findingData) int {
	switch {
	case f.Decides:
		return 4
	case f.Result == policy.Deny.String():
		return 3
	case f.Result == policy.Allow.String():
		return 2
	case f.Result == policy.Flag.String():
		return 1
	}
	return 0
}

func (v *view) rulesByID() map[string]*policy.Bound {
	byID := map[string]*policy.Bound{}
	for _, r := range v.s.o.Node.Rules() {
		byID[r.ID] = r
	}
	return byID
}

func (v *view) ruleText(r *policy.Bound) string {
	if v.Lang == "nl" {
		return r.Dutch
	}
	return r.English
}

// A step is one arrow of a ladder.
type step struct {
	From, To int // lanes: 0 dialer, 1 dialgate, 2 carrier
	Text     string
	Kind     string // ask, deny, allow
	Y        int
}

// X1, X2 and Mid place an arrow in the drawing.
func (s step) X1() int  { return laneX(s.From) }
func (s step) X2() int  { return laneX(s.To) }
func (s step) Mid() int { return (s.X1() + s.X2()) / 2 }

// Tip is the arrow's head.
func (s step) Tip() string {
	x, d := s.X2(), -8
	if s.From > s.To {
		d = 8
	}
	return fmt.Sprintf("%d,%d %d,%d %d,%d", x, s.Y, x+d, s.Y-4, x+d, s.Y+4)
}

func laneX(lane int) int { return 60 + 240*lane }

// ladder is what went over the wire, as far as the ledger tells.
func ladder(c *Call) (steps []step) {
	add := func(from, to int, kind, text string) {
		steps = append(steps, step{from, to, text, kind, 62 + 34*len(steps)})
	}
	add(0, 1, "ask", "INVITE")
	if c.Verdict == policy.Denied.String() {
		add(1, 0, "deny", fmt.Sprint(c.Answer))
		add(0, 1, "ask", "ACK")
		return steps
	}
	if c.Answer != 0 {
		add(1, 0, "allow", fmt.Sprint(c.Answer))
		return steps
	}
	o := c.Outcome
	if o != nil && o.Tried > 1 {
		add(1, 2, "ask", fmt.Sprintf("INVITE (%d×)", o.Tried)) // to one address after another
	} else {
		add(1, 2, "ask", "INVITE")
	}
	if o == nil {
		return steps
	}
	if o.RingMS > 0 {
		add(2, 1, "allow", "180")
		add(1, 0, "allow", fmt.Sprintf("180, %.1f s", float64(o.RingMS)/1000))
	}
	kind := "deny"
	if o.Code < 300 {
		kind = "allow"
	}
	switch o.EndedBy {
	case policy.EndedByDialer.String():
		add(0, 1, "deny", "CANCEL")
		add(1, 2, "deny", "CANCEL")
	case policy.EndedByObjection.String():
		add(1, 2, "deny", "CANCEL")
	case policy.EndedByCallee.String():
		add(2, 1, kind, fmt.Sprint(o.Code))
	}
	add(1, 0, kind, fmt.Sprint(o.Code))
	return steps
}

// callToNumber opens the number that was called; the look is recorded.
func (v *view) callToNumber() error {
	seq, err := strconv.ParseUint(v.r.PathValue("seq"), 10, 64)
	if err != nil {
		return ErrNoCall
	}
	c, err := v.s.call(v.Who(), seq, true)
	if err != nil {
		return err
	}
	n, err := policy.ParseNumber(c.To)
	if err != nil {
		return problem(http.StatusNotFound, v.T("The call was not to a telephone number, or it was erased."))
	}
	return v.away(v.openNumber(n))
}

// openNumber is the address of a number's page in this session. The number does
// not stand in it.
func (v *view) openNumber(n policy.Number) string {
	handle := access.NewSecret()[:16]
	v.session.Keep("number "+handle, n)
	return "/numbers/" + handle
}

func lines(err error) []string { return strings.Split(err.Error(), "\n") }
