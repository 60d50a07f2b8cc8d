package store

import (
	"encoding/binary"
	"sync/atomic"
	"time"

	"dialgate/policy"
)

// A callShape is what the calls of a campaign have in common. Of each call there
// is
//
//	uvarint   the number of its shape plus one; 0: the call stands whole (see appendCall)
//	varint    the nanoseconds since the shape's first call
//	u64       the attempt
type callShape struct {
	advertiser string
	purpose    policy.Purpose
	since      int64
}

// callShapes are written by one goroutine, and read without a lock.
type callShapes struct{ list atomic.Pointer[[]callShape] }

// mostCallShapes bounds them.
const mostCallShapes = 1 << 8

func (s *callShapes) all() []callShape {
	if list := s.list.Load(); list != nil {
		return *list
	}
	return nil
}

func (s *callShapes) append(b []byte, c *policy.EarlierCall) []byte {
	list, n := s.all(), 0
	for n < len(list) && (list[n].advertiser != c.Advertiser || list[n].purpose != c.Purpose) {
		n++
	}
	switch {
	case n == mostCallShapes:
		return appendCall(binary.AppendUvarint(b, 0), c)
	case n == len(list):
		list = append(list, callShape{c.Advertiser, c.Purpose, c.At.UnixNano()})
		s.list.Store(&list)
	}
	b = binary.AppendUvarint(b, uint64(n+1))
	b = binary.AppendVarint(b, c.At.UnixNano()-list[n].since)
	return binary.BigEndian.AppendUint64(b, uint64(c.Attempt))
}

func (s *callShapes) read(r *valueReader) policy.EarlierCall {
	n, list := r.uvarint(), s.all()
	switch {
	case n == 0:
		return r.call(valueVersion)
	case n > uint64(len(list)):
		r.bad, r.s = true, ""
		return policy.EarlierCall{}
	}
	of := &list[n-1]
	return policy.EarlierCall{Advertiser: of.advertiser, Purpose: of.purpose, Allowed: true,
		At: time.Unix(0, of.since+r.varint()).UTC(), Attempt: policy.AttemptID(r.uint64())}
}
