package sipproxy

import (
	"fmt"
	"strings"

	"dialgate/policy"
)

// A taken is what dialers make of a status code. It was read in the sources of
// Asterisk (chan_pjsip, chan_sip up to version 20, app_dial), FreeSWITCH
// (mod_sofia) and VICIdial (FastAGI_log.pl); a site's dialplan can change it.
type taken struct {
	code          int
	pjsip         string // cause of Q.850 and DIALSTATUS
	chanSIP       string
	freeSWITCH    string // hangup cause
	lead          string // VICIdial's status of the lead on chan_pjsip
	leadOnChanSIP string
	redials       bool
	failsOver     bool // trunks are known to try another way: past us
}

var takenBy = [...]taken{
	//  code  chan_pjsip           chan_sip             FreeSWITCH                      lead  lead, chan_sip
	{403, "21, CHANUNAVAIL", "21, CHANUNAVAIL", "CALL_REJECTED (21)", "NA", "NA", true, false},
	{404, "1, CHANUNAVAIL", "1, CHANUNAVAIL", "UNALLOCATED_NUMBER", "ADC", "ADC", false, false},
	{408, "", "", "", "", "", true, true},
	{410, "22, CHANUNAVAIL", "CONGESTION", "NUMBER_CHANGED", "NA", "NA", true, false},
	{433, "127, CHANUNAVAIL", "127, CHANUNAVAIL", "NORMAL_UNSPECIFIED (31)", "NA", "NA", true, false},
	{470, "127, CHANUNAVAIL", "127, CHANUNAVAIL", "NORMAL_UNSPECIFIED (31)", "NA", "NA", true, false},
	{480, "19, NOANSWER", "BUSY", "NO_USER_RESPONSE", "NA", "AB", true, false},
	{484, "28, CHANUNAVAIL", "1, CHANUNAVAIL", "INVALID_NUMBER_FORMAT", "ADC", "ADC", false, false},
	{486, "17, BUSY", "BUSY", "USER_BUSY", "AB", "AB", true, false},
	{500, "38, CHANUNAVAIL", "CONGESTION", "NORMAL_TEMPORARY_FAILURE (41)", "NA", "NA or ADCT", true, true},
	{503, "34, CONGESTION", "CONGESTION", "NORMAL_TEMPORARY_FAILURE (41)", "NA or ADCT", "NA or ADCT", true, true},
	{600, "17, BUSY", "BUSY", "USER_BUSY", "AB", "AB", true, false},
	{603, "21, CHANUNAVAIL", "BUSY", "CALL_REJECTED", "NA", "AB", true, false},
	{604, "1, CHANUNAVAIL", "1, CHANUNAVAIL", "NO_ROUTE_DESTINATION", "ADC", "ADC", false, false},
	{607, "127, CHANUNAVAIL", "127, CHANUNAVAIL", "UNWANTED (607)", "NA", "NA", true, false},
	{608, "127, CHANUNAVAIL", "127, CHANUNAVAIL", "CALL_REJECTED", "NA", "NA", true, false},
}

func takenOf(code int) *taken {
	for i := range takenBy {
		if takenBy[i].code == code {
			return &takenBy[i]
		}
	}
	return &taken{code: code, redials: true}
}

// recorded is what the dialer of a dialect notes of an answer. A Reason line
// of Q.850 goes before the cause that stands for the code.
func (d Dialect) recorded(a *Answer) string {
	t := takenOf(a.Code)
	rejected := func(cause string) string {
		if a.Q850 != 0 && !strings.HasPrefix(cause, "21,") {
			return "21, CHANUNAVAIL"
		}
		return cause
	}
	said := ""
	switch d {
	case VicidialPJSIP:
		if said = rejected(t.pjsip); said != "" {
			lead := t.lead
			if lead == "" {
				lead = "NA"
			}
			said += "; lead " + lead
		}
	case VicidialChanSIP:
		if said = t.chanSIP; said != "" {
			said += "; lead " + t.leadOnChanSIP
		}
	case Asterisk:
		said = rejected(t.pjsip)
	case FreeSWITCH:
		said = t.freeSWITCH
	case RedirectTeleblock, RedirectClearIP, Redirect302:
		return "as the switch does with a refusal"
	default:
		return "by the dialer, see below"
	}
	if said == "" {
		return "not read"
	}
	return said
}

// A Round is an answer of a dialect on which trunks are known to go round us.
type Round struct {
	Code    int
	Reasons []string
}

// GoesRound lists the peer's answers on which its kind of trunk is known to
// try another way, past us, in the order of the codes.
func (p *Peer) GoesRound() (rounds []Round) {
	add := func(a Answer, why string) {
		if !takenOf(a.Code).failsOver {
			return
		}
		for i := range rounds {
			if rounds[i].Code == a.Code {
				rounds[i].Reasons = append(rounds[i].Reasons, why)
				return
			}
		}
		rounds = append(rounds, Round{a.Code, []string{why}})
	}
	for _, r := range policy.Reasons() {
		if !r.Allows() {
			add(p.Answer(r), r.String())
		}
	}
	add(p.unanswered(classSilent), "carrier silent")
	add(p.unanswered(classFailed), "carrier failed")
	return rounds
}

func (r Round) String() string { return fmt.Sprintf("%d (%s)", r.Code, strings.Join(r.Reasons, ", ")) }
