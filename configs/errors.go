package configs

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// position is a place in a file.
type position struct{ line, col int }

// An Error is one thing wrong with a configuration.
type Error struct {
	File      string
	Line, Col int
	Path      string // such as campaigns[0].advertiser
	Text      string // what is wrong, and what is allowed
}

func (e *Error) Error() string {
	if e.Path == "" {
		return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Col, e.Text)
	}
	return fmt.Sprintf("%s:%d:%d: %s: %s", e.File, e.Line, e.Col, e.Path, e.Text)
}

// Errors are all that is wrong, in the order of the file.
type Errors []*Error

func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, one := range e {
		lines[i] = one.Error()
	}
	return strings.Join(lines, "\n")
}

func (e Errors) sorted() Errors {
	slices.SortStableFunc(e, func(a, b *Error) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Col, b.Col))
	})
	return e
}
