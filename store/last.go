package store

// Last is the last decisions on disk, at most n, oldest first. It looks back
// over the ledger in steps, so that it reads little more than it needs.
func (s *Store) Last(n int) ([]Decision, error) {
	end := s.ledger.Durable()
	for reach := uint64(2*n) + 16; ; reach *= 4 {
		from := uint64(1)
		if reach < end {
			from = end - reach + 1
		}
		var last []Decision
		for d, err := range s.Decisions(from) {
			if err != nil {
				return nil, err
			}
			last = append(last, d)
		}
		if len(last) >= n || from == 1 {
			return last[max(0, len(last)-n):], nil
		}
	}
}
