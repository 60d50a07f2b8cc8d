package message

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/emiago/sipgo/sip"
)

// FuzzView holds the view against sipgo's parser: what is judged must read the
// same in both, and every splice of an accepted message must parse again with
// only the intended difference.
func FuzzView(f *testing.F) {
	for _, raw := range torture(f) {
		f.Add(raw)
	}
	for _, raw := range foreign() {
		f.Add(raw)
	}
	f.Add([]byte(invite))
	// What smugglers try, as one more line of an INVITE.
	for _, lines := range [...]string{
		"f: <sip:b@c>;tag=2", "From : <sip:b@c>;tag=2", "Fr\u043em: <sip:b@c>;tag=2", "\uff26rom: <sip:b@c>", "l: 4", "l: 0,4", "X: y\nFrom: z", "X: y\rFrom: z", "X: \x00", "X: y\n\nFrom: z",
		"X: y\r\n \r\nFrom: z", "X: y\r\n \r\n \tz", "Privacy: none;id", "privacy:id\r\nPRIVACY : none", "Remote-Party-ID: \"a,b\" <sip:c@d>;privacy=full, <sip:e@f>", "v: SIP/2.0/UDP h;branch=\"a,b\"",
		"Route: <sip:a;lr>, <sip:b;lr>;c=\"d,e\"", "P-Asserted-Identity: <sip:%2b31@a>, <tel:+31>", "Max-Forwards: 070", "CSeq: 1 INVITE",
	} {
		f.Add([]byte(strings.Replace(invite, "\r\nTo:", "\r\n"+lines+"\r\nTo:", 1)))
	}
	f.Add([]byte(dialerInvite))
	f.Add([]byte("SIP/2.0 200 OK\r\nv: SIP/2.0/UDP h;branch=z9hG4bK1,SIP/2.0/UDP g\r\nf: <sip:a@b>;tag=1\r\nt: <sip:c@d>;tag=2\r\ni: 1\r\nCSeq: 1 INVITE\r\n\r\n"))
	parser := sip.NewParser()
	f.Fuzz(func(t *testing.T, raw []byte) {
		var v View
		if err := v.Parse(raw); err != nil {
			if v.CanAnswer() {
				v.AppendResponse(nil, &Response{Status: 400, Source: source})
			}
			return
		}
		again := bytes.Clone(v.Raw)
		splices(t, &v)
		if !bytes.Equal(again, v.Raw) {
			t.Fatal("a splice changed the message")
		}
		// sipgo refuses more than the grammar does; what it refuses, it reads no other way.
		if msg, err := parser.ParseSIP(bytes.Clone(v.Raw)); err == nil {
			agree(t, &v, msg)
		}
	})
}

// lines are the header lines of a message but those of some kinds.
func lines(v *View, but ...Kind) string {
	var b strings.Builder
	for i := range v.Headers {
		h := &v.Headers[i]
		skip := false
		for _, k := range but {
			skip = skip || h.Kind == k
		}
		if !skip {
			b.Write(v.Raw[h.start:h.end])
		}
	}
	return b.String()
}

// splices makes every kind of splice of an accepted message.
func splices(t *testing.T, v *View) {
	t.Helper()
	read := func(what string, out []byte) *View {
		t.Helper()
		var w View
		if err := w.Parse(out); err != nil {
			t.Fatalf("%s does not parse: %v\n%q", what, err, out)
		}
		return &w
	}
	if same := v.AppendForward(nil, &Edits{}); !bytes.Equal(same, v.Raw) {
		t.Fatalf("a message without edits is another:\n%q\n%q", v.Raw, same)
	}
	if !v.IsRequest() {
		if !secondViaOK(v) {
			return // it would go nowhere
		}
		w := read("the relayed response", v.AppendForward(nil, &Edits{PopVia: true}))
		if w.ViaCount() != v.ViaCount()-1 || lines(w, Via) != lines(v, Via) || !bytes.Equal(w.Body, v.Body) {
			t.Fatalf("the relayed response differs in more than its Via:\n%q\n%q", v.Raw, w.Raw)
		}
		return
	}
	e := Edits{Source: source, Via: []byte("SIP/2.0/UDP us;branch=z9hG4bKus"), MaxForwards: 5, DropRoutes: 1}
	e.RecordRoute[0], e.RecordRoute[1] = []byte("<sip:us;lr>"), []byte("<sip:we;lr>")
	e.Remove[PAssertedIdentity] = true
	w := read("the forwarded request", v.AppendForward(nil, &e))
	edited := []Kind{Via, MaxForwards, Route, RecordRoute, PAssertedIdentity}
	if lines(w, edited...) != lines(v, edited...) || !bytes.Equal(w.URI, v.URI) || !bytes.Equal(w.Body, v.Body) ||
		w.ViaCount() != v.ViaCount()+1 || w.MaxForwards != 5 || w.count(Route) != max(0, v.count(Route)-1) ||
		w.count(RecordRoute) != v.count(RecordRoute)+2 || string(w.Value(RecordRoute)) != "<sip:us;lr>" || w.Get(PAssertedIdentity) != nil {
		t.Fatalf("the forwarded request differs in more than its edits:\n%q\n%q", v.Raw, w.Raw)
	}
	// Without our Via the next one is on top: the sender's, stamped.
	if w = read("the request without our Via", w.AppendForward(nil, &Edits{PopVia: true})); !bytes.Equal(w.Top.Branch, v.Top.Branch) {
		t.Fatalf("the sender's branch became %q", w.Top.Branch)
	}
	if v.IsMethod("ACK") {
		return
	}
	w = read("the response", v.AppendResponse(nil, &Response{Status: 403, Phrase: "Forbidden", ToTag: []byte("x"), Source: source}))
	if lines(w, Via, To, ContentLength) != lines(v, allBut(From, CallID, CSeq)...) || w.ViaCount() != v.ViaCount() ||
		len(v.ToTag) == 0 && string(w.ToTag) != "x" || len(v.ToTag) > 0 && !bytes.Equal(w.ToTag, v.ToTag) {
		t.Fatalf("the response does not answer the request:\n%q\n%q", v.Raw, w.Raw)
	}
	for method, out := range map[string][]byte{"CANCEL": v.AppendCANCEL(nil, nil), "ACK": v.AppendACK(nil, v.Value(To))} {
		w := read(method, out)
		if !bytes.Equal(w.Top.Branch, v.Top.Branch) || w.CSeqNumber != v.CSeqNumber || !bytes.Equal(w.URI, v.URI) ||
			lines(w, allBut(From, CallID, Route)...) != lines(v, allBut(From, CallID, Route)...) {
			t.Fatalf("the %s does not belong to the request:\n%q\n%q", method, v.Raw, w.Raw)
		}
	}
}

// secondViaOK reports whether there is a Via below the topmost that can be read.
func secondViaOK(v *View) (ok bool) {
	n := 0
	for i := range v.Headers {
		if v.Headers[i].Kind == Via {
			EachValue(v.Headers[i].Value, func(value []byte) bool {
				if n++; n == 2 {
					_, ok = parseVia(value)
				}
				return n < 2
			})
		}
	}
	return ok
}

func allBut(kept ...Kind) (others []Kind) {
	for k := Other; k < kindCount; k++ {
		others = append(others, k)
		for _, keep := range kept {
			if k == keep {
				others = others[:len(others)-1]
			}
		}
	}
	return others
}

// misreadings are the legal forms that sipgo v1.7.2 is known to read wrongly.
// Each was looked at; the view follows the grammar.
var misreadings = []struct {
	what string
	in   func(a *Address) bool
}{
	{"white space around the signs of a parameter is read into it", func(a *Address) bool { return hasAny(a.Params, spaceClass) }},
	{"names of parameters are taken as case-sensitive", func(a *Address) bool {
		_, found := Param(a.Params, "tag")
		return found && !bytes.Contains(a.Params, []byte("tag"))
	}},
	{"an equals sign in a value cuts it", func(a *Address) bool {
		tag, _ := Param(a.Params, "tag")
		return bytes.IndexByte(tag, '=') >= 0
	}},
	{"a quoted parameter value swallows what follows", func(a *Address) bool { return bytes.IndexByte(a.Params, '"') >= 0 }},
}

func misread(a *Address) bool {
	for _, m := range misreadings {
		if m.in(a) {
			return true
		}
	}
	return false
}

// unfold is a header's text as sipgo keeps it: lines joined by a blank.
func unfold(b []byte) string { return strings.Join(strings.Fields(string(b)), " ") }

// agree compares the fields that are judged.
func agree(t *testing.T, v *View, msg sip.Message) {
	t.Helper()
	same := func(what, got, want string) {
		if got != want {
			t.Fatalf("%s: %q here, %q in sipgo:\n%q", what, got, want, v.Raw)
		}
	}
	if h := msg.CallID(); h != nil {
		same("Call-ID", string(v.Value(CallID)), h.Value())
	}
	if h := msg.CSeq(); h != nil {
		same("CSeq", fmt.Sprint(v.CSeqNumber), fmt.Sprint(h.SeqNo))
		// sipgo leaves the blanks before it.
		same("method of CSeq", string(v.CSeqMethod), strings.TrimLeft(string(h.MethodName), " \t"))
	}
	for _, h := range msg.GetHeaders("Max-Forwards") {
		same("Max-Forwards", fmt.Sprint(v.MaxForwards), h.Value())
	}
	if h := msg.ContentLength(); h != nil && v.ContentLength >= 0 { // sipgo gives one to a message without
		same("Content-Length", fmt.Sprint(v.ContentLength), fmt.Sprint(uint32(*h)))
		same("body", string(v.Body), string(msg.Body()))
	}
	if h := msg.From(); h != nil {
		address(t, v, From, h.Address, h.Params)
	}
	if h := msg.To(); h != nil {
		address(t, v, To, h.Address, h.Params)
	}
	for _, k := range []Kind{PAssertedIdentity, PPreferredIdentity, RemotePartyID, Privacy} {
		var here, there []string
		for i := range v.Headers {
			if v.Headers[i].Kind == k {
				here = append(here, unfold(v.Headers[i].Value))
			}
		}
		for _, h := range msg.GetHeaders(k.String()) {
			there = append(there, unfold([]byte(h.Value())))
		}
		same(k.String(), strings.Join(here, "\n"), strings.Join(there, "\n"))
	}
	if req, ok := msg.(*sip.Request); ok && v.IsRequest() {
		same("method", strings.ToUpper(string(v.Method)), string(req.Method)) // sipgo writes it in upper case
		if u := v.Target; (u.Scheme == SIP || u.Scheme == SIPS) && !likeWeb(&u) {
			same("user of the Request-URI", string(u.User), req.Recipient.User)
			same("host of the Request-URI", string(u.Host), strings.Trim(req.Recipient.Host, "[]"))
			same("port of the Request-URI", fmt.Sprint(u.Port), fmt.Sprint(req.Recipient.Port))
		}
	}
}

// likeWeb tells a URI whose slashes sipgo leaves out, as if it were of the web:
// sip://user@host. Here they are of the user, which is no number then.
func likeWeb(u *URI) bool {
	return bytes.HasPrefix(u.User, []byte("//")) || bytes.HasPrefix(u.Host, []byte("//"))
}

// address compares who is named in From or To.
func address(t *testing.T, v *View, k Kind, uri sip.Uri, params sip.HeaderParams) {
	t.Helper()
	a, _ := ParseAddress(v.Value(k))
	u, ok := ParseURI(a.URI)
	if !ok || u.Scheme != SIP && u.Scheme != SIPS || misread(&a) {
		return
	}
	if likeWeb(&u) {
		return
	}
	// Without brackets, sipgo leaves the blanks before the parameters at the host.
	uri.Host = strings.TrimRight(uri.Host, " \t\r\n")
	if string(u.User) != uri.User || string(u.Host) != strings.Trim(uri.Host, "[]") {
		t.Fatalf("%s: %q at %q here, %q at %q in sipgo:\n%q", k, u.User, u.Host, uri.User, uri.Host, v.Raw)
	}
	tag, _ := Param(a.Params, "tag")
	there := ""
	for _, p := range params { // sipgo finds only what is written in small letters
		if strings.EqualFold(p.K, "tag") {
			there = p.V
			break
		}
	}
	if there != string(tag) {
		t.Fatalf("tag of %s: %q here, %q in sipgo:\n%q", k, tag, there, v.Raw)
	}
}
