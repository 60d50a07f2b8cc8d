package policy

import (
	"errors"
	"fmt"
	"log/slog"
	"strconv"
)

// A Number is a telephone number in the international form of ITU-T E.164. It
// is comparable and small, and the zero Number is no number.
//
// A number identifies a person. Every way of printing a Number masks it
// ("+316******78"); the full number comes out only by calling [Number.E164].
type Number struct{ n uint64 }

// E.164 section 6: at most 15 digits. Fewer than 6 is no number that a person
// could be called on from abroad; short codes are not E.164 numbers at all.
const (
	minDigits = 6
	maxDigits = 15
)

var errNumber = errors.New("not an E.164 number: want + and 6 to 15 digits, the first not 0")

// ParseNumber reads a number in international form: a plus sign and 6 to 15
// digits. It accepts nothing else; visual separators and national forms are
// the business of whoever read the text.
func ParseNumber(s string) (Number, error) {
	if len(s) == 0 || s[0] != '+' {
		return Number{}, errNumber
	}
	n, ok := NumberOfDigits(s[1:])
	if !ok {
		return Number{}, errNumber
	}
	return n, nil
}

// MustNumber is [ParseNumber] for numbers written in source code.
func MustNumber(s string) Number {
	n, err := ParseNumber(s)
	if err != nil {
		panic(err)
	}
	return n
}

// NumberOfDigits makes a Number of the digits that follow the plus sign.
func NumberOfDigits[T string | []byte](digits T) (Number, bool) {
	if len(digits) < minDigits || len(digits) > maxDigits || digits[0] == '0' {
		return Number{}, false
	}
	var n uint64
	for i := range len(digits) {
		d := digits[i] - '0'
		if d > 9 {
			return Number{}, false
		}
		n = n*10 + uint64(d)
	}
	return Number{n}, true
}

// NumberOfKey is the inverse of [Number.Key].
func NumberOfKey(key uint64) (Number, bool) {
	return NumberOfDigits(strconv.FormatUint(key, 10))
}

// Key is the number's digits read as one integer, for use as a storage key.
// The zero Number's key is 0.
func (n Number) Key() uint64 { return n.n }

// IsZero reports whether n is no number.
func (n Number) IsZero() bool { return n.n == 0 }

// E164 is the full number with its plus sign, "" for the zero Number. It is
// the only way to print a number unmasked.
func (n Number) E164() string {
	if n.n == 0 {
		return ""
	}
	return string(n.AppendE164(make([]byte, 0, maxDigits+1)))
}

// AppendE164 appends the full number with its plus sign to b.
func (n Number) AppendE164(b []byte) []byte {
	if n.n == 0 {
		return b
	}
	return strconv.AppendUint(append(b, '+'), n.n, 10)
}

// Digits is the number without its plus sign.
func (n Number) Digits() string {
	if n.n == 0 {
		return ""
	}
	return strconv.FormatUint(n.n, 10)
}

// String is the masked number: the first three and the last two digits.
func (n Number) String() string {
	if n.n == 0 {
		return "none"
	}
	b := n.AppendE164(make([]byte, 0, maxDigits+1))
	for i := 4; i < len(b)-2; i++ {
		b[i] = '*'
	}
	return string(b)
}

// Format masks the number under every verb of package fmt.
func (n Number) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(n.String())) }

// LogValue masks the number in structured logs.
func (n Number) LogValue() slog.Value { return slog.StringValue(n.String()) }

// MarshalText fails: an encoder must say by name that it wants the number.
func (n Number) MarshalText() ([]byte, error) {
	return nil, errors.New("policy: a Number is not encoded by itself; use E164 to write it out on purpose")
}
