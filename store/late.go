package store

import (
	"bytes"
	"encoding/json"
	"fmt"
	"iter"
	"strconv"
	"time"

	"dialgate/policy"
	"dialgate/store/ledger"
)

// A call may be answered before its decision is on disk (see package gate). When
// it was refused then, though the decision allowed it, the outcome's record says
// which call was not made, so that it does not count when the ledger is read
// again.

func appendNotMade(b []byte, l *policy.Late) []byte {
	if l.Called.IsZero() {
		return b
	}
	b = append(l.Called.AppendE164(append(b, `{"to":"`...)), '"')
	b = appendField(b, "advertiser", l.Made.Advertiser)
	b = append(b, `,"judged":"`...)
	b = append(l.Made.At.AppendFormat(b, time.RFC3339Nano), `","attempt":`...)
	return append(strconv.AppendUint(b, uint64(l.Made.Attempt), 10), '}')
}

// tellsInstead reports whether an outcome's record tells of a call that did not
// wait for its record.
func tellsInstead(r *ledger.Record) bool {
	return r.Kind == kindOutcome && bytes.Contains(r.Public, []byte(`,"instead":"`))
}

// tellsNotMade reports whether an outcome's record tells of a call that was not made.
func tellsNotMade(r *ledger.Record) bool { return tellsInstead(r) && !r.Erased && len(r.Payload) > 0 }

// notMade is the call that an outcome's record tells was not made, nil if it
// tells of none.
func notMade(r *ledger.Record) (to policy.Number, call *policy.EarlierCall, err error) {
	if !tellsNotMade(r) {
		return to, nil, nil
	}
	var l struct {
		To         string    `json:"to"`
		Advertiser string    `json:"advertiser"`
		Judged     time.Time `json:"judged"`
		Attempt    uint64    `json:"attempt"`
	}
	if err = json.Unmarshal(r.Payload, &l); err == nil && l.Judged.IsZero() {
		return to, nil, nil // it tells of a block
	}
	if err == nil {
		to, err = policy.ParseNumber(l.To)
	}
	if err != nil {
		return to, nil, fmt.Errorf("store: record %d of the ledger holds no outcome: %w", r.Seq, err)
	}
	return to, &policy.EarlierCall{At: l.Judged, Advertiser: l.Advertiser, Allowed: true, Attempt: policy.AttemptID(l.Attempt)}, nil
}

// A Late is a call that did not wait for its record, as its outcome tells.
type Late struct {
	Seq     uint64    `json:"seq"`
	At      time.Time `json:"at"`
	ID      string    `json:"id"` // of the decision
	Code    int       `json:"code"`
	Instead string    `json:"instead"` // the reason that it was answered by
}

// Late walks the calls on disk that did not wait for their records, from a
// ledger record on.
func (s *Store) Late(from uint64) iter.Seq2[Late, error] {
	return walkRows(s, from, "outcome", tellsInstead, func(r *ledger.Record) Late { return Late{Seq: r.Seq, At: r.Time} })
}
