package configs

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"dialgate/policy"
)

// A CaseFile is a file of acceptance cases with the configuration they run on.
type CaseFile struct {
	Config *Config
	Cases  []Case
}

// A Case is one acceptance case: a call, what is known, and what must come of it.
type Case struct {
	Name     string
	Line     int
	At       time.Time
	KnownAt  time.Time // zero: everything given is known
	Call     CaseCall
	Raw      string // a whole SIP message in place of Call
	Facts    []policy.Fact
	Earlier  []Earlier
	AsOf     map[string]time.Time // registers
	Without  []string             // rules left out
	Broken   []string             // store, ledger, overload
	Expected Expectation
}

// An Earlier call was made before the case's.
type Earlier struct {
	At      time.Time
	From    string // caller number, "" when it is that of the case
	CallID  string // "": another attempt than the case's
	Allowed bool
}

// A CaseCall is a call as a case describes it.
type CaseCall struct {
	From       string   `key:"from" doc:"Caller number."`
	To         string   `key:"to" doc:"Called number."`
	Peer       string   `key:"peer" doc:"The dialer; default: the only one; stranger: a source that is no peer."`
	Campaign   string   `key:"campaign" doc:"The campaign, as if the dialer named it."`
	Headers    []string `key:"headers" doc:"Further header lines."`
	FromHeader string   `key:"from_header" doc:"The whole value of From, without a tag."`
	RURI       string   `key:"ruri" doc:"The whole Request-URI."`
}

// An Expectation is what must come of a case; what is empty is not compared.
type Expectation struct {
	Verdict string   `key:"verdict" oneof:"allow,deny" required:"" doc:"allow or deny."`
	Reason  string   `key:"reason" doc:"The reason."`
	SIP     int      `key:"sip" doc:"Status code of the refusal."`
	Rule    string   `key:"rule" doc:"Id of the rule that gave the reason."`
	Basis   []string `key:"basis" doc:"Ids of the facts it rests on."`
}

// caseFields is a case as it is written.
type caseFields struct {
	Name      string         `key:"name" required:"" doc:"What the case shows."`
	At        string         `key:"at" required:"" doc:"When the call is made, RFC 3339."`
	KnownAt   string         `key:"known_at" doc:"Facts recorded later do not exist."`
	Call      CaseCall       `key:"call" doc:"The call."`
	Raw       string         `key:"raw" doc:"A whole SIP message in place of call."`
	Facts     map[string]any `key:"facts" special:"facts" doc:"What is known of the number."`
	Earlier   []earlierCall  `key:"earlier_calls" doc:"Calls made before."`
	Registers map[string]any `key:"registers" special:"registers" doc:"Dates of the copies of do-not-call registers."`
	Expect    Expectation    `key:"expect" required:"" doc:"What must come of it."`
	SwitchOff []string       `key:"switch_off" doc:"Rules left out, by id or prefix."`
	Broken    []string       `key:"broken" oneof:"store,ledger,overload" doc:"What fails."`
}

type earlierCall struct {
	At      string `key:"at" required:"" doc:"When, RFC 3339."`
	From    string `key:"from" doc:"Caller number."`
	CallID  string `key:"call_id" doc:"Its Call-ID, when that matters; the case's own call has hypothetical@dialer.invalid."`
	Verdict string `key:"verdict" oneof:"allow,deny" default:"allow" doc:"What came of it."`
}

type caseFile struct {
	Config map[string]any `key:"config" special:"config" doc:"Sections that replace the configuration's."`
	Cases  []caseFields   `key:"cases" required:"" doc:"The cases."`
}

// ParseCases reads a file of acceptance cases. base is the text of the
// configuration whose sections the file's own replace. form reads the facts.
func ParseCases(name string, data, base []byte, form policy.FactForm) (*CaseFile, error) {
	d := &decoder{file: name, positions: map[string]position{}, secret: secret}
	root := d.parse(data)
	if root == nil {
		if len(d.errs) == 0 {
			d.errs = append(d.errs, &Error{File: name, Line: 1, Col: 1, Text: "the file is empty: want cases"})
		}
		return nil, d.errs
	}
	var wire caseFile
	d.decode(root, reflect.ValueOf(&wire).Elem(), "", nil)
	out := &CaseFile{Config: d.caseConfig(root, data, base)}
	if list := child(root, "cases"); list != nil && list.Kind == yaml.SequenceNode {
		for i := range wire.Cases {
			out.Cases = append(out.Cases, d.oneCase(d.resolve(list.Content[i], ""), &wire.Cases[i], fmt.Sprintf("cases[%d]", i), form))
		}
	}
	if len(d.errs) > 0 {
		return nil, d.errs.sorted()
	}
	return out, nil
}

// caseConfig is the base configuration with the case file's sections in place
// of its own.
func (d *decoder) caseConfig(root *yaml.Node, data, base []byte) *Config {
	b := &decoder{file: d.file, positions: map[string]position{}, secret: secret}
	merged := b.parse(base)
	if own := child(root, "config"); own != nil {
		if own.Kind != yaml.MappingNode {
			d.fail(own, "config", "want a mapping of sections")
			return &Config{}
		}
		for i := 0; i+1 < len(own.Content); i += 2 {
			replace(merged, own.Content[i], own.Content[i+1])
		}
	}
	c := b.config(merged, append(slices.Clone(base), data...))
	d.errs = append(d.errs, b.errs...)
	return c
}

func replace(in *yaml.Node, key, value *yaml.Node) {
	for i := 0; i+1 < len(in.Content); i += 2 {
		if in.Content[i].Value == key.Value {
			in.Content[i], in.Content[i+1] = key, value
			return
		}
	}
	in.Content = append(in.Content, key, value)
}

func (d *decoder) oneCase(n *yaml.Node, w *caseFields, path string, form policy.FactForm) Case {
	c := Case{Name: w.Name, Line: n.Line, Call: w.Call, Raw: w.Raw, Without: w.SwitchOff, Broken: w.Broken, Expected: w.Expect}
	c.At = d.instant(n, w.At, path+".at")
	if w.KnownAt != "" {
		c.KnownAt = d.instant(n, w.KnownAt, path+".known_at")
	}
	if w.Expect.Reason != "" {
		if _, ok := policy.ParseReason(w.Expect.Reason); !ok {
			var all []string
			for _, r := range policy.Reasons() {
				all = append(all, r.String())
			}
			d.fail(n, path+".expect.reason", "%q is no reason%s", w.Expect.Reason, policy.Suggest(w.Expect.Reason, all))
		}
	}
	if w.Raw == "" && w.Call.To == "" && w.Call.RURI == "" {
		d.fail(n, path+".call", "says nobody who is called: give to, ruri or raw")
	}
	first := c.At
	for i, e := range w.Earlier {
		at := d.instant(n, e.At, fmt.Sprintf("%s.earlier_calls[%d].at", path, i))
		if at.Before(first) {
			first = at
		}
		c.Earlier = append(c.Earlier, Earlier{At: at, From: e.From, CallID: e.CallID, Allowed: e.Verdict != "deny"})
	}
	// A fact without a time was there before every call of the case.
	form.DefaultAt = first.Add(-24 * time.Hour)
	if facts := child(n, "facts"); facts != nil {
		d.facts(d.resolve(facts, path), &c, path+".facts", form)
	}
	if r := child(n, "registers"); r != nil {
		d.registers(r, &c, path+".registers", form.Zone)
	}
	return c
}

func (d *decoder) instant(n *yaml.Node, s, path string) time.Time {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil && s != "" {
		d.fail(n, path, "%q is no instant, such as 2026-07-01T09:00:00+02:00", s)
	}
	return t
}

func (d *decoder) facts(n *yaml.Node, c *Case, path string, form policy.FactForm) {
	if n.Kind != yaml.SequenceNode {
		d.fail(n, path, "want a list of facts")
		return
	}
	for i, item := range n.Content {
		at := fmt.Sprintf("%s[%d]", path, i)
		item = d.resolve(item, at)
		value := d.plain(item, at)
		text, err := json.Marshal(value)
		if err != nil {
			d.fail(item, at, "%v", err)
			continue
		}
		f, err := form.ParseJSON(text)
		if err != nil {
			d.factErrors(item, at, err)
			continue
		}
		if f.RecordedAt.IsZero() {
			f.RecordedAt = f.At
		}
		if f.ID == "" {
			f.ID = fmt.Sprintf("fact-%d", i+1)
		}
		c.Facts = append(c.Facts, f)
	}
}

// factErrors places each error of a fact at its field.
func (d *decoder) factErrors(n *yaml.Node, path string, err error) {
	list := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		list = joined.Unwrap()
	}
	for _, one := range list {
		var field *policy.FieldError
		if !errors.As(one, &field) {
			d.fail(n, path, "%v", one)
			continue
		}
		at := n
		if v := child(n, strings.Split(field.Field, ".")[0]); v != nil {
			at = v
		}
		d.fail(at, path+"."+field.Field, "%v", field.Err)
	}
}

// plain turns a node into what encoding/json writes: every scalar but true and
// false is a text, as it stands.
func (d *decoder) plain(n *yaml.Node, path string) any {
	n = d.resolve(n, path)
	if d.nodes > maxNodes {
		return nil
	}
	switch n.Kind {
	case yaml.MappingNode:
		out := map[string]any{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Tag == "!!merge" {
				continue
			}
			if _, twice := out[n.Content[i].Value]; twice {
				d.fail(n.Content[i], join(path, n.Content[i].Value), "is there twice")
			}
			out[n.Content[i].Value] = d.plain(n.Content[i+1], path)
		}
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Tag == "!!merge" {
				d.merge(out, n.Content[i+1], path)
			}
		}
		return out
	case yaml.SequenceNode:
		out := make([]any, 0, len(n.Content))
		for _, item := range n.Content {
			out = append(out, d.plain(item, path))
		}
		return out
	}
	switch n.Tag {
	case "!!bool":
		return strings.EqualFold(n.Value, "true")
	case "!!null":
		return nil
	}
	return n.Value
}

// merge adds what another mapping holds and this one does not ("<<"): so a case
// says only in what its fact differs from one that was given before.
func (d *decoder) merge(into map[string]any, n *yaml.Node, path string) {
	from, ok := d.plain(n, path).(map[string]any)
	if !ok {
		d.fail(n, path+".<<", "want a mapping")
		return
	}
	for name, v := range from {
		if _, own := into[name]; !own {
			into[name] = v
		}
	}
}

func (d *decoder) registers(n *yaml.Node, c *Case, path string, zone *time.Location) {
	if n.Kind != yaml.MappingNode {
		d.fail(n, path, "want a mapping of register ids")
		return
	}
	c.AsOf = map[string]time.Time{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		id, v := n.Content[i].Value, n.Content[i+1]
		asOf := child(v, "as_of")
		if asOf == nil {
			d.fail(v, join(path, id), "want {as_of: date}")
			continue
		}
		if t, err := time.Parse(time.RFC3339, asOf.Value); err == nil {
			c.AsOf[id] = t
			continue
		}
		date, err := policy.ParseDate(asOf.Value)
		if err != nil {
			d.fail(asOf, join(path, id)+".as_of", "%q is no date, such as 2026-07-01", asOf.Value)
			continue
		}
		c.AsOf[id] = date.In(zone)
	}
}
