package trace

import (
	"bytes"
	"fmt"
	"hash/maphash"
	"iter"

	"dialgate/sipproxy/message"
)

// A Call is an initial INVITE of a trace: one without a To tag, seen for the
// first time.
type Call struct {
	Message
	// View is the INVITE taken apart, valid until the next call is asked for.
	View *message.View
	// Malformed is what the view found wrong, nil when nothing is.
	Malformed error
}

// A Selector picks the calls out of traces. One selector used for several
// traces gives a call once that was captured in more than one of them.
type Selector struct {
	// Legs gives every leg of a call by itself: an INVITE that a proxy passed
	// on differs from the one it received in its top Via. Otherwise the same
	// Call-ID, CSeq and From tag are one call, and the first one seen counts.
	Legs bool
	Stats

	view   message.View
	parts  []byte // what tells one call from another
	seeds  [2]maphash.Seed
	recent [2]map[callKey]struct{} // this generation and the one before
}

// Stats count what a selector has seen.
type Stats struct {
	Messages int
	Calls    int
	Repeats  int // INVITEs seen before: sent again, captured twice, or passed on
	Reinvite int // INVITEs within a call
}

type callKey [2]uint64

// generation is how many calls are remembered at least. Repeats come within
// seconds, so the oldest may be forgotten.
const generation = 256 << 10

// Calls gives the calls of a trace. An error is a *[Problem], as in [Messages];
// a message that is not whole is one, since what is missing can't be judged.
func (s *Selector) Calls(messages Messages) iter.Seq2[*Call, error] {
	return func(yield func(*Call, error) bool) {
		if s.recent[0] == nil {
			s.seeds = [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}
			s.recent = [2]map[callKey]struct{}{{}, {}}
		}
		var c Call
		for m, err := range messages {
			if err != nil {
				if !yield(nil, err) {
					return
				}
				continue
			}
			s.Messages++
			invite := isInvite(m.Bytes)
			if m.Cut != "" {
				what := "a SIP message"
				if invite {
					what = "an INVITE"
				}
				if !yield(nil, &Problem{Packet: m.Packet, Cause: fmt.Sprintf("holds %s that is not whole: %s", what, m.Cut), Call: invite}) {
					return
				}
				continue
			}
			if !invite {
				continue
			}
			c = Call{Message: m, View: &s.view, Malformed: s.view.Parse(m.Bytes)}
			switch {
			case len(s.view.ToTag) > 0:
				s.Reinvite++
			case s.seen():
				s.Repeats++
			default:
				s.Stats.Calls++
				if !yield(&c, nil) {
					return
				}
			}
		}
	}
}

func isInvite(b []byte) bool { return bytes.HasPrefix(bytes.TrimLeft(b, "\r\n"), []byte("INVITE ")) }

// seen reports whether the INVITE in the view was seen before, and remembers it.
func (s *Selector) seen() bool {
	v := &s.view
	parts := [...][]byte{v.Value(message.CallID), v.Value(message.CSeq), v.FromTag, nil}
	if len(parts[0]) == 0 {
		parts[0] = v.Raw // it can't be told from others but by itself
	}
	if s.Legs {
		parts[3] = v.Value(message.Via)
	}
	s.parts = s.parts[:0]
	for _, p := range parts {
		s.parts = append(append(s.parts, p...), 0)
	}
	key := callKey{maphash.Bytes(s.seeds[0], s.parts), maphash.Bytes(s.seeds[1], s.parts)}
	if _, known := s.recent[1][key]; known {
		return true
	}
	n := len(s.recent[0])
	s.recent[0][key] = struct{}{}
	if len(s.recent[0]) == n {
		return true
	}
	if n+1 >= generation {
		s.recent[1], s.recent[0] = s.recent[0], make(map[callKey]struct{}, generation)
	}
	return false
}
