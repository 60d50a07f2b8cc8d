package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"golang.org/x/text/encoding/charmap"

	"dialgate/store"
)

// A numberList reads a list of numbers with columns, row by row. A row is kept
// octet for octet, so that it can be written again as it was.
type numberList struct {
	r         *bufio.Reader
	dialect   store.Dialect
	separator byte
	header    listRow // empty: the list has none
	column    int     // of the number, from 0
	columns   int     // of the first row

	first *listRow // read already to see whether it is a header
	line  int      // of the last row
	ahead []byte   // lines that were read for a quoted cell that did not end
	cells [][]byte
}

// A listRow is one row; it is valid until the next is read.
type listRow struct {
	text []byte // without the end of the line
	end  string // "\n", "\r\n", or "" at the end of the file
}

const (
	longestLine   = 1 << 20
	longestQuoted = 64 << 10 // a row whose quoted cells hold line breaks
)

// openList reads the first row. column is the name or the place of the column
// that holds the number, "" to find it.
func openList(r io.Reader, column string, isNumber func([]byte) bool) (*numberList, error) {
	l := &numberList{r: bufio.NewReaderSize(r, longestLine)}
	head, err := l.r.Peek(64 << 10)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("the list can't be read: %w", err)
	}
	l.dialect = store.SniffDialect(head)
	l.separator = byte(l.dialect.Separator)
	if l.dialect.BOM {
		_, _ = l.r.Discard(len(byteOrderMark)) // it was peeked
	}
	row, err := l.read()
	if errors.Is(err, io.EOF) {
		return nil, errors.New("the list is empty")
	}
	if err != nil {
		return nil, err
	}
	row.text = bytes.Clone(row.text)
	cells := l.split(row.text)
	l.columns = len(cells)
	numbers := 0
	for i, cell := range cells {
		if isNumber(unquote(cell)) {
			numbers++
			l.column = i
		}
	}
	if numbers == 0 && !(len(cells) == 1 && digits(cells[0]) > 3) { // digits alone are a number with a fault
		l.header = row
		return l, l.findColumn(column, cells)
	}
	l.first = &row
	if column != "" {
		return l, l.placeColumn(column, cells)
	}
	if numbers > 1 {
		return nil, usageError("the list has no header line and %d columns that could hold the number; say which one with --number-column, counted from 1", numbers)
	}
	return l, nil
}

func digits(b []byte) (n int) {
	for _, c := range b {
		if c >= '0' && c <= '9' {
			n++
		}
	}
	return n
}

// numberNames are what a column with the number is usually called.
var numberNames = []string{"number", "nummer", "phone", "phone_number", "phonenumber", "telephone", "telefoon", "telefoonnummer", "tel", "mobile", "mobiel", "msisdn", "to"}

// findColumn finds the column of the number by the header.
func (l *numberList) findColumn(column string, cells [][]byte) error {
	var names []string
	for _, cell := range cells {
		names = append(names, l.name(cell))
	}
	wanted := numberNames
	if column != "" {
		wanted = []string{strings.ToLower(column)}
	}
	for _, w := range wanted {
		for i, name := range names {
			if strings.ToLower(name) == w {
				l.column = i
				return nil
			}
		}
	}
	if column != "" {
		if l.placeColumn(column, cells) == nil {
			return nil
		}
		return usageError("the list has no column %q; its columns: %s", column, strings.Join(names, ", "))
	}
	if len(cells) > 1 {
		return usageError("no column of the list is called number; say which one holds it with --number-column; its columns: %s", strings.Join(names, ", "))
	}
	return nil
}

// placeColumn takes the column of the number by its place, counted from 1.
func (l *numberList) placeColumn(column string, cells [][]byte) error {
	n, err := strconv.Atoi(column)
	if err != nil || n < 1 || n > len(cells) {
		return usageError("the list has no header line; --number-column is then the place of a column, 1 to %d", len(cells))
	}
	l.column = n - 1
	return nil
}

// name is a column's name as text.
func (l *numberList) name(cell []byte) string {
	b := bytes.TrimSpace(unquote(cell))
	if l.dialect.Windows1252 {
		if decoded, err := charmap.Windows1252.NewDecoder().Bytes(b); err == nil {
			b = decoded
		}
	}
	return string(b)
}

// next reads the next row below the header; io.EOF ends the list.
func (l *numberList) next() (row listRow, cell []byte, missing int, err error) {
	if l.first != nil {
		row, l.first = *l.first, nil
	} else if row, err = l.read(); err != nil {
		return row, nil, 0, err
	}
	cells := l.split(row.text)
	if l.column < len(cells) {
		cell = unquote(cells[l.column])
	}
	return row, cell, max(0, l.columns-len(cells)), nil
}

// read reads one row. A row ends with its line, unless that is within a quoted
// cell. A quoted cell that does not end soon does not begin either.
func (l *numberList) read() (listRow, error) {
	line, err := l.readLine()
	if err != nil {
		return listRow{}, err
	}
	l.line++
	if !l.open(line) {
		return cutLine(line), nil
	}
	whole := bytes.Clone(line)
	for lines := 1; len(whole) < longestQuoted; lines++ {
		more, err := l.readLine()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return listRow{}, err
		}
		whole = append(whole, more...)
		if !l.open(whole) {
			l.line += lines
			return cutLine(whole), nil
		}
	}
	end := bytes.IndexByte(whole, '\n') + 1
	if end == 0 {
		end = len(whole)
	}
	l.ahead = append(bytes.Clone(whole[end:]), l.ahead...)
	return cutLine(whole[:end]), nil
}

func (l *numberList) readLine() ([]byte, error) {
	if len(l.ahead) > 0 {
		end := bytes.IndexByte(l.ahead, '\n') + 1
		if end == 0 {
			end = len(l.ahead)
		}
		line := l.ahead[:end]
		l.ahead = l.ahead[end:]
		return line, nil
	}
	line, err := l.r.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return nil, fmt.Errorf("line %d of the list is longer than %d octets", l.line+1, longestLine)
	case errors.Is(err, io.EOF) && len(line) > 0:
		return line, nil
	case err != nil && !errors.Is(err, io.EOF):
		return nil, fmt.Errorf("line %d of the list can't be read: %w", l.line+1, err)
	}
	return line, err
}

func cutLine(b []byte) listRow {
	for _, end := range [...]string{"\r\n", "\n"} {
		if text, ok := bytes.CutSuffix(b, []byte(end)); ok {
			return listRow{text, end}
		}
	}
	return listRow{b, ""}
}

// open reports whether a text ends within a quoted cell.
func (l *numberList) open(b []byte) bool {
	if bytes.IndexByte(b, '"') < 0 {
		return false
	}
	for {
		end, closed := l.cellEnd(b)
		if !closed {
			return true
		}
		if end == len(b) {
			return false
		}
		b = b[end+1:]
	}
}

// split takes a row apart; a cell keeps its quotes.
func (l *numberList) split(b []byte) [][]byte {
	l.cells = l.cells[:0]
	for {
		end, _ := l.cellEnd(b)
		l.cells = append(l.cells, b[:end])
		if end == len(b) {
			return l.cells
		}
		b = b[end+1:]
	}
}

// cellEnd is where the first cell of b ends; closed is false when that is
// within quotes (RFC 4180 section 2).
func (l *numberList) cellEnd(b []byte) (end int, closed bool) {
	from := 0
	for from < len(b) && b[from] == ' ' {
		from++
	}
	if from < len(b) && b[from] == '"' {
		for i := from + 1; ; {
			q := bytes.IndexByte(b[i:], '"')
			if q < 0 {
				return len(b), false
			}
			if i += q + 1; i < len(b) && b[i] == '"' {
				i++ // a quote in the cell
				continue
			}
			from = i
			break
		}
	}
	if n := bytes.IndexByte(b[from:], l.separator); n >= 0 {
		return from + n, true
	}
	return len(b), true
}

// unquote is what a cell holds.
func unquote(cell []byte) []byte {
	cell = bytes.TrimSpace(cell)
	if len(cell) < 2 || cell[0] != '"' || cell[len(cell)-1] != '"' {
		return cell
	}
	cell = cell[1 : len(cell)-1]
	if bytes.IndexByte(cell, '"') >= 0 {
		cell = bytes.ReplaceAll(cell, []byte(`""`), []byte(`"`))
	}
	return cell
}

const byteOrderMark = "\xef\xbb\xbf"
