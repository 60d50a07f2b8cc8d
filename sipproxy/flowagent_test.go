package sipproxy

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"

	"dialgate/internal/simnet"
	"dialgate/sipproxy/message"
	"dialgate/sipproxy/transport"
)

// An agent plays one side of a call by hand: it sends what the script says and
// remembers what it received.
type agent struct {
	s    *stage
	name string
	conn *simnet.Conn

	branch      int
	cseq        int
	routes      []string    // the route set of its call
	invite      []byte      // the last INVITE sent or received
	asked       []byte      // the last INVITE received
	placed      []byte      // the last INVITE sent
	target      string      // where the other side wants requests of the call
	provisional []byte      // the last one received but 100
	request     []byte      // the last request sent
	final       []byte      // the last final response to an INVITE received
	received    []byte      // the last request received
	challenges  []string    // those of the last 407 received
	count       int         // how often the nonce in them was used
	pong        atomic.Bool // answers OPTIONS by itself
	busy        atomic.Bool // answers INVITEs by itself, with 486
}

func newAgent(s *stage, name string, at netip.AddrPort) *agent {
	a := &agent{s: s, name: name, conn: s.net.Listen(at)}
	go func() {
		ds := make([]transport.Datagram, transport.Batch)
		for {
			n, err := a.conn.ReadBatch(ds)
			if err != nil {
				return
			}
			for _, d := range ds[:n] {
				a.take(d.Payload)
			}
		}
	}()
	return a
}

func (a *agent) take(b []byte) {
	var v message.View
	if err := v.Parse(b); err != nil {
		a.s.t.Errorf("%s received what can't be read: %v\n%s", a.name, err, b)
		return
	}
	if v.IsRequest() {
		a.received = b
		if v.IsMethod("INVITE") {
			a.invite, a.asked = b, b
			if rr := recordRoutes(&v); rr != nil {
				a.routes = rr
			}
		}
		if v.IsMethod("OPTIONS") && a.pong.Load() {
			a.respond(200, map[string]string{"of": "request"})
		}
		if v.IsMethod("INVITE") && a.busy.Load() {
			a.respond(486, nil)
		}
		return
	}
	if v.Status == 407 {
		a.challenges, a.count = challengesOf(&v), 0
	}
	if string(v.CSeqMethod) != "INVITE" {
		return
	}
	if v.Status > 100 && v.Status < 200 {
		a.provisional = b
	}
	if v.Status >= 200 {
		a.final = b
	}
}

func (a *agent) view(b []byte, what string) *message.View {
	var v message.View
	if err := v.Parse(b); err != nil {
		a.s.t.Fatalf("%s has no %s: %v", a.name, what, err)
	}
	return &v
}

func (a *agent) send(b []byte) { a.sendTo(b, a.gate()) }

func (a *agent) sendTo(b []byte, to netip.AddrPort) {
	if _, err := a.conn.WriteBatch([]transport.Datagram{{Payload: b, Remote: to}}); err != nil {
		a.s.t.Fatal(err)
	}
}

// gate is the proxy's address in the agent's address family.
func (a *agent) gate() netip.AddrPort {
	if a.conn.LocalAddr().Addr().Is6() {
		return gateAddr6
	}
	return gateAddr
}

// act is one action: a status code answers the last INVITE, a method sends a
// request; key=value changes it.
func (a *agent) act(words []string) {
	args := map[string]string{}
	for _, w := range words[1:] {
		k, v, _ := strings.Cut(w, "=")
		v = strings.ReplaceAll(v, "_", " ")
		if k == "header" && args[k] != "" {
			v = args[k] + "\r\n" + v
		}
		args[k] = v
	}
	var code int
	if _, err := fmt.Sscan(words[0], &code); err == nil {
		a.respond(code, args)
		return
	}
	switch words[0] {
	case "resend":
		a.send(a.request)
	case "pong", "mute": // whether it answers OPTIONS
		a.pong.Store(words[0] == "pong")
	case "busy":
		a.busy.Store(true)
	case "INVITE", "OPTIONS", "REGISTER", "MESSAGE", "SUBSCRIBE", "PUBLISH":
		a.begin(words[0], args)
	case "overhear": // know all that the dialer was answered
		a.final, a.target = a.s.dialer.final, a.s.dialer.target
	case "overhear-invite":
		a.placed = a.s.dialer.placed
	case "early": // an early dialog is one too
		a.final = a.provisional
	case "overhear-challenge":
		a.challenges, a.count = a.s.dialer.challenges, 0
	case "bounce": // send what was received back as it is, one hop further
		v := a.view(a.invite, "INVITE to bounce")
		e := message.Edits{Source: a.gate(), Via: []byte("SIP/2.0/UDP " + a.conn.LocalAddr().String() + ";branch=z9hG4bK-bounced"), MaxForwards: v.MaxForwards - 1}
		if uri, ok := args["uri"]; ok {
			e.URI = []byte(uri)
		}
		if h := args["header"]; h != "" {
			e.Add = []byte(h + "\r\n")
		}
		a.placed = v.AppendForward(nil, &e)
		a.send(a.placed)
	case "ACK":
		a.ack(args)
	case "CANCEL":
		v := a.view(a.placed, "INVITE to cancel")
		a.request = v.AppendCANCEL(nil, nil)
		a.send(a.request)
	default:
		a.inDialog(words[0], args)
	}
}

// begin sends a request outside a dialog.
func (a *agent) begin(method string, args map[string]string) {
	get := func(key, other string) string {
		if v, ok := args[key]; ok {
			return v
		}
		return other
	}
	a.branch++
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s SIP/2.0\r\n", method, get("uri", "sip:+31612345678@192.0.2.1;user=phone"))
	fmt.Fprintf(&b, "Via: SIP/2.0/UDP %s;branch=z9hG4bK-%s\r\n", a.conn.LocalAddr(), get("branch", fmt.Sprintf("%s%d", a.name, a.branch)))
	if mf := get("max-forwards", "70"); mf != "none" {
		fmt.Fprintf(&b, "Max-Forwards: %s\r\n", mf)
	}
	fmt.Fprintf(&b, "From: <sip:%s@dialer.example>;tag=%s\r\n", get("from", "+31205550100"), a.name)
	fmt.Fprintf(&b, "To: <sip:%s@carrier.example>%s\r\n", get("to", "+31612345678"), get("to-tag", ""))
	fmt.Fprintf(&b, "Call-ID: %s\r\nCSeq: %s %s\r\n", get("call-id", a.name), get("cseq", "1"), method)
	fmt.Fprintf(&b, "Contact: <sip:%s@%s>\r\n", a.name, a.conn.LocalAddr())
	if h := get("header", ""); h != "" {
		b.WriteString(h + "\r\n")
	}
	b.WriteString(a.proof(args["auth"], method, get("uri", "sip:+31612345678@192.0.2.1;user=phone")))
	b.WriteString("Content-Length: 0\r\n\r\n")
	a.request = []byte(b.String())
	if method == "INVITE" {
		a.invite, a.placed, a.final, a.routes, a.cseq = a.request, a.request, nil, nil, 1
		fmt.Sscan(args["cseq"], &a.cseq)
	}
	a.send(a.request)
}

// respond answers the last INVITE, or with of=request the last request.
func (a *agent) respond(code int, args map[string]string) {
	of := a.invite
	switch args["of"] {
	case "request":
		of = a.received
	case "asked": // the last INVITE received, of both sides' at once
		of = a.asked
	}
	v := a.view(of, "request to answer")
	tag := a.name
	if t, ok := args["tag"]; ok {
		tag = t
	}
	extra := []byte(fmt.Sprintf("Contact: <sip:%s@%s>\r\n", tag, a.conn.LocalAddr()))
	if h := args["header"]; h != "" {
		extra = append(append(extra, h...), "\r\n"...)
	}
	for i := range v.Headers {
		if v.Headers[i].Kind == message.RecordRoute {
			extra = append(append(append(extra, "Record-Route: "...), v.Headers[i].Value...), "\r\n"...)
		}
	}
	text := map[int]string{100: "Trying", 180: "Ringing", 183: "Session Progress", 200: "OK", 486: "Busy Here", 487: "Request Terminated", 491: "Request Pending", 503: "Service Unavailable",
		603: "Decline", 607: "Unwanted", 608: "Rejected"}[code]
	to := a.gate()
	if args["to"] == "carrier" {
		to = carrierAddr
	}
	a.sendTo(v.AppendResponse(nil, &message.Response{Status: code, Phrase: text, ToTag: []byte(tag), Source: to, Extra: extra}), to)
}

// ack acknowledges the last final response: hop by hop, or, for a 2xx, along the route.
func (a *agent) ack(args map[string]string) {
	res := a.view(a.final, "final response")
	if res.Status >= 300 {
		sent := a.view(a.placed, "INVITE")
		a.send(sent.AppendACK(nil, res.Value(message.To)))
		return
	}
	a.inDialog("ACK", args)
}

// inDialog sends a request along the route set of the call, as far as the
// script wants it right.
func (a *agent) inDialog(method string, args map[string]string) {
	a.branch++
	var from, to, target, callID string
	var routes []string
	if a.final != nil { // this side sent the last INVITE
		res := a.view(a.final, "final response")
		from, to, callID = string(res.Value(message.From)), string(res.Value(message.To)), string(res.Value(message.CallID))
		if target = between(string(res.Value(message.Contact))); target == "" {
			target = a.target // a refusal gives none
		}
		a.target = target
		routes = recordRoutes(res)
		slices.Reverse(routes)
	} else {
		inv := a.view(a.invite, "INVITE")
		from, to, callID = string(inv.Value(message.To)), string(inv.Value(message.From)), string(inv.Value(message.CallID))
		if len(inv.ToTag) == 0 {
			from += ";tag=" + a.name
		}
		target = between(string(inv.Value(message.Contact)))
		routes = recordRoutes(inv)
	}
	if len(routes) == 0 { // a request in a dialog has no Record-Route
		routes = a.routes
	}
	a.routes = routes
	a.cseq++
	cseq := a.cseq
	if method == "ACK" {
		cseq = int(a.view(a.final, "final response").CSeqNumber)
	}
	for key, into := range map[string]*string{"uri": &target, "from": &from, "to": &to, "call-id": &callID} {
		if v, ok := args[key]; ok {
			*into = v
		}
	}
	switch args["route"] {
	case "none":
		routes = nil
	case "forged": // a token that one letter was changed in
		i := strings.Index(routes[0], tokenParam+"=") + len(tokenParam) + 1
		routes = []string{routes[0][:i] + "AAAA" + routes[0][i+4:]}
	case "strict": // as a router of RFC 2543 sends it
		routes, target = append(slices.Clone(routes[1:]), "<"+target+">"), between(routes[0])
	case "strict-next": // and one that comes behind us
		routes = append(slices.Clone(routes), "<sip:"+carrierAddr.String()+">")
	case "behind": // ours stands below another
		routes = append([]string{"<sip:" + phoneAddr.String() + ";lr>"}, routes...)
	}
	var b strings.Builder
	name := strings.TrimSuffix(method, "-IN")
	if method == "REINVITE" {
		name = "INVITE"
	}
	fmt.Fprintf(&b, "%s %s SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bK-%s%d\r\nMax-Forwards: 70\r\n", name, target, a.conn.LocalAddr(), a.name, a.branch)
	for _, r := range routes {
		fmt.Fprintf(&b, "Route: %s\r\n", r)
	}
	fmt.Fprintf(&b, "From: %s\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: %d %s\r\n", from, to, callID, cseq, name)
	if h := args["header"]; h != "" {
		b.WriteString(h + "\r\n")
	}
	b.WriteString(a.proof(args["auth"], name, target))
	fmt.Fprintf(&b, "Contact: <sip:%s@%s>\r\nContent-Length: 0\r\n\r\n", a.name, a.conn.LocalAddr())
	a.request = []byte(b.String())
	if method == "REINVITE" {
		a.invite, a.placed = a.request, a.request
	}
	if len(routes) == 0 && a.s.config.Peers[0].LeavesPath && args["at"] != "dialgate" { // nobody stayed in the path
		a.sendTo(a.request, netip.MustParseAddrPort(target[strings.Index(target, "@")+1:]))
		return
	}
	a.send(a.request)
}

func recordRoutes(v *message.View) (routes []string) {
	for i := range v.Headers {
		if v.Headers[i].Kind == message.RecordRoute {
			routes = append(routes, string(v.Headers[i].Value))
		}
	}
	return routes
}

func between(contact string) string {
	_, rest, _ := strings.Cut(contact, "<")
	uri, _, _ := strings.Cut(rest, ">")
	return uri
}
