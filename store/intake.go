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
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"

	"dialgate/policy"
)

// An Intake says how a file of facts is read.
type Intake struct {
	Form      policy.FactForm
	Constants map[string]string // fields that every row has, unless it says otherwise
	Batch     string            // that brings the facts in; part of the ids of rows without an id
	Columns   *Columns          // nil: they are called as the fields are
	// Heads, unless nil, is told of a table's columns and of the fields that
	// they are read as, "" where one is not read.
	Heads func(columns, fields []string)
}

// A Row is one row of a file: a fact, or why it is none.
type Row struct {
	Line   int      // where it begins, from 1
	Column string   // the field at fault, "" when it is the row
	Text   string   // the row as it stands
	Cells  []string // of a table's row, beneath its columns
	Fact   policy.Fact
	Err    error
}

const maxLine = 1 << 20

// Rows reads JSON Lines when the file begins with a brace, an XLSX workbook when
// it is one, else CSV with a header: comma, semicolon or tab; UTF-8 with or without a byte order mark, or
// Windows-1252. A row that is no fact is a Row with an Err; only a file that
// can't be read at all is an error. The file is read ahead of whoever takes the
// rows, and in.Form.Number is called by several goroutines.
func (in Intake) Rows(r io.Reader) iter.Seq2[Row, error] {
	return in.readAhead(func(put func(*sheet, rawRow) bool) error {
		br := bufio.NewReaderSize(r, 64<<10)
		head, err := br.Peek(64 << 10)
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, bufio.ErrBufferFull) {
			return fmt.Errorf("the file can't be read: %w", err)
		}
		dialect := SniffDialect(head)
		if dialect.BOM {
			_, _ = br.Discard(len(byteOrderMark)) // it was peeked
			head = head[len(byteOrderMark):]
		}
		if len(bytes.TrimSpace(head)) == 0 {
			return nil
		}
		if bytes.HasPrefix(head, workbookBegins) {
			return in.xlsx(br, put)
		}
		if bytes.TrimLeft(head, " \t\r\n")[0] == '{' {
			return jsonLines(br, put)
		}
		var text io.Reader = br
		if dialect.Windows1252 {
			text = charmap.Windows1252.NewDecoder().Reader(br)
		}
		return in.csv(text, dialect.Separator, put)
	})
}

func jsonLines(r io.Reader, put func(*sheet, rawRow) bool) error {
	sc := bufio.NewScanner(r)
	sc.Buffer(make([]byte, 64<<10), maxLine)
	line := 0
	for sc.Scan() {
		line++
		text := bytes.TrimSpace(sc.Bytes())
		if len(text) > 0 && !put(nil, rawRow{line: line, text: string(text)}) {
			return nil
		}
	}
	if err := sc.Err(); err != nil {
		return fmt.Errorf("line %d can't be read: %w", line+1, err)
	}
	return nil
}

func (in Intake) csv(r io.Reader, separator rune, put func(*sheet, rawRow) bool) error {
	cr := csv.NewReader(r)
	cr.Comma, cr.FieldsPerRecord, cr.LazyQuotes, cr.TrimLeadingSpace = separator, -1, false, true
	header, err := cr.Read()
	if err != nil {
		return fmt.Errorf("the header line can't be read: %w", err)
	}
	s, err := in.sheet(header, separator)
	if err != nil {
		return err
	}
	for {
		cells, err := cr.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		row := rawRow{cells: cells}
		var bad *csv.ParseError
		switch {
		case errors.As(err, &bad):
			row.line, row.err = bad.StartLine, bad.Err
		case err != nil:
			return fmt.Errorf("the file can't be read: %w", err)
		default:
			row.line, _ = cr.FieldPos(0)
		}
		if !put(s, row) {
			return nil
		}
	}
}

// A sheet is a file with columns whose header is known.
type sheet struct {
	separator rune
	names     []string // of the fields, "" where a column is not read; the last ones are no columns
	instant   []bool   // which of them hold an instant
	constants []string
	columns   int
	serial    bool // dates are numbers, as in a workbook
}

func (in Intake) sheet(header []string, separator rune) (*sheet, error) {
	names, err := in.header(header)
	if err != nil {
		return nil, err
	}
	s := &sheet{separator: separator, names: names, columns: len(header)}
	for _, name := range names {
		s.instant = append(s.instant, slices.Contains(instantFields, name))
		s.constants = append(s.constants, in.Constants[name])
	}
	return s, nil
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
			if in.Columns == nil || !in.Columns.Guess {
				return nil, fmt.Errorf("the column %q is there twice", name)
			}
			name = "" // the first one is it
		}
		names = append(names, name)
	}
	if in.Heads != nil {
		in.Heads(header, slices.Clone(names))
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

// A rowReader makes facts of rows. It is of one goroutine.
type rowReader struct {
	in    Intake
	sheet *sheet // nil: rows are JSON
	form  *policy.RowReader
	texts []string
	json  []byte
}

func (in Intake) reader(s *sheet) *rowReader {
	r := &rowReader{in: in, sheet: s}
	if s != nil {
		r.form, r.texts = in.Form.RowReader(s.names), make([]string, len(s.names))
	}
	return r
}

// row reads one row. One without an id gets one that the same row will have again.
func (r *rowReader) row(raw *rawRow) Row {
	row := Row{Line: raw.line, Text: raw.text, Err: raw.err}
	switch {
	case raw.err != nil:
	case r.sheet == nil:
		row.Fact, row.Err = r.in.Form.ParseJSON([]byte(raw.text))
	default:
		row.Text, row.Cells = joinCells(raw.cells, r.sheet.separator), raw.cells
		row.Fact, row.Err = r.fact(raw.cells)
	}
	var field *policy.FieldError
	if errors.As(row.Err, &field) {
		row.Column = field.Field
	}
	if row.Err == nil && row.Fact.ID == "" {
		row.Fact.ID = r.id(&row.Fact)
	}
	if r.in.Batch != "" {
		row.Fact.Batch = r.in.Batch
	}
	return row
}

func (r *rowReader) fact(cells []string) (policy.Fact, error) {
	s := r.sheet
	if len(cells) != s.columns {
		return policy.Fact{}, fmt.Errorf("the row has %d cells, the header %d", len(cells), s.columns)
	}
	for i, name := range s.names {
		r.texts[i] = ""
		if i < len(cells) && name != "" {
			r.texts[i] = r.text(i, strings.TrimSpace(cells[i]))
		}
		if r.texts[i] == "" {
			r.texts[i] = s.constants[i]
		}
	}
	return r.form.Parse(r.texts)
}

// text is what a cell says in the words of its field.
func (r *rowReader) text(i int, cell string) string {
	s := r.sheet
	if s.serial {
		cell = serialDate(s.names[i], cell)
	}
	if s.instant[i] && len(cell) == len(localSeconds) {
		if t, err := time.ParseInLocation(localSeconds, cell, r.in.Form.Zone); err == nil {
			return t.Format(time.RFC3339)
		}
	}
	return r.in.Columns.text(s.names[i], cell, r.in.Form.Zone)
}

// id is made of what a fact says and of the batch.
func (r *rowReader) id(f *policy.Fact) string {
	learnt := f.RecordedAt
	f.RecordedAt = f.At // when it was learnt is no part of what it says
	r.json = append(f.AppendJSON(r.json[:0]), r.in.Batch...)
	f.RecordedAt = learnt
	sum := sha256.Sum256(r.json)
	return "row-" + hex.EncodeToString(sum[:12])
}

// joinCells is a row as a file has it.
func joinCells(cells []string, separator rune) string {
	var b strings.Builder
	if separator < utf8.RuneSelf && !slices.ContainsFunc(cells, func(cell string) bool { return !isBare(cell, byte(separator)) }) {
		for i, cell := range cells {
			if i > 0 {
				b.WriteByte(byte(separator))
			}
			b.WriteString(cell)
		}
		return b.String()
	}
	w := csv.NewWriter(&b)
	w.Comma = separator
	_ = w.Write(cells) // into memory
	w.Flush()
	return strings.TrimRight(b.String(), "\n")
}

// isBare reports whether a cell surely needs no quotes.
func isBare(cell string, separator byte) bool {
	for i := range len(cell) {
		if c := cell[i]; c < ' ' || c == '"' || c == separator || c == '\\' || i == 0 && (c == ' ' || c >= utf8.RuneSelf) {
			return false
		}
	}
	return true
}
