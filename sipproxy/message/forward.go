package message

import (
	"bytes"
	"net/netip"
	"strconv"
)

// Edits are what a proxy changes in a message it passes on (RFC 3261 sections
// 16.6 and 16.7). Everything else leaves octet for octet as it came.
type Edits struct {
	// of a request
	Source      netip.AddrPort // stamps the topmost Via with where it came from
	Via         []byte         // a Via value of ours to put on top, nil: none
	RecordRoute [2][]byte      // Record-Route values of ours, the topmost first; nil: none
	URI         []byte         // a new Request-URI, nil: keep
	DropRoutes  int            // how many Route values to take from the top
	MaxForwards int            // the new value; it is added when there was none
	// of a response
	PopVia bool // take away the topmost Via value

	// Remove takes every instance of these kinds away.
	Remove [kindCount]bool
}

// AppendForward appends the message with its edits to b.
func (v *View) AppendForward(b []byte, e *Edits) []byte {
	b = v.appendStart(b, e)
	drop := e.DropRoutes
	ours := e.RecordRoute[0] == nil
	maxForwards := e.MaxForwards > 0 || e.Via != nil
	for i := range v.Headers {
		h := &v.Headers[i]
		if e.Remove[h.Kind] {
			continue
		}
		if !ours && (h.Kind == RecordRoute || h.Kind == From) {
			// Ours go above those that are there, else above From: anywhere
			// before the body would do.
			b, ours = appendRecordRoute(b, e), true
		}
		switch h.Kind {
		case Via:
			if i == v.Top.line {
				b = v.appendTopVia(b, h, e)
				continue
			}
		case Route:
			if drop > 0 {
				b, drop = v.appendRouteWithout(b, h, drop)
				continue
			}
		case MaxForwards:
			if maxForwards {
				b = append(b, "Max-Forwards: "...)
				b = append(strconv.AppendInt(b, int64(e.MaxForwards), 10), crlf...)
				maxForwards = false
				continue
			}
		}
		b = append(b, v.Raw[h.start:h.end]...)
	}
	if maxForwards {
		b = append(b, "Max-Forwards: "...)
		b = append(strconv.AppendInt(b, int64(e.MaxForwards), 10), crlf...)
	}
	return append(append(b, crlf...), v.Body...)
}

func (v *View) appendStart(b []byte, e *Edits) []byte {
	if e.URI == nil {
		return append(b, v.Raw[:v.head]...)
	}
	b = append(append(b, v.Method...), ' ')
	b = append(append(b, e.URI...), " SIP/2.0\r\n"...)
	return b
}

func appendRecordRoute(b []byte, e *Edits) []byte {
	for _, value := range e.RecordRoute {
		if value != nil {
			b = append(append(append(b, "Record-Route: "...), value...), crlf...)
		}
	}
	return b
}

// appendTopVia appends the header field that holds the topmost Via: our own
// value goes before it and the sender's is stamped, or it is taken away.
func (v *View) appendTopVia(b []byte, h *Header, e *Edits) []byte {
	if e.Via != nil {
		b = append(append(append(b, "Via: "...), e.Via...), crlf...)
	}
	after := h.Value[offset(h.Value, v.Top.value)+len(v.Top.value):] // ", next value" or nothing
	if e.PopVia {
		if !v.Top.more {
			return b
		}
		after = trim(after)
		b = append(append(b, "Via: "...), trim(after[1:])...)
		return append(b, crlf...)
	}
	if !e.Source.IsValid() {
		return append(b, v.Raw[h.start:h.end]...)
	}
	b = append(b, v.Raw[h.start:h.start+offset(v.Raw[h.start:h.end], v.Top.value)]...)
	b = v.Top.appendReceived(b, e.Source)
	return append(append(b, after...), crlf...)
}

// offset is where the slice part begins in the slice whole that holds it.
func offset(whole, part []byte) int { return cap(whole) - cap(part) }

// appendRouteWithout appends a Route header field without its first values and
// returns how many are still to be dropped.
func (v *View) appendRouteWithout(b []byte, h *Header, drop int) ([]byte, int) {
	rest := h.Value
	for drop > 0 && rest != nil {
		_, rest, _ = nextValue(rest)
		drop--
	}
	if rest == nil {
		return b, drop
	}
	b = append(append(b, "Route: "...), trim(rest)...)
	return append(b, crlf...), drop
}

// Routes calls f with each Route value in order until it returns false.
func (v *View) Routes(f func(a Address) bool) {
	for i := range v.Headers {
		if v.Headers[i].Kind != Route {
			continue
		}
		on := true
		EachValue(v.Headers[i].Value, func(value []byte) bool {
			a, _ := ParseAddress(value)
			on = f(a)
			return on
		})
		if !on {
			return
		}
	}
}

// Has reports whether a comma-separated header field of a kind names a token,
// such as an option tag in Require.
func (v *View) Has(k Kind, tag string) bool {
	found := false
	for i := range v.Headers {
		if v.Headers[i].Kind == k {
			EachValue(v.Headers[i].Value, func(value []byte) bool {
				found = found || EqualFold(value, tag)
				return !found
			})
		}
	}
	return found
}

// clean reports whether a text can stand in a header line.
func clean(b []byte) bool { return bytes.IndexAny(b, "\r\n\x00") < 0 }
