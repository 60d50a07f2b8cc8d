package dns

import "sync/atomic"

// An Event is something that a client counts.
type Event uint8

const (
	Found     Event = iota // a question was answered
	None                   // a question was answered: there is nothing
	Cached                 // a question was answered from memory
	Kept                   // nobody answered, and the last answer was used
	Failed                 // nobody answered, and there was none before
	Silent                 // a server could not be reached, or said nothing in time
	Refused                // a server answered that it does not, or uselessly
	Strange                // what came answered another question
	Malformed              // what came could not be read
	Truncated              // there was more than a datagram holds, and TCP was used
	eventCount
)

var eventNames = [eventCount]string{
	Found: "found", None: "none", Cached: "cached", Kept: "kept", Failed: "failed", Silent: "silent", Refused: "refused",
	Strange: "strange", Malformed: "malformed", Truncated: "truncated",
}

// String is the name in metrics.
func (e Event) String() string { return eventNames[e] }

// Events are all of them.
func Events() []Event {
	all := make([]Event, eventCount)
	for i := range all {
		all[i] = Event(i)
	}
	return all
}

// Counts are what a client has counted.
type Counts [eventCount]atomic.Uint64

func (c *Counts) add(e Event) { c[e].Add(1) }

// Count is how often something has happened.
func (c *Client) Count(e Event) uint64 { return c.counts[e].Load() }
