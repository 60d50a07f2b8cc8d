package store

import (
	"encoding/binary"
	"encoding/hex"
	"strconv"
	"strings"
)

// A textForm is how a text lies in memory that is another one in every fact:
// what it begins with, which it shares with others, and what is its own.
type textForm struct {
	kind  textKind
	begin string
	size  int // of hexadecimal, in octets
}

type textKind uint8

const (
	noText      textKind = iota
	plain                // uvarint of its length, then the text
	number               // what it begins with, then decimal digits: these as uvarint
	hexadecimal          // what it begins with, then digits: these as half as many octets
)

const (
	mostBegin = 32 // octets of a beginning
	leastHex  = 16 // digits: fewer may be a word
	mostDigit = 18 // which an uint64 holds
)

// formOf finds the form of a text by its end. A beginning that holds digits
// would be another one for every text.
func formOf(s string) textForm {
	begin := strings.TrimRight(s, "0123456789abcdef")
	if n := len(s) - len(begin); n >= leastHex && n%2 == 0 && isBegin(begin) {
		return textForm{hexadecimal, begin, n / 2}
	}
	begin = strings.TrimRight(s, "0123456789")
	digits := s[len(begin):]
	for len(digits) > 1 && digits[0] == '0' {
		digits = digits[1:]
	}
	if digits != "" && len(digits) <= mostDigit && isBegin(begin) && len(s)-len(digits) <= mostBegin {
		return textForm{number, s[:len(s)-len(digits)], 0}
	}
	return plainForm(s)
}

// plainForm is the form of a text that shares nothing with others.
func plainForm(s string) textForm {
	if s == "" {
		return textForm{}
	}
	return textForm{kind: plain}
}

func isBegin(s string) bool { return len(s) <= mostBegin && !strings.ContainsAny(s, "0123456789") }

// append appends what is a text's own.
func (f *textForm) append(b []byte, s string) []byte {
	own := s[len(f.begin):]
	switch f.kind {
	case plain:
		b = appendText(b, s)
	case number:
		n, _ := strconv.ParseUint(own, 10, 64) // these are digits
		b = binary.AppendUvarint(b, n)
	case hexadecimal:
		b, _ = hex.AppendDecode(b, []byte(own)) // these too
	}
	return b
}

// read appends a text to b.
func (f *textForm) read(r *valueReader, b []byte) []byte {
	b = append(b, f.begin...)
	switch f.kind {
	case plain:
		b = append(b, r.text()...)
	case number:
		b = strconv.AppendUint(b, r.uvarint(), 10)
	case hexadecimal:
		b = hex.AppendEncode(b, []byte(r.octets(uint64(f.size))))
	}
	return b
}
