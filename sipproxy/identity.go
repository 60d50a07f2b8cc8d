package sipproxy

import (
	"bytes"
	"strings"

	"dialgate/policy"
	"dialgate/sipproxy/message"
)

// An identity is what one address says of who calls.
type identity struct {
	there   bool
	number  policy.Number
	class   policy.Class // of the number, or of a short code in its place
	text    string       // what stood there when it is no number
	hidden  string       // what hides it, "" when nothing does
	display []byte
}

// caller reads the caller's identity from all headers that speak of it. The
// rules are those of RFC 5079 section 3, RFC 3323, RFC 3325 and
// draft-ietf-sip-privacy-04: a mark that hides the caller counts from any
// peer, an asserted number only from a trusted one, and no header rescues
// another.
func (r *Reader) caller(v *message.View, peer *policy.PeerTerms, c *policy.Caller) {
	from := r.identity(v.Value(message.From), peer)
	if from.hidden != "" {
		mark(c, policy.MarkHidden, "From", from.hidden, "hides the caller")
	}
	switch {
	case among(hidingNames, from.display):
		mark(c, policy.MarkHidden, "From", "with the display name "+quote(from.display), "hides the caller")
	case among(unsetNames, from.display):
		mark(c, policy.MarkNote, "From", "with the display name "+quote(from.display), "shows that nobody set one")
	}
	var asserted [4]identity
	r.asserted(v, peer, c, &asserted)
	privacy(v, c)

	shown, header := &from, policy.HeaderFrom
	if peer.TrustIdentity && asserted[peer.DisplayFrom].there {
		shown, header = &asserted[peer.DisplayFrom], peer.DisplayFrom
	}
	c.Shown, c.Class, c.Text, c.From = shown.number, shown.class, shown.text, header

	if peer.TrustIdentity {
		r.compare(peer, shown.number, &asserted, c)
	}
	r.named("From", from.display, shown.number, peer, c)
	if shown != &from {
		r.named(header.Header(), shown.display, shown.number, peer, c)
	}
	for _, k := range [...]message.Kind{message.Diversion, message.HistoryInfo} {
		switch {
		case v.Get(k) == nil:
		case peer.MayForward:
			mark(c, policy.MarkNote, k.String(), "", "says that the call was forwarded; what it hides is who forwarded it")
		default:
			mark(c, policy.MarkContradicts, k.String(), "", "claims a forwarded call, which this peer does not make")
		}
	}
	if v.Get(message.Identity) != nil {
		mark(c, policy.MarkNote, "Identity", "", "holds a signature (RFC 8224) that is not verified here and changes nothing")
	}
	if isup(v) {
		mark(c, policy.MarkNote, "Content-Type", "with an ISUP part", "may restrict the caller's number there; it is not read")
	}
}

func mark(c *policy.Caller, kind policy.MarkKind, header, saw, means string) {
	c.Marks = append(c.Marks, policy.Mark{Kind: kind, Header: header, Saw: saw, Means: means})
}

// identity reads one From-like value.
func (r *Reader) identity(value []byte, peer *policy.PeerTerms) (id identity) {
	a, ok := message.ParseAddress(value)
	if !ok {
		return id
	}
	id.there = true
	id.display = a.DisplayName()
	u, ok := message.ParseURI(a.URI)
	if !ok {
		// Others may make something of it.
		if id.text = text(a.URI); containsFold(a.URI, "anonymous") || containsFold(a.URI, ".invalid") {
			id.hidden = "with an address that can't be read but speaks of nobody"
		}
		return id
	}
	if hidingHost(u.Host) {
		id.hidden = "with the host " + text(u.Host)
	}
	if containsFold(message.Unescape(u.Headers), "privacy=") {
		id.hidden = "with a Privacy header field inside its URI"
	}
	user, params := subscriber(&u, message.Unescape(u.User))
	context, sound := phoneContext(params)
	if hidingHost(context) {
		id.hidden = "with the context " + text(context)
	}
	digits, ok := dropSeparators(user)
	// Some take a password for a part of the number.
	if !ok || !sound || u.Secret || u.Scheme != message.SIP && u.Scheme != message.SIPS && u.Scheme != message.Tel {
		if id.text = text(user); among(hidingWords, user) {
			id.hidden = "with the user " + quote(user)
		}
		return id
	}
	if hidingDigits(digits) {
		id.hidden, id.text = "with a number that stands for a hidden one", text(user)
		return id
	}
	if n, ok := readNumber(digits, params, peer.Plan); ok {
		id.number, id.class = n, r.Plans.Class(n)
		return id
	}
	id.text = text(user)
	if peer.Plan != nil {
		id.class = peer.Plan.Short(string(digits))
	}
	return id
}

// asserted reads the headers in which a network or a dialer asserts who calls,
// by the header they stand in.
func (r *Reader) asserted(v *message.View, peer *policy.PeerTerms, c *policy.Caller, ids *[4]identity) {
	values := 0 // of P-Asserted-Identity
	for i := range v.Headers {
		h := &v.Headers[i]
		switch h.Kind {
		case message.PAssertedIdentity:
			message.EachValue(h.Value, func(value []byte) bool {
				values++
				r.assertedOnce(value, values, peer, c, &ids[policy.HeaderPAI])
				return true
			})
		case message.PPreferredIdentity:
			message.EachValue(h.Value, func(value []byte) bool {
				id := r.identity(value, peer)
				if saw := id.hides(); saw != "" {
					mark(c, policy.MarkHidden, "P-Preferred-Identity", saw, "asks to hide the caller")
				}
				keepFirst(&ids[policy.HeaderPPI], id)
				return true
			})
		case message.RemotePartyID:
			message.EachValue(h.Value, func(value []byte) bool {
				if id := r.remoteParty(value, peer, c); id.there {
					keepFirst(&ids[policy.HeaderRPID], id)
				}
				return true
			})
		}
	}
}

// assertedOnce reads the n-th value of P-Asserted-Identity. RFC 3325 section
// 9.1 allows two, of which dialers should agree on one number; RFC 5876
// section 4.5 says that any further ones are ignored.
func (r *Reader) assertedOnce(value []byte, n int, peer *policy.PeerTerms, c *policy.Caller, first *identity) {
	id := r.identity(value, peer)
	// What the called person sees is hidden; what only the network sees
	// contradicts the number shown.
	if saw := id.hides(); saw != "" {
		if peer.TrustIdentity && peer.DisplayFrom == policy.HeaderPAI {
			mark(c, policy.MarkHidden, "P-Asserted-Identity", saw, "hides the caller")
		} else {
			mark(c, policy.MarkContradicts, "P-Asserted-Identity", saw, "contradicts the number shown")
		}
	}
	switch {
	case n > 2:
		if n == 3 {
			mark(c, policy.MarkNote, "P-Asserted-Identity", "", "holds more than two values; the surplus is ignored")
		}
		return
	case n == 2 && peer.TrustIdentity && !id.number.IsZero() && !first.number.IsZero() && id.number != first.number:
		mark(c, policy.MarkContradicts, "P-Asserted-Identity", "", "holds two different numbers")
	}
	keepFirst(first, id)
}

// keepFirst keeps the first identity with a number, else the first.
func keepFirst(first *identity, id identity) {
	if !first.there || first.number.IsZero() && !id.number.IsZero() {
		*first = id
	}
}

// hides tells what hides an identity, in its address or its display name.
func (id *identity) hides() string {
	if id.hidden == "" && among(hidingNames, id.display) {
		return "with the display name " + quote(id.display)
	}
	return id.hidden
}

// remoteParty reads one Remote-Party-ID value (draft-ietf-sip-privacy-04); it
// is not there when it speaks of another party than the caller.
func (r *Reader) remoteParty(value []byte, peer *policy.PeerTerms, c *policy.Caller) identity {
	a, ok := message.ParseAddress(value)
	if !ok {
		return identity{}
	}
	// Of several party parameters one that names the caller is enough.
	calling, other := false, false
	message.EachParam(a.Params, func(name, value []byte) {
		if message.EqualFold(name, "party") {
			of := message.EqualFold(unquote(value), "calling")
			calling, other = calling || of, other || !of
		}
	})
	if other && !calling {
		return identity{}
	}
	message.EachParam(a.Params, func(name, value []byte) {
		if !message.EqualFold(name, "privacy") {
			return
		}
		kind, _, _ := strings.Cut(strings.ToLower(string(unquote(value))), "-") // "full-network": by whom
		switch kind {
		case "off", "no", "none", "":
		case "name":
			mark(c, policy.MarkNote, "Remote-Party-ID", "with privacy=name", "hides the name only")
		default: // full, uri, yes, number, and what nobody has defined
			mark(c, policy.MarkHidden, "Remote-Party-ID", "with privacy="+text([]byte(kind)), "asks to hide the caller")
		}
	})
	id := r.identity(value, peer)
	if saw := id.hides(); saw != "" {
		mark(c, policy.MarkHidden, "Remote-Party-ID", saw, "asks to hide the caller")
	}
	return id
}

func unquote(b []byte) []byte { return bytes.Trim(b, `"`) }

// privacy reads the Privacy header fields (RFC 3323 section 4.2, RFC 3325
// section 9.3). Values are separated by ";", by some senders by "," or blanks.
func privacy(v *message.View, c *policy.Caller) {
	if v.Get(message.Privacy) == nil {
		return
	}
	for i := range v.Headers {
		if v.Headers[i].Kind != message.Privacy {
			continue
		}
		for _, token := range strings.FieldsFunc(string(v.Headers[i].Value), func(c rune) bool { return strings.ContainsRune(";, \t\r\n", c) }) {
			switch token = strings.ToLower(token); token {
			case "id", "user":
				mark(c, policy.MarkHidden, "Privacy", "with "+token, "asks to hide the caller")
			case "none":
			default:
				mark(c, policy.MarkNote, "Privacy", "with "+text([]byte(token)), "does not hide the number")
			}
		}
	}
}

// compare holds the number shown against the asserted one: the first number in
// P-Asserted-Identity, Remote-Party-ID and P-Preferred-Identity, in this order.
func (r *Reader) compare(peer *policy.PeerTerms, shown policy.Number, ids *[4]identity, c *policy.Caller) {
	for _, h := range [...]policy.IdentityHeader{policy.HeaderPAI, policy.HeaderRPID, policy.HeaderPPI} {
		id := &ids[h]
		switch {
		case !id.there:
			continue
		case id.number.IsZero():
			if id.hides() == "" {
				mark(c, policy.MarkNote, h.Header(), "", "holds no number")
			}
			continue
		case id.number != shown && !shown.IsZero() && !peer.NoScreening && !r.Directory.RegisteredFor(peer, id.number):
			mark(c, policy.MarkContradicts, h.Header(), "", "asserts a number that is neither the one shown nor registered for this peer")
		}
		return
	}
}

// named holds the numbers in a display name against the number shown.
func (r *Reader) named(header string, display []byte, shown policy.Number, peer *policy.PeerTerms, c *policy.Caller) {
	if len(display) == 0 || shown.IsZero() {
		return
	}
	if !isPlain(display) {
		display = plain(display)
	}
	eachNumberIn(display, func(run []byte) {
		switch r.shows(run, shown, peer.Plan) {
		case anotherNumber:
			mark(c, policy.MarkContradicts, header, "with a number in its display name", "shows another number than the caller's")
		case noNumber:
			mark(c, policy.MarkNote, header, "with digits in its display name", "is no telephone number there")
		}
	})
}

// What a run of digits in a display name is.
const (
	noNumber = iota
	sameNumber
	anotherNumber
)

// shows tells what a person takes a run of digits for. A few digits before or
// behind a number, as in "24/7 020-5550100", are no part of it; a blank
// separates them. The end of the number shown stands for it, and only as many
// digits as a foreign number has are one without a plus sign.
func (r *Reader) shows(run []byte, shown policy.Number, plan *policy.Plan) int {
	exists := func(n policy.Number) bool { return r.Plans.Class(n) != policy.Unassigned }
	digits := digitsOf(run)
	dialled, _ := readNumber(digits, nil, plan)
	bare := policy.Number{} // with its plus sign left out
	if len(digits) >= 10 && digits[0] != '+' {
		bare, _ = policy.NumberOfDigits(digits)
	}
	switch {
	case dialled == shown || strings.HasSuffix(shown.Digits(), string(digits)):
		return sameNumber
	case exists(dialled), len(digits) > 16: // more than one number
		return anotherNumber
	}
	another := exists(bare)
	fresh := false // a digit stands before; so there are no more cuts than digits
	for i, c := range run {
		if fresh = fresh || isDigit(c); c != ' ' || !fresh {
			continue
		}
		fresh = false
		for _, part := range [...][]byte{run[:i], run[i+1:]} {
			if part = digitsOf(part); len(part) < fewestShown {
				continue
			}
			n, _ := readNumber(part, nil, plan)
			if n == shown {
				return sameNumber
			}
			another = another || exists(n)
		}
	}
	if another {
		return anotherNumber
	}
	return noNumber
}

// isup reports whether the body holds a part of ISUP (RFC 3204), whose
// presentation indicator nobody reads here.
func isup(v *message.View) bool {
	h := v.Value(message.ContentType)
	const of = "application/isup"
	return isType(h, of) || isMultipart(h) && containsFold(v.Body, of)
}
