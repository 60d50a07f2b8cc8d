package store

import "dialgate/policy"

// OnObjection has f told the numbers of new objections, before whoever added
// them is answered. They are in force for the next call already; f can end the
// calls that are being set up.
func (s *Store) OnObjection(f func(numbers ...policy.Number)) { s.onObjection.Store(&f) }

func (s *Store) tellObjected(facts []policy.Fact, results []Result) {
	f := s.onObjection.Load()
	if f == nil {
		return
	}
	var numbers []policy.Number
	for i := range facts {
		if facts[i].Kind == policy.Objection && results[i].ID != "" && results[i].Err == nil && !results[i].Known {
			numbers = append(numbers, facts[i].Number)
		}
	}
	if len(numbers) > 0 {
		(*f)(numbers...)
	}
}
