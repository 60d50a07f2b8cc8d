package store

import (
	"archive/zip"
	"bytes"
	"errors"
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
	maxHeld     = 64 << 20 // of what is held in memory
	largeSheet  = 16 << 20 // what is larger is unpacked to a file
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
	if err := checkWorkbook(data); err != nil {
		return unreadable(err)
	}
	book, err := excelize.OpenReader(bytes.NewReader(data), excelize.Options{UnzipSizeLimit: maxUnpacked, UnzipXMLSizeLimit: largeSheet, RawCellValue: true})
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

// checkWorkbook refuses a workbook that would fill the memory. Large sheets and
// their texts are unpacked to files, unless they are damaged; all else is not.
func checkWorkbook(data []byte) error {
	z, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return err
	}
	var all, held uint64
	for _, f := range z.File {
		size := f.UncompressedSize64
		if size > maxUnpacked || all+size > maxUnpacked {
			return fmt.Errorf("it unpacks to more than %d octets; save it as CSV", maxUnpacked)
		}
		all += size
		name := strings.ToLower(strings.ReplaceAll(f.Name, `\`, "/"))
		if size <= largeSheet || !strings.HasPrefix(name, "xl/worksheets/sheet") && name != "xl/sharedstrings.xml" {
			if held += size; held > maxHeld {
				return fmt.Errorf("it holds more than %d octets beside its large sheets; save it as CSV", maxHeld)
			}
			continue
		}
		if err := unpacks(f); err != nil {
			return fmt.Errorf("%s: %w", f.Name, err)
		}
	}
	return nil
}

// unpacks reads a part of a workbook to its end.
func unpacks(f *zip.File) error {
	r, err := f.Open()
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, r)
	return errors.Join(err, r.Close())
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
