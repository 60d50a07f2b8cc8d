package policy

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A factValue is what a field is given: a text, a list of texts, or a flag.
type factValue struct {
	is   valueKind
	flag bool
	text string
	list []string
}

type valueKind uint8

const (
	isText valueKind = iota
	isList
	isFlag
)

// A fieldForm is how a field is written and read.
type fieldForm struct {
	words  []string                       // that it can have, nil: any text
	append func(b []byte, f *Fact) []byte // its JSON, nothing when it is not set
	set    func(*factReader, *Fact, factValue) error
}

// unless leaves the field out of a fact where it is not set.
func (form fieldForm) unless(unset func(*Fact) bool) fieldForm {
	write := form.append
	form.append = func(b []byte, f *Fact) []byte {
		if unset(f) {
			return b
		}
		return write(b, f)
	}
	return form
}

func textForm(at func(*Fact) *string) fieldForm {
	return fieldForm{
		append: func(b []byte, f *Fact) []byte {
			if s := *at(f); s != "" {
				return appendPlainText(b, s)
			}
			return b
		},
		set: func(_ *factReader, f *Fact, v factValue) error {
			if v.is != isText {
				return errors.New("want a text")
			}
			*at(f) = v.text
			return nil
		},
	}
}

// oneOfForm is a text that is one of a few.
func oneOfForm(allowed []string, at func(*Fact) *string) fieldForm {
	form := textForm(at)
	form.words = allowed
	form.set = func(_ *factReader, f *Fact, v factValue) error {
		if v.is != isText || !slices.Contains(allowed, v.text) {
			return fmt.Errorf("want one of %s", strings.Join(allowed, ", "))
		}
		*at(f) = v.text
		return nil
	}
	return form
}

func digestForm(at func(*Fact) *string) fieldForm {
	form := textForm(at)
	form.set = func(_ *factReader, f *Fact, v factValue) error {
		if b, err := hex.DecodeString(v.text); err != nil || len(b) != 32 {
			return errors.New("want a SHA-256 as 64 hexadecimal digits")
		}
		*at(f) = strings.ToLower(v.text)
		return nil
	}
	return form
}

func textsForm(at func(*Fact) *[]string) fieldForm {
	return fieldForm{
		append: func(b []byte, f *Fact) []byte {
			return appendTexts(b, *at(f), func(s string) string { return s })
		},
		set: func(_ *factReader, f *Fact, v factValue) error {
			if v.is != isList {
				return errors.New("want a list of texts")
			}
			*at(f) = v.list
			return nil
		},
	}
}

// nameForm is a value that has a name of a table. It is always written.
func nameForm[T interface{ String() string }](parse func(string) (T, bool), names []string, at func(*Fact) *T) fieldForm {
	return fieldForm{
		words:  names,
		append: func(b []byte, f *Fact) []byte { return appendPlainText(b, (*at(f)).String()) },
		set: func(_ *factReader, f *Fact, v factValue) error {
			t, ok := parse(v.text)
			if !ok || !slices.Contains(names, v.text) {
				return fmt.Errorf("want one of %s", listNames(names))
			}
			*at(f) = t
			return nil
		},
	}
}

func namesForm[T any](parse func(string) (T, bool), name func(T) string, names []string, at func(*Fact) *[]T) fieldForm {
	return fieldForm{
		words:  names,
		append: func(b []byte, f *Fact) []byte { return appendTexts(b, *at(f), name) },
		set: func(_ *factReader, f *Fact, v factValue) error {
			if v.is != isList {
				return errors.New("want a list of texts")
			}
			for _, s := range v.list {
				t, ok := parse(s)
				if !ok || !slices.Contains(names, s) {
					return fmt.Errorf("%q: want some of %s", s, listNames(names))
				}
				*at(f) = append(*at(f), t)
			}
			return nil
		},
	}
}

func listNames(names []string) string {
	return strings.Join(slices.DeleteFunc(slices.Clone(names), func(s string) bool { return s == "" }), ", ")
}

// flagForm is true or false. It is always written.
func flagForm(at func(*Fact) *bool) fieldForm {
	return fieldForm{
		words: []string{"true", "false"},
		append: func(b []byte, f *Fact) []byte {
			if *at(f) {
				return append(b, "true"...)
			}
			return append(b, "false"...)
		},
		set: func(_ *factReader, f *Fact, v factValue) error {
			flag, ok := v.flag, v.is == isFlag
			if v.is == isText {
				switch v.text {
				case "true", "yes", "1":
					flag, ok = true, true
				case "false", "no", "0":
					flag, ok = false, true
				}
			}
			if !ok {
				return errors.New("want true or false")
			}
			*at(f) = flag
			return nil
		},
	}
}

// instantForm is an RFC 3339 instant or a bare date, which is its first
// instant, or its last where the field ends something.
func instantForm(ends bool, at func(*Fact) *time.Time) fieldForm {
	return fieldForm{
		append: func(b []byte, f *Fact) []byte {
			t := at(f)
			if t.IsZero() {
				return b
			}
			return append(t.AppendFormat(append(b, '"'), time.RFC3339Nano), '"')
		},
		set: func(r *factReader, f *Fact, v factValue) error {
			t, err := r.instant(v.text, ends)
			if err != nil {
				return err
			}
			*at(f) = t
			return nil
		},
	}
}

func (r *factReader) instant(s string, ends bool) (t time.Time, err error) {
	if len(s) == len(time.DateOnly) { // to try both costs more than to parse one
		var d Date
		if d, err = ParseDate(s); ends {
			t = d.End(r.zone())
		} else {
			t = d.In(r.zone())
		}
	} else {
		t, err = time.Parse(time.RFC3339, s)
	}
	if err != nil {
		return t, errors.New("want an RFC 3339 instant such as 2026-07-01T09:00:00+02:00, or a date")
	}
	if t.Year() < firstYear || t.Year() > lastYear {
		return t, fmt.Errorf("lies outside the years %d to %d", firstYear, lastYear)
	}
	return t, nil
}

func dateForm(at func(*Fact) *Date) fieldForm {
	return fieldForm{
		append: func(b []byte, f *Fact) []byte {
			if d := *at(f); d != 0 {
				return appendPlainText(b, d.String())
			}
			return b
		},
		set: func(_ *factReader, f *Fact, v factValue) error {
			d, err := ParseDate(v.text)
			if err != nil {
				return errors.New("want a date such as 2026-07-01")
			}
			if y, _, _ := d.Split(); y < firstYear || y > lastYear {
				return fmt.Errorf("lies outside the years %d to %d", firstYear, lastYear)
			}
			*at(f) = d
			return nil
		},
	}
}

// numberForm is the telephone number, written in full.
func numberForm(at func(*Fact) *Number) fieldForm {
	return fieldForm{
		append: func(b []byte, f *Fact) []byte {
			n := *at(f)
			if n.IsZero() {
				return b
			}
			return append(n.AppendE164(append(b, '"')), '"')
		},
		set: func(r *factReader, f *Fact, v factValue) (err error) {
			*at(f), err = r.form.number(v.text)
			return err
		},
	}
}
