package store

import (
	"encoding/binary"
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
//	each text of its own, as the shape says (see textForm)
//	octet     which times differ from those of the shape's first fact
//	each      varint of the nanoseconds by which it does
//
// Nothing is lost by it. A value in memory is
//
//	uvarint   twice the number of its facts, plus one when calls stand behind them
//	facts
//	uvarint   the number of its calls, if there are any; then these
type shapes struct {
	byText map[string]int
	list   atomic.Pointer[[]shape] // which only grows: who reads takes no lock
	common []byte
}

type shape struct {
	fact  policy.Fact // with none of its own texts, and with the times of the first one
	forms [ownTextCount]textForm
	since [6]int64
}

// mostShapes bounds them: facts that are all different stand whole. Texts begin
// alike in a few of them at most.
const (
	mostShapes     = 1 << 14
	mostWithBegins = 1 << 10
)

const ownTextCount = 8

func ownTexts(f *policy.Fact) [ownTextCount]*string {
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
	head := uint64(2 * len(f.All))
	if len(f.Calls) > 0 {
		head++
	}
	b = binary.AppendUvarint(b, head)
	for i := range f.All {
		b = s.appendFact(b, &f.All[i])
	}
	if len(f.Calls) > 0 {
		b = binary.AppendUvarint(b, uint64(len(f.Calls)))
	}
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
	of := &(*s.list.Load())[n]
	for i, text := range ownTexts(f) {
		b = of.forms[i].append(b, *text)
	}
	differ := len(b)
	b = append(b, 0)
	for i, t := range ownTimes(f) {
		if !t.IsZero() && t.UnixNano() != of.since[i] {
			b[differ] |= 1 << i
			b = binary.AppendVarint(b, t.UnixNano()-of.since[i])
		}
	}
	return b
}

// of is the number of a fact's shape, -1 when there is no room for another.
func (s *shapes) of(f *policy.Fact) int {
	form := formOf
	n, known := s.find(f, form)
	if !known && n >= mostWithBegins {
		form = plainForm
		n, known = s.find(f, form)
	}
	switch {
	case known:
		return n
	case n == mostShapes:
		return -1
	}
	var of shape
	text := string(s.common)
	(&valueReader{s: text}).fact(&of.fact) // its texts are parts of that one; the forms follow
	own := ownTimes(f)
	for i, t := range ownTimes(&of.fact) {
		if !t.IsZero() {
			of.since[i] = own[i].UnixNano()
			*t = time.Unix(0, of.since[i]).UTC()
		}
	}
	for i, t := range ownTexts(f) {
		of.forms[i] = form(*t)
	}
	s.byText[text] = n
	list := append(*s.list.Load(), of)
	s.list.Store(&list)
	return n
}

// find looks for the shape of a fact whose own texts have forms; n is where a
// new one goes if it is not known.
func (s *shapes) find(f *policy.Fact, form func(string) textForm) (n int, known bool) {
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
	for _, text := range ownTexts(f) {
		of := form(*text)
		s.common = appendText(binary.AppendUvarint(append(s.common, byte(of.kind)), uint64(of.size)), of.begin)
	}
	if n, known = s.byText[string(s.common)]; known {
		return n, true
	}
	return len(*s.list.Load()), false
}

// readRow reads what appendRow has written into facts, whose memory is used
// again. The lists in facts are the shape's: nobody changes them.
func (s *shapes) readRow(row []byte, n policy.Number, into *policy.Facts) error {
	r := valueReader{s: string(row)}
	list := *s.list.Load()
	head := r.uvarint()
	count := int(min(head/2, uint64(len(row))))
	into.All = slices.Grow(into.All[:0], count)[:count]
	for i := range into.All {
		f := &into.All[i]
		r.shaped(list, f)
		f.Number = n
	}
	if head%2 == 1 {
		for range min(r.uvarint(), uint64(len(row))) {
			into.Calls = append(into.Calls, r.call(valueVersion))
		}
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
	r.ownTexts(of, f)
	differ := r.byte()
	for i, t := range ownTimes(f) {
		if differ>>i&1 != 0 {
			*t = time.Unix(0, of.since[i]+r.varint()).UTC()
		}
	}
}

// ownTexts reads the texts of a fact; they are parts of one.
func (r *valueReader) ownTexts(of *shape, f *policy.Fact) {
	var room [256]byte
	var ends [ownTextCount]int
	b := room[:0]
	for i := range of.forms {
		b = of.forms[i].read(r, b)
		ends[i] = len(b)
	}
	all, from := string(b), 0
	for i, text := range ownTexts(f) {
		*text = all[from:ends[i]]
		from = ends[i]
	}
}
