package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// A FactForm says how facts are read from text.
type FactForm struct {
	// Zone is where a bare date begins and ends.
	Zone *time.Location
	// Number reads a telephone number; nil: [ParseNumber], international form only.
	Number func(string) (Number, error)
	// DefaultAt is when a fact without "at" and "started" happened. Zero: such
	// a fact is refused.
	DefaultAt time.Time
	// Attested asks that a consent says whether it was pre-ticked and bundled,
	// since silence would count as the better answer.
	Attested bool
}

// Bounds of what a fact may hold, so that nobody fills the store with one.
const (
	maxFactText  = 1024    // octets of one text
	maxFactList  = 64      // entries of one list
	maxFactOctet = 1 << 16 // octets of a fact's JSON
	firstYear    = 1900
	lastYear     = 9998
)

// A FieldError says what is wrong with one field of a fact.
type FieldError struct {
	Field string
	Err   error
}

func (e *FieldError) Error() string { return e.Field + ": " + e.Err.Error() }
func (e *FieldError) Unwrap() error { return e.Err }

// ParseJSON reads one fact from a JSON object. It is strict: a field that is
// unknown, doubled, or not one of the fact's kind is an error. All errors are
// reported together, each a [FieldError], joined by [errors.Join].
func (form FactForm) ParseJSON(data []byte) (Fact, error) {
	if len(data) > maxFactOctet {
		return Fact{}, fmt.Errorf("a fact of %d octets is too large: at most %d", len(data), maxFactOctet)
	}
	r := factReader{form: form, given: make([]givenField, 0, usualFields)}
	if r.plain(data) {
		return r.fact()
	}
	r = factReader{form: form}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	if err := r.object(dec, ""); err != nil {
		return Fact{}, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return Fact{}, errors.New("text follows the fact's closing brace")
	}
	return r.fact()
}

// ParseRow reads one fact from named texts, such as a CSV row. A list is
// separated by "|"; an empty text is a field not given.
func (form FactForm) ParseRow(names, texts []string) (Fact, error) {
	return form.RowReader(names).Parse(texts)
}

// A RowReader is ParseRow for many rows of the same fields. It is of one goroutine.
type RowReader struct {
	names  []string
	fields []*factField // nil: there is none of that name
	reader factReader
}

// RowReader makes a reader of rows.
func (form FactForm) RowReader(names []string) *RowReader {
	r := RowReader{names: names, reader: factReader{form: form}}
	for _, name := range names {
		r.fields = append(r.fields, findFactField(name))
	}
	return &r
}

// Parse reads one row.
func (r *RowReader) Parse(texts []string) (Fact, error) {
	r.reader.given, r.reader.errs = r.reader.given[:0], nil
	for i, f := range r.fields {
		switch {
		case i >= len(texts) || texts[i] == "":
		case f == nil:
			r.reader.unknown(r.names[i])
		default:
			r.reader.giveText(f, texts[i])
		}
	}
	return r.reader.fact()
}

func (form FactForm) number(s string) (Number, error) {
	if form.Number != nil {
		return form.Number(s)
	}
	return ParseNumber(s)
}

// A factReader collects the fields of one fact, then makes it.
type factReader struct {
	form  FactForm
	given []givenField
	errs  []error
	made  Fact
}

// usualFields is how many fields most facts give at most.
const usualFields = 16

type givenField struct {
	field *factField
	value factValue
}

func (r *factReader) fail(field, format string, args ...any) {
	r.errs = append(r.errs, &FieldError{field, fmt.Errorf(format, args...)})
}

// object reads a JSON object; evidence is the only object inside another.
func (r *factReader) object(dec *json.Decoder, prefix string) error {
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("no JSON: %w", err)
		}
		return errors.New("want a JSON object")
	}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return fmt.Errorf("no JSON: %w", err)
		}
		name := prefix + key.(string)
		if name == "evidence" {
			if err := r.object(dec, "evidence."); err != nil {
				return err
			}
			continue
		}
		var v any
		if err := dec.Decode(&v); err != nil {
			return fmt.Errorf("no JSON: %w", err)
		}
		if v != nil {
			r.give(name, v)
		}
	}
	_, err := dec.Token()
	return err
}

// give notes a field's value as package json gives it.
func (r *factReader) give(name string, v any) {
	f := findFactField(name)
	if f == nil {
		r.unknown(name)
		return
	}
	switch t := v.(type) {
	case string:
		r.giveText(f, t)
	case bool:
		r.giveValue(f, factValue{is: isFlag, flag: t})
	case []any:
		list := make([]string, 0, len(t))
		for _, e := range t {
			s, ok := e.(string)
			if !ok {
				r.fail(name, "want a list of texts")
				return
			}
			list = append(list, s)
		}
		r.giveValue(f, factValue{is: isList, list: list})
	default:
		r.fail(name, "want a text, true or false, or a list of texts")
	}
}

func (r *factReader) unknown(name string) {
	r.fail(name, "no such field%s", Suggest(name, FactFields()))
}

// giveText notes a text; of a field that is a list, its parts.
func (r *factReader) giveText(f *factField, s string) {
	if !f.list {
		r.giveValue(f, factValue{text: s})
		return
	}
	list := strings.Split(s, "|")
	for i := range list {
		list[i] = strings.TrimSpace(list[i])
	}
	r.giveValue(f, factValue{is: isList, list: list})
}

func (r *factReader) giveValue(f *factField, v factValue) {
	for i := range r.given {
		if r.given[i].field == f {
			r.fail(f.name, "is there twice")
			return
		}
	}
	if v.is == isList {
		if !f.list {
			r.fail(f.name, "want one text, not a list")
			return
		}
		if len(v.list) > maxFactList {
			r.fail(f.name, "has %d entries, at most %d are allowed", len(v.list), maxFactList)
			return
		}
	}
	r.given = append(r.given, givenField{f, v})
}

// fact makes the fact of what was given, or reports all that is wrong.
func (r *factReader) fact() (Fact, error) {
	f := &r.made
	*f = Fact{}
	for i := range r.given {
		g := &r.given[i]
		err := g.value.check()
		if err == nil {
			err = g.field.set(r, f, g.value)
		}
		if err != nil {
			r.errs = append(r.errs, &FieldError{g.field.name, err})
		}
	}
	if f.Kind != NoKind {
		for i := range r.given {
			if g := &r.given[i]; !g.field.of(f.Kind) {
				r.fail(g.field.name, "is no field of kind %s", f.Kind)
			}
		}
	}
	r.defaults(f)
	r.check(f)
	if r.errs != nil {
		return Fact{}, errors.Join(r.errs...)
	}
	return *f, nil
}

func (r *factReader) has(name string) bool {
	return slices.ContainsFunc(r.given, func(g givenField) bool { return g.field.name == name })
}

// failed reports whether the field has its error already.
func (r *factReader) failed(name string) bool {
	return slices.ContainsFunc(r.errs, func(err error) bool {
		var f *FieldError
		return errors.As(err, &f) && f.Field == name
	})
}

func (r *factReader) defaults(f *Fact) {
	if f.At.IsZero() && !r.has("at") {
		if f.Started != 0 {
			f.At = f.Started.In(r.zone())
		} else {
			f.At = r.form.DefaultAt
		}
	}
	if f.Kind == Consent && !r.has("channels") {
		f.Channels = []CallMode{Live}
	}
}

// check is what a fact of each kind must hold.
func (r *factReader) check(f *Fact) {
	need := func(name string, missing bool) {
		if missing && !r.failed(name) {
			r.fail(name, "is missing")
		}
	}
	need("kind", f.Kind == NoKind)
	need("number", f.Number.IsZero())
	need("at", f.At.IsZero())
	switch f.Kind {
	case Consent:
		need("advertiser", f.Advertiser == "")
		if r.form.Attested {
			need("preticked", !r.has("preticked"))
			need("bundled", !r.has("bundled"))
		}
	case Withdrawal, Objection, Callback:
		need("advertiser", f.Advertiser == "")
	case Relationship:
		need("advertiser", f.Advertiser == "")
		need("type", f.Type == NoRelationship)
		need("started", f.Started == 0)
		if f.Ended != 0 && f.Ended < f.Started {
			r.fail("ended", "is %s, before started %s", f.Ended, f.Started)
		}
	case Subscriber:
		need("subscriber", !r.has("subscriber"))
	case Listed:
		need("list", f.List == "")
	case Undo:
		need("undoes", f.Undoes == "")
	}
	if f.Advertiser == "*" && f.Kind != Objection && f.Kind != Undo {
		r.fail("advertiser", "\"*\" stands for every advertiser in an objection only")
	}
}

func (r *factReader) zone() *time.Location {
	if r.form.Zone == nil {
		return time.UTC
	}
	return r.form.Zone
}

// check bounds texts and refuses control characters in them.
func (v *factValue) check() error {
	err := checkText(v.text)
	for i := 0; err == nil && i < len(v.list); i++ {
		err = checkText(v.list[i])
	}
	return err
}

func checkText(s string) error {
	if len(s) > maxFactText {
		return fmt.Errorf("is %d octets long, at most %d are allowed", len(s), maxFactText)
	}
	for i := range len(s) { // no octet of a longer character of UTF-8 is one of these
		if s[i] < ' ' && s[i] != '\t' || s[i] == 0x7f {
			return errors.New("holds a control character")
		}
	}
	return nil
}

// AppendJSON appends the fact as one JSON object, its fields in their fixed
// order and those that are not set left out. The number is written in full.
func (f *Fact) AppendJSON(b []byte) []byte {
	b = append(b, '{')
	first, inEvidence := true, false
	for _, field := range fieldsOf(f.Kind) {
		before, evidence := len(b), inEvidence
		if !first {
			b = append(b, ',')
		}
		name := field.name
		if rest, ok := strings.CutPrefix(name, "evidence."); ok {
			if !evidence {
				b, evidence = append(b, `"evidence":{`...), true
			}
			name = rest
		}
		b = append(append(append(b, '"'), name...), '"', ':')
		value := len(b)
		if b = field.append(b, f); len(b) == value {
			b = b[:before]
			continue
		}
		first, inEvidence = false, evidence
	}
	if inEvidence {
		b = append(b, '}')
	}
	return append(b, '}')
}
