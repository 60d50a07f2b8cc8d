package store

import (
	"encoding/json"
	"fmt"
	"iter"

	"dialgate/store/ledger"
)

// walkRows walks the records on disk that are asked for, from one on, and reads
// what they say into what begin makes of each. An erased part says nothing.
func walkRows[T any](s *Store, from uint64, what string, asked func(*ledger.Record) bool, begin func(*ledger.Record) T) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for r, err := range s.ledger.All(max(from, 1)) {
			if err != nil {
				var none T
				yield(none, err)
				return
			}
			if !asked(&r) {
				continue
			}
			row := begin(&r)
			for _, part := range [][]byte{r.Public, r.Payload} {
				if len(part) == 0 {
					continue
				}
				if err := json.Unmarshal(part, &row); err != nil {
					yield(row, fmt.Errorf("store: record %d of the ledger holds no %s: %w", r.Seq, what, err))
					return
				}
			}
			if !yield(row, nil) {
				return
			}
		}
	}
}
