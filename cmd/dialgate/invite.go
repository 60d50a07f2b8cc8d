package main

import (
	"bytes"
	"fmt"
	"strings"
)

// A hypothetical call is one that somebody asks about: in an acceptance case,
// in explain, in the demo. It is made into a real INVITE, so that it is read
// exactly as one from the wire.
type hypothetical struct {
	from       string   // caller number; not used when fromHeader is set
	to         string   // called number
	fromHeader string   // the whole value of From, without a tag
	ruri       string   // the whole Request-URI
	headers    []string // further header lines, "Name: value"
	callID     string
}

// The host names end in .invalid (RFC 2606), so that no answer can depend on them.
const (
	hypotheticalDialer = "dialer.invalid"
	hypotheticalGate   = "gate.invalid"
)

// invite writes the call as a SIP request (RFC 3261 section 8.1.1).
func (h *hypothetical) invite() []byte {
	ruri := h.ruri
	if ruri == "" {
		ruri = fmt.Sprintf("sip:%s@%s", h.to, hypotheticalGate)
	}
	from := h.fromHeader
	if from == "" {
		from = fmt.Sprintf("<sip:%s@%s>", h.from, hypotheticalDialer)
	}
	callID := h.callID
	if callID == "" {
		callID = "hypothetical@" + hypotheticalDialer
	}
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\r\n", args...) }
	line("INVITE %s SIP/2.0", ruri)
	line("Via: SIP/2.0/UDP %s;branch=z9hG4bK-hypothetical", hypotheticalDialer)
	line("Max-Forwards: 70")
	line("From: %s;tag=hypothetical", from)
	line("To: <sip:%s@%s>", h.to, hypotheticalGate)
	line("Call-ID: %s", callID)
	line("CSeq: 1 INVITE")
	line("Contact: <sip:%s>", hypotheticalDialer)
	for _, header := range h.headers {
		line("%s", header)
	}
	line("Content-Length: 0")
	line("")
	return []byte(b.String())
}

// lineEnds ends every line of a message that somebody wrote in an editor by CR LF.
func lineEnds(text []byte) []byte {
	return bytes.ReplaceAll(bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n")), []byte("\n"), []byte("\r\n"))
}

// check refuses what would make another message of the INVITE than was meant.
func (h *hypothetical) check() error {
	for _, s := range append([]string{h.from, h.to, h.fromHeader, h.ruri, h.callID}, h.headers...) {
		if strings.ContainsAny(s, "\r\n\x00") {
			return fmt.Errorf("%q holds a line break; write each header by itself, without one", s)
		}
	}
	for _, s := range h.headers {
		if name, _, ok := strings.Cut(s, ":"); !ok || strings.TrimSpace(name) == "" {
			return fmt.Errorf("%q is no header: want 'Name: value'", s)
		}
	}
	return nil
}
