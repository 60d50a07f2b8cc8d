package sipproxy

import (
	"bytes"

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
		peer = &policy.PeerTerms{} // no trust, no campaigns; rule base.peer refuses the call
	}
	a.Called = r.called(v.URI, peer)
	r.caller(v, peer, &a.Caller)
	a.Entry = r.Directory.Caller(a.Caller.Shown)
	if !peer.MayRoute {
		a.Malformed = reroutes(v.URI)
	}
	named, fault := campaignName(v)
	if fault != "" {
		a.Malformed = fault
	}
	a.Campaign, a.NoCampaign = r.Directory.TellCampaign(peer, a.Caller.Shown, named)
	a.Fax = offersFax(v)
}

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

// offersFax reports whether the offer holds image media or T.38 (ITU-T T.38
// annex D, RFC 3362, RFC 4612). Lines are looked for, in whatever part of the
// body they stand, rather than the whole offer understood: an offer with a
// fault in it is a fax all the same.
func offersFax(v *message.View) bool {
	for b := v.Body; len(b) > 0; {
		line := b
		if n := bytes.IndexByte(b, '\n'); n >= 0 {
			line, b = b[:n], b[n+1:]
		} else {
			b = nil
		}
		if len(line) < 2 || line[1] != '=' {
			continue
		}
		switch line[0] {
		case 'm':
			if bytes.HasPrefix(line, []byte("m=image")) {
				return true
			}
		case 'a':
			if bytes.HasPrefix(line, []byte("a=rtpmap:")) && bytes.Contains(bytes.ToLower(line), []byte(" t38/")) {
				return true
			}
		}
	}
	return false
}

// text is a bounded copy of what stood in a message, for the record. What is
// no printable ASCII is shown as a question mark, and what could be a number
// is masked as a [policy.Number] is.
func text(b []byte) string {
	const most = 64
	out := bytes.Clone(b[:min(len(b), most)])
	digits := 0
	for i, c := range out {
		if c < ' ' || c >= 0x7f {
			out[i] = '?'
		}
		if c >= '0' && c <= '9' {
			digits++
		}
	}
	if digits < 6 {
		return string(out)
	}
	for i, seen := 0, 0; i < len(out); i++ {
		if out[i] >= '0' && out[i] <= '9' {
			if seen++; seen > 3 && seen <= digits-2 {
				out[i] = '*'
			}
		}
	}
	return string(out)
}

func quote(b []byte) string { return `"` + text(b) + `"` }
