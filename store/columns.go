package store

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"dialgate/policy"
)

// Columns say how the columns of somebody else's file become fields of facts.
type Columns struct {
	Fields map[string]string            // column → field
	Ignore []string                     // columns that are not read; "*": all that are not named
	Values map[string]map[string]string // field → text in the file → text of the field
	Dutch  bool                         // 31-12-2026, 31/12/2026 and 31.12.2026, with or without 14:05, are dates
	Guess  bool                         // a column that is not named is read as what it seems to be, or not at all
}

// Check tells what is wrong with the columns, nil if nothing is.
func (c *Columns) Check() error {
	known := policy.FactFields()
	var errs []error
	unknown := func(field string) {
		if !slices.Contains(known, field) {
			errs = append(errs, fmt.Errorf("%q is no field of a fact; fields: %s", field, strings.Join(known, ", ")))
		}
	}
	for _, column := range slices.Sorted(maps.Keys(c.Fields)) {
		unknown(c.Fields[column])
	}
	for _, field := range slices.Sorted(maps.Keys(c.Values)) {
		unknown(field)
		read := map[string]string{} // text without case → as it stands
		for _, text := range slices.Sorted(maps.Keys(c.Values[field])) {
			folded := strings.ToLower(text)
			if other, there := read[folded]; there && c.Values[field][other] != c.Values[field][text] {
				errs = append(errs, fmt.Errorf("of %s %q and %q are the same text, since case is passed over, and are read differently", field, other, text))
			}
			read[folded] = text
		}
	}
	return errors.Join(errs...)
}

// field is what a column is read as, "" when it is not read. Without columns
// of its own, a file's are called as the fields are.
func (c *Columns) field(column string) (string, error) {
	name := strings.ToLower(strings.TrimSpace(column))
	if c != nil {
		for of, field := range c.Fields {
			if strings.EqualFold(strings.TrimSpace(of), strings.TrimSpace(column)) {
				return field, nil
			}
		}
		for _, ignored := range c.Ignore {
			if ignored == "*" || strings.EqualFold(ignored, strings.TrimSpace(column)) {
				return "", nil
			}
		}
	}
	if known := policy.FactFields(); !slices.Contains(known, name) {
		if c != nil && c.Guess {
			return guessed(column), nil
		}
		return "", fmt.Errorf("is no field of a fact; name it in a map (--map), or take a field's name: %s", strings.Join(known, ", "))
	}
	return name, nil
}

// Fields that hold instants, and those that hold a bare date.
var (
	instantFields = []string{"at", "recorded_at", "verified_at", "valid_until", "first_call_by", "until"}
	dateFields    = []string{"started", "ended"}
)

// text is what a cell says in a field's own words.
func (c *Columns) text(field, cell string, zone *time.Location) string {
	if c == nil {
		return cell
	}
	values := c.Values[field]
	if text, ok := values[cell]; ok {
		return text
	}
	for of, text := range values {
		if strings.EqualFold(of, cell) {
			return text
		}
	}
	if !c.Dutch {
		return cell
	}
	instant := slices.Contains(instantFields, field)
	if !instant && !slices.Contains(dateFields, field) {
		return cell
	}
	dashed := strings.Map(func(r rune) rune {
		if r == '/' || r == '.' {
			return '-'
		}
		return r
	}, cell)
	// Which form it can be is told by its colons: a failed attempt costs more than the right one.
	switch form := dutchForms[min(strings.Count(dashed, ":"), 3)]; {
	case form == dutchDate:
		if d, err := time.Parse(form, dashed); err == nil {
			return d.Format(time.DateOnly)
		}
	case instant && form != "":
		if t, err := time.ParseInLocation(form, dashed, zone); err == nil {
			return t.Format(time.RFC3339)
		}
	}
	return cell
}

const dutchDate = "2-1-2006"

var dutchForms = [4]string{dutchDate, "2-1-2006 15:04", "2-1-2006 15:04:05", ""}
