package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"

	"dialgate/policy"
)

// An importReport tells what an import did, or would do. Facts are counted by
// kind, refused rows by cause.
type importReport struct {
	Batch    string         `json:"batch"`
	DryRun   bool           `json:"dry_run,omitempty"`
	Rows     int            `json:"rows"`
	Imported map[string]int `json:"imported"`
	Known    map[string]int `json:"known"`
	Rejected map[string]int `json:"rejected"`
	Rejects  string         `json:"rejects,omitempty"` // the file

	sums struct{ imported, known, rejected int }
}

func newImportReport(batch string, dry bool) importReport {
	return importReport{Batch: batch, DryRun: dry, Imported: map[string]int{}, Known: map[string]int{}, Rejected: map[string]int{}}
}

// maxCauses bounds how many causes are told apart.
const maxCauses = 50

const otherCauses = "other causes"

var (
	quotedValue = regexp.MustCompile(`"[^"]*"`)
	digitsValue = regexp.MustCompile(`\+?[0-9][0-9-]{3,}`)
)

// reject counts a refused row by its cause, without the values in it.
func (r *importReport) reject(cause error) {
	r.sums.rejected++
	var field *policy.FieldError
	text := oneLine(cause)
	if errors.As(cause, &field) {
		text = oneLine(field) // the first of several
	}
	text = digitsValue.ReplaceAllString(quotedValue.ReplaceAllString(text, `"..."`), "...")
	if _, ok := r.Rejected[text]; !ok && len(r.Rejected) >= maxCauses {
		text = otherCauses
	}
	r.Rejected[text]++
}

func (r *importReport) add(f *policy.Fact)  { r.sums.imported++; r.Imported[f.Kind.String()]++ }
func (r *importReport) know(f *policy.Fact) { r.sums.known++; r.Known[f.Kind.String()]++ }

// text prints the report for people.
func (r *importReport) text(w io.Writer) {
	verb := "imported"
	if r.DryRun {
		verb = "would be imported"
	}
	fmt.Fprintf(w, "%d rows: %d %s, %d known already, %d rejected\n", r.Rows, r.sums.imported, verb, r.sums.known, r.sums.rejected)
	if r.sums.imported > 0 {
		fmt.Fprintf(w, "%s: %s\n", verb, byKind(r.Imported))
	}
	if r.sums.known > 0 {
		fmt.Fprintf(w, "known already: %s\n", byKind(r.Known))
	}
	causes := slices.SortedFunc(maps.Keys(r.Rejected), func(a, b string) int { return r.Rejected[b] - r.Rejected[a] })
	for _, cause := range causes {
		fmt.Fprintf(w, "rejected: %d rows, %s\n", r.Rejected[cause], cause)
	}
	if r.Rejects != "" {
		fmt.Fprintf(w, "the rejected rows are in %s\n", r.Rejects)
	}
}
