package store

import (
	"iter"
	"strconv"
	"time"

	"dialgate/policy"
	"dialgate/store/ledger"
)

// AppendRepeats records how often a refusal was repeated. It names the
// decision that has the call, and holds nothing personal.
func (s *Store) AppendRepeats(r *policy.Repeats, done func(error)) {
	b := append(make([]byte, 0, 192), `{"id":"`...)
	b = append(r.ID.AppendTo(b), '"')
	b = appendField(b, "reason", r.Reason.String())
	b = append(b, `,"count":`...)
	b = strconv.AppendInt(b, int64(r.Count), 10)
	b = append(b, `,"since":"`...)
	b = append(r.Since.UTC().AppendFormat(b, time.RFC3339Nano), '"', '}')
	s.ledger.Append(ledger.Record{Time: r.Until, Kind: kindRepeats, Public: b, Later: true}, func(_ uint64, err error) { done(err) })
}

// A Repeated is a refusal that was repeated, as read back from the ledger.
type Repeated struct {
	Seq    uint64    `json:"seq"`
	Until  time.Time `json:"until"`
	ID     string    `json:"id"` // of the decision that has the call
	Reason string    `json:"reason"`
	Count  int       `json:"count"` // so far; a later record of the same id has the greater one
	Since  time.Time `json:"since"`
}

// Repeats walks the repeated refusals on disk from a ledger record on.
func (s *Store) Repeats(from uint64) iter.Seq2[Repeated, error] {
	return walkRows(s, from, "repeats", func(r *ledger.Record) bool { return r.Kind == kindRepeats },
		func(r *ledger.Record) Repeated { return Repeated{Seq: r.Seq, Until: r.Time} })
}
