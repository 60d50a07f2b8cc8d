package store

import (
	"bytes"
	"encoding/json"
	"fmt"
	"iter"
	"time"

	"dialgate/policy"
)

// appendBlock appends the personal part of a blocked call's outcome: whose
// call it was, so that it stands by itself, and whom to ask.
func appendBlock(b []byte, k *policy.Block) []byte {
	b = append(b, '{')
	field := func(name, value string) {
		if value == "" {
			return
		}
		if b[len(b)-1] != '{' {
			b = append(b, ',')
		}
		b = append(append(append(b, '"'), name...), '"', ':')
		b = appendQuoted(b, value)
	}
	number := func(name string, n policy.Number) {
		if !n.IsZero() {
			field(name, n.E164())
		}
	}
	number("from", k.Caller)
	number("to", k.Called)
	field("peer", k.Peer)
	field("campaign", k.Campaign)
	field("advertiser", k.Advertiser)
	field("name", k.Contact.Name)
	field("url", k.Contact.URL)
	field("tel", k.Contact.Tel)
	field("email", k.Contact.Email)
	return append(b, '}')
}

// A Blocked is a call that the networks behind the carrier blocked, as read
// back from the ledger.
type Blocked struct {
	Seq        uint64    `json:"seq"`
	At         time.Time `json:"at"`
	ID         string    `json:"id"` // of the decision that let the call pass
	Code       int       `json:"code"`
	Blocked    string    `json:"blocked"`
	Card       string    `json:"card"`
	From       string    `json:"from,omitempty"`
	To         string    `json:"to,omitempty"`
	Peer       string    `json:"peer,omitempty"`
	Campaign   string    `json:"campaign,omitempty"`
	Advertiser string    `json:"advertiser,omitempty"`
	Name       string    `json:"name,omitempty"`
	URL        string    `json:"url,omitempty"`
	Tel        string    `json:"tel,omitempty"`
	Email      string    `json:"email,omitempty"`
}

// Blocked walks the blocked calls on disk from a ledger record on.
func (s *Store) Blocked(from uint64) iter.Seq2[Blocked, error] {
	return func(yield func(Blocked, error) bool) {
		for r, err := range s.ledger.All(max(from, 1)) {
			if err != nil {
				yield(Blocked{}, err)
				return
			}
			if r.Kind != kindOutcome || !bytes.Contains(r.Public, []byte(`"blocked":`)) {
				continue
			}
			b := Blocked{Seq: r.Seq, At: r.Time}
			for _, part := range [][]byte{r.Public, r.Payload} {
				if len(part) == 0 {
					continue // erased
				}
				if err := json.Unmarshal(part, &b); err != nil {
					yield(b, fmt.Errorf("store: record %d of the ledger holds no outcome: %w", r.Seq, err))
					return
				}
			}
			if !yield(b, nil) {
				return
			}
		}
	}
}
