package store

import (
	"bytes"
	"unicode/utf8"
)

// A Dialect is how a text file with columns is written.
type Dialect struct {
	BOM         bool // it begins with the byte order mark of UTF-8
	Windows1252 bool // else it is UTF-8
	Separator   rune // comma, semicolon or tab
}

const byteOrderMark = "\xef\xbb\xbf"

// SniffDialect tells the dialect of a file by its beginning.
func SniffDialect(head []byte) Dialect {
	d := Dialect{BOM: bytes.HasPrefix(head, []byte(byteOrderMark))}
	d.Windows1252, d.Separator = !validUTF8(head), separator(head)
	return d
}

// validUTF8 reports whether a beginning of a file is UTF-8; its last rune may
// be cut.
func validUTF8(b []byte) bool {
	for range utf8.UTFMax {
		if utf8.Valid(b) {
			return true
		}
		if len(b) == 0 {
			return false
		}
		b = b[:len(b)-1]
	}
	return false
}

// separator is the one that the first line has most of.
func separator(head []byte) rune {
	line, _, _ := bytes.Cut(head, []byte("\n"))
	best, count := ',', 0
	for _, c := range ",;\t" {
		if n := bytes.Count(line, []byte(string(c))); n > count {
			best, count = c, n
		}
	}
	return best
}
