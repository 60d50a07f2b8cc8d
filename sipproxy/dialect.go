package sipproxy

import (
	"strconv"

	"dialgate/policy"
)

// A Dialect is how a peer is told what becomes of a call. What an RFC says and
// what dialers make of it differ, so it is a choice for each trunk.
type Dialect uint8

const (
	Safe              Dialect = iota // survives real dialers: no answer makes a trunk go round us
	Strict                           // what the RFCs say
	VicidialPJSIP                    // VICIdial on chan_pjsip
	VicidialChanSIP                  // VICIdial on chan_sip, up to Asterisk 20
	FreeSWITCH                       // FreeSWITCH, mod_sofia
	Asterisk                         // Asterisk on chan_pjsip, with a dialplan of its own
	Redirect302                      // an allowed call is sent on by a Contact
	RedirectTeleblock                // the switch asks us first, in Teleblock's codes
	RedirectClearIP                  // the same, in ClearIP's codes
)

// A class is the reasons that are answered alike.
type class uint8

const (
	classCall      class = iota // what is wrong lies in the call itself
	classMalformed              // not SIP as it should be
	classStranger               // from nobody that we know
	classAnonymous              // the caller hides (RFC 5079)
	classUnwanted               // the called person said no
	classNoConsent              // nobody said yes
	classLater                  // lawful at another time
	classBusy                   // we have no room
	classBlind                  // we can't look up or record
	classSilent                 // allowed, and the carrier did not answer
	classFailed                 // allowed, and the carrier can't take calls
	classes
)

var classNames = [...]string{
	classCall: "call", classMalformed: "malformed", classStranger: "stranger", classAnonymous: "anonymous", classUnwanted: "unwanted", classNoConsent: "no consent",
	classLater: "later", classBusy: "busy", classBlind: "blind", classSilent: "carrier silent", classFailed: "carrier failed",
}

func (c class) String() string { return classNames[c] }

// codes are a dialect's status code for each class.
type codes [classes]int

// dialects is the table of docs/dialects.md: one row each. An unwanted call's
// phrase is what a dialplan can tell a do-not-call number by (deploy/dialplan).
// goes is what tells a switch to make the call itself; only redirect dialects have it.
var dialects = [...]struct {
	name     string
	codes    codes
	unwanted string // phrase, "" for that of the code
	goes     int
}{
	//                                    mal-  stran- anony- un-     no             no    cannot carrier carrier
	//                              call  formed ger   mous   wanted  consent later  room  look   silent  failed   unwanted   goes
	Safe:              {"safe", codes{403, 400, 403, 433, 603, 403, 480, 480, 603, 480, 480}, "", 0},
	Strict:            {"strict", codes{403, 400, 403, 433, 603, 470, 480, 503, 500, 408, 500}, "", 0},
	VicidialPJSIP:     {"vicidial-pjsip", codes{403, 400, 403, 403, 603, 403, 480, 480, 603, 480, 480}, doNotCall, 0},
	VicidialChanSIP:   {"vicidial-chansip", codes{403, 400, 403, 403, 403, 403, 480, 480, 403, 480, 480}, doNotCall, 0}, // 603 is "busy" there
	FreeSWITCH:        {"freeswitch", codes{403, 400, 403, 403, 603, 403, 480, 480, 603, 480, 480}, doNotCall, 0},
	Asterisk:          {"asterisk", codes{403, 400, 403, 403, 603, 403, 480, 480, 603, 480, 480}, doNotCall, 0},
	Redirect302:       {"redirect-302", codes{403, 400, 403, 433, 603, 403, 480, 480, 603, 480, 480}, "", 302},
	RedirectTeleblock: {"redirect-teleblock", codes{403, 403, 403, 403, 403, 403, 403, 403, 403, 403, 403}, "", 499},
	RedirectClearIP:   {"redirect-clearip", codes{603, 603, 603, 603, 603, 603, 603, 603, 603, 603, 603}, "", 503},
}

// doNotCall is the phrase by which a dialplan tells a refusal that is for good.
const doNotCall = "Do Not Call"

func (d Dialect) String() string { return dialects[d].name }

// ParseDialect finds a dialect by its name.
func ParseDialect(s string) (Dialect, bool) {
	for i := range dialects {
		if dialects[i].name == s {
			return Dialect(i), true
		}
	}
	return Safe, false
}

// Dialects are all there are.
func Dialects() (all []Dialect) {
	for i := range dialects {
		all = append(all, Dialect(i))
	}
	return all
}

// Redirects reports whether an allowed call is given back to the switch, which
// makes it itself, instead of being sent on.
func (d Dialect) Redirects() bool { return dialects[d].goes != 0 }

// Asks reports whether the switch only asks, in agreed codes for go and stop.
func (d Dialect) Asks() bool { return d.Redirects() && dialects[d].goes != 302 }

// classOf is the class of a reason.
func classOf(r policy.Reason) class {
	switch r {
	case policy.ReasonMalformed:
		return classMalformed
	case policy.ReasonPeerUnknown:
		return classStranger
	case policy.ReasonCallerAnonymous:
		return classAnonymous
	case policy.ReasonObjected, policy.ReasonListed, policy.ReasonConsentWithdrawn:
		return classUnwanted
	case policy.ReasonNoConsent, policy.ReasonRobocallNeedsConsent:
		return classNoConsent
	case policy.ReasonOutsideHours, policy.ReasonPublicHoliday, policy.ReasonAttemptsExceeded:
		return classLater
	case policy.ReasonOverloaded:
		return classBusy
	case policy.ReasonFactsUnavailable, policy.ReasonFactsStale, policy.ReasonLedgerUnavailable:
		return classBlind
	}
	return classCall
}

// waits are the seconds after which a refused call may be tried again.
var waits = map[policy.Reason]int{
	policy.ReasonOutsideHours: 3600, policy.ReasonPublicHoliday: 12 * 3600, policy.ReasonAttemptsExceeded: 24 * 3600,
	policy.ReasonOverloaded: waitLoad, policy.ReasonFactsUnavailable: waitStore, policy.ReasonFactsStale: waitStore, policy.ReasonLedgerUnavailable: waitStore,
}

const (
	waitLoad  = 5
	waitStore = 60
)

// An Answer is a final response of ours.
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
	200: "OK", 302: "Moved Temporarily",
	400: "Bad Request", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed", 407: "Proxy Authentication Required", 408: "Request Timeout", 416: "Unsupported URI Scheme",
	420: "Bad Extension", 433: "Anonymity Disallowed", 470: "Consent Needed", 480: "Temporarily Unavailable",
	481: "Call/Transaction Does Not Exist", 482: "Loop Detected", 483: "Too Many Hops", 487: "Request Terminated",
	500: "Server Internal Error", 503: "Service Unavailable", 505: "Version Not Supported", 513: "Message Too Large", 603: "Decline",
}

// PeerOf is a peer on these terms, as far as they tell; nil: a stranger.
func PeerOf(t *policy.PeerTerms) Peer {
	if t == nil {
		return Peer{}
	}
	d, _ := ParseDialect(t.Dialect)
	return Peer{Terms: t, Dialect: d, Go: t.Go, Stop: t.Stop, LeavesPath: t.LeavesPath}
}

// AnswerTo is the response to a call refused for a reason, in a dialect.
func AnswerTo(d Dialect, r policy.Reason) Answer { return (&Peer{Dialect: d}).Answer(r) }

// Answer is the response to a call of the peer that is refused for a reason.
func (p *Peer) Answer(r policy.Reason) Answer {
	r = r.Public(policy.Live) // that of a decision is what may be told already
	return p.say(classOf(r), r.String(), waits[r])
}

// unanswered is the response to an allowed call that the carrier did not
// answer in time, or could not take.
func (p *Peer) unanswered(c class) Answer { return p.say(c, "carrier", waitLoad) }

// Allowed is the response to an allowed call that the switch makes itself, in
// a dialect that redirects.
func (p *Peer) Allowed() Answer {
	a := Answer{Code: dialects[p.Dialect].goes, Text: "allowed"}
	if p.Dialect.Asks() && p.Go != 0 {
		a.Code = p.Go
	}
	if a.Phrase = phrases[a.Code]; a.Phrase == "" {
		a.Phrase = "Allowed"
	}
	return a
}

// say makes the answer of a class. What Reason header fields it has follows
// from the class and the code: a call that may be made later has none of
// Q.850, so that 480 reads as "no answer" and the dialer tries again; every
// other refusal reads as cause 21, call rejected.
func (p *Peer) say(c class, text string, wait int) Answer {
	d := &dialects[p.Dialect]
	a := Answer{Code: d.codes[c], Text: text}
	if p.Dialect.Asks() && p.Stop != 0 {
		a.Code = p.Stop
	}
	a.Phrase = phrase(a.Code)
	if c == classUnwanted && d.unwanted != "" {
		a.Phrase = d.unwanted
	}
	switch {
	case c == classStranger:
	case c == classSilent:
		a.SIPCause = 408
	case c == classFailed:
		a.SIPCause = 500
	case a.Code == 480 || a.Code == 503:
		a.SIPCause = a.Code
	default:
		a.Q850 = 21
		if c == classAnonymous {
			a.SIPCause = 433
		}
	}
	switch a.Code { // those of ours that RFC 3261 section 20.33 knows it in
	case 480, 500, 503, 603:
		if c != classBlind || a.Code != 603 {
			a.RetryAfter = wait
		}
	}
	return a
}

// Headers are the answer's header lines, each ended by CR LF. id is the
// decision's id for the Warning header field (RFC 3261 section 20.43), whose
// agent is name.
func (a *Answer) Headers(name, id string) []byte {
	b := make([]byte, 0, 256)
	b = appendReason(b, "Q.850", a.Q850, a.Text)
	b = appendReason(b, "SIP", a.SIPCause, a.Text)
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

func appendReason(b []byte, protocol string, cause int, text string) []byte {
	if cause == 0 {
		return b
	}
	b = append(append(append(b, "Reason: "...), protocol...), ";cause="...)
	b = append(strconv.AppendInt(b, int64(cause), 10), ";text=\""...)
	return append(append(b, text...), "\"\r\n"...)
}
