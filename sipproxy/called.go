package sipproxy

import (
	"dialgate/policy"
	"dialgate/sipproxy/message"
)

// called reads the number that the Request-URI asks for.
func (r *Reader) called(uri []byte, peer *policy.PeerTerms) (c policy.Called) {
	u, ok := message.ParseURI(uri)
	if !ok {
		c.Text = text(uri)
		return c
	}
	if u.Scheme == message.URN {
		c.Text = text(uri)
		if emergencyService(u.User) {
			c.Emergency, c.Class = true, policy.Emergency
		}
		return c
	}
	user := message.Unescape(u.User)
	if r.Emergency[string(user)] && reroutes(&u) == "" {
		s := string(user)
		return policy.Called{Short: s, Text: s, Class: policy.Emergency, Emergency: true}
	}
	dialled, params := subscriber(&u, user)
	dialled, c.Hides = r.stripDialled(dialled, peer)
	if n, ok := readNumber(dialled, params, peer.Plan); ok {
		c.Number, c.Class = n, r.Plans.Class(n)
		if ordinary(c.Class) {
			return c
		}
	}
	if short, class := shortCode(dialled, c.Number, peer.Plan); class != policy.Unassigned {
		return policy.Called{Short: short, Text: short, Class: class, Hides: c.Hides}
	}
	if c.Text = text(dialled); c.Text == "" {
		c.Text = text(uri)
	}
	return c
}

// ordinary reports whether a number of this class is never written for a
// protected short code.
func ordinary(c policy.Class) bool {
	return c == policy.Geographic || c == policy.Mobile || c == policy.LocationFree || c == policy.Personal
}

// shortCode reads digits as a short code of the peer's country, such as 14020
// or 0800-0113: as dialled there, or behind the country code when they were
// read as the number n. The class of a number that is no short code is
// Unassigned.
func shortCode(dialled []byte, n policy.Number, plan *policy.Plan) (short string, class policy.Class) {
	if plan == nil {
		return "", policy.Unassigned
	}
	if n.IsZero() {
		digits, ok := dropSeparators(dialled)
		if !ok {
			return "", policy.Unassigned
		}
		return string(digits), plan.Short(string(digits))
	}
	digits := n.Digits()
	if len(digits) <= len(plan.Code) || digits[:len(plan.Code)] != plan.Code {
		return "", policy.Unassigned
	}
	digits = digits[len(plan.Code):]
	for _, short := range [...]string{plan.Trunk + digits, digits} {
		if plan.Short(short) == policy.Protected {
			return short, policy.Protected
		}
	}
	return "", policy.Unassigned
}

// sosServices are the emergency services of RFC 5031 section 4.2 below sos.
var sosServices = [...]string{"", ".ambulance", ".animal-control", ".fire", ".gas", ".marine", ".mountain", ".physician", ".poison", ".police"}

// emergencyService reports whether a URN names an emergency service.
func emergencyService(urn []byte) bool {
	const sos = "service:sos"
	if len(urn) < len(sos) || !message.EqualFold(urn[:len(sos)], sos) {
		return false
	}
	for _, s := range sosServices {
		if message.EqualFold(urn[len(sos):], s) {
			return true
		}
	}
	return false
}

// reroutes tells what in a Request-URI sends the call elsewhere than to the
// number that is judged: number portability and trunk groups (RFC 4694, RFC
// 4904), another host (RFC 3261 section 19.1.1), header fields. It is "" when
// nothing does.
func reroutes(u *message.URI) string {
	if u.Headers != nil {
		return "the Request-URI holds header fields, which could send the call elsewhere than to the number judged"
	}
	_, own := subscriber(u, message.Unescape(u.User))
	for _, params := range [...][]byte{message.Unescape(u.Params), own} {
		why := ""
		if !message.EachParam(params, func(name, _ []byte) {
			for _, elsewhere := range [...]string{"rn", "npdi", "tgrp", "maddr"} {
				if message.EqualFold(name, elsewhere) {
					why = "the Request-URI holds " + elsewhere + ", which could send the call elsewhere than to the number judged"
				}
			}
		}) {
			return "the parameters of the number in the Request-URI are malformed"
		}
		if why != "" {
			return why
		}
	}
	return ""
}

// hidingPrefixes are dialled before a number to hide the caller: 131 on Dutch
// fixed lines (Nummerplan), *31* and #31# (ETSI EN 300 089, 3GPP TS 22.030).
var hidingPrefixes = [...]string{"131", "*31*", "#31#"}

// showingPrefixes are dialled to show the caller who is hidden by default.
var showingPrefixes = [...]string{"132", "*31#"}

// stripDialled takes away what is dialled before a number: prefixes that hide
// or show the caller, and the peer's own dial-plan prefix between them. hides
// is the prefix that hides the caller, "" if there is none.
func (r *Reader) stripDialled(digits []byte, peer *policy.PeerTerms) (rest []byte, hides string) {
	if len(digits) == 0 || digits[0] == '+' {
		return digits, ""
	}
	digits, hides = r.stripHiding(digits, peer)
	for _, p := range peer.StripPrefixes {
		if len(digits) > len(p) && string(digits[:len(p)]) == p {
			var inner string
			if digits, inner = r.stripHiding(digits[len(p):], peer); inner != "" {
				hides = inner
			}
			break
		}
	}
	return digits, hides
}

func (r *Reader) stripHiding(digits []byte, peer *policy.PeerTerms) (rest []byte, hides string) {
	for {
		p, hiding := dialledPrefix(digits)
		if p == "" {
			return digits, hides
		}
		// 131 and 132 also begin numbers of countries that dial no trunk prefix.
		if p[0] == '1' {
			if n, ok := readNumber(digits, nil, peer.Plan); ok && r.Plans.Class(n) != policy.Unassigned {
				return digits, hides
			}
		}
		if hiding {
			hides = p
		}
		digits = digits[len(p):]
	}
}

// dialledPrefix finds a prefix with a number behind it.
func dialledPrefix(digits []byte) (prefix string, hiding bool) {
	begins := func(p string) bool { return len(digits) > len(p)+2 && string(digits[:len(p)]) == p }
	for _, p := range hidingPrefixes {
		if begins(p) {
			return p, true
		}
	}
	for _, p := range showingPrefixes {
		if begins(p) {
			return p, false
		}
	}
	return "", false
}
