package store

import (
	"encoding/json"
	"fmt"
	"time"

	"dialgate/policy"
	"dialgate/store/ledger"
)

// A LookUp is one look of somebody at a number in full.
type LookUp struct {
	By     string        // who looked
	Token  string        // the id of the token it was done with, "" for a person
	Role   string        // of who looked
	What   string        // what was looked at
	Number policy.Number // zero: many, as of a list
	Count  int           // how many numbers
}

// LookedUp records a look-up; it is on disk when it returns nil.
func (s *Store) LookedUp(l LookUp) error {
	b := append(make([]byte, 0, 192), `{"by":`...)
	b = appendQuoted(b, l.By)
	b = appendField(b, "token", l.Token)
	b = appendField(b, "role", l.Role)
	b = appendField(b, "what", l.What)
	b = fmt.Appendf(b, `,"count":%d}`, l.Count)
	var payload []byte
	if !l.Number.IsZero() {
		payload = append(l.Number.AppendE164([]byte(`{"number":"`)), '"', '}')
	}
	_, err := s.ledger.AppendSync(ledger.Record{Time: s.o.Now().UTC(), Kind: kindLookUp, Public: b, Payload: payload})
	return err
}

// A LookedUp is a look-up as read back from the ledger.
type LookedUp struct {
	Seq    uint64    `json:"seq"`
	At     time.Time `json:"at"`
	By     string    `json:"by"`
	Token  string    `json:"token,omitempty"`
	Role   string    `json:"role"`
	What   string    `json:"what"`
	Count  int       `json:"count"`
	Number string    `json:"number,omitempty"`
}

// LookUps are the look-ups before a ledger record, the newest first, at most so
// many; 0 is the end. next is where to go on from, 0 when there are no more.
func (s *Store) LookUps(before uint64, most int) (found []LookedUp, next uint64, err error) {
	return lookBack(s, kindLookUp, before, most, func(l *LookedUp) uint64 { return l.Seq }, readLookUp)
}

// readLookUp is a record's look-up, nil when it holds none.
func readLookUp(r *ledger.Record) (*LookedUp, error) {
	if r.Kind != kindLookUp {
		return nil, nil
	}
	l := LookedUp{Seq: r.Seq, At: r.Time}
	err := json.Unmarshal(r.Public, &l)
	if err == nil && len(r.Payload) > 0 && !r.Erased {
		err = json.Unmarshal(r.Payload, &l)
	}
	if err != nil {
		return nil, fmt.Errorf("store: record %d of the ledger holds no look-up: %w", r.Seq, err)
	}
	return &l, nil
}
