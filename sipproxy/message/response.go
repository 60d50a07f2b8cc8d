package message

import (
	"net/netip"
	"strconv"
)

// A Response is one that we make ourselves (RFC 3261 section 8.2.6).
type Response struct {
	Status int
	Phrase string
	ToTag  []byte         // added to To when it has none and the response is no 100
	Source netip.AddrPort // where the request came from, for the topmost Via
	Extra  []byte         // further header lines, each ended by CR LF
}

// CanAnswer reports whether enough of a malformed request was understood to
// answer it: its topmost Via says where to. Of From, To, Call-ID and CSeq the
// answer holds what is there. An ACK is never answered.
func (v *View) CanAnswer() bool {
	return v.IsRequest() && len(v.Method) > 0 && !v.IsMethod("ACK") && v.Top.value != nil
}

// AppendResponse appends a response to the request to b. The Vias are those of
// the request, From, To, Call-ID and CSeq its octets.
func (v *View) AppendResponse(b []byte, r *Response) []byte {
	b = append(b, "SIP/2.0 "...)
	b = strconv.AppendInt(b, int64(r.Status), 10)
	b = append(append(append(b, ' '), r.Phrase...), crlf...)
	for i := range v.Headers {
		h := &v.Headers[i]
		switch h.Kind {
		case Via:
			if i == v.Top.line {
				b = v.appendTopVia(b, h, &Edits{Source: r.Source})
				continue
			}
		case From, CallID, CSeq:
			if int(v.first[h.Kind])-1 != i {
				continue
			}
		case To:
			if int(v.first[To])-1 != i {
				continue
			}
			b = append(b, v.Raw[h.start:int(h.end)-len(crlf)]...)
			if len(v.ToTag) == 0 && len(r.ToTag) > 0 && r.Status > 100 {
				b = append(append(b, ";tag="...), r.ToTag...)
			}
			b = append(b, crlf...)
			continue
		case Timestamp:
			if r.Status != 100 { // RFC 3261 section 8.2.6.1
				continue
			}
		default:
			continue
		}
		b = append(b, v.Raw[h.start:h.end]...)
	}
	b = append(b, r.Extra...)
	return append(b, "Content-Length: 0\r\n\r\n"...)
}

// AppendACK appends the ACK for a non-2xx final response to an INVITE that we
// sent (RFC 3261 section 17.1.1.3). v is a view of the INVITE as it left us,
// to the To header field of the response.
func (v *View) AppendACK(b []byte, to []byte) []byte {
	return v.appendHop(b, "ACK", to)
}

// AppendCANCEL appends the CANCEL of an INVITE that we sent (RFC 3261 section
// 9.1). v is a view of the INVITE as it left us.
func (v *View) AppendCANCEL(b []byte, reason []byte) []byte {
	b = v.appendHop(b, "CANCEL", v.Value(To))
	if reason == nil {
		return b
	}
	b = b[:len(b)-len(hopEnd)]
	return append(append(append(append(b, "Reason: "...), reason...), crlf...), hopEnd...)
}

const hopEnd = "Content-Length: 0\r\n\r\n"

// appendHop appends a request of the INVITE's own transaction: its topmost
// Via, its Request-URI, Route, From, Call-ID and CSeq number.
func (v *View) appendHop(b []byte, method string, to []byte) []byte {
	b = append(append(b, method...), ' ')
	b = append(append(b, v.URI...), " SIP/2.0\r\nVia: "...)
	b = append(append(b, v.Top.value...), crlf...)
	b = append(b, "Max-Forwards: 70\r\n"...)
	for i := range v.Headers {
		h := &v.Headers[i]
		switch h.Kind {
		case Route, From, CallID:
			b = append(b, v.Raw[h.start:h.end]...)
		case To:
			b = append(append(append(b, "To: "...), to...), crlf...)
		case CSeq:
			b = append(b, "CSeq: "...)
			b = strconv.AppendUint(b, uint64(v.CSeqNumber), 10)
			b = append(append(append(b, ' '), method...), crlf...)
		}
	}
	return append(b, hopEnd...)
}
