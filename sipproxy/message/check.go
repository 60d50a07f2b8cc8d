package message

import "bytes"

// mandatory are the header fields that every message has (RFC 3261 section
// 8.1.1). A request without Max-Forwards, as RFC 2543 made them, is given one.
var mandatory = [...]Kind{Via, From, To, CallID, CSeq}

// check reads the header fields that every message must have and a proxy
// relies on (RFC 3261 sections 8.1.1, 16.3 and 20). It goes on after an error,
// so that what can be read is there for the refusal.
func (v *View) check() (err *ParseError) {
	for _, k := range mandatory {
		if v.first[k] == 0 {
			err = first(err, bad("%s is missing", k))
		}
	}
	err = first(err, v.vias())
	err = first(err, v.tag(From, &v.FromTag))
	err = first(err, v.tag(To, &v.ToTag))
	if h := v.Get(CallID); h != nil && !isAll(h.Value, textClass) {
		err = first(err, bad("Call-ID is empty or holds other octets than visible ASCII"))
	}
	err = first(err, v.cseq())
	if h := v.Get(MaxForwards); h != nil {
		n, ok := number(h.Value, 255)
		if !ok {
			return first(err, bad("Max-Forwards is no number up to 255"))
		}
		v.MaxForwards = int(n)
	}
	if h := v.Get(ContentLength); h != nil {
		n, ok := number(h.Value, 1<<31-1)
		if !ok {
			return first(err, bad("Content-Length is no number"))
		}
		v.ContentLength = int(n)
	}
	return first(err, v.lists())
}

// tag checks the address in From or To and finds its tag.
func (v *View) tag(k Kind, tag *[]byte) *ParseError {
	h := v.Get(k)
	if h == nil {
		return nil
	}
	a, ok := ParseAddress(h.Value)
	if !ok || !schemeOK(a.URI) {
		return bad("%s holds no address", k)
	}
	for params := a.Params; len(params) > 0; {
		name, value, rest, ok := nextParam(params)
		if !ok {
			return bad("the parameters of %s are malformed", k)
		}
		if EqualFold(name, "tag") {
			if *tag != nil {
				return bad("%s has two tags", k)
			}
			// Others read no address at all where a backslash stands.
			if len(value) == 0 || value[0] == '"' || bytes.IndexByte(value, '\\') >= 0 {
				return bad("the tag of %s is empty, quoted or holds a backslash", k)
			}
			*tag = value
		}
		params = rest
	}
	return nil
}

// schemeOK reports whether a URI begins with a scheme (RFC 3986 section 3.1).
func schemeOK(uri []byte) bool {
	colon := bytes.IndexByte(uri, ':')
	return colon > 0 && lower(uri[0]) >= 'a' && lower(uri[0]) <= 'z' && isAll(uri[:colon], schemeClass)
}

func (v *View) cseq() *ParseError {
	h := v.Get(CSeq)
	if h == nil {
		return nil
	}
	i := 0
	for i < len(h.Value) && h.Value[i] >= '0' && h.Value[i] <= '9' {
		i++
	}
	n, ok := number(h.Value[:i], 1<<31-1) // RFC 3261 section 8.1.1.5
	if !ok || i == len(h.Value) || !isSpace(h.Value[i]) {
		return bad("CSeq holds no number below 2^31 and a method")
	}
	v.CSeqNumber, v.CSeqMethod = uint32(n), trim(h.Value[i:])
	if !isAll(v.CSeqMethod, tokenClass) {
		return bad("the method of CSeq is no token")
	}
	if v.IsRequest() && !bytes.Equal(v.CSeqMethod, v.Method) {
		return bad("the method of CSeq is not that of the request")
	}
	return nil
}

// lists checks the header fields that hold lists of addresses which a proxy
// follows or judges: an unclosed quote there would hide what comes after it.
func (v *View) lists() *ParseError {
	for i := range v.Headers {
		h := &v.Headers[i]
		ok := true
		switch h.Kind {
		case Route, RecordRoute:
			ok = addresses(h.Value, true)
		case PAssertedIdentity, PPreferredIdentity, RemotePartyID, Diversion, HistoryInfo:
			ok = addresses(h.Value, false)
		case Contact:
			ok = string(h.Value) == "*" || closed(h.Value)
		case Privacy:
			ok = tokens(h.Value)
		}
		if !ok {
			return bad("%s is malformed", h.Kind)
		}
	}
	return nil
}

// addresses reports whether a text is a list of addresses, all of them in
// angle brackets when they must be.
func addresses(b []byte, angle bool) bool {
	for b != nil {
		value, rest, ok := firstValue(b)
		if !ok {
			return false
		}
		a, ok := ParseAddress(value)
		if !ok || angle && !a.Angle || !schemeOK(a.URI) || !paramsOK(a.Params) {
			return false
		}
		b = rest
	}
	return true
}

// tokens reports whether a text is made of tokens and what separates them.
func tokens(b []byte) bool {
	for _, c := range b {
		if classes[c]&(tokenClass|spaceClass) == 0 && c != ';' && c != ',' {
			return false
		}
	}
	return true
}

// closed reports whether a text is a list of values that are not empty, with
// all quotes and brackets closed.
func closed(b []byte) bool {
	for b != nil {
		value, rest, ok := nextValue(b)
		if !ok || len(value) == 0 {
			return false
		}
		b = rest
	}
	return true
}
