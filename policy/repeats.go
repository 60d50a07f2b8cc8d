package policy

import "time"

// Repeats tell how often a refused call was tried again and refused for the
// same reason, beside the decision that is on record.
type Repeats struct {
	ID     RulingID // of that decision
	Reason Reason
	Count  int // so far, the first not counted
	Since  time.Time
	Until  time.Time // of the last one
}
