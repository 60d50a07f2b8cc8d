package console

import (
	"strings"
	"time"

	"dialgate/policy"
)

const (
	pastRecords = 1_000_000 // of the ledger that are looked at
	pastRests   = 9         // times as long as a step took, so that calls have the processor
	pastReaches = meterHours * time.Hour
)

// readPast counts what was judged before this process began, from the ledger and
// the newest first, so that the page that shows it is not empty after a restart.
// It goes back a week, or as far as so many records reach.
func (s *Server) readPast(before uint64) {
	defer close(s.pastRead)
	now := s.o.Node.Now()
	s.meter.WholeSince(now)
	oldest := now.Add(-pastReaches)
	for end := before; end-before < pastRecords; {
		began := time.Now()
		reached := s.meter.Since()
		next, err := s.o.Node.Reasons(before, func(at time.Time, reason policy.Reason) {
			if at.Before(reached) {
				reached = at
			}
			s.meter.Past(reason, at)
		})
		if err != nil {
			s.o.Log.Warn("what was judged before the start could not all be read for the first page", "error", strings.ReplaceAll(err.Error(), "\n", "; "))
			return
		}
		if reached.Before(oldest) {
			s.meter.WholeSince(oldest)
			return
		}
		s.meter.WholeSince(reached)
		if next == 0 {
			return
		}
		before = next
		select {
		case <-s.stream.closed:
			return
		case <-time.After(pastRests * time.Since(began)):
		}
	}
}
