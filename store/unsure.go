package store

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"

	"dialgate/policy"
	"dialgate/store/ledger"
)

// When a node dies, the last calls that its ledger allows have no outcome. They
// may have gone out, or never have been forwarded, or been refused since their
// record was late. The next start gives each an outcome that says that nothing
// is known of it. Such a call counts as one where the law forbids to call too
// often, and as none where a call had to be made in time: see
// policy.EarlierCall.

// openCallsWithin is how many records at the end of the ledger are looked
// through. An outcome follows its decision within minutes.
const openCallsWithin = 1 << 20

// endedUnknown is how the public part of such an outcome ends.
var endedUnknown = `,"code":0,"ring_ms":0,"ended_by":"` + policy.EndedUnknown.String() + `"}`

// tellsUnsure reports whether an outcome's record says that nothing is known of
// the call.
func tellsUnsure(r *ledger.Record) bool {
	return r.Kind == kindOutcome && !r.Erased && len(r.Payload) > 0 && bytes.HasSuffix(r.Public, []byte(endedUnknown))
}

// unsureOf is the call that an outcome's record tells nothing of, nil if it is
// none of these.
func unsureOf(r *ledger.Record) (to policy.Number, call *policy.EarlierCall, err error) {
	if !tellsUnsure(r) {
		return to, nil, nil
	}
	return judgedCall(r)
}

// endOpenCalls gives the calls that a crash has left without an outcome one.
func (s *Store) endOpenCalls() error {
	end := s.ledger.Durable()
	first := uint64(1)
	if end > openCallsWithin {
		first = end - openCallsWithin
	}
	open := map[string]ledger.Place{} // by the id of the decision, as long as there is no outcome
	for r, err := range s.ledger.All(first) {
		if err != nil {
			return err
		}
		id, ok := bytes.CutPrefix(r.Public, []byte(`{"id":"`))
		at := bytes.IndexByte(id, '"')
		if !ok || at < 0 {
			continue
		}
		switch id = id[:at]; {
		case r.Kind == kindOutcome:
			delete(open, string(id))
		case r.Kind == kindDecision && !r.Erased && bytes.HasPrefix(r.Public[len(`{"id":"`)+at:], []byte(`","verdict":"allow"`)):
			open[string(id)] = r.Place
		}
	}
	left := slices.SortedFunc(maps.Values(open), func(a, b ledger.Place) int { return cmp.Compare(a.Seq, b.Seq) })
	return s.appendUnknown(left)
}

// appendUnknown records the outcomes of decisions, a batch at a time.
func (s *Store) appendUnknown(left []ledger.Place) error {
	ended := 0
	for some := range slices.Chunk(left, changesPerTxn) {
		done, waiting := make(chan error, len(some)), 0
		for _, place := range some {
			r, err := s.ledger.Read(place)
			if err != nil {
				return err
			}
			d, err := readDecision(r)
			if err != nil {
				return err
			}
			to, call, counts := d.made()
			if !counts {
				continue
			}
			outcome := ledger.Record{Time: s.o.Now(), Kind: kindOutcome, Public: fmt.Appendf(nil, `{"id":%q%s`, d.ID, endedUnknown), Payload: appendJudged(nil, to, &call)}
			s.ledger.Append(outcome, func(seq uint64, err error) {
				tell := func(err error) { done <- err }
				if err != nil {
					tell(err)
					return
				}
				s.queue.put(change{seq: seq, to: to, unsure: &call, done: tell})
			})
			waiting++
		}
		if err := s.wait(done, waiting); err != nil {
			return err
		}
		ended += waiting
	}
	if ended > 0 {
		s.o.Log.Warn("calls were being set up when the node died; whether they went out is not known", "calls", ended)
	}
	return nil
}
