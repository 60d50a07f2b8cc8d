package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"
	"unsafe"

	"dialgate/policy"
)

// A number's value: one octet of version, then its facts in the order of
// policy.Fact.Compare, then its earlier calls. Each fact is a bitmap of the
// fields that are set, then those fields. What this version does not know is
// an error, never "nothing known". Version 1 kept no purpose and no attempt of
// an earlier call, version 2 no batch and no undo.
const (
	valueVersion  = 3
	valueVersion1 = 1
)

var errValue = errors.New("store: a value can't be read")

// The fields by their bit.
const (
	bitAdvertiser = iota
	bitSource
	bitURI
	bitSHA256
	bitTextVersion
	bitTextSHA256
	bitPerson
	bitIP
	bitNote
	bitMethod
	bitVerifiedBy
	bitConsent
	bitVia
	bitLegalForm
	bitTopic
	bitList
	bitTexts // number of text fields

	bitRecordedAt = iota - 1
	bitVerifiedAt
	bitValidUntil
	bitFirstCallBy
	bitUntil
	bitTimes // end of the time fields

	bitPurposes = iota - 2
	bitProducts
	bitChannels
	bitPublishedFor
	bitScope
	bitType
	bitStarted
	bitEnded
	bitSubscriber
	bitPreticked
	bitBundled
	bitAfterObjection
	bitCollectedInSale
	bitObjectionOffered
	bitObjected
	bitLifts
	bitBatch // from here on texts again: since version 3
	bitUndoes
)

// texts are the text fields in the order of their bits.
func texts(f *policy.Fact) [bitTexts]*string {
	return [bitTexts]*string{
		&f.Advertiser, &f.Source, &f.Evidence.URI, &f.Evidence.SHA256, &f.Evidence.TextVersion, &f.Evidence.TextSHA256,
		&f.Evidence.Person, &f.Evidence.IP, &f.Evidence.Note, &f.Method, &f.VerifiedBy, &f.Consent, &f.Via, &f.LegalForm, &f.Topic, &f.List,
	}
}

func times(f *policy.Fact) [bitTimes - bitTexts]*time.Time {
	return [...]*time.Time{&f.RecordedAt, &f.VerifiedAt, &f.ValidUntil, &f.FirstCallBy, &f.Until}
}

func flags(f *policy.Fact) [7]*bool {
	return [...]*bool{&f.Preticked, &f.Bundled, &f.AfterObjection, &f.CollectedInSale, &f.ObjectionOffered, &f.Objected, &f.Lifts}
}

// appendValue appends the value of a number.
func appendValue(b []byte, facts []policy.Fact, calls []policy.EarlierCall) []byte {
	b = append(b, valueVersion)
	b = binary.AppendUvarint(b, uint64(len(facts)))
	for i := range facts {
		b = appendFact(b, &facts[i])
	}
	b = binary.AppendUvarint(b, uint64(len(calls)))
	for i := range calls {
		b = appendCall(b, &calls[i])
	}
	return b
}

func appendCall(b []byte, c *policy.EarlierCall) []byte {
	b = appendText(b, c.Advertiser)
	b = binary.AppendVarint(b, c.At.UnixNano())
	b = append(b, byte(c.Purpose))
	return binary.BigEndian.AppendUint64(b, uint64(c.Attempt))
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendFact(b []byte, f *policy.Fact) []byte {
	b = append(b, byte(f.Kind))
	b = appendText(b, f.ID)
	b = binary.AppendVarint(b, f.At.UnixNano())
	var set uint64
	mark := func(bit int, is bool) {
		if is {
			set |= 1 << bit
		}
	}
	for i, s := range texts(f) {
		mark(i, *s != "")
	}
	for i, t := range times(f) {
		mark(bitTexts+i, !t.IsZero())
	}
	mark(bitPurposes, len(f.Purposes) > 0)
	mark(bitProducts, len(f.Products) > 0)
	mark(bitChannels, len(f.Channels) > 0)
	mark(bitPublishedFor, len(f.PublishedFor) > 0)
	mark(bitScope, f.Scope != 0)
	mark(bitType, f.Type != 0)
	mark(bitStarted, f.Started != 0)
	mark(bitEnded, f.Ended != 0)
	mark(bitSubscriber, f.Subscriber != 0)
	for i, v := range flags(f) {
		mark(bitPreticked+i, *v)
	}
	mark(bitBatch, f.Batch != "")
	mark(bitUndoes, f.Undoes != "")
	b = binary.AppendUvarint(b, set)
	for _, s := range texts(f) {
		if *s != "" {
			b = appendText(b, *s)
		}
	}
	for _, t := range times(f) {
		if !t.IsZero() {
			b = binary.AppendVarint(b, t.UnixNano())
		}
	}
	if len(f.Purposes) > 0 {
		b = append(b, byte(len(f.Purposes)))
		for _, p := range f.Purposes {
			b = append(b, byte(p))
		}
	}
	if len(f.Products) > 0 {
		b = appendTexts(b, f.Products)
	}
	if len(f.Channels) > 0 {
		b = append(b, byte(len(f.Channels)))
		for _, c := range f.Channels {
			b = append(b, byte(c))
		}
	}
	if len(f.PublishedFor) > 0 {
		b = appendTexts(b, f.PublishedFor)
	}
	if f.Scope != 0 {
		b = append(b, byte(f.Scope))
	}
	if f.Type != 0 {
		b = append(b, byte(f.Type))
	}
	if f.Started != 0 {
		b = binary.AppendUvarint(b, uint64(f.Started))
	}
	if f.Ended != 0 {
		b = binary.AppendUvarint(b, uint64(f.Ended))
	}
	if f.Subscriber != 0 {
		b = append(b, byte(f.Subscriber))
	}
	for _, s := range [...]string{f.Batch, f.Undoes} {
		if s != "" {
			b = appendText(b, s)
		}
	}
	return b
}

func appendTexts(b []byte, list []string) []byte {
	b = append(b, byte(len(list)))
	for _, s := range list {
		b = appendText(b, s)
	}
	return b
}

// A valueReader takes a value apart. After an error everything reads as zero.
type valueReader struct {
	s   string // the rest of the value; texts are parts of it
	bad bool
}

func (r *valueReader) uvarint() uint64 {
	n, size := binary.Uvarint(unsafe.Slice(unsafe.StringData(r.s), len(r.s)))
	if size <= 0 {
		r.bad, r.s = true, ""
		return 0
	}
	r.s = r.s[size:]
	return n
}

func (r *valueReader) varint() int64 {
	n := r.uvarint()
	return int64(n>>1) ^ -int64(n&1)
}

func (r *valueReader) byte() byte {
	if r.s == "" {
		r.bad = true
		return 0
	}
	c := r.s[0]
	r.s = r.s[1:]
	return c
}

func (r *valueReader) uint64() uint64 {
	if len(r.s) < 8 {
		r.bad, r.s = true, ""
		return 0
	}
	n := binary.BigEndian.Uint64([]byte(r.s[:8]))
	r.s = r.s[8:]
	return n
}

func (r *valueReader) text() string { return r.octets(r.uvarint()) }

func (r *valueReader) octets(n uint64) string {
	if n > uint64(len(r.s)) {
		r.bad, r.s = true, ""
		return ""
	}
	t := r.s[:n]
	r.s = r.s[n:]
	return t
}

func (r *valueReader) time() time.Time { return time.Unix(0, r.varint()).UTC() }

func (r *valueReader) texts() []string {
	list := make([]string, r.byte())
	for i := range list {
		list[i] = r.text()
	}
	return list
}

// readValue reads a number's value into facts, whose memory is used again. One
// copy of the value serves all its texts.
func readValue(value []byte, n policy.Number, into *policy.Facts) error {
	if len(value) == 0 || value[0] < valueVersion1 || value[0] > valueVersion {
		return fmt.Errorf("%w: it is of a version that this program does not know; rebuild the projection or use a newer program", errValue)
	}
	r := valueReader{s: string(value[1:])}
	count := r.uvarint()
	if count > uint64(len(r.s)) {
		return fmt.Errorf("%w: it claims %d facts", errValue, count)
	}
	into.All = slices.Grow(into.All[:0], int(count))[:count]
	clear(into.All)
	for i := range into.All {
		f := &into.All[i]
		f.Number = n
		r.fact(f)
		if r.bad {
			break
		}
	}
	calls := r.uvarint()
	if r.bad || calls > uint64(len(r.s)) {
		into.All = nil
		return fmt.Errorf("%w: it is cut short or garbled", errValue)
	}
	for range calls {
		into.Calls = append(into.Calls, r.call(value[0]))
	}
	if r.bad || r.s != "" {
		into.All, into.Calls = nil, nil
		return fmt.Errorf("%w: it is cut short or garbled", errValue)
	}
	return nil
}

func (r *valueReader) call(version byte) policy.EarlierCall {
	c := policy.EarlierCall{Advertiser: r.text(), At: r.time(), Allowed: true}
	if version != valueVersion1 {
		c.Purpose, c.Attempt = policy.Purpose(r.byte()), policy.AttemptID(r.uint64())
	}
	return c
}

func (r *valueReader) fact(f *policy.Fact) {
	f.Kind = policy.Kind(r.byte())
	f.ID = r.text()
	f.At = r.time()
	set := r.uvarint()
	has := func(bit int) bool { return set>>bit&1 != 0 }
	for i, s := range texts(f) {
		if has(i) {
			*s = r.text()
		}
	}
	for i, t := range times(f) {
		if has(bitTexts + i) {
			*t = r.time()
		}
	}
	if has(bitPurposes) {
		f.Purposes = make([]policy.Purpose, r.byte())
		for i := range f.Purposes {
			f.Purposes[i] = policy.Purpose(r.byte())
		}
	}
	if has(bitProducts) {
		f.Products = r.texts()
	}
	if has(bitChannels) {
		f.Channels = make([]policy.CallMode, r.byte())
		for i := range f.Channels {
			f.Channels[i] = policy.CallMode(r.byte())
		}
	}
	if has(bitPublishedFor) {
		f.PublishedFor = r.texts()
	}
	if has(bitScope) {
		f.Scope = policy.Scope(r.byte())
	}
	if has(bitType) {
		f.Type = policy.RelationshipType(r.byte())
	}
	if has(bitStarted) {
		f.Started = policy.Date(r.uvarint())
	}
	if has(bitEnded) {
		f.Ended = policy.Date(r.uvarint())
	}
	if has(bitSubscriber) {
		f.Subscriber = policy.SubscriberKind(r.byte())
	}
	for i, v := range flags(f) {
		*v = has(bitPreticked + i)
	}
	if has(bitBatch) {
		f.Batch = r.text()
	}
	if has(bitUndoes) {
		f.Undoes = r.text()
	}
}
