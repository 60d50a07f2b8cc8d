package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"iter"
	"slices"
	"time"

	"github.com/dgraph-io/badger/v4"

	"dialgate/policy"
	"dialgate/store/ledger"
)

// A Search asks for decisions, the newest first. Zero fields ask for nothing.
type Search struct {
	Before     uint64 // only records before this one; 0: from the end
	From, To   time.Time
	Verdict    string
	Reason     string
	Rule       string
	Peer       string
	Campaign   string
	Advertiser string
	Number     policy.Number // called
	Most       int           // decisions on the page
	// Public compares reasons as one advertiser is told them: [policy.Reason.Public].
	Public bool
}

// A Page is what was found. Next is where to go on from, 0 at the end: a search
// looks at a bounded number of records at once, so that a page can be short,
// or empty, before the end.
type Page struct {
	Decisions []Decision
	Next      uint64
}

const (
	searchChunk = 1024   // records between the places that are noted for searches
	searchLook  = 32_768 // records that one page looks at
	searchSkip  = 16     // what it costs to pass over those that are noted
)

// Search finds decisions.
func (s *Store) Search(q Search) (Page, error) {
	if !q.Number.IsZero() {
		return s.searchNumber(&q)
	}
	var page Page
	var err error
	page.Decisions, page.Next, err = lookBack(s, kindDecision, q.Before, q.Most, func(d *Decision) uint64 { return d.Seq }, func(r *ledger.Record) (*Decision, error) {
		if !q.mayFit(r.Public) {
			return nil, nil
		}
		d, err := readDecision(*r)
		if err != nil || !q.fits(&d) {
			return nil, err
		}
		return &d, nil
	})
	return page, err
}

// lookBack finds what read makes of the records of a kind before one, the newest
// first, at most so many. next is where to go on from, 0 at the end. Where it is
// noted that there are none of the kind, none are read: many facts or look-ups
// hide no decision.
func lookBack[T any](s *Store, kind ledger.Kind, before uint64, most int, seq func(*T) uint64, read func(*ledger.Record) (*T, error)) (found []T, next uint64, err error) {
	first, end := max(s.ledger.First(), 1), s.ledger.Durable()+1
	if before == 0 || before > end {
		before = end
	}
	step := uint64(2*most) + 16 // what it reads first is little more than it needs
	for looked := uint64(0); before > first && looked < searchLook; {
		if before%searchChunk == 0 && before > searchChunk {
			none, err := s.noneBefore(before, kind)
			if err != nil {
				return nil, 0, err
			}
			if none {
				before = max(first, before-searchChunk)
				looked += searchSkip
				continue
			}
		}
		from := first
		if step < searchChunk && before > first+step {
			from = before - step
		} else if noted := (before - 1) / searchChunk * searchChunk; noted > first {
			from = noted
		}
		step = min(4*step, searchChunk)
		chunk, err := s.ofKind(kind, from, before)
		if err != nil {
			return nil, 0, err
		}
		for i := range slices.Backward(chunk) { // to read one takes far longer than to find it
			one, err := read(&chunk[i])
			if err != nil {
				return nil, 0, err
			}
			if one == nil {
				continue
			}
			if len(found) == most {
				return found, seq(&found[most-1]), nil
			}
			found = append(found, *one)
		}
		looked, before = looked+before-from, from
	}
	if before > first {
		next = before
	}
	return found, next, nil
}

// between walks the records from one to before another. A record is valid until
// the next one is asked for.
func (s *Store) between(from, before uint64) iter.Seq2[ledger.Record, error] {
	return func(yield func(ledger.Record, error) bool) {
		place, err := s.placeNear(from)
		if err != nil {
			yield(ledger.Record{}, err)
			return
		}
		for r, err := range s.ledger.From(place) {
			if err == nil && r.Seq >= before {
				return
			}
			if err == nil && r.Seq < from {
				continue
			}
			if !yield(r, err) {
				return
			}
		}
	}
}

// readBetween is what read makes of the records from one to before another.
func readBetween[T any](s *Store, from, before uint64, read func(*ledger.Record) (*T, error)) (found []T, err error) {
	for r, err := range s.between(from, before) {
		if err != nil {
			return nil, err
		}
		one, err := read(&r)
		if err != nil {
			return nil, err
		}
		if one != nil {
			found = append(found, *one)
		}
	}
	return found, nil
}

// ofKind is the records of a kind from one to before another.
func (s *Store) ofKind(kind ledger.Kind, from, before uint64) (found []ledger.Record, err error) {
	for r, err := range s.between(from, before) {
		if err != nil {
			return nil, err
		}
		if r.Kind == kind {
			r.Public, r.Payload = bytes.Clone(r.Public), bytes.Clone(r.Payload)
			found = append(found, r)
		}
	}
	return found, nil
}

// mayFit tells from a record's text that it is not asked for, without reading it.
func (q *Search) mayFit(public []byte) bool {
	return (q.Verdict == "" || bytes.Contains(public, []byte(`"verdict":"`+q.Verdict+`"`))) &&
		(q.Rule == "" || bytes.Contains(public, []byte(`"rule":"`+q.Rule+`"`))) &&
		(q.Reason == "" || q.Public || bytes.Contains(public, []byte(`"reason":"`+q.Reason+`"`)))
}

func (q *Search) fits(d *Decision) bool {
	is := func(want, got string) bool { return want == "" || want == got }
	reason := d.Reason
	if q.Public {
		reason = policy.Told(reason, d.Mode)
	}
	return is(q.Verdict, d.Verdict) && is(q.Rule, d.Rule) && is(q.Reason, reason) && is(q.Peer, d.Peer) && is(q.Campaign, d.Campaign) && is(q.Advertiser, d.Advertiser) &&
		(q.From.IsZero() || !d.At.Before(q.From)) && (q.To.IsZero() || d.At.Before(q.To))
}

// searchNumber finds decisions by the index of numbers.
func (s *Store) searchNumber(q *Search) (page Page, err error) {
	places, err := s.placesOf(q.Number, false)
	if err != nil {
		return page, err
	}
	for _, p := range slices.Backward(places) {
		if q.Before != 0 && p.Seq >= q.Before {
			continue
		}
		r, err := s.ledger.Read(p)
		if err != nil {
			return page, err
		}
		if n, err := numberOf(&r); err != nil || n != q.Number || r.Kind != kindDecision {
			continue // a fact, or the index is of another time
		}
		d, err := readDecision(r)
		if err != nil {
			return page, err
		}
		if !q.fits(&d) {
			continue
		}
		if len(page.Decisions) == q.Most {
			page.Next = page.Decisions[q.Most-1].Seq
			return page, nil
		}
		page.Decisions = append(page.Decisions, d)
	}
	return page, nil
}

// ErrNoDecision is the answer when a record is not there or is no decision.
var ErrNoDecision = errors.New("there is no such decision")

// Decision is one decision by its ledger record, with how the call ended, nil
// when that is not known.
func (s *Store) Decision(seq uint64) (d Decision, o *Outcome, err error) {
	if seq < max(s.ledger.First(), 1) || seq > s.ledger.Durable() {
		return d, nil, ErrNoDecision
	}
	place, err := s.placeNear(seq)
	if err != nil {
		return d, nil, err
	}
	for r, err := range s.ledger.From(place) {
		if err != nil {
			return d, nil, err
		}
		if r.Seq < seq {
			continue
		}
		if r.Kind != kindDecision {
			return d, nil, ErrNoDecision
		}
		if d, err = readDecision(r); err != nil {
			return d, nil, err
		}
		o, err = s.outcomeOf(d.ID)
		return d, o, err
	}
	return d, nil, ErrNoDecision
}

// outcomeOf is how a call ended, nil when that is not known.
func (s *Store) outcomeOf(id string) (*Outcome, error) {
	if err := s.catchUpIndex(0); err != nil {
		return nil, err
	}
	place, err := s.outcomePlace(id)
	if err != nil || place.Seq == 0 {
		return nil, err
	}
	r, err := s.ledger.Read(place)
	if err != nil {
		return nil, err
	}
	return readOutcome(&r)
}

// The index notes the place of every 1024th record, so that a search need not
// read a segment from its beginning:
//
//	P seq8   the record's offset in its segment

var placePrefix = []byte{'P'}

func placeRow(seq uint64) []byte { return binary.BigEndian.AppendUint64(placePrefix, seq) }

// noneBefore reports whether it is noted that no record of a kind is among the
// 1024 before one.
func (s *Store) noneBefore(seq uint64, kind ledger.Kind) (none bool, err error) {
	err = s.state.db.View(func(txn *badger.Txn) error {
		item, err := txn.Get(placeRow(seq))
		if errors.Is(err, badger.ErrKeyNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		return item.Value(func(v []byte) error {
			_, size := binary.Uvarint(v)
			if size <= 0 {
				return errValue
			}
			there, n := binary.Uvarint(v[size:])
			none = n > 0 && kinds(there)&kindsOf(kind) == 0
			return nil
		})
	})
	return none, err
}

// placeNear is where to begin to read for a record: the last place at or before
// it that is noted, for the newest records are not noted yet. A place that does
// not hold is of another time, and counts for nothing.
func (s *Store) placeNear(seq uint64) (p ledger.Place, err error) {
	p = ledger.Place{Seq: seq} // none is noted: its segment is read from the beginning
	err = s.state.db.View(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{Reverse: true, Prefix: placePrefix})
		defer it.Close()
		it.Seek(placeRow(seq))
		if !it.Valid() {
			return nil
		}
		key := it.Item().KeyCopy(nil)
		if len(key) != len(placePrefix)+8 {
			return errValue
		}
		noted := binary.BigEndian.Uint64(key[len(placePrefix):])
		if noted < max(s.ledger.First(), 1) {
			return nil
		}
		return it.Item().Value(func(v []byte) error {
			offset, size := binary.Uvarint(v)
			if size <= 0 {
				return errValue
			}
			near := ledger.Place{Seq: noted, Offset: int64(offset)}
			if _, err := s.ledger.Read(near); err == nil {
				p = near
			}
			return nil
		})
	})
	return p, err
}
