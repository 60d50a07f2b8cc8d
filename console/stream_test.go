package console

import (
	"testing"
)

// countedCalls is a ledger that holds nothing but calls, one a record.
type countedCalls struct {
	Calls
	end uint64
}

func (c *countedCalls) LedgerEnd() uint64 { return c.end }

func (c *countedCalls) Search(s Search) (page Page, err error) {
	for seq := min(s.Before, c.end+1) - 1; seq > 0 && len(page.Calls) < s.Most; seq-- {
		page.Calls = append(page.Calls, Call{Seq: seq})
	}
	return page, nil
}

// TestAStreamKeepsUpOrSaysWhatItMissed: in order, each call once, never more in
// memory than the queue holds.
func TestAStreamKeepsUpOrSaysWhatItMissed(t *testing.T) {
	node := &countedCalls{}
	s := newStream(node)
	reads, sleeps := &listener{calls: make(chan Call, listenerQueue)}, &listener{calls: make(chan Call, listenerQueue)}
	s.listeners[reads], s.listeners[sleeps] = true, true
	last, seen, told := uint64(0), uint64(0), 0
	for _, more := range []uint64{3, 0, 1, 400, streamAtOnce, 3 * streamAtOnce, 7, 900} {
		node.end += more
		last = s.tell(last)
		if last != node.end {
			t.Fatalf("told up to %d of %d", last, node.end)
		}
		for len(reads.calls) > 0 {
			c := <-reads.calls
			if c.Seq <= seen {
				t.Fatalf("%d after %d", c.Seq, seen)
			}
			seen = c.Seq
			told++
		}
		if seen != node.end {
			t.Errorf("the last one told is %d of %d", seen, node.end)
		}
	}
	if uint64(told+reads.missed) != node.end || reads.missed == 0 {
		t.Errorf("%d told and %d missed of %d", told, reads.missed, node.end)
	}
	if len(sleeps.calls) > listenerQueue || uint64(len(sleeps.calls)+sleeps.missed) != node.end {
		t.Errorf("who sleeps has %d waiting and missed %d of %d", len(sleeps.calls), sleeps.missed, node.end)
	}
}

// TestStreamsAreBounded: one too many is refused, and none is left running.
func TestStreamsAreBounded(t *testing.T) {
	s := newStream(&countedCalls{})
	defer s.close()
	var all []*listener
	for range maxListeners {
		all = append(all, s.listen())
	}
	if s.listen() != nil {
		t.Error("one too many listens")
	}
	for _, l := range all {
		s.leave(l)
	}
	if s.listen() == nil {
		t.Error("there is room again, and nobody is let in")
	}
}
