package store

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/dgraph-io/badger/v4"

	"dialgate/policy"
)

// Known reads all that is known of several numbers in one snapshot, with the
// calls that were allowed a moment ago. The zero number is one of which nothing
// is known. The memory of into is used again.
func (s *Store) Known(numbers []policy.Number, into []policy.Facts) error {
	return s.known(numbers, func(i int, value []byte, calls []policy.EarlierCall) error {
		if err := readKnown(value, calls, numbers[i], &into[i]); err != nil {
			return err
		}
		s.registers.Load().Tell(&into[i])
		return nil
	})
}

// known calls each with every number's value, nil where there is none, and its
// calls in flight. Those are read first: a call that leaves for the projection
// meanwhile is then found twice, never not at all.
func (s *Store) known(numbers []policy.Number, each func(i int, value []byte, calls []policy.EarlierCall) error) error {
	s.mu.RLock()
	err := s.broken
	s.mu.RUnlock()
	if err != nil {
		return err
	}
	flight, parked := map[int][]policy.EarlierCall{}, map[int][]*policy.Fact{}
	for i, n := range numbers {
		if calls := s.flight.calls(n); calls != nil {
			flight[i] = calls
		}
		if facts := s.parked.of(n); facts != nil {
			parked[i] = facts
		}
	}
	return s.state.db.View(func(txn *badger.Txn) error {
		for i, n := range numbers {
			key := factKey(n)
			item, err := txn.Get(key[:])
			if errors.Is(err, badger.ErrKeyNotFound) {
				err = s.withMore(n, nil, parked[i], func(value []byte) error { return each(i, value, flight[i]) })
			} else if err == nil {
				err = item.Value(func(value []byte) error {
					return s.withMore(n, value, parked[i], func(value []byte) error { return each(i, value, flight[i]) })
				})
			} else {
				err = fmt.Errorf("store: %w", err)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

func readKnown(value []byte, calls []policy.EarlierCall, n policy.Number, into *policy.Facts) error {
	*into = policy.Facts{Number: n, All: into.All[:0], Calls: into.Calls[:0]}
	if len(value) > 0 {
		if err := readValue(value, n, into); err != nil {
			return err
		}
	}
	for i := range calls {
		MergeCall(into, &calls[i])
	}
	return nil
}

// AppendKnown appends what Known reads, in a form that ReadKnown takes apart
// in another process.
func (s *Store) AppendKnown(b []byte, numbers []policy.Number) ([]byte, error) {
	err := s.known(numbers, func(i int, value []byte, calls []policy.EarlierCall) error {
		if len(calls) > 0 {
			var f policy.Facts
			if err := readKnown(value, calls, numbers[i], &f); err != nil {
				return err
			}
			value = appendValue(nil, f.All, f.Calls)
		}
		b = append(binary.AppendUvarint(b, uint64(len(value))), value...)
		return nil
	})
	return b, err
}

// maxValue bounds what is believed of the size of a value.
const maxValue = 64 << 20

// ReadKnown is Known on what AppendKnown wrote of the same numbers.
func ReadKnown(r *bufio.Reader, numbers []policy.Number, into []policy.Facts) error {
	var value []byte
	for i, n := range numbers {
		size, err := binary.ReadUvarint(r)
		if err != nil {
			return fmt.Errorf("%w: it is cut short: %w", errValue, err)
		}
		if size > maxValue {
			return fmt.Errorf("%w: it claims %d octets", errValue, size)
		}
		if uint64(cap(value)) < size {
			value = make([]byte, size)
		}
		value = value[:size]
		if _, err := io.ReadFull(r, value); err != nil {
			return fmt.Errorf("%w: it is cut short: %w", errValue, err)
		}
		if err := readKnown(value, nil, n, &into[i]); err != nil {
			return err
		}
	}
	return nil
}

// History is all that is known of a number.
func (s *Store) History(n policy.Number) (policy.Facts, error) {
	var f [1]policy.Facts
	err := s.Known([]policy.Number{n}, f[:])
	return f[0], err
}
