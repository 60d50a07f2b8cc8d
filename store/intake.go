package store

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"time"

	"golang.org/x/text/encoding/charmap"

	"dialgate/policy"
)

// An Intake says how a file of facts is read.
type Intake struct {
	Form      policy.FactForm
	Constants map[string]string // fields that every row has, unless it says otherwise
	Batch     string            // that brings the facts in; part of the ids of rows without an id
	Columns   *Columns          // nil: they are called as the fields are
}

// A Row is one row of a file: a fact, or why it is none.
type Row struct {
	Line   int    // where it begins, from 1
	Column string // the field at fault, "" when it is the row
	Text   string // the row as it stands
	Fact   policy.Fact
	Err    error
}

const maxLine = 1 << 20

// Rows reads JSON Lines when the file begins with a brace, an XLSX workbook when
// it is one, else CSV with a header: comma, semicolon or tab; UTF-8 with or without a byte order mark, or
// Windows-1252. A row that is no fact is a Row with an Err; only a file that
// can't be read at all is an error.
func (in Intake) Rows(r io.Reader) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		br := bufio.NewReaderSize(r, 64<<10)
		head, err := br.Peek(64 << 10)
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, bufio.ErrBufferFull) {
			yield(Row{}, fmt.Errorf("the file can't be read: %w", err))
			return
		}
		dialect := SniffDialect(head)
		if dialect.BOM {
			_, _ = br.Discard(len(byteOrderMark)) // it was peeked
			head = head[len(byteOrderMark):]
		}
		if len(bytes.TrimSpace(head)) == 0 {
			return
		}
		if bytes.HasPrefix(head, workbookBegins) {
			in.xlsx(br, yield)
			return
		}
		if bytes.TrimLeft(head, " \t\r\n")[0] == '{' {
			in.jsonLines(br, yield)
			return
		}
		var text io.Reader = br
		if dialect.Windows1252 {
			text = charmap.Windows1252.NewDecoder().Reader(br)
		}
		in.csv(text, dialect.Separator, yield)
	}
}

func (in Intake) jsonLines(r *bufio.Reader, yield func(Row, error) bool) {
	sc := bufio.NewScanner(r)
	sc.Buffer(make([]byte, 64<<10), maxLine)
	line := 0
	for sc.Scan() {
		line++
		text := bytes.TrimSpace(sc.Bytes())
		if len(text) == 0 {
			continue
		}
		row := Row{Line: line, Text: string(text)}
		row.Fact, row.Err = in.Form.ParseJSON(text)
		if !yield(in.finish(row), nil) {
			return
		}
	}
	if err := sc.Err(); err != nil {
		yield(Row{}, fmt.Errorf("line %d can't be read: %w", line+1, err))
	}
}

func (in Intake) csv(r io.Reader, separator rune, yield func(Row, error) bool) {
	cr := csv.NewReader(r)
	cr.Comma, cr.FieldsPerRecord, cr.LazyQuotes, cr.TrimLeadingSpace = separator, -1, false, true
	header, err := cr.Read()
	if err != nil {
		yield(Row{}, fmt.Errorf("the header line can't be read: %w", err))
		return
	}
	names, err := in.header(header)
	if err != nil {
		yield(Row{}, err)
		return
	}
	for {
		cells, err := cr.Read()
		if errors.Is(err, io.EOF) {
			return
		}
		row := Row{}
		var bad *csv.ParseError
		switch {
		case errors.As(err, &bad):
			row.Line, row.Err = bad.StartLine, bad.Err
		case err != nil:
			yield(Row{}, fmt.Errorf("the file can't be read: %w", err))
			return
		default:
			row.Line, _ = cr.FieldPos(0)
			row.Text = joinCells(cells, separator)
			row.Fact, row.Err = in.row(names, cells, len(header))
		}
		if !yield(in.finish(row), nil) {
			return
		}
	}
}

// header checks the column names and adds the constants that are no column.
func (in Intake) header(header []string) ([]string, error) {
	names := make([]string, 0, len(header)+len(in.Constants))
	for i, h := range header {
		name, err := in.Columns.field(h)
		if err != nil {
			return nil, fmt.Errorf("column %d is called %q, which %w", i+1, h, err)
		}
		if name != "" && slices.Contains(names, name) {
			return nil, fmt.Errorf("the column %q is there twice", name)
		}
		names = append(names, name)
	}
	var rest []string
	for name := range in.Constants {
		if !slices.Contains(names, name) {
			rest = append(rest, name)
		}
	}
	slices.Sort(rest)
	return append(names, rest...), nil
}

func (in Intake) row(names, cells []string, columns int) (policy.Fact, error) {
	if len(cells) != columns {
		return policy.Fact{}, fmt.Errorf("the row has %d cells, the header %d", len(cells), columns)
	}
	texts := make([]string, len(names))
	for i, name := range names {
		if i < len(cells) {
			texts[i] = in.text(name, strings.TrimSpace(cells[i]))
		}
		if texts[i] == "" {
			texts[i] = in.Constants[name]
		}
	}
	return in.Form.ParseRow(names, texts)
}

// text is what a cell says in the words of its field, "" in a column that is not read.
func (in Intake) text(field, cell string) string {
	if field == "" {
		return ""
	}
	zone := in.Form.Zone
	if t, err := time.ParseInLocation(localSeconds, cell, zone); err == nil && slices.Contains(instantFields, field) {
		return t.Format(time.RFC3339)
	}
	return in.Columns.text(field, cell, zone)
}

// finish names the field at fault, and gives a row without an id one that the
// same row will have again.
func (in Intake) finish(row Row) Row {
	var field *policy.FieldError
	if errors.As(row.Err, &field) {
		row.Column = field.Field
	}
	if row.Err == nil && row.Fact.ID == "" {
		f := row.Fact
		f.RecordedAt = f.At // when it was learnt is no part of what it says
		sum := sha256.Sum256(append(f.AppendJSON(nil), in.Batch...))
		row.Fact.ID = "row-" + hex.EncodeToString(sum[:12])
	}
	if in.Batch != "" {
		row.Fact.Batch = in.Batch
	}
	return row
}

func joinCells(cells []string, separator rune) string {
	var b strings.Builder
	w := csv.NewWriter(&b)
	w.Comma = separator
	_ = w.Write(cells) // into memory
	w.Flush()
	return strings.TrimRight(b.String(), "\n")
}
