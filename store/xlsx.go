package store

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/xuri/excelize/v2"
)

// Bounds of a workbook, against one that is made to unpack for ever.
const (
	maxWorkbook = 256 << 20 // octets of the file
	maxUnpacked = 2 << 30
)

var workbookBegins = []byte("PK\x03\x04")

// xlsx reads the first sheet of a workbook as CSV is read.
func (in Intake) xlsx(r io.Reader, put func(*sheet, rawRow) bool) error {
	unreadable := func(err error) error { return fmt.Errorf("the workbook can't be read: %w", err) }
	data, err := io.ReadAll(io.LimitReader(r, maxWorkbook+1))
	if err != nil {
		return unreadable(err)
	}
	if len(data) > maxWorkbook {
		return unreadable(fmt.Errorf("it has more than %d octets; save it as CSV", maxWorkbook))
	}
	book, err := excelize.OpenReader(bytes.NewReader(data), excelize.Options{UnzipSizeLimit: maxUnpacked, RawCellValue: true})
	if err != nil {
		return unreadable(err)
	}
	defer book.Close()
	sheets := book.GetSheetList()
	if len(sheets) == 0 {
		return unreadable(fmt.Errorf("it has no sheet"))
	}
	rows, err := book.Rows(sheets[0])
	if err != nil {
		return unreadable(err)
	}
	defer rows.Close()
	var s *sheet
	for line := 1; rows.Next(); line++ {
		cells, err := rows.Columns(excelize.Options{RawCellValue: true})
		if err != nil {
			return unreadable(err)
		}
		if len(strings.TrimSpace(strings.Join(cells, ""))) == 0 {
			continue
		}
		if s == nil {
			if s, err = in.sheet(cells, ','); err != nil {
				return err
			}
			s.serial = true
			continue
		}
		for len(cells) < s.columns {
			cells = append(cells, "") // a workbook leaves empty cells at the end out
		}
		if !put(s, rawRow{line: line, cells: cells}) {
			return nil
		}
	}
	if err := rows.Error(); err != nil {
		return unreadable(err)
	}
	return nil
}

// serialDate turns a date as workbooks keep it, days since 1900 with the time
// of day as a fraction, into the local date or time that the sheet shows.
func serialDate(field, cell string) string {
	instant := slices.Contains(instantFields, field)
	if !instant && !slices.Contains(dateFields, field) {
		return cell
	}
	days, err := strconv.ParseFloat(cell, 64)
	if err != nil || days < 1 || days > 2_958_465 { // the year 9999
		return cell
	}
	t, err := excelize.ExcelDateToTime(days, false)
	if err != nil {
		return cell
	}
	if t = t.Round(time.Second); t.Equal(t.Truncate(24 * time.Hour)) {
		return t.Format(time.DateOnly)
	}
	return t.Format(localSeconds)
}

// localSeconds is a time of day without a zone: that of the file's reader.
const localSeconds = "2006-01-02 15:04:05"
