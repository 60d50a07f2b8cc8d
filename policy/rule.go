package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// A Strength is how hard a rule is.
type Strength uint8

const (
	House      Strength = iota // our own safe default where the law is silent ("policy")
	Supervisor                 // a regulator's published stance
	Code                       // self-regulation: Code Telemarketing, Reclame Code
	Statute                    // breach is unlawful
)

var strengthNames = [...]string{House: "policy", Supervisor: "supervisor", Code: "code", Statute: "statute"}

func (s Strength) String() string { return nameOf(strengthNames[:], int(s)) }

// A Mode says what a rule's denial does.
type Mode uint8

const (
	Enforce Mode = iota // it refuses the call
	Shadow              // it is recorded and counted, the call goes on
	Off                 // it is recorded, the call goes on
)

var modeNames = [...]string{Enforce: "enforce", Shadow: "shadow", Off: "off"}

func (m Mode) String() string { return nameOf(modeNames[:], int(m)) }

// ParseMode finds a mode by its name.
func ParseMode(s string) (Mode, bool) {
	i, ok := parseName(modeNames[:], s)
	return Mode(i), ok
}

// A Rule is one dated rule of law, of a code, of a supervisor, or of the house.
type Rule struct {
	ID string // such as "nl.consent.verified": words between dots
	// Jurisdiction is the country whose numbers it is judged for, ISO 3166-1
	// alpha-2; "" when it is judged whoever is called.
	Jurisdiction string
	From         Date // the first local date it applies on; zero: always
	To           Date // the first local date it no longer applies on; zero: open
	// Strength and Source say how hard it is and where it is written.
	Strength Strength
	Source   string
	// English and Dutch say in one plain sentence what the rule asks.
	English, Dutch string
	// Needs says which evidence has to be held, "" if none.
	Needs string
	// Reasons are the deny reasons it can give; of a ground, its allow reason.
	Reasons []Reason
	// Params are the values an operator may set.
	Params []Param
	// Judge is a total function of the call. It is nil in a condition, which
	// the rule that holds it judges.
	Judge func(c *Call, r *Bound) Finding
	// Turns adds the instants, beside those that facts and rules state, at
	// which its finding of the same call may change. nil: there are none.
	Turns func(c *Call, r *Bound, t *Turns)
	// Conditions are parts of the rule that can be put in shadow or off by
	// themselves.
	Conditions []Rule
	// Grounds are the alternatives by which the rule allows a call, each with
	// its own dates and source. They refuse nothing, so they have no mode.
	Grounds []Rule
}

// Applies reports whether the rule is in force on a local date.
func (r *Rule) Applies(d Date) bool { return d >= r.From && (r.To == 0 || d < r.To) }

// A Param is a value of a rule that an operator may set.
type Param struct {
	Name    string
	Default int // of a switch: 0 or 1
	Most    int // greatest value, 0: any
	Switch  bool
	Doc     string
}

// A Bound rule is a rule with the modes and values that the operator chose.
type Bound struct {
	*Rule
	Mode       Mode   // for calls that no choice singles out; a call asks [Call.ModeOf]
	parts      *parts // nil: Mode is for every call
	Conditions []Bound
	values     []int
}

// Value is the value of the rule's i-th parameter.
func (b *Bound) Value(i int) int { return b.values[i] }

// Is reports whether the rule's i-th parameter, a switch, is on.
func (b *Bound) Is(i int) bool { return b.values[i] != 0 }

// A Result is what a rule found.
type Result uint8

const (
	NotApplicable Result = iota // the rule has nothing to say of this call
	Pass                        // its demand is met
	Deny                        // its demand is not met
	Allow                       // it is a reason to allow the call
	Flag                        // it refuses nothing, but somebody should look at it
)

var resultNames = [...]string{NotApplicable: "not-applicable", Pass: "pass", Deny: "deny", Allow: "allow", Flag: "flag"}

func (r Result) String() string { return nameOf(resultNames[:], int(r)) }

// A Finding is what one rule found of one call.
type Finding struct {
	Rule   *Rule
	Mode   Mode
	Result Result
	Reason Reason   // of Deny and Allow
	Rests  [2]*Fact // the facts it rests on, nil where there are fewer
	// Waived: the finding allows only because a condition is not enforced.
	Waived bool
	Note   string // one sentence for people; only when the call is explained
}

// Facts are the ids of the facts that the finding rests on.
func (f *Finding) Facts() []string {
	var ids []string
	for _, r := range f.Rests {
		if r != nil {
			ids = append(ids, r.ID)
		}
	}
	return ids
}

// A Call is an attempt while it is judged.
type Call struct {
	*Attempt
	Facts *Facts
	Local time.Time // At in the rule book's time zone
	Date  Date      // the civil date of Local

	book    *bound // of the called number's country, nil if there is none
	explain bool
	found   []Finding
}

// booked reports whether a country's rules are in force for the call.
func (c *Call) booked() bool { return c.book != nil && c.Date >= c.book.From }

// Explaining reports whether somebody wants sentences. A rule makes its notes
// only then, since a live call has no time for them.
func (c *Call) Explaining() bool { return c.explain }

// Note formats a sentence when the call is explained, else it is "". On the
// allow path ask Explaining first: collecting the arguments allocates.
func (c *Call) Note(format string, args ...any) string {
	if !c.explain {
		return ""
	}
	return fmt.Sprintf(format, args...)
}

// Purpose is the purpose that the call is judged by, NoPurpose when the
// campaign can't be told.
func (c *Call) Purpose() Purpose {
	if c.Campaign == nil {
		return NoPurpose
	}
	return c.Campaign.Effective()
}

// Telemarketing reports whether the rules for telemarketing apply: unknown is
// judged as if they did.
func (c *Call) Telemarketing() bool {
	p := c.Purpose()
	return p == NoPurpose || p.Telemarketing()
}

// Unmet keeps the finding of a condition that a fact does not meet. Whether it
// refuses the call is for the rule that holds the condition.
func (c *Call) Unmet(b *Bound, why Reason, rests *Fact, note string) {
	c.found = append(c.found, Finding{Rule: b.Rule, Mode: c.ModeOf(b), Result: Deny, Reason: why, Rests: [2]*Fact{rests}, Note: note})
}

// Settings are an operator's choices about rules.
type Settings struct {
	Modes   map[string]Mode           // rule id or prefix of whole words → mode for every call
	Choices []Choice                  // modes for a part of the calls
	Params  map[string]map[string]int // rule id → parameter → value
	// Without leaves rules out of the books altogether, by id or prefix.
	Without []string
}

// binder applies settings to rules and remembers which settings found a rule.
type binder struct {
	settings Settings
	used     map[string]bool
}

// covers reports whether id is the prefix or begins with its words.
func covers(prefix, id string) bool {
	return id == prefix || strings.HasPrefix(id, prefix) && id[len(prefix)] == '.'
}

func (b *binder) bind(r *Rule) Bound {
	out := Bound{Rule: r}
	b.bindModes(&out)
	set := b.settings.Params[r.ID]
	if set != nil {
		b.used[r.ID] = true
	}
	for _, p := range r.Params {
		v, ok := set[p.Name]
		if !ok {
			v = p.Default
		}
		out.values = append(out.values, v)
	}
	for i := range r.Conditions {
		if !b.without(r.Conditions[i].ID) {
			out.Conditions = append(out.Conditions, b.bind(&r.Conditions[i]))
			continue
		}
		// A condition that is left out counts as met and leaves no trace.
		never := r.Conditions[i]
		never.From, never.To = NotInForce, 0
		out.Conditions = append(out.Conditions, b.bind(&never))
	}
	return out
}

func (b *binder) without(id string) bool {
	out := false
	for _, prefix := range b.settings.Without {
		if covers(prefix, id) {
			b.used[prefix] = true
			out = true
		}
	}
	return out
}

// A SettingError is a setting that fits no rule.
type SettingError struct {
	Rule string // the id or prefix as it was given
	Text string
}

func (e *SettingError) Error() string { return e.Text }

// unused is an error for each setting that names no rule, and for each
// parameter that its rule does not have.
func (b *binder) unused(all []*Rule) []error {
	var errs []error
	names := make([]string, 0, len(all))
	byID := make(map[string]*Rule, len(all))
	for _, r := range all {
		names = append(names, r.ID)
		byID[r.ID] = r
	}
	fail := func(rule, format string, args ...any) {
		errs = append(errs, &SettingError{rule, fmt.Sprintf(format, args...)})
	}
	complain := func(prefix string) {
		if !b.used[prefix] {
			fail(prefix, "no rule is called %q%s", prefix, Suggest(prefix, names))
		}
	}
	for prefix := range b.settings.Modes {
		complain(prefix)
	}
	for i := range b.settings.Choices {
		complain(b.settings.Choices[i].Rule)
	}
	for _, prefix := range b.settings.Without {
		complain(prefix)
	}
	for id, params := range b.settings.Params {
		r := byID[id]
		if r == nil {
			complain(id)
			continue
		}
		for name, v := range params {
			i := slices.IndexFunc(r.Params, func(p Param) bool { return p.Name == name })
			switch {
			case i < 0:
				fail(id, "rule %q has no parameter %q", id, name)
			case r.Params[i].Switch && v != 0 && v != 1:
				fail(id, "parameter %q of rule %q is true or false", name, id)
			case r.Params[i].Most > 0 && (v < 0 || v > r.Params[i].Most):
				fail(id, "parameter %q of rule %q is from 0 to %d", name, id, r.Params[i].Most)
			}
		}
	}
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errs
}
