package store

import (
	"bytes"
	"iter"
	"time"

	"dialgate/policy"
	"dialgate/store/ledger"
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
	return walkRows(s, from, "outcome", func(r *ledger.Record) bool {
		return r.Kind == kindOutcome && bytes.Contains(r.Public, []byte(`"blocked":`))
	}, func(r *ledger.Record) Blocked { return Blocked{Seq: r.Seq, At: r.Time} })
}
