package store

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/dgraph-io/badger/v4"

	"dialgate/policy"
	"dialgate/store/ledger"
)

// An index tells which records of the ledger are about a number, so that a
// proof need not read all of them. It lies in the projection's database, has a
// cursor of its own, follows a moment behind, and is made anew when it is gone.
//
//	I number8 seq8   the record's offset in its segment, and rowLooked behind it for a look-up
//	O id16           sequence number and offset of a decision's outcome
//	E seq8           the same of an erasure's record
//	P seq8           offset of every 1024th record, and which kinds the 1024 before it are of, see Search
//	Mindex           sequence number and offset of the last record indexed
type index struct {
	mu    sync.Mutex // one at a time brings it up to the ledger
	at    ledger.Place
	since kinds // those of the records since the last that was noted
	quit  chan struct{}
	ended chan struct{}
}

// kinds are the kinds of some records, a bit for each; 0: nobody knows.
type kinds uint64

func kindsOf(k ledger.Kind) kinds { return 1 << min(k, 63) }

var indexCursor = []byte("Mindex")

const (
	indexEvery = time.Second
	indexBatch = 1000
	// indexPause keeps the first indexing of a large ledger from the call path's disk.
	indexPause = 5 * time.Millisecond
)

func indexKey(n policy.Number, seq uint64) []byte {
	return binary.BigEndian.AppendUint64(indexPrefix(n), seq)
}

func indexPrefix(n policy.Number) []byte {
	return binary.BigEndian.AppendUint64([]byte{'I'}, n.Key())
}

func outcomeKey(id string) ([]byte, bool) {
	raw, err := hex.DecodeString(strings.ReplaceAll(id, "-", ""))
	return append([]byte{'O'}, raw...), err == nil && len(raw) == len(policy.RulingID{})
}

func erasureRow(seq uint64) []byte { return binary.BigEndian.AppendUint64([]byte{'E'}, seq) }

func appendPlace(b []byte, p ledger.Place) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(b, p.Seq), uint64(p.Offset))
}

func readPlace(v []byte) (p ledger.Place, err error) {
	if len(v) != 16 {
		return p, errValue
	}
	return ledger.Place{Seq: binary.BigEndian.Uint64(v), Offset: int64(binary.BigEndian.Uint64(v[8:]))}, nil
}

// openIndex reads the cursor and begins to follow.
func (s *Store) openIndex() error {
	i := &s.index
	i.at, i.since = ledger.Place{}, 0
	i.quit, i.ended = make(chan struct{}), make(chan struct{})
	err := s.state.db.View(func(txn *badger.Txn) error {
		item, err := txn.Get(indexCursor)
		if errors.Is(err, badger.ErrKeyNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		return item.Value(func(v []byte) (err error) {
			i.at, err = readPlace(v)
			return err
		})
	})
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	if i.at.Seq > s.ledger.Durable() {
		i.at = ledger.Place{} // of another ledger: what it says is held against the records
	}
	go s.followIndex()
	return nil
}

func (s *Store) closeIndex() {
	close(s.index.quit)
	<-s.index.ended
}

// followIndex indexes what is new at a slow beat.
func (s *Store) followIndex() {
	defer close(s.index.ended)
	beat := time.NewTicker(indexEvery)
	defer beat.Stop()
	failed := false
	for {
		select {
		case <-s.index.quit:
			return
		case <-beat.C:
		}
		if s.disk.level.Load() == onlyInDanger {
			continue
		}
		err := s.catchUpIndex(indexPause)
		if err != nil && !failed {
			s.o.Log.Error("the index of records by number can't follow the ledger; calls are not affected, proofs are", "error", err)
		}
		failed = err != nil
	}
}

// catchUpIndex indexes all that is on disk, with a pause between batches.
func (s *Store) catchUpIndex(pause time.Duration) error {
	i := &s.index
	i.mu.Lock()
	defer i.mu.Unlock()
	var rows []*badger.Entry
	at, since := i.at, i.since
	flush := func() error {
		rows = append(rows, badger.NewEntry(indexCursor, appendPlace(nil, at)))
		err := s.state.update(at.Seq, func(txn *badger.Txn) error {
			for _, row := range rows {
				if err := txn.SetEntry(row); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("store: %w", err)
		}
		i.at, i.since, rows = at, since, rows[:0]
		return nil
	}
	for r, err := range s.ledger.After(i.at) {
		if err != nil {
			return err
		}
		at = r.Place
		row, err := indexRow(&r)
		if err != nil {
			return err
		}
		if row != nil {
			rows = append(rows, row)
		}
		if at.Seq%searchChunk == 0 {
			noted := binary.AppendUvarint(nil, uint64(at.Offset))
			if since != 0 {
				noted = binary.AppendUvarint(noted, uint64(since))
			}
			rows = append(rows, badger.NewEntry(placeRow(at.Seq), noted))
			since = kindsOf(r.Kind)
		} else if since != 0 {
			since |= kindsOf(r.Kind)
		}
		if len(rows) < indexBatch {
			continue
		}
		if err := flush(); err != nil {
			return err
		}
		select {
		case <-i.quit:
			return nil
		case <-time.After(pause):
		}
	}
	if at == i.at {
		return nil
	}
	return flush()
}

// indexRow is the row that a record has in the index, nil if it has none.
func indexRow(r *ledger.Record) (*badger.Entry, error) {
	if r.Erased {
		return nil, nil
	}
	if r.Kind == ledger.KindErasure {
		return badger.NewEntry(erasureRow(r.Seq), appendPlace(nil, r.Place)), nil
	}
	if r.Kind == kindOutcome {
		id, ok := textAfter(r.Public, `{"id":"`)
		key, isID := outcomeKey(id)
		if !ok || !isID {
			return nil, fmt.Errorf("store: record %d of the ledger holds no outcome: its id is %q", r.Seq, id)
		}
		return badger.NewEntry(key, appendPlace(nil, r.Place)), nil
	}
	n, err := numberOf(r)
	if err != nil || n.IsZero() {
		return nil, err
	}
	place := binary.AppendUvarint(nil, uint64(r.Place.Offset))
	if r.Kind == kindLookUp {
		place = append(place, rowLooked)
	}
	return badger.NewEntry(indexKey(n, r.Seq), place), nil
}

// numberOf is the number that a fact, a decision or a look-up is about, zero when there is none.
func numberOf(r *ledger.Record) (n policy.Number, err error) {
	var about struct {
		Number string `json:"number"` // of a fact or a look-up
		To     string `json:"to"`     // of a decision
	}
	if r.Kind == kindCarried && !r.Erased {
		carried, err := readCarried(r)
		return carried.Number, err
	}
	if r.Kind != kindFact && r.Kind != kindDecision && r.Kind != kindLookUp || r.Erased || len(r.Payload) == 0 {
		return n, nil
	}
	if to, ok := textAfter(r.Payload, `,"to":"`); ok && r.Kind == kindDecision {
		return policy.ParseNumber(to)
	}
	if number, ok := textAfter(r.Payload, `,"number":"`); ok && r.Kind == kindFact {
		return policy.ParseNumber(number)
	}
	if err := json.Unmarshal(r.Payload, &about); err != nil {
		return n, fmt.Errorf("store: record %d of the ledger can't be read: %w", r.Seq, err)
	}
	if about.Number == "" && about.To == "" {
		return n, nil
	}
	return policy.ParseNumber(about.Number + about.To)
}

// textAfter is the string whose beginning is found in JSON that we have written.
// In a string every quote has a backslash before it, so that nobody's text can
// look like the beginning. To parse each record costs a fifth of judging a call.
func textAfter(b []byte, beginning string) (text string, ok bool) {
	_, rest, ok := bytes.Cut(b, []byte(beginning))
	end := bytes.IndexByte(rest, '"')
	if !ok || end < 0 {
		return "", false
	}
	return string(rest[:end]), true
}

// placesOf is where the records about a number lie, in their order; looks: those
// of look-ups among them, of which there can be many. The index is brought up to
// the ledger before.
func (s *Store) placesOf(n policy.Number, looks bool) (places []ledger.Place, err error) {
	if err := s.catchUpIndex(0); err != nil {
		return nil, err
	}
	err = s.state.eachPlace(n, func(_ []byte, p ledger.Place, looked bool) error {
		if looks || !looked {
			places = append(places, p)
		}
		return nil
	})
	return places, err
}

// eachPlace calls f with the rows of a number in the index.
func (p *projection) eachPlace(n policy.Number, f func(key []byte, place ledger.Place, looked bool) error) error {
	prefix := indexPrefix(n)
	err := p.db.View(func(txn *badger.Txn) error {
		o := badger.DefaultIteratorOptions
		o.Prefix = prefix
		it := txn.NewIterator(o)
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			key := it.Item().KeyCopy(nil)
			if len(key) != len(prefix)+8 {
				return errValue
			}
			place, looked := ledger.Place{Seq: binary.BigEndian.Uint64(key[len(prefix):])}, false
			err := it.Item().Value(func(v []byte) error {
				offset, size := binary.Uvarint(v)
				looked = size > 0 && len(v) == size+1 && v[size] == rowLooked
				if size != len(v) && !looked {
					return errValue
				}
				place.Offset = int64(offset)
				return nil
			})
			if err == nil {
				err = f(key, place, looked)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("store: the index: %w", err)
	}
	return nil
}

// outcomePlace is where a decision's outcome lies, zero when there is none yet.
func (s *Store) outcomePlace(id string) (p ledger.Place, err error) {
	key, ok := outcomeKey(id)
	if !ok {
		return p, nil
	}
	return s.placeAt(key)
}

// placeAt reads one place from the index, zero when it is not there.
func (s *Store) placeAt(key []byte) (p ledger.Place, err error) {
	err = s.state.db.View(func(txn *badger.Txn) error {
		item, err := txn.Get(key)
		if errors.Is(err, badger.ErrKeyNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		return item.Value(func(v []byte) (err error) {
			p, err = readPlace(v)
			return err
		})
	})
	if err != nil {
		return p, fmt.Errorf("store: the index: %w", err)
	}
	return p, nil
}

// recordsOf calls f with the records about a number and the outcomes of its
// calls, in the order of the ledger. A record is valid until the next.
func (s *Store) recordsOf(n policy.Number, f func(*ledger.Record) error) error {
	places, err := s.placesOf(n, true)
	if err != nil {
		return err
	}
	about := len(places)
	for _, p := range places[:about] {
		r, err := s.ledger.Read(p)
		if err != nil {
			return err
		}
		if r.Kind != kindDecision || r.Erased {
			continue
		}
		d, err := readDecision(r)
		if err != nil {
			return err
		}
		o, err := s.outcomePlace(d.ID)
		if err != nil {
			return err
		}
		if o.Seq != 0 {
			places = append(places, o)
		}
	}
	slices.SortFunc(places, func(a, b ledger.Place) int { return int(int64(a.Seq) - int64(b.Seq)) })
	for _, p := range places {
		r, err := s.ledger.Read(p)
		if err != nil {
			return err
		}
		if got, err := numberOf(&r); err != nil || got != n && r.Kind != kindOutcome {
			continue // the index is of another time, and the record is erased or about another
		}
		if err := f(&r); err != nil {
			return err
		}
	}
	return nil
}
