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
// can't be read at all is an error. The file is read ahead of whoever takes the rows.
func (in Intake) Rows(r io.Reader) iter.Seq2[Row, error] {
	return readAhead(func(yield func(Row, error) bool) {
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
	})
}

// How far a file is read ahead, in rows.
const (
	aheadRows   = 256
	aheadChunks = 8
)

// readAhead runs seq in a goroutine of its own, so that reading rows and taking
// them in share two cores.
func readAhead(seq iter.Seq2[Row, error]) iter.Seq2[Row, error] {
	type result struct {
		row Row
		err error
	}
	return func(yield func(Row, error) bool) {
		chunks, quit, ended := make(chan []result, aheadChunks), make(chan struct{}), make(chan struct{})
		defer func() {
			close(quit)
			<-ended
		}()
		go func() {
			defer close(ended)
			defer close(chunks)
			chunk := make([]result, 0, aheadRows)
			send := func() bool {
				select {
				case chunks <- chunk:
					chunk = make([]result, 0, aheadRows)
					return true
				case <-quit:
					return false
				}
			}
			for row, err := range seq {
				if chunk = append(chunk, result{row, err}); len(chunk) == aheadRows && !send() {
					return
				}
			}
			send()
		}()
		for chunk := range chunks {
			for _, r := range chunk {
				if !yield(r.row, r.err) {
					return
				}
			}
		}
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
	rows := in.reader(names, len(header))
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
			row.Fact, row.Err = rows.fact(cells)
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

// A rowReader reads the rows of a file whose header is known.
type rowReader struct {
	in        Intake
	names     []string // of the fields, "" where a column is not read; the last ones are no columns
	instant   []bool   // which of them hold an instant
	constants []string
	columns   int
	texts     []string
}

func (in Intake) reader(names []string, columns int) *rowReader {
	r := &rowReader{in: in, names: names, columns: columns, texts: make([]string, len(names))}
	for _, name := range names {
		r.instant = append(r.instant, slices.Contains(instantFields, name))
		r.constants = append(r.constants, in.Constants[name])
	}
	return r
}

func (r *rowReader) fact(cells []string) (policy.Fact, error) {
	if len(cells) != r.columns {
		return policy.Fact{}, fmt.Errorf("the row has %d cells, the header %d", len(cells), r.columns)
	}
	for i := range r.names {
		r.texts[i] = ""
		if i < len(cells) && r.names[i] != "" {
			r.texts[i] = r.text(i, strings.TrimSpace(cells[i]))
		}
		if r.texts[i] == "" {
			r.texts[i] = r.constants[i]
		}
	}
	return r.in.Form.ParseRow(r.names, r.texts)
}

// text is what a cell says in the words of its field.
func (r *rowReader) text(i int, cell string) string {
	if r.instant[i] && len(cell) == len(localSeconds) {
		if t, err := time.ParseInLocation(localSeconds, cell, r.in.Form.Zone); err == nil {
			return t.Format(time.RFC3339)
		}
	}
	return r.in.Columns.text(r.names[i], cell, r.in.Form.Zone)
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
