package sipproxy

import (
	"bytes"

	"github.com/pion/sdp/v3"

	"dialgate/policy"
	"dialgate/sipproxy/message"
)

// A Reader makes an attempt of an INVITE. It is pure: the same message, peer
// and configuration give the same attempt.
type Reader struct {
	Directory *policy.Directory
	Plans     *policy.Plans
	// Home reads national forms of numbers that carriers call.
	Home *policy.Plan
	// Emergency holds the numbers, as dialled, that nothing may hinder.
	Emergency map[string]bool
}

// Read fills a with what the message tells. The time of the call is left to
// whoever judges it; nothing on the wire can set it. peer is nil when the
// source is no configured peer.
func (r *Reader) Read(v *message.View, peer *policy.PeerTerms, a *policy.Attempt) {
	*a = policy.Attempt{Peer: peer, CallID: string(v.Value(message.CallID)), Registers: r.Directory.Registers()}
	if peer == nil {
		peer = &policy.PeerTerms{} // no trust, no campaigns; base.peer denies
	}
	a.Called = r.called(v.URI, peer)
	r.caller(v, peer, &a.Caller)
	a.Entry = r.Directory.Caller(a.Caller.Shown)

	named, ok := campaignName(v)
	if !ok {
		a.Malformed = "X-Campaign is there more than once"
	}
	a.Campaign, a.NoCampaign = r.Directory.TellCampaign(peer, a.Caller.Shown, named)
	a.Fax = offersFax(v)
}

// campaignName is the one value of X-Campaign, "" when there is none.
func campaignName(v *message.View) (name string, ok bool) {
	h := v.Get(message.XCampaign)
	if h == nil {
		return "", true
	}
	n := 0
	for i := range v.Headers {
		if v.Headers[i].Kind == message.XCampaign {
			n++
		}
	}
	return string(h.Value), n == 1 && bytes.IndexByte(h.Value, ',') < 0
}

// offersFax reports whether the offer holds image media, such as T.38 (ITU-T
// T.38 annex D). The body is taken apart only when it may.
func offersFax(v *message.View) bool {
	if !bytes.Contains(v.Body, []byte("image")) && !bytes.Contains(v.Body, []byte("t38")) {
		return false
	}
	var offer sdp.SessionDescription
	if err := offer.Unmarshal(v.Body); err != nil {
		return false
	}
	for _, m := range offer.MediaDescriptions {
		if m.MediaName.Media == "image" {
			return true
		}
		for _, format := range m.MediaName.Formats {
			if format == "t38" {
				return true
			}
		}
	}
	return false
}

// hidingPrefixes are dialled before a number to hide the caller: 131 on Dutch
// fixed lines (Nummerplan), *31* and #31# by ETSI EN 300 089.
var hidingPrefixes = [...]string{"131", "*31*", "#31#"}

// showingPrefixes are dialled to show the caller when it is hidden by default.
var showingPrefixes = [...]string{"132", "*31#"}

// called reads the number that the Request-URI asks for.
func (r *Reader) called(uri []byte, peer *policy.PeerTerms) (c policy.Called) {
	u, ok := message.ParseURI(uri)
	if !ok {
		c.Text = "a malformed URI"
		return c
	}
	if u.Scheme == message.URN {
		c.Text = text(u.User)
		if message.EqualFold(u.User, "service:sos") || len(u.User) > 12 && message.EqualFold(u.User[:12], "service:sos.") {
			c.Emergency, c.Class = true, policy.Emergency
		}
		return c
	}
	user := message.Unescape(u.User)
	if r.Emergency[string(user)] && plainTarget(&u) {
		return policy.Called{Short: string(user), Text: string(user), Class: policy.Emergency, Emergency: true}
	}
	number, params := user, u.Params
	if u.Scheme == message.SIP || u.Scheme == message.SIPS {
		params = nil
		if semi := bytes.IndexByte(user, ';'); semi >= 0 {
			number, params = user[:semi], user[semi:] // RFC 3261 section 19.1.6
		}
	}
	digits := string(number)
	for _, p := range peer.StripPrefixes {
		if len(digits) > len(p) && digits[:len(p)] == p {
			digits = digits[len(p):]
			break
		}
	}
	digits, c.Hides = stripHiding(digits)
	c.Text = text([]byte(digits))
	if n, ok := readNumber(digits, params, peer.Plan); ok {
		c.Number, c.Class = n, r.Plans.Class(n)
		return c
	}
	if peer.Plan != nil {
		if class := peer.Plan.Short(digits); class != policy.Unassigned {
			c.Short, c.Class = digits, class
		}
	}
	return c
}

// plainTarget reports whether nothing in the URI sends the call elsewhere.
func plainTarget(u *message.URI) bool {
	for _, name := range [...]string{"rn", "npdi", "tgrp", "maddr"} {
		if _, found := u.Param(name); found {
			return false
		}
	}
	return u.Headers == nil
}

// stripHiding takes dialled prefixes away that hide or show the caller.
func stripHiding(digits string) (rest, hides string) {
	for again := true; again; {
		again = false
		for _, p := range hidingPrefixes {
			if len(digits) > len(p)+2 && digits[:len(p)] == p {
				digits, hides, again = digits[len(p):], p, true
			}
		}
		for _, p := range showingPrefixes {
			if len(digits) > len(p)+2 && digits[:len(p)] == p {
				digits, again = digits[len(p):], true
			}
		}
	}
	return digits, hides
}

// text is a bounded copy of what stood in a message, for the record. Control
// characters are shown as question marks.
func text(b []byte) string {
	const most = 64
	if len(b) > most {
		b = b[:most]
	}
	out := bytes.Clone(b)
	for i, c := range out {
		if c < ' ' || c >= 0x7f {
			out[i] = '?'
		}
	}
	return string(out)
}
