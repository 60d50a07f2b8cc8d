package policy

import (
	"bytes"
	"encoding/hex"
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
	r := factReader{form: form}
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
	r := factReader{form: form}
	for i, name := range names {
		if i < len(texts) && texts[i] != "" {
			r.give(name, texts[i])
		}
	}
	return r.fact()
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
}

type givenField struct {
	field *factField
	value any
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

// give notes a field's value: a string, a bool, or a list of strings.
func (r *factReader) give(name string, v any) {
	f := findFactField(name)
	if f == nil {
		r.fail(name, "no such field%s", Suggest(name, FactFields()))
		return
	}
	if slices.ContainsFunc(r.given, func(g givenField) bool { return g.field == f }) {
		r.fail(name, "is there twice")
		return
	}
	switch t := v.(type) {
	case string:
		if f.list {
			var list []string
			for _, part := range strings.Split(t, "|") {
				list = append(list, strings.TrimSpace(part))
			}
			v = list
		}
	case bool:
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
		v = list
	default:
		r.fail(name, "want a text, true or false, or a list of texts")
		return
	}
	if list, ok := v.([]string); ok {
		if !f.list {
			r.fail(name, "want one text, not a list")
			return
		}
		if len(list) > maxFactList {
			r.fail(name, "has %d entries, at most %d are allowed", len(list), maxFactList)
			return
		}
	}
	r.given = append(r.given, givenField{f, v})
}

// fact makes the fact of what was given, or reports all that is wrong.
func (r *factReader) fact() (Fact, error) {
	var f Fact
	for _, g := range r.given {
		if err := checkText(g.value); err != nil {
			r.errs = append(r.errs, &FieldError{g.field.name, err})
			continue
		}
		if err := g.field.set(r, &f, g.value); err != nil {
			r.errs = append(r.errs, &FieldError{g.field.name, err})
		}
	}
	if f.Kind != NoKind {
		for _, g := range r.given {
			if !g.field.of(f.Kind) {
				r.fail(g.field.name, "is no field of kind %s", f.Kind)
			}
		}
	}
	r.defaults(&f)
	r.check(&f)
	if r.errs != nil {
		return Fact{}, errors.Join(r.errs...)
	}
	return f, nil
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

// checkText bounds texts and refuses control characters in them.
func checkText(v any) error {
	switch t := v.(type) {
	case string:
		if len(t) > maxFactText {
			return fmt.Errorf("is %d octets long, at most %d are allowed", len(t), maxFactText)
		}
		if strings.ContainsFunc(t, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
			return errors.New("holds a control character")
		}
	case []string:
		for _, s := range t {
			if err := checkText(s); err != nil {
				return err
			}
		}
	}
	return nil
}

type setter = func(*factReader, *Fact, any) error

func setText(at func(*Fact) *string) setter {
	return func(_ *factReader, f *Fact, v any) error {
		s, ok := v.(string)
		if !ok {
			return errors.New("want a text")
		}
		*at(f) = s
		return nil
	}
}

func setTexts(at func(*Fact) *[]string) setter {
	return func(_ *factReader, f *Fact, v any) error {
		list, ok := v.([]string)
		if !ok {
			return errors.New("want a list of texts")
		}
		*at(f) = list
		return nil
	}
}

func setOneOf(allowed []string, at func(*Fact) *string) setter {
	return func(_ *factReader, f *Fact, v any) error {
		s, ok := v.(string)
		if !ok || !slices.Contains(allowed, s) {
			return fmt.Errorf("want one of %s", strings.Join(allowed, ", "))
		}
		*at(f) = s
		return nil
	}
}

func setName[T any](parse func(string) (T, bool), names []string, at func(*Fact) *T) setter {
	return func(_ *factReader, f *Fact, v any) error {
		s, _ := v.(string)
		t, ok := parse(s)
		if !ok || !slices.Contains(names, s) {
			return fmt.Errorf("want one of %s", listNames(names))
		}
		*at(f) = t
		return nil
	}
}

func setNames[T any](parse func(string) (T, bool), names []string, at func(*Fact) *[]T) setter {
	return func(_ *factReader, f *Fact, v any) error {
		list, ok := v.([]string)
		if !ok {
			return errors.New("want a list of texts")
		}
		for _, s := range list {
			t, ok := parse(s)
			if !ok || !slices.Contains(names, s) {
				return fmt.Errorf("%q: want some of %s", s, listNames(names))
			}
			*at(f) = append(*at(f), t)
		}
		return nil
	}
}

func listNames(names []string) string {
	return strings.Join(slices.DeleteFunc(slices.Clone(names), func(s string) bool { return s == "" }), ", ")
}

func setBool(at func(*Fact) *bool) setter {
	return func(_ *factReader, f *Fact, v any) error {
		switch v {
		case true, "true", "yes", "1":
			*at(f) = true
		case false, "false", "no", "0":
		default:
			return errors.New("want true or false")
		}
		return nil
	}
}

// setInstant reads an RFC 3339 instant or a bare date, which is its first
// instant, or its last where the field ends something.
func setInstant(ends bool, at func(*Fact) *time.Time) setter {
	return func(r *factReader, f *Fact, v any) error {
		s, _ := v.(string)
		t, err := time.Parse(time.RFC3339, s)
		if err != nil {
			d, err := ParseDate(s)
			if err != nil {
				return errors.New("want an RFC 3339 instant such as 2026-07-01T09:00:00+02:00, or a date")
			}
			t = d.In(r.zone())
			if ends {
				t = d.End(r.zone())
			}
		}
		if t.Year() < firstYear || t.Year() > lastYear {
			return fmt.Errorf("lies outside the years %d to %d", firstYear, lastYear)
		}
		*at(f) = t
		return nil
	}
}

func setDate(at func(*Fact) *Date) setter {
	return func(_ *factReader, f *Fact, v any) error {
		s, _ := v.(string)
		d, err := ParseDate(s)
		if err != nil {
			return errors.New("want a date such as 2026-07-01")
		}
		if y, _, _ := d.Split(); y < firstYear || y > lastYear {
			return fmt.Errorf("lies outside the years %d to %d", firstYear, lastYear)
		}
		*at(f) = d
		return nil
	}
}

func setDigest(at func(*Fact) *string) setter {
	return func(_ *factReader, f *Fact, v any) error {
		s, _ := v.(string)
		if b, err := hex.DecodeString(s); err != nil || len(b) != 32 {
			return errors.New("want a SHA-256 as 64 hexadecimal digits")
		}
		*at(f) = strings.ToLower(s)
		return nil
	}
}

// AppendJSON appends the fact as one JSON object, its fields in their fixed
// order and those that are not set left out. The number is written in full.
func (f *Fact) AppendJSON(b []byte) []byte {
	b = append(b, '{')
	first, inEvidence := true, false
	for i := range factFields {
		field := &factFields[i]
		if !field.of(f.Kind) {
			continue
		}
		v := field.get(f)
		switch t := v.(type) {
		case string:
			if t == "" {
				continue
			}
		case []string:
			if len(t) == 0 {
				continue
			}
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		name := field.name
		if rest, ok := strings.CutPrefix(name, "evidence."); ok {
			if !inEvidence {
				b, inEvidence = append(b, `"evidence":{`...), true
			}
			name = rest
		}
		b = appendPlain(append(append(append(b, '"'), name...), '"', ':'), v)
	}
	if inEvidence {
		b = append(b, '}')
	}
	return append(b, '}')
}
