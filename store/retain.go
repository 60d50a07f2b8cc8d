package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/dgraph-io/badger/v4"

	"dialgate/policy"
	"dialgate/store/ledger"
)

// Retention removes the ledger's oldest files. Records of calls go with them;
// what is known of numbers is carried over first, in records of their own, so
// that the projection can still be made anew from the ledger.
//
// Such a record, of kindCarried, holds all that was known of one number: its 8
// octets, then its value as the projection has it.

// retentionGround stands in the ledger's record of a removal.
const retentionGround = "older than the configured retention"

func carriedRecord(n policy.Number, value []byte, node string, now time.Time) ledger.Record {
	public := append(appendQuoted([]byte(`{"carried":true,"node":`), node), '}')
	return ledger.Record{Time: now, Kind: kindCarried, Public: public, Payload: append(binary.BigEndian.AppendUint64(nil, n.Key()), value...)}
}

// readCarried reads what a record carried over.
func readCarried(r *ledger.Record) (f policy.Facts, err error) {
	ok := len(r.Payload) > 8
	if ok {
		f.Number, ok = policy.NumberOfKey(binary.BigEndian.Uint64(r.Payload))
	}
	if !ok {
		return f, fmt.Errorf("store: record %d of the ledger holds nothing that was carried over", r.Seq)
	}
	if err := readValue(r.Payload[8:], f.Number, &f); err != nil {
		return f, fmt.Errorf("store: record %d of the ledger: %w", r.Seq, err)
	}
	return f, nil
}

// mergeCarried folds in what was carried over: a union, as of single facts and calls.
func mergeCarried(into, carried *policy.Facts) {
	for i := range carried.All {
		merge(into, &change{fact: &carried.All[i]})
	}
	for i := range carried.Calls {
		merge(into, &change{call: &carried.Calls[i]})
	}
}

// A retention looks now and then whether a file of the ledger may go.
type retention struct {
	cancel context.CancelFunc
	ended  chan struct{}
}

const retainEvery = time.Hour

func (s *Store) openRetention() {
	ctx, cancel := context.WithCancel(context.Background())
	s.retention = retention{cancel, make(chan struct{})}
	if s.o.Keep == 0 {
		close(s.retention.ended)
		return
	}
	go s.keepRetaining(ctx)
}

func (s *Store) closeRetention() {
	s.retention.cancel()
	<-s.retention.ended
}

func (s *Store) keepRetaining(ctx context.Context) {
	defer close(s.retention.ended)
	beat := time.NewTicker(retainEvery)
	defer beat.Stop()
	for {
		if _, err := s.Retain(ctx, s.o.Now().Add(-s.o.Keep)); err != nil && ctx.Err() == nil {
			s.o.Log.Error("old records of the ledger could not be removed; that is tried again in an hour", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-beat.C:
		}
	}
}

// Retain removes the ledger's files of which all records are older than an
// instant, and returns how many records went. Calls are judged meanwhile.
func (s *Store) Retain(ctx context.Context, before time.Time) (removed uint64, err error) {
	s.retaining.Lock()
	defer s.retaining.Unlock()
	for ctx.Err() == nil {
		if err := s.disk.lacks(onlyInDanger); err != nil {
			return removed, err
		}
		last, err := s.ledger.Oldest(before)
		if err != nil || last == 0 {
			return removed, err
		}
		first := s.ledger.First()
		if err := s.retire(first, last); err != nil {
			return removed, err
		}
		removed += last - first + 1
		s.o.Log.Info("the oldest file of the ledger was removed", "first", first, "last", last, "because", retentionGround)
	}
	return removed, ctx.Err()
}

// retire carries over what the records first to last tell of numbers, and
// removes them.
func (s *Store) retire(first, last uint64) error {
	if err := s.settle(last); err != nil {
		return err
	}
	if err := s.catchUpIndex(0); err != nil {
		return err
	}
	numbers, outcomes, err := s.mentioned(first, last)
	if err != nil {
		return err
	}
	for some := range slices.Chunk(numbers, changesPerTxn) {
		if err := s.carry(some); err != nil {
			return err
		}
	}
	if err := s.carryBlocks(last); err != nil {
		return err
	}
	if err := s.carryCopies(last); err != nil {
		return err
	}
	if err := s.ledger.Remove(last, s.o.Now().UTC(), retentionGround); err != nil {
		return err
	}
	return s.state.unindex(numbers, outcomes, last, s.ledger.Durable())
}

// mentioned are the numbers and the ids of outcomes in records first to last.
func (s *Store) mentioned(first, last uint64) (numbers []policy.Number, outcomes [][]byte, err error) {
	seen := map[policy.Number]bool{}
	for r, err := range s.ledger.All(first) {
		if err != nil {
			return nil, nil, err
		}
		if r.Seq > last {
			break
		}
		if r.Kind == kindOutcome {
			row, err := indexRow(&r)
			if err != nil {
				return nil, nil, err
			}
			outcomes = append(outcomes, row.Key)
			continue
		}
		n, err := numberOf(&r)
		if err != nil {
			return nil, nil, err
		}
		if !n.IsZero() && !seen[n] {
			seen[n] = true
			numbers = append(numbers, n)
		}
	}
	return numbers, outcomes, nil
}

// carry appends what is known of numbers. Facts and erasures wait meanwhile, so
// that nothing erased is carried over.
func (s *Store) carry(numbers []policy.Number) error {
	s.adding.Lock()
	defer s.adding.Unlock()
	done := make(chan error, len(numbers))
	waiting := 0
	for _, n := range numbers {
		var facts policy.Facts
		if err := s.state.facts(n, &facts); err != nil {
			return errors.Join(err, s.wait(done, waiting))
		}
		if len(facts.All)+len(facts.Calls) == 0 {
			continue
		}
		waiting++
		s.ledger.Append(carriedRecord(n, appendValue(nil, facts.All, facts.Calls), s.o.Node, s.o.Now().UTC()), func(_ uint64, err error) { done <- err })
	}
	return s.wait(done, waiting)
}

// carryBlocks appends the blocks whose records are about to go.
func (s *Store) carryBlocks(last uint64) error {
	s.adding.Lock()
	defer s.adding.Unlock()
	all := s.blocks.byHash.Load()
	if all == nil {
		return nil
	}
	for h, b := range *all {
		if b.Records[len(b.Records)-1] > last {
			continue
		}
		if err := s.carryBlock(h, b); err != nil {
			return err
		}
	}
	return nil
}

// unindex takes the rows of removed records out of the index.
func (p *projection) unindex(numbers []policy.Number, outcomes [][]byte, last, version uint64) error {
	rows := outcomes
	flush := func(least int) error {
		for len(rows) >= max(least, 1) {
			some := rows[:min(len(rows), changesPerTxn)]
			err := p.update(version, func(txn *badger.Txn) error {
				for _, row := range some {
					if err := txn.Delete(row); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				return fmt.Errorf("store: %w", err)
			}
			rows = rows[len(some):]
		}
		return nil
	}
	for _, n := range numbers {
		err := p.eachPlace(n, func(key []byte, place ledger.Place, _ bool) error {
			if place.Seq <= last {
				rows = append(rows, key)
			}
			return nil
		})
		if err = errors.Join(err, flush(changesPerTxn)); err != nil {
			return err
		}
	}
	return flush(1)
}
