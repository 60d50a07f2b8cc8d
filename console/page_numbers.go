package console

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"dialgate/policy"
)

func (v *view) numbers() error { return v.show(http.StatusOK, "numbers", v.T("Numbers"), "") }

func (v *view) findNumber() error {
	text := v.r.PostFormValue("number")
	n, err := v.s.number("number", text)
	if err != nil {
		v.Wrong = []string{v.T("%q is no telephone number: want +31612345678 or 0612345678.", short(text))}
		return v.show(http.StatusUnprocessableEntity, "numbers", v.T("Numbers"), short(text))
	}
	return v.away(v.openNumber(n))
}

// short is the beginning of what somebody typed, to be shown again.
func short(s string) string {
	if r := []rune(s); len(r) > 60 {
		return string(r[:60]) + "…"
	}
	return s
}

// A numberData is the page of one number.
type numberData struct {
	Handle    string
	Number    string
	Standings []Standing
	Timeline  []moment
	Facts     int
	More      bool // there are more calls than are shown
	Names     map[string]string
	Own       string // the advertiser that the reader is bound to
	Erasing   bool
	Kinds     []policy.Kind
	Now       time.Time
}

// A moment is one thing that happened: a fact or a call.
type moment struct {
	At     time.Time
	Kind   string // of a fact, or "call"
	Who    string // the advertiser
	Fields []field
	Call   *Call
	ID     string
}

type field struct{ Name, Value string }

func (v *view) opened() (policy.Number, error) {
	n, ok := v.session.Kept("number " + v.r.PathValue("handle")).(policy.Number)
	if !ok {
		return n, problem(http.StatusNotFound, v.T("This address is good only in the session that opened it. Look the number up again."))
	}
	return n, nil
}

func (v *view) oneNumber() error {
	n, err := v.opened()
	if err != nil {
		return err
	}
	return v.showNumber(http.StatusOK, n)
}

func (v *view) showNumber(status int, n policy.Number) error {
	v.Name = "numbers"
	k, err := v.s.numberOf(v.Who(), n, time.Time{}, 0)
	if err != nil {
		return err
	}
	d := numberData{Handle: v.r.PathValue("handle"), Number: n.E164(), Standings: k.standings, Facts: len(k.facts), More: k.next != 0, Own: v.Who().Advertiser,
		Names: v.s.o.Node.State().Names, Kinds: policy.Kinds(), Erasing: v.r.URL.Query().Get("erase") != "" && v.May("admin"), Now: v.s.o.Node.Now()}
	for i := range k.facts {
		f := &k.facts[i]
		d.Timeline = append(d.Timeline, moment{At: f.At, Kind: f.Kind.String(), Who: f.Advertiser, Fields: v.fieldsOf(f), ID: f.ID})
	}
	for i := range k.calls {
		d.Timeline = append(d.Timeline, moment{At: k.calls[i].At, Kind: "call", Who: k.calls[i].Advertiser, Call: &k.calls[i]})
	}
	slices.SortStableFunc(d.Timeline, func(a, b moment) int { return b.At.Compare(a.At) })
	return v.show(status, "number", v.T("One number"), d)
}

// fieldsOf is what a fact says beside what its line shows anyway.
func (v *view) fieldsOf(f *policy.Fact) (out []field) {
	var all map[string]any
	if err := json.Unmarshal(f.AppendJSON(nil), &all); err != nil {
		panic(err) // it is JSON of ours
	}
	for name, text := range flat(all) {
		if slices.Contains([]string{"id", "kind", "number", "advertiser", "at"}, name) {
			continue
		}
		if at, err := time.Parse(time.RFC3339, text); err == nil {
			text = v.Time(at)
		}
		if text == "true" || text == "false" {
			text = v.T(map[string]string{"true": "yes", "false": "no"}[text])
		}
		out = append(out, field{name, text})
	}
	sortFields(out)
	return out
}

// flat is the fields of a fact by their names in the vocabulary.
func flat(f map[string]any) map[string]string {
	out := map[string]string{}
	for name, value := range f {
		switch value := value.(type) {
		case map[string]any:
			for inner, text := range flat(value) {
				out[name+"."+inner] = text
			}
		case []any:
			var texts []string
			for _, one := range value {
				texts = append(texts, fmt.Sprint(one))
			}
			out[name] = strings.Join(texts, ", ")
		default:
			out[name] = fmt.Sprint(value)
		}
	}
	return out
}

// sortFields puts fields in the order of the vocabulary.
func sortFields(all []field) {
	order := policy.FactFields()
	slices.SortFunc(all, func(a, b field) int {
		return cmp.Compare(slices.Index(order, a.Name), slices.Index(order, b.Name))
	})
}

// enter enters a fact about the open number, and shows the number again.
func (v *view) enter(f policy.Fact, err error, n policy.Number) error {
	if err == nil {
		if wrong := mayWrite(v.Who(), &f); wrong != nil {
			err = wrong
		}
	}
	if err == nil {
		var r Added
		if r, err = v.s.gatherer.one(f); err == nil && r.Err != nil {
			err = &Invalid{Text: r.Err.Error()}
		}
	}
	if err != nil {
		if len(invalidities(err)) == 0 {
			return err
		}
		if err := v.wrong(err); err != nil {
			return err
		}
		return v.showNumber(http.StatusUnprocessableEntity, n)
	}
	v.tell("It is recorded, and binds the next call.")
	return v.away("/numbers/" + v.r.PathValue("handle"))
}

func (v *view) numberObjection() error {
	n, err := v.opened()
	if err != nil {
		return err
	}
	f, err := v.s.objection(v.Who(), objection{Number: n.E164(), Advertiser: v.r.PostFormValue("advertiser"), Scope: v.r.PostFormValue("scope"),
		Via: v.r.PostFormValue("via"), Source: "console: " + v.Who().Name})
	return v.enter(f, err, n)
}

// numberFact takes a fact as lines of field=value, in the vocabulary of facts.
func (v *view) numberFact() error {
	n, err := v.opened()
	if err != nil {
		return err
	}
	names, texts := []string{"number", "kind", "source"}, []string{n.E164(), v.r.PostFormValue("kind"), "console: " + v.Who().Name}
	if a := v.r.PostFormValue("advertiser"); a != "" {
		names, texts = append(names, "advertiser"), append(texts, a)
	}
	for _, line := range strings.Split(v.r.PostFormValue("fields"), "\n") {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		name, text, ok := strings.Cut(line, "=")
		if !ok {
			return v.enter(policy.Fact{}, &Invalid{Text: fmt.Sprintf("%q is no field=value", short(line))}, n)
		}
		names, texts = append(names, strings.TrimSpace(name)), append(texts, strings.TrimSpace(text))
	}
	f, err := v.s.form().ParseRow(names, texts)
	return v.enter(f, err, n)
}

func (v *view) numberProof() error {
	n, err := v.opened()
	if err != nil {
		return err
	}
	p, err := v.s.proof(v.Who(), n, time.Time{})
	if err != nil {
		return err
	}
	return sendProof(v.w, p, v.r.PostFormValue("format"), v.s.o.Now())
}

// numberErase erases after a second look: the last four digits are typed again.
func (v *view) numberErase() error {
	n, err := v.opened()
	if err != nil {
		return err
	}
	digits := n.Digits()
	if v.r.PostFormValue("again") != digits[len(digits)-4:] {
		v.Wrong = []string{v.T("Type the last four digits of the number, to show that you mean this one.")}
		v.r.URL.RawQuery = "erase=1"
		return v.showNumber(http.StatusUnprocessableEntity, n)
	}
	e, err := v.s.o.Node.Erase(n, v.r.PostFormValue("ground"))
	if err != nil {
		if len(invalidities(err)) == 0 {
			return err
		}
		if err := v.wrong(err); err != nil {
			return err
		}
		v.r.URL.RawQuery = "erase=1"
		return v.showNumber(http.StatusUnprocessableEntity, n)
	}
	v.s.o.Log.Info("a number was erased", "by", v.Who().Name, "record", e.Record)
	v.session.Take("number " + v.r.PathValue("handle"))
	v.tell("Erased: %d facts and %d calls. %d objections and register entries still bind. Record %d of the ledger says so.", e.Facts, e.Calls, e.Kept, e.Record)
	return v.away("/numbers")
}
