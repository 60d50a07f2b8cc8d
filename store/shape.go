package store

import (
	"encoding/binary"
	"encoding/hex"
	"slices"
	"sync/atomic"
	"time"

	"dialgate/policy"
)

// The facts of one import differ in little: in who, when, and the artefact that
// proves it. What they have in common is a shape, kept once; of each fact there
// is its shape's number and what is its own:
//
//	uvarint   the shape's number plus one; 0: the fact stands whole (see appendFact)
//	octet     which of its own texts there are
//	each      uvarint of twice its length, plus one when hexadecimal digits stand as octets; then those
//	each time of the shape's
//	          varint of the nanoseconds since the same time of the shape's first fact
//
// Nothing is lost by it. A value in memory is its facts, then its calls, each
// with their number before them.
type shapes struct {
	byText map[string]int
	list   atomic.Pointer[[]shape] // which only grows: who reads takes no lock
	common []byte
}

type shape struct {
	fact  policy.Fact // with none of its own texts, and with the times of the first one
	since [6]int64
}

// mostShapes bounds them: facts that are all different stand whole.
const mostShapes = 1 << 14

func ownTexts(f *policy.Fact) [8]*string {
	e := &f.Evidence
	return [...]*string{&f.ID, &e.URI, &e.SHA256, &e.Person, &e.IP, &e.Note, &f.Consent, &f.Undoes}
}

func ownTimes(f *policy.Fact) [6]*time.Time {
	return [...]*time.Time{&f.At, &f.RecordedAt, &f.VerifiedAt, &f.ValidUntil, &f.FirstCallBy, &f.Until}
}

func newShapes() *shapes {
	s := &shapes{byText: map[string]int{}}
	s.list.Store(new([]shape))
	return s
}

// appendRow appends the value of a number as it lies in memory. One goroutine
// appends.
func (s *shapes) appendRow(b []byte, f *policy.Facts) []byte {
	b = binary.AppendUvarint(b, uint64(len(f.All)))
	for i := range f.All {
		b = s.appendFact(b, &f.All[i])
	}
	b = binary.AppendUvarint(b, uint64(len(f.Calls)))
	for i := range f.Calls {
		b = appendCall(b, &f.Calls[i])
	}
	return b
}

func (s *shapes) appendFact(b []byte, f *policy.Fact) []byte {
	n := s.of(f)
	b = binary.AppendUvarint(b, uint64(n+1))
	if n < 0 {
		return appendFact(b, f)
	}
	at := len(b)
	b = append(b, 0)
	for i, text := range ownTexts(f) {
		if *text != "" {
			b[at] |= 1 << i
			b = appendOwn(b, *text)
		}
	}
	of := &(*s.list.Load())[n]
	for i, t := range ownTimes(f) {
		if !t.IsZero() {
			b = binary.AppendVarint(b, t.UnixNano()-of.since[i])
		}
	}
	return b
}

// appendOwn appends a text, hexadecimal digits as half as many octets.
func appendOwn(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') || len(s)%2 != 0 {
			b = binary.AppendUvarint(b, uint64(2*len(s)))
			return append(b, s...)
		}
	}
	b = binary.AppendUvarint(b, uint64(len(s)+1))
	b, _ = hex.AppendDecode(b, []byte(s)) // these are digits
	return b
}

// of is the number of a fact's shape, -1 when there is no room for another.
func (s *shapes) of(f *policy.Fact) int {
	common := *f
	common.Number = policy.Number{}
	for _, text := range ownTexts(&common) {
		*text = ""
	}
	for _, t := range ownTimes(&common) {
		if !t.IsZero() {
			*t = time.Unix(0, 0).UTC() // there is one
		}
	}
	s.common = appendFact(s.common[:0], &common)
	if n, known := s.byText[string(s.common)]; known {
		return n
	}
	list := *s.list.Load()
	if len(list) == mostShapes {
		return -1
	}
	text := string(s.common)
	var of shape
	(&valueReader{s: text}).fact(&of.fact) // its texts are parts of that one
	own := ownTimes(f)
	for i, t := range ownTimes(&of.fact) {
		if *t = *own[i]; !t.IsZero() {
			of.since[i] = t.UnixNano()
		}
	}
	s.byText[text] = len(list)
	list = append(list, of)
	s.list.Store(&list)
	return len(list) - 1
}

// readRow reads what appendRow has written into facts, whose memory is used
// again. The lists in facts are the shape's: nobody changes them.
func (s *shapes) readRow(row []byte, n policy.Number, into *policy.Facts) error {
	r := valueReader{s: string(row)}
	list := *s.list.Load()
	count := int(min(r.uvarint(), uint64(len(row))))
	into.All = slices.Grow(into.All[:0], count)[:count]
	for i := range into.All {
		f := &into.All[i]
		r.shaped(list, f)
		f.Number = n
	}
	for range min(r.uvarint(), uint64(len(row))) {
		into.Calls = append(into.Calls, r.call(valueVersion))
	}
	if r.bad || r.s != "" {
		into.All, into.Calls = nil, nil
		return errValue
	}
	return nil
}

func (r *valueReader) shaped(list []shape, f *policy.Fact) {
	n := r.uvarint()
	switch {
	case n > uint64(len(list)):
		r.bad, r.s = true, ""
		return
	case n == 0:
		*f = policy.Fact{}
		r.fact(f)
		return
	}
	of := &list[n-1]
	*f = of.fact
	there := r.byte()
	for i, text := range ownTexts(f) {
		if there>>i&1 != 0 {
			*text = r.own()
		}
	}
	for i, t := range ownTimes(f) {
		if !t.IsZero() {
			*t = time.Unix(0, of.since[i]+r.varint()).UTC()
		}
	}
}

func (r *valueReader) own() string {
	n := r.uvarint()
	size := n / 2
	if size > uint64(len(r.s)) {
		r.bad, r.s = true, ""
		return ""
	}
	text := r.s[:size]
	r.s = r.s[size:]
	if n%2 == 0 {
		return text
	}
	return hex.EncodeToString([]byte(text))
}
