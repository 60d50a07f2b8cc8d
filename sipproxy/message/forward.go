package message

import (
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
	DropLast    bool           // take the last Route value away (strict-route repair, section 16.4)
	LastRoute   []byte         // a Route value to put below all others (strict next hop, section 16.6 step 6)
	MaxForwards int            // the new value when Via is set; it is added when there was none
	// of a response
	PopVia bool // take away the topmost Via value

	// Remove takes every instance of these kinds away, in whatever form they stand.
	Remove [kindCount]bool
	// Realm takes away the Proxy-Authorization for this realm; "": none.
	Realm string
	// Add is further header lines, each ended by CR LF.
	Add []byte
}

// AppendForward appends the message with its edits to b.
func (v *View) AppendForward(b []byte, e *Edits) []byte {
	b = v.appendStart(b, e)
	routes := routeEdit{drop: e.DropRoutes, keep: -1}
	if e.DropLast {
		routes.keep = max(0, v.count(Route)-1-e.DropRoutes)
	}
	ours := e.RecordRoute[0] == nil
	maxForwards := e.Via != nil
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
			if routes.drop > 0 || routes.keep >= 0 {
				b = routes.append(b, h.Value)
				continue
			}
		case ProxyAuthorization:
			if e.Realm != "" && isFor(h.Value, e.Realm) {
				continue
			}
		case MaxForwards:
			if maxForwards {
				b = appendMaxForwards(b, e.MaxForwards)
				maxForwards = false
				continue
			}
		}
		b = append(b, v.Raw[h.start:h.end]...)
	}
	if maxForwards {
		b = appendMaxForwards(b, e.MaxForwards)
	}
	if e.LastRoute != nil {
		b = append(append(append(b, "Route: "...), e.LastRoute...), crlf...)
	}
	b = append(b, e.Add...)
	return append(append(b, crlf...), v.Body...)
}

func appendMaxForwards(b []byte, n int) []byte {
	return append(strconv.AppendInt(append(b, "Max-Forwards: "...), int64(n), 10), crlf...)
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
	before := v.Raw[h.start:h.end]
	b = append(b, before[:offset(before, v.Top.value)]...)
	b = v.Top.appendReceived(b, e.Source)
	return append(append(b, after...), crlf...)
}

// offset is where the slice part begins in the slice whole that holds it: both
// were cut from one array without a limit, so their capacities end together.
func offset(whole, part []byte) int { return cap(whole) - cap(part) }

// A routeEdit takes Route values away, over all header fields that hold them.
type routeEdit struct {
	drop int // how many are still to be taken from the top
	keep int // how many more are kept after these; -1: all
}

// append appends what is left of one Route header field.
func (r *routeEdit) append(b, rest []byte) []byte {
	name := true
	for rest != nil {
		var value []byte
		if value, rest, _ = nextValue(rest); r.drop > 0 {
			r.drop--
			continue
		}
		if r.keep == 0 {
			break
		}
		r.keep = max(-1, r.keep-1)
		if name {
			b, name = append(b, "Route: "...), false
		} else {
			b = append(b, ", "...)
		}
		b = append(b, value...)
	}
	if !name {
		b = append(b, crlf...)
	}
	return b
}

// Routes calls f with each Route value in order until it returns false.
func (v *View) Routes(f func(a Address) bool) {
	on := true
	for i := 0; i < len(v.Headers) && on; i++ {
		if v.Headers[i].Kind != Route {
			continue
		}
		EachValue(v.Headers[i].Value, func(value []byte) bool {
			a, _ := ParseAddress(value)
			on = f(a)
			return on
		})
	}
}
