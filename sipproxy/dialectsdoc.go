package sipproxy

import (
	"fmt"
	"strings"

	"dialgate/policy"
)

// DialectsMarkdown documents the dialects, made of their tables.
func DialectsMarkdown() string {
	var b strings.Builder
	b.WriteString(dialectsHead)
	b.WriteString("\n## At a glance\n\n| class |")
	for _, d := range Dialects() {
		fmt.Fprintf(&b, " `%s` |", d)
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(dialects)) + "\n")
	for c := range classes {
		fmt.Fprintf(&b, "| %s |", c)
		for _, d := range Dialects() {
			a := (&Peer{Dialect: d}).say(c, "", 0)
			fmt.Fprintf(&b, " %d |", a.Code)
		}
		b.WriteString("\n")
	}
	b.WriteString("| *allowed* |")
	for _, d := range Dialects() {
		if d.Redirects() {
			fmt.Fprintf(&b, " %d |", dialects[d].goes)
			continue
		}
		b.WriteString(" goes on |")
	}
	b.WriteString("\n\n## Which reason is of which class\n\n| class | reasons |\n|---|---|\n")
	for c := range classes {
		var reasons []string
		for _, r := range policy.Reasons() {
			if !r.Allows() && classOf(r.Public(policy.Live)) == c {
				reasons = append(reasons, "`"+r.String()+"`")
			}
		}
		if c == classSilent {
			reasons = []string{"an allowed call that the carrier does not answer in time"}
		}
		if c == classFailed {
			reasons = []string{"an allowed call that the carrier can't take (503), or that no listener can bring there"}
		}
		fmt.Fprintf(&b, "| %s | %s |\n", c, strings.Join(reasons, ", "))
	}
	for _, d := range Dialects() {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n| class | answer | header fields | the dialer records | redials | goes round us |\n|---|---|---|---|---|---|\n", d, dialectTexts[d])
		for c := range classes {
			b.WriteString(d.row(c))
		}
	}
	b.WriteString(takenHead)
	for _, t := range takenBy {
		fmt.Fprintf(&b, "| %d | %s | %s | %s | %s | %s | %s | %s |\n", t.code, orNotRead(t.pjsip), orNotRead(t.chanSIP), orNotRead(t.freeSWITCH),
			orNotRead(t.lead), orNotRead(t.leadOnChanSIP), yesNo(t.redials), yesNo(t.failsOver))
	}
	return b.String()
}

// row is how a dialect says a class.
func (d Dialect) row(c class) string {
	p := Peer{Dialect: d}
	wait := ""
	for _, r := range policy.Reasons() { // the shortest and the longest wait of the class
		a := p.Answer(r)
		if r.Allows() || classOf(r.Public(policy.Live)) != c || a.RetryAfter == 0 {
			continue
		}
		if w := fmt.Sprint(a.RetryAfter); !strings.Contains(wait, w) {
			wait = strings.TrimPrefix(wait+" or "+w, " or ")
		}
	}
	a := p.say(c, "", waitLoad)
	if wait == "" && (c == classSilent || c == classFailed) && a.RetryAfter != 0 {
		wait = fmt.Sprint(a.RetryAfter)
	}
	var fields []string
	if a.Q850 != 0 {
		fields = append(fields, fmt.Sprintf("Reason Q.850 %d", a.Q850))
	}
	if a.SIPCause != 0 {
		fields = append(fields, fmt.Sprintf("Reason SIP %d", a.SIPCause))
	}
	if wait != "" {
		fields = append(fields, "Retry-After "+wait)
	}
	t := takenOf(a.Code)
	return fmt.Sprintf("| %s | %d %s | %s | %s | %s | %s |\n", c, a.Code, a.Phrase, strings.Join(fields, ", "), d.recorded(&a), yesNo(t.redials), yesNo(t.failsOver))
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func orNotRead(s string) string {
	if s == "" {
		return "not read"
	}
	return s
}

const dialectsHead = `# How a call is answered

Generated from the tables in ` + "`sipproxy/dialect.go` and `sipproxy/dialers.go`" + `. A peer's ` + "`dialect`" + ` chooses how its calls are answered: which status code, phrase and Reason header fields (RFC 3326) each class of reasons has, and whether an allowed call goes on to the carrier or back to the switch.
Every refusal carries ` + "`Warning: 399`" + ` with the reason and the decision's id. That another advertiser holds a consent or relationship is never told: a call is answered as if nothing of others were known, ` + "`no-consent`" + ` or, to a robocall, ` + "`robocall-needs-consent`" + `. The same holds wherever an advertiser reads a reason: in the console, the API, its streams and webhooks; a proof pack leaves such calls out.
What dialers make of a code was read in their sources; no dialer was run. The dialplan of a site can change all of it.
` + "`dialgate config check`, `serve` and `config reload`" + ` warn of each peer with an answer on which trunks are known to try another way, past us: in the last column, yes. Some switches do so on a 603 or 480 too when they are told to: look at the route-advance list of yours.
What can't be read or judged as a call is answered alike in all dialects: 400, 416, 420, 481, 482, 483, 405, 513.
`

var dialectTexts = [...]string{
	Safe:              "Survives real dialers: no answer on which trunks go round us.",
	Strict:            "What the RFCs say. Only for a trunk with no other way out: on 408, 500 and 503 it would take it.",
	VicidialPJSIP:     "VICIdial on chan_pjsip. The phrase `Do Not Call` is what a dialplan can tell a final refusal by ([deploy/dialplan](../deploy/dialplan/README.md)): without one, VICIdial files every refusal as NA and dials again.",
	VicidialChanSIP:   "VICIdial on chan_sip, which Asterisk has up to version 20. There 603 reads as busy, so refusals are 403.",
	FreeSWITCH:        "FreeSWITCH. `Do Not Call` is in `sip_hangup_phrase` or `sip_invite_failure_phrase`; deploy/dialplan has what reads it. FreeSWITCH adds a Reason header field of its own on the other leg unless `disable_q850_reason` is set.",
	Asterisk:          "Asterisk on chan_pjsip with a dialplan of its own.",
	Redirect302:       "A redirect server (RFC 3261 section 8.3): an allowed call is answered 302 with a Contact at the carrier's first target, with the number as it was judged; refusals are those of `safe`. The switch must not have another route to try on a refusal.",
	RedirectTeleblock: "The switch asks us before it routes: 499 is go, 403 is stop, the codes that dSIPRouter's documents give for Gryphon's TeleBlock. They were read there, not in a document of Gryphon's, so agree on them with whoever runs the switch, or set others under `agreed`. What a switch does when no answer comes is its own choice: it must be stop.",
	RedirectClearIP:   "The switch asks us before it routes: 503 (or 404, under `agreed`) is go, 603 is stop, as the documents of TransNexus ClearIP have it for switches that advance to the next route on 503 or 404. Agree on them with whoever runs the switch. It must not take a 503 for a broken trunk, and its next route must be the carrier.",
}

const takenHead = `
## What dialers make of a code

Cause of Q.850 and DIALSTATUS in Asterisk (a Reason line of Q.850 goes before the cause of the code on chan_pjsip), the hangup cause in FreeSWITCH, the status of the lead in VICIdial (NA no answer, AB busy, ADC disconnected: a wrong fact about a number that only may not be called, which is why 404, 484 and 604 are never said to a dialer; ADCT with enhanced disconnect logging).
With ` + "`DIALSTATUS=DNC`" + ` set by the dialplan and enhanced disconnect logging at 1 or more, VICIdial files any of them as DNCCAR and does not dial again.

| code | chan_pjsip | chan_sip | FreeSWITCH | lead, chan_pjsip | lead, chan_sip | redials | goes round us |
|---|---|---|---|---|---|---|---|
`
