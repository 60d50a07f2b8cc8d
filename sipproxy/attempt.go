package sipproxy

import (
	"bytes"
	"unicode"
	"unicode/utf8"

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
	// SkipMedia leaves the media of offers unread where no record will hold
	// them: it changes no verdict. A peer's that must be readable are read.
	SkipMedia bool
	// KeepRaw is how many octets of a message the record keeps; 0: none.
	KeepRaw int
}

// Read fills a with what the message tells. The time of the call is left to
// whoever judges it; nothing on the wire can set it. peer is nil when the
// source is no configured peer.
func (r *Reader) Read(v *message.View, peer *policy.PeerTerms, a *policy.Attempt) {
	*a = policy.Attempt{Peer: peer, CallID: string(v.Value(message.CallID)), Registers: r.Directory.Registers()}
	if peer == nil {
		peer = &policy.PeerTerms{} // no trust, no campaigns; rule base.peer refuses the call
	}
	a.Called = r.called(v.URI, peer)
	r.caller(v, peer, &a.Caller)
	a.Entry = r.Directory.Caller(a.Caller.Shown)
	if !peer.MayRoute {
		a.Malformed = reroutes(&v.Target)
	}
	named, fault := campaignName(v)
	if fault != "" {
		a.Malformed = fault
	}
	a.Named = named[:min(len(named), maxCampaignName)]
	a.Campaign, a.NoCampaign = r.Directory.TellCampaign(peer, a.Caller.Shown, named)
	r.offer(v, peer, a)
	if r.KeepRaw > 0 {
		a.Raw = v.AppendKept(make([]byte, 0, len(v.Raw)), r.KeepRaw)
	}
}

// maxCampaignName bounds what the record keeps of X-Campaign.
const maxCampaignName = 128

// campaignName is the one value of X-Campaign, "" when there is none; fault
// says why it can't be told.
func campaignName(v *message.View) (name, fault string) {
	h := v.Get(message.XCampaign)
	if h == nil {
		return "", ""
	}
	n := 0
	for i := range v.Headers {
		if v.Headers[i].Kind == message.XCampaign {
			n++
		}
	}
	switch {
	case n > 1:
		return "", "X-Campaign is there more than once"
	case len(h.Value) == 0:
		return "", "X-Campaign is empty"
	case bytes.IndexByte(h.Value, ',') >= 0:
		return "", "X-Campaign holds more than one value"
	}
	return string(h.Value), ""
}

// containsFold reports whether a text stands in b in any case.
func containsFold(b []byte, s string) bool { return indexFold(b, s) >= 0 }

// indexFold is where a text stands in b, in any case of its ASCII letters, -1
// when it does not.
func indexFold(b []byte, s string) int {
	for i := 0; i+len(s) <= len(b); i++ {
		if message.EqualFold(b[i:i+len(s)], s) {
			return i
		}
	}
	return -1
}

// text is a bounded copy of what stood in a message, for the record. What
// can't be printed is shown as a question mark, and what could be a number is
// masked as a [policy.Number] is: but for its first three and last two digits.
func text(b []byte) string {
	const most = 64
	b = b[:min(len(b), most)]
	digits := countDigits(b)
	out, seen := make([]byte, 0, len(b)), 0
	for len(b) > 0 {
		r, size := utf8.DecodeRune(b)
		b = b[size:]
		switch {
		case r == utf8.RuneError || !unicode.IsPrint(r):
			r = '?'
		case r >= '0' && r <= '9':
			if seen++; digits >= 6 && seen > 3 && seen <= digits-2 {
				r = '*'
			}
		}
		out = utf8.AppendRune(out, r)
	}
	return string(out)
}

func countDigits[T string | []byte](s T) (n int) {
	for i := range len(s) {
		if isDigit(s[i]) {
			n++
		}
	}
	return n
}

func quote(b []byte) string { return `"` + text(bytes.Trim(b, `"`)) + `"` }
