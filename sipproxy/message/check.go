package message

import "bytes"

// check reads the header fields that every message must have and a proxy
// relies on (RFC 3261 sections 8.1.1, 16.3 and 20).
func (v *View) check() error {
	for _, k := range [...]Kind{Via, From, To, CallID, CSeq} {
		if v.first[k] == 0 {
			return bad("%s is missing", k)
		}
	}
	if err := v.topVia(); err != nil {
		return err
	}
	var err error
	if v.FromTag, err = tagOf(From, v.Value(From)); err != nil {
		return err
	}
	if v.ToTag, err = tagOf(To, v.Value(To)); err != nil {
		return err
	}
	if id := v.Value(CallID); len(id) == 0 || bytes.ContainsAny(id, " \t\r\n") {
		return bad("Call-ID is empty or holds white space")
	}
	if err := v.cseq(); err != nil {
		return err
	}
	if h := v.Get(MaxForwards); h != nil {
		n, ok := number(h.Value, 255)
		if !ok {
			return bad("Max-Forwards is no number up to 255")
		}
		v.MaxForwards = int(n)
	}
	if h := v.Get(ContentLength); h != nil {
		n, ok := number(h.Value, 1<<31-1)
		if !ok {
			return bad("Content-Length is no number")
		}
		v.ContentLength = int(n)
	}
	return v.lists()
}

// tagOf checks an address and finds its tag.
func tagOf(k Kind, value []byte) ([]byte, error) {
	a, ok := ParseAddress(value)
	if !ok || !schemeOK(a.URI) {
		return nil, bad("%s holds no address", k)
	}
	if !paramsOK(a.Params, "tag") {
		return nil, bad("the parameters of %s are malformed", k)
	}
	tag, found := Param(a.Params, "tag")
	if found && len(tag) == 0 {
		return nil, bad("the tag of %s is empty", k)
	}
	return tag, nil
}

// schemeOK reports whether a URI begins with a scheme (RFC 3986 section 3.1).
func schemeOK(uri []byte) bool {
	colon := bytes.IndexByte(uri, ':')
	if colon <= 0 || lower(uri[0]) < 'a' || lower(uri[0]) > 'z' {
		return false
	}
	for _, c := range uri[:colon] {
		c = lower(c)
		if !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '+' || c == '-' || c == '.') {
			return false
		}
	}
	return true
}

func (v *View) cseq() error {
	value := v.Value(CSeq)
	i := 0
	for i < len(value) && value[i] >= '0' && value[i] <= '9' {
		i++
	}
	n, ok := number(value[:i], 1<<31-1) // RFC 3261 section 8.1.1.5
	if !ok || i == len(value) || !isSpace(value[i]) {
		return bad("CSeq holds no number below 2^31 and a method")
	}
	v.CSeqNumber, v.CSeqMethod = uint32(n), trim(value[i:])
	for _, c := range v.CSeqMethod {
		if !isToken(c) {
			return bad("the method of CSeq is no token")
		}
	}
	if v.IsRequest() && !bytes.Equal(v.CSeqMethod, v.Method) {
		return bad("the method of CSeq is not that of the request")
	}
	return nil
}

// number reads decimal digits up to a greatest value.
func number(b []byte, most uint64) (uint64, bool) {
	if len(b) == 0 || len(b) > 20 {
		return 0, false
	}
	var n uint64
	for _, c := range b {
		d := c - '0'
		if d > 9 {
			return 0, false
		}
		if n = n*10 + uint64(d); n > most {
			return 0, false
		}
	}
	return n, true
}

// lists checks the header fields that hold lists of addresses which a proxy
// follows or judges: an unclosed quote there would hide what comes after it.
func (v *View) lists() error {
	for i := range v.Headers {
		h := &v.Headers[i]
		switch h.Kind {
		case Route, RecordRoute:
			if err := addresses(h, true); err != nil {
				return err
			}
		case PAssertedIdentity, PPreferredIdentity, RemotePartyID, Diversion, HistoryInfo:
			if err := addresses(h, false); err != nil {
				return err
			}
		case Contact:
			if string(h.Value) == "*" {
				continue
			}
			if !EachValue(h.Value, func(value []byte) bool { return len(value) > 0 }) {
				return bad("Contact has an unclosed quote or bracket")
			}
		case Privacy, XCampaign:
			if bytes.IndexByte(h.Value, '"') >= 0 {
				return bad("%s holds a quote", h.Kind)
			}
		}
	}
	return nil
}

func addresses(h *Header, angle bool) error {
	fine := true
	closed := EachValue(h.Value, func(value []byte) bool {
		a, ok := ParseAddress(value)
		fine = ok && schemeOK(a.URI) && (a.Angle || !angle)
		return fine
	})
	if !closed || !fine {
		return bad("%s holds no list of addresses", h.Kind)
	}
	return nil
}
