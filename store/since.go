package store

import (
	"bytes"
	"encoding/hex"
	"time"

	"dialgate/policy"
	"dialgate/store/ledger"
)

// An Event is a decision or an objection as it stands in the ledger.
type Event struct {
	Seq uint64
	// Key is the record's commitment: another record has another, also after
	// the ledger was brought back from a backup and went on otherwise.
	Key       string
	At        time.Time // when it was recorded
	Decision  *Decision
	Objection *policy.Fact
}

// Since are the decisions and objections behind a record, in the ledger's
// order; it looks at so many records at most. last is the record that it came
// to, missed how many behind the first one are not there any more. What was
// erased is left out.
func (s *Store) Since(after uint64, most int) (events []Event, last, missed uint64, err error) {
	end := s.ledger.Durable()
	if end <= after {
		return nil, after, 0, nil
	}
	if first := max(s.ledger.First(), 1); after+1 < first {
		missed, after = first-1-after, first-1
	}
	last = min(after+uint64(most), end)
	err = s.eachBetween(after+1, last+1, func(r ledger.Record) error {
		e, err := readEvent(&r)
		if e != nil {
			events = append(events, *e)
		}
		return err
	})
	if err != nil {
		return nil, 0, 0, err
	}
	return events, last, missed, nil
}

var objectionBegins = []byte(`{"fact":"` + policy.Objection.String() + `"`)

// readEvent is the event that a record holds, nil when it holds none.
func readEvent(r *ledger.Record) (*Event, error) {
	e := Event{Seq: r.Seq, Key: hex.EncodeToString(r.Commitment[:12]), At: r.Time}
	switch {
	case r.Erased:
		return nil, nil
	case r.Kind == kindDecision:
		d, err := readDecision(*r)
		e.Decision = &d
		return &e, err
	case r.Kind == kindFact && bytes.HasPrefix(r.Public, objectionBegins):
		f, err := factForm.ParseJSON(bytes.Clone(r.Payload))
		e.Objection = &f
		return &e, err
	}
	return nil, nil
}
