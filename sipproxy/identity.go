package sipproxy

import (
	"bytes"
	"strings"

	"dialgate/policy"
	"dialgate/sipproxy/message"
)

// An identity is what one address says of who calls.
type identity struct {
	number  policy.Number
	class   policy.Class // of the number, or of a short code
	text    string       // what stood there when it is no number
	hidden  string       // what hides it, "" when nothing does
	display string
	there   bool
}

// caller reads the caller's identity from all headers that speak of it. The
// rules are those of RFC 5079 section 3, RFC 3323, RFC 3325 and
// draft-ietf-sip-privacy-04; a mark that hides the caller counts from any
// peer, an asserted number only from a trusted one.
func (r *Reader) caller(v *message.View, peer *policy.PeerTerms, c *policy.Caller) {
	from := r.readIdentity(v.Value(message.From), peer)
	mark := func(kind policy.MarkKind, header, saw, means string) {
		c.Marks = append(c.Marks, policy.Mark{Kind: kind, Header: header, Saw: saw, Means: means})
	}
	if from.hidden != "" {
		mark(policy.MarkHidden, "From", from.hidden, "hides the caller")
	}
	if name := from.display; hidingName(name) {
		mark(policy.MarkHidden, "From", "with the display name "+quote(name), "hides the caller")
	}
	shown, header := from, policy.HeaderFrom
	asserted := r.asserted(v, peer, mark)
	if peer.TrustIdentity && peer.DisplayFrom != policy.HeaderFrom {
		if id := asserted[peer.DisplayFrom]; id.there {
			shown, header = id, peer.DisplayFrom
		}
	}
	c.Shown, c.Class, c.Text, c.From = shown.number, shown.class, shown.text, header

	privacy(v, mark)
	if peer.TrustIdentity {
		r.compare(peer, shown, asserted, mark)
	}
	if n := digitsIn(from.display); n != "" && from.hidden == "" {
		if named, ok := readNumber(n, nil, peer.Plan); !ok || named != shown.number {
			mark(policy.MarkContradicts, "From", "with a number in its display name", "shows another number than the caller's")
		}
	}
	if !peer.MayForward {
		for _, k := range [...]message.Kind{message.Diversion, message.HistoryInfo} {
			if v.Get(k) != nil {
				mark(policy.MarkContradicts, k.String(), "", "claims a forwarded call, which this peer does not make")
			}
		}
	}
}

type marker = func(kind policy.MarkKind, header, saw, means string)

// readIdentity reads one From-like value.
func (r *Reader) readIdentity(value []byte, peer *policy.PeerTerms) (id identity) {
	a, ok := message.ParseAddress(value)
	if !ok {
		return id
	}
	id.there = true
	if len(a.Display) > 0 {
		id.display = displayName(a.Display)
	}
	u, ok := message.ParseURI(a.URI)
	if !ok {
		id.text = "a malformed URI"
		return id
	}
	if hidingHost(u.Host) {
		id.hidden = "with the host " + string(u.Host)
	}
	user, params := u.User, u.Params
	if u.Scheme != message.Tel {
		user = message.Unescape(user)
		params = nil
		if semi := bytes.IndexByte(user, ';'); semi >= 0 {
			user, params = user[:semi], user[semi:]
		}
	}
	if n, err := policy.ParseNumber(string(user)); err == nil && !spelled(user) {
		id.number, id.class = n, r.Plans.Class(n) // the common form
		return id
	}
	s := string(user)
	switch {
	case hidingWord(s):
		id.hidden, id.text = "with the user "+quote(s), s
	case hidingDigits(s):
		id.hidden, id.text = "with a number that stands for a hidden one", s
	default:
		n, ok := readNumber(s, params, peer.Plan)
		if !ok {
			id.text = text(user)
			if digits, ok := dropSeparators(s); ok && peer.Plan != nil {
				id.class = peer.Plan.Short(digits)
			}
			return id
		}
		id.number, id.class = n, r.Plans.Class(n)
	}
	return id
}

// displayName is a display name without its quotes, escapes and outer blanks.
func displayName(b []byte) string {
	s := string(b)
	if len(s) > 1 && s[0] == '"' && s[len(s)-1] == '"' {
		s = s[1 : len(s)-1]
		if strings.IndexByte(s, '\\') >= 0 {
			var out strings.Builder
			for i := 0; i < len(s); i++ {
				if s[i] == '\\' && i+1 < len(s) {
					i++
				}
				out.WriteByte(s[i])
			}
			s = out.String()
		}
	}
	return strings.TrimSpace(s)
}

// asserted reads the headers in which a network or a dialer asserts who calls,
// by the header they stand in.
func (r *Reader) asserted(v *message.View, peer *policy.PeerTerms, mark marker) (ids [4]identity) {
	if v.Get(message.PAssertedIdentity) == nil && v.Get(message.RemotePartyID) == nil && v.Get(message.PPreferredIdentity) == nil {
		return ids
	}
	count, differ := 0, false
	for i := range v.Headers {
		h := &v.Headers[i]
		switch h.Kind {
		case message.PAssertedIdentity, message.PPreferredIdentity:
			as := policy.HeaderPAI
			if h.Kind == message.PPreferredIdentity {
				as = policy.HeaderPPI
			}
			message.EachValue(h.Value, func(value []byte) bool {
				id := r.readIdentity(value, peer)
				hidesIn(as, &id, peer, mark)
				if as == policy.HeaderPAI {
					if count++; count == 2 && !id.number.IsZero() && !ids[as].number.IsZero() && id.number != ids[as].number {
						differ = true
					}
				}
				if !ids[as].there || ids[as].number.IsZero() && !id.number.IsZero() && count <= 2 {
					ids[as] = id
				}
				return true
			})
		case message.RemotePartyID:
			message.EachValue(h.Value, func(value []byte) bool {
				if id, ok := r.remoteParty(value, peer, mark); ok && !ids[policy.HeaderRPID].there {
					ids[policy.HeaderRPID] = id
				}
				return true
			})
		}
	}
	if differ && peer.TrustIdentity {
		mark(policy.MarkContradicts, "P-Asserted-Identity", "", "holds two different numbers")
	}
	if count > 2 {
		mark(policy.MarkNote, "P-Asserted-Identity", "", "holds more than two values; the surplus is ignored (RFC 5876)")
	}
	return ids
}

// hidesIn marks a hidden identity in an asserting header. When the called
// person sees another header, it contradicts that one rather than hiding it.
func hidesIn(as policy.IdentityHeader, id *identity, peer *policy.PeerTerms, mark marker) {
	saw := id.hidden
	if saw == "" && hidingName(id.display) {
		saw = "with the display name " + quote(id.display)
	}
	if saw == "" {
		return
	}
	if peer.TrustIdentity && peer.DisplayFrom == as {
		mark(policy.MarkHidden, as.Header(), saw, "hides the caller")
		return
	}
	mark(policy.MarkContradicts, as.Header(), saw, "contradicts the number shown")
}

// remoteParty reads one Remote-Party-ID value; ok is false when it speaks of
// another party than the caller.
func (r *Reader) remoteParty(value []byte, peer *policy.PeerTerms, mark marker) (id identity, ok bool) {
	a, parsed := message.ParseAddress(value)
	if !parsed {
		return id, false
	}
	if party, found := message.Param(a.Params, "party"); found && !message.EqualFold(party, "calling") {
		return id, false
	}
	id = r.readIdentity(value, peer)
	if p, found := message.Param(a.Params, "privacy"); found {
		switch p := strings.ToLower(displayName(p)); p {
		case "off", "no", "none", "":
		case "name":
			mark(policy.MarkNote, "Remote-Party-ID", "with privacy=name", "hides the name only")
		default: // full, uri, yes, number, and what nobody has defined
			mark(policy.MarkHidden, "Remote-Party-ID", "with privacy="+text([]byte(p)), "asks to hide the caller")
		}
	}
	hidesIn(policy.HeaderRPID, &id, peer, mark)
	return id, true
}

// privacy reads the Privacy header fields (RFC 3323 section 4.2, RFC 3325
// section 9.3). Values are separated by ";", by some senders by ",".
func privacy(v *message.View, mark marker) {
	if v.Get(message.Privacy) == nil {
		return
	}
	for i := range v.Headers {
		if v.Headers[i].Kind != message.Privacy {
			continue
		}
		for _, token := range strings.FieldsFunc(string(v.Headers[i].Value), func(c rune) bool { return strings.ContainsRune(";, \t\r\n", c) }) {
			switch strings.ToLower(token) {
			case "id", "user":
				mark(policy.MarkHidden, "Privacy", "with "+strings.ToLower(token), "asks to hide the caller")
			case "none":
			default:
				mark(policy.MarkNote, "Privacy", "with "+text([]byte(token)), "does not hide the number")
			}
		}
	}
}

// compare holds the number shown against the asserted one: the first of
// P-Asserted-Identity, Remote-Party-ID and P-Preferred-Identity.
func (r *Reader) compare(peer *policy.PeerTerms, shown identity, ids [4]identity, mark marker) {
	for _, h := range [...]policy.IdentityHeader{policy.HeaderPAI, policy.HeaderRPID, policy.HeaderPPI} {
		id := ids[h]
		if !id.there {
			continue
		}
		switch {
		case id.number.IsZero():
			if id.hidden == "" {
				mark(policy.MarkNote, h.Header(), "", "holds no number")
			}
		case id.number == shown.number, shown.number.IsZero(), peer.NoScreening, r.Directory.RegisteredFor(peer, id.number):
		default:
			mark(policy.MarkContradicts, h.Header(), "", "asserts a number that is neither the one shown nor registered for this peer")
		}
		return
	}
}

func quote(s string) string { return `"` + text([]byte(s)) + `"` }
