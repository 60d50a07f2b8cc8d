package sipproxy

import (
	"fmt"
	"strconv"

	"dialgate/policy"
)

// A Dialect is how a peer is told that a call is refused. What an RFC says and
// what dialers make of it differ, so it is a choice for each trunk.
type Dialect uint8

const (
	Safe   Dialect = iota // survives real dialers: no answer makes a trunk go round us
	Strict                // what the RFCs say
)

var dialectNames = [...]string{Safe: "safe", Strict: "strict"}

func (d Dialect) String() string { return dialectNames[d] }

// ParseDialect finds a dialect by its name.
func ParseDialect(s string) (Dialect, bool) {
	for i, n := range dialectNames {
		if n == s {
			return Dialect(i), true
		}
	}
	return Safe, false
}

// An Answer is the response to a refused call.
type Answer struct {
	Code       int
	Phrase     string
	Q850       int // cause of a Reason header field of protocol Q.850 (RFC 3326), 0: none
	SIPCause   int // cause of a Reason header field of protocol SIP, 0: none
	Text       string
	RetryAfter int // seconds, 0: none
}

// Phrases of the status codes we send.
var phrases = map[int]string{
	400: "Bad Request", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed", 408: "Request Timeout", 416: "Unsupported URI Scheme",
	420: "Bad Extension", 433: "Anonymity Disallowed", 470: "Consent Needed", 480: "Temporarily Unavailable",
	481: "Call/Transaction Does Not Exist", 482: "Loop Detected", 483: "Too Many Hops", 487: "Request Terminated",
	500: "Server Internal Error", 503: "Service Unavailable", 505: "Version Not Supported", 603: "Decline",
}

// Waits after which a refused call may be tried again, in seconds.
const (
	waitHours    = 3600
	waitHoliday  = 12 * 3600
	waitAttempts = 24 * 3600
	waitLoad     = 5
	waitStore    = 60
)

// AnswerTo is the response to a call refused for a reason, in a dialect: the
// table of docs/dialects.md.
func AnswerTo(d Dialect, r policy.Reason) Answer {
	r = r.Public()
	a := Answer{Code: 403, Q850: 21, Text: r.String()} // Q.850 cause 21: call rejected
	strict := d == Strict
	switch r {
	case policy.ReasonMalformed:
		a.Code = 400
	case policy.ReasonPeerUnknown:
		a.Q850 = 0
	case policy.ReasonCallerAnonymous:
		a.Code, a.SIPCause = 433, 433 // RFC 5079
	case policy.ReasonObjected, policy.ReasonListed, policy.ReasonConsentWithdrawn:
		a.Code = 603 // final: do not try elsewhere
	case policy.ReasonNoConsent, policy.ReasonRobocallNeedsConsent:
		if strict {
			a.Code = 470 // RFC 5360
		}
	case policy.ReasonOutsideHours:
		a = later(r, waitHours)
	case policy.ReasonPublicHoliday:
		a = later(r, waitHoliday)
	case policy.ReasonAttemptsExceeded:
		a = later(r, waitAttempts)
	case policy.ReasonOverloaded:
		a = later(r, waitLoad)
		if strict {
			a.Code, a.SIPCause = 503, 503
		}
	case policy.ReasonFactsUnavailable, policy.ReasonFactsStale, policy.ReasonLedgerUnavailable:
		a.Code = 603 // never one on which a trunk fails over past us
		if strict {
			a.Code, a.RetryAfter = 500, waitStore
		}
	}
	a.Phrase = phrases[a.Code]
	return a
}

// later is the answer to a call that may be made at another time. It has no
// Q.850 line: 480 alone reads as "no answer", so the dialer tries again later.
func later(r policy.Reason, wait int) Answer {
	return Answer{Code: 480, SIPCause: 480, Text: r.String(), RetryAfter: wait}
}

// Headers are the answer's header lines, each ended by CR LF. id is the
// decision's id for the Warning header field (RFC 3261 section 20.43), whose
// agent is name.
func (a *Answer) Headers(name, id string) []byte {
	b := make([]byte, 0, 256)
	if a.Q850 != 0 {
		b = fmt.Appendf(b, "Reason: Q.850;cause=%d;text=\"%s\"\r\n", a.Q850, a.Text)
	}
	if a.SIPCause != 0 {
		b = fmt.Appendf(b, "Reason: SIP;cause=%d;text=\"%s\"\r\n", a.SIPCause, a.Text)
	}
	if a.RetryAfter != 0 {
		b = append(b, "Retry-After: "...)
		b = append(strconv.AppendInt(b, int64(a.RetryAfter), 10), "\r\n"...)
	}
	b = append(b, "Warning: 399 "...)
	b = append(b, name...)
	b = append(b, ` "dialgate `...)
	b = append(b, a.Text...)
	if id != "" {
		b = append(b, "; id="...)
		b = append(b, id...)
	}
	return append(b, "\"\r\n"...)
}
