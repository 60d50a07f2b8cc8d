package store

import (
	"bytes"
	"time"

	"dialgate/policy"
)

// Reasons tells of the decisions before a record, from the end of the ledger
// when that is 0: when each was judged and with which reason, and of none what
// was personal. It looks at a thousand records or so, in the ledger's order, and
// says where to go on from, 0 at the beginning: whoever asks may rest between.
func (s *Store) Reasons(before uint64, tell func(at time.Time, reason policy.Reason)) (next uint64, err error) {
	first, end := max(s.ledger.First(), 1), s.ledger.Durable()+1
	if before == 0 || before > end {
		before = end
	}
	if before <= first {
		return 0, nil
	}
	from := max(first, (before-1)/searchChunk*searchChunk)
	none := false
	if before%searchChunk == 0 {
		if none, err = s.noneBefore(before, kindDecision); err != nil {
			return 0, err
		}
	}
	if !none {
		for r, err := range s.between(from, before) {
			if err != nil {
				return 0, err
			}
			if r.Kind != kindDecision {
				continue
			}
			if reason, ok := policy.ParseReason(reasonIn(r.Public)); ok {
				tell(r.Time, reason)
			}
		}
	}
	if from == first {
		return 0, nil
	}
	return from, nil
}

var reasonBegins = []byte(`,"reason":"`)

// reasonIn is the reason that the public part of a decision names.
func reasonIn(public []byte) string {
	_, rest, _ := bytes.Cut(public, reasonBegins)
	reason, _, _ := bytes.Cut(rest, []byte(`"`))
	return string(reason)
}
