package message

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

// invite is an ordinary INVITE of a call centre's dialer.
const invite = "INVITE sip:+31612345678@carrier.example;user=phone SIP/2.0\r\n" +
	"Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK776asdhds;rport\r\n" +
	"Via: SIP/2.0/UDP 198.51.100.7:5062;branch=z9hG4bKabc\r\n" +
	"Max-Forwards: 70\r\n" +
	"Route: <sip:gate.example;lr>, <sip:next.example;lr>\r\n" +
	"From: \"Windkracht\" <sip:+31205550100@dialer.example>;tag=1928301774\r\n" +
	"To: <sip:+31612345678@carrier.example>\r\n" +
	"Call-ID: a84b4c76e66710@dialer.example\r\n" +
	"CSeq: 314159 INVITE\r\n" +
	"P-Asserted-Identity: <sip:+31205550100@dialer.example>\r\n" +
	"X-Campaign: energy\r\n" +
	"Contact: <sip:dialer@192.0.2.10:5060>\r\n" +
	"Content-Type: application/sdp\r\n" +
	"Content-Length: 6\r\n\r\nv=0\r\ns"

var source = netip.MustParseAddrPort("203.0.113.5:5099")

func parse(t testing.TB, text string) *View {
	t.Helper()
	var v View
	if err := v.Parse([]byte(text)); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return &v
}

func TestParseFindsWhatAProxyNeeds(t *testing.T) {
	v := parse(t, invite)
	for what, c := range map[string]struct{ got, want string }{
		"method":   {string(v.Method), "INVITE"},
		"uri":      {string(v.URI), "sip:+31612345678@carrier.example;user=phone"},
		"branch":   {string(v.Top.Branch), "z9hG4bK776asdhds"},
		"host":     {string(v.Top.Host), "192.0.2.10"},
		"from tag": {string(v.FromTag), "1928301774"},
		"to tag":   {string(v.ToTag), ""},
		"call-id":  {string(v.Value(CallID)), "a84b4c76e66710@dialer.example"},
		"campaign": {string(v.Value(XCampaign)), "energy"},
		"body":     {string(v.Body), "v=0\r\ns"},
		"numbers":  {fmt.Sprint(v.CSeqNumber, v.MaxForwards, v.ContentLength, v.Top.Port, v.ViaCount()), "314159 70 6 5060 2"},
	} {
		if c.got != c.want {
			t.Errorf("%s: got %q, want %q", what, c.got, c.want)
		}
	}
}

func TestParseReadsCompactFoldedAndOddlySpacedHeaders(t *testing.T) {
	v := parse(t, "INVITE sip:x@y SIP/2.0\r\nv:SIP / 2.0 / UDP\r\n  192.0.2.2 : 5070 ;\r\n branch=z9hG4bK1\r\nf\t: <sip:a@b>\r\n ;tag=7\r\n"+
		"t: sip:x@y;tag=8\r\ni: 1\r\nCSEQ: 0009\r\n  INVITE\r\nl: 0\r\n\r\n")
	got := fmt.Sprintf("%s %d %s %s %s %d %s", v.Top.Host, v.Top.Port, v.Top.Branch, v.FromTag, v.ToTag, v.CSeqNumber, v.CSeqMethod)
	if want := "192.0.2.2 5070 z9hG4bK1 7 8 9 INVITE"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestParseRefuses(t *testing.T) {
	change := func(old, new string) string {
		if !strings.Contains(invite, old) {
			t.Fatalf("the INVITE holds no %q", old)
		}
		return strings.Replace(invite, old, new, 1)
	}
	for name, c := range map[string]struct {
		text   string
		status int
	}{
		"second From":                  {change("To:", "From: <sip:b@c>;tag=2\r\nTo:"), 400},
		"second From, compact":         {change("To:", "f: <sip:b@c>;tag=2\r\nTo:"), 400},
		"second Content-Length":        {change("CSeq:", "l: 6\r\nCSeq:"), 400},
		"no Call-ID":                   {change("Call-ID: a84b4c76e66710@dialer.example\r\n", ""), 400},
		"bare LF in a line":            {change("X-Campaign: energy", "X-Campaign: energy\nX-Injected: evil"), 400},
		"bare CR in a line":            {change("X-Campaign: energy", "X-Campaign: energy\rX"), 400},
		"NUL in a line":                {change("X-Campaign: energy", "X-Campaign: en\x00ergy"), 400},
		"empty header name":            {change("X-Campaign:", ":"), 400},
		"white space in a name":        {change("X-Campaign:", "X Campaign:"), 400},
		"CSeq of another method":       {change("314159 INVITE", "314159 BYE"), 400},
		"CSeq too large":               {change("314159 INVITE", "4294967296 INVITE"), 400},
		"negative Content-Length":      {change("Content-Length: 6", "Content-Length: -6"), 400},
		"body shorter than announced":  {change("Content-Length: 6", "Content-Length: 600"), 400},
		"double blank in request line": {change("INVITE sip:", "INVITE  sip:"), 400},
		"blank after version":          {change("SIP/2.0\r\n", "SIP/2.0 \r\n"), 400},
		"Request-URI in brackets":      {change("sip:+31612345678@carrier.example;user=phone SIP", "<sip:x@y> SIP"), 400},
		"unclosed quote in From":       {change("\"Windkracht\" <", "\"Windkracht <"), 400},
		"unclosed bracket in To":       {change("To: <sip:+31612345678@carrier.example>", "To: <sip:x@y"), 400},
		"two tags in From":             {change("tag=1928301774", "tag=1;tag=2"), 400},
		"port beyond 65535":            {change("192.0.2.10:5060;branch", "192.0.2.10:99999;branch"), 400},
		"unclosed quote in PAI":        {change("P-Asserted-Identity: <sip", "P-Asserted-Identity: \"x <sip"), 400},
		"other version":                {change("SIP/2.0\r\n", "SIP/7.0\r\n"), 505},
		"no end of header":             {invite[:200], 400},
		"not SIP at all":               {"\x16\x03\x01\x02\x00\r\n\r\n", 0},
		"HTTP":                         {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 400},
		"larger than a datagram":       {invite + strings.Repeat("x", MaxSize), 0},
		"too many header lines":        {change("X-Campaign: energy\r\n", strings.Repeat("X: y\r\n", MaxHeaders)), 400},
		"two Content-Types":            {change("Content-Type:", "c: text/plain\r\nContent-Type:"), 400},
		"tag in quotes":                {change("tag=1928301774", `tag="1"`), 400},
		"empty tag":                    {change("tag=1928301774", "tag="), 400},
		"Max-Forwards over 255":        {change("Max-Forwards: 70", "Max-Forwards: 256"), 400},
		"response with two From":       {"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\nf: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\n\r\n", 0},
		"response with a huge code":    {"SIP/2.0 4294967301 better not\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\n\r\n", 0},
	} {
		var v View
		err := v.Parse([]byte(c.text))
		var p *ParseError
		if !errors.As(err, &p) {
			t.Errorf("%s: got %v, want a ParseError", name, err)
			continue
		}
		if p.Status != c.status {
			t.Errorf("%s: status %d (%v), want %d", name, p.Status, err, c.status)
		}
	}
}

func TestForwardChangesOnlyWhatItMust(t *testing.T) {
	v := parse(t, invite)
	e := Edits{Source: source, Via: []byte("SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKours"), DropRoutes: 1, MaxForwards: 69}
	e.RecordRoute[0] = []byte("<sip:192.0.2.1;lr;t=abc>")
	e.Remove[XCampaign] = true
	got := string(v.AppendForward(nil, &e))
	want := strings.NewReplacer(
		"Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK776asdhds;rport\r\n",
		"Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKours\r\nVia: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK776asdhds;received=203.0.113.5;rport=5099\r\n",
		"Max-Forwards: 70", "Max-Forwards: 69",
		"Route: <sip:gate.example;lr>, <sip:next.example;lr>", "Route: <sip:next.example;lr>",
		"From:", "Record-Route: <sip:192.0.2.1;lr;t=abc>\r\nFrom:",
		"X-Campaign: energy\r\n", "",
	).Replace(invite)
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestStampDoesNotTrustTheSender: what a sender wrote into received and rport
// would send our responses wherever it likes.
func TestStampDoesNotTrustTheSender(t *testing.T) {
	from := netip.MustParseAddrPort("192.0.2.10:5099")
	for via, want := range map[string]string{
		"192.0.2.10:5060;branch=z9hG4bK1":                                          "192.0.2.10:5060;branch=z9hG4bK1",
		"192.0.2.10:5060;received=203.0.113.9;branch=z9hG4bK1":                     "192.0.2.10:5060;branch=z9hG4bK1",
		"192.0.2.10:5060;rport=1 ; received=203.0.113.9;branch=z9hG4bK1":           "192.0.2.10:5060;branch=z9hG4bK1;received=192.0.2.10;rport=5099",
		"dialer.example;branch=z9hG4bK1":                                           "dialer.example;branch=z9hG4bK1;received=192.0.2.10",
		"203.0.113.9;x=\";received=1\";branch=z9hG4bK1;Received=203.0.113.9;rport": "203.0.113.9;x=\";received=1\";branch=z9hG4bK1;received=192.0.2.10;rport=5099",
	} {
		v := parse(t, strings.Replace(invite, "192.0.2.10:5060;branch=z9hG4bK776asdhds;rport", via, 1))
		w := parse(t, string(v.AppendForward(nil, &Edits{Source: from})))
		if got := string(w.Value(Via)); got != "SIP/2.0/UDP "+want {
			t.Errorf("%s: got %s, want %s", via, got, want)
		}
	}
	mapped := netip.MustParseAddrPort("[::ffff:192.0.2.10]:5060")
	v := parse(t, strings.Replace(invite, ";rport", "", 1))
	if out := v.AppendForward(nil, &Edits{Source: mapped}); string(out) != string(v.Raw) {
		t.Errorf("an IPv4 source seen over an IPv6 socket is another address:\n%s", out)
	}
}

func TestEditsOfRoutes(t *testing.T) {
	const line = "Route: <sip:gate.example;lr>, <sip:next.example;lr>\r\n"
	more := strings.Replace(invite, line, "route : <sip:a;lr>,\r\n <sip:b;lr>\r\nRoute: <sip:c,d;lr>\r\n", 1)
	for name, c := range map[string]struct {
		edits Edits
		want  string
	}{
		"none":                     {Edits{}, "<sip:a;lr> <sip:b;lr> <sip:c,d;lr>"},
		"the top one":              {Edits{DropRoutes: 1}, "<sip:b;lr> <sip:c,d;lr>"},
		"a whole line":             {Edits{DropRoutes: 2}, "<sip:c,d;lr>"},
		"all":                      {Edits{DropRoutes: 3}, ""},
		"more than there are":      {Edits{DropRoutes: 9, DropLast: true}, ""},
		"the last":                 {Edits{DropLast: true}, "<sip:a;lr> <sip:b;lr>"},
		"the top one and the last": {Edits{DropRoutes: 1, DropLast: true}, "<sip:b;lr>"},
		"one put below":            {Edits{DropRoutes: 1, LastRoute: []byte("<sip:z>")}, "<sip:b;lr> <sip:c,d;lr> <sip:z>"},
	} {
		var got []string
		parse(t, string(parse(t, more).AppendForward(nil, &c.edits))).Routes(func(a Address) bool {
			got = append(got, "<"+string(a.URI)+">")
			return true
		})
		if s := strings.Join(got, " "); s != c.want {
			t.Errorf("%s: got %s, want %s", name, s, c.want)
		}
	}
}

func TestEditsRemoveEveryFormAndAdd(t *testing.T) {
	odd := strings.Replace(invite, "X-Campaign: energy\r\n", "x-campaign\t:\r\n energy\r\nX-CAMPAIGN: two\r\nK: timer\r\nsupported: 100rel\r\n", 1)
	e := Edits{URI: []byte("sip:a@b"), Add: []byte("Feature-Caps: *;+sip.608\r\n")}
	e.Remove[XCampaign], e.Remove[Supported] = true, true
	w := parse(t, string(parse(t, odd).AppendForward(nil, &e)))
	if w.Get(XCampaign) != nil || w.Get(Supported) != nil || string(w.URI) != "sip:a@b" || string(w.Body) != "v=0\r\ns" {
		t.Errorf("%s", w.Raw)
	}
	if last := w.Headers[len(w.Headers)-1]; string(last.Name) != "Feature-Caps" || string(last.Value) != "*;+sip.608" {
		t.Errorf("the last header is %s: %s", last.Name, last.Value)
	}
}

// TestMalformedRequestsAreAnswered: what could be read of a request is enough
// to tell its sender that it was refused.
func TestMalformedRequestsAreAnswered(t *testing.T) {
	for name, c := range map[string]struct {
		old, new string
		answer   bool
	}{
		"NUL before the mandatory headers":  {"Via: SIP/2.0/UDP 198", "Subject: \x00\r\nVia: SIP/2.0/UDP 198", true},
		"line without a colon before them":  {"Via: SIP/2.0/UDP 198", "nonsense\r\nVia: SIP/2.0/UDP 198", true},
		"second From":                       {"To:", "f: <sip:b@c>;tag=2\r\nTo:", true},
		"no Call-ID":                        {"Call-ID: a84b4c76e66710@dialer.example\r\n", "", true},
		"unclosed quote in To":              {"To: <", "To: \"x <", true},
		"folded Call-ID":                    {"Call-ID: ", "Call-ID: a\r\n b", true},
		"double blank in the request line":  {"INVITE sip:", "INVITE  sip:", true},
		"topmost Via unreadable":            {"Via: SIP/2.0/UDP 192", "Via: SIP/2.0 192", false},
		"method ACK with CSeq of an INVITE": {"INVITE sip:", "ACK sip:", false},
	} {
		var v View
		if err := v.Parse([]byte(strings.Replace(invite, c.old, c.new, 1))); err == nil {
			t.Errorf("%s: accepted", name)
		}
		if v.CanAnswer() != c.answer {
			t.Errorf("%s: can answer: %v, want %v", name, v.CanAnswer(), c.answer)
		}
		if !c.answer {
			continue
		}
		out := string(v.AppendResponse(nil, &Response{Status: 400, Phrase: "Bad Request", ToTag: []byte("dg"), Source: source}))
		if !strings.HasPrefix(out, "SIP/2.0 400 Bad Request\r\nVia: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK776asdhds;received=203.0.113.5;rport=5099\r\n") ||
			strings.Count(out, "\nFrom:") != 1 || strings.Contains(out, "\nf:") || strings.Contains(out, "\x00") {
			t.Errorf("%s: %s", name, out)
		}
	}
}

func TestKeepAlivesAreToldApart(t *testing.T) {
	for text, want := range map[string]bool{"": true, "\r\n": true, "\r\n\r\n": true, "\x00": true, "\r\n\r\n\r\n": false, "INVI": false} {
		if IsKeepAlive([]byte(text)) != want {
			t.Errorf("%q: want %v", text, want)
		}
	}
}

func TestForwardAddsMaxForwardsWhereThereIsNone(t *testing.T) {
	v := parse(t, strings.Replace(invite, "Max-Forwards: 70\r\n", "", 1))
	out := v.AppendForward(nil, &Edits{Via: []byte("SIP/2.0/UDP h;branch=z9hG4bKx"), MaxForwards: 70})
	if again := parse(t, string(out)); again.MaxForwards != 70 || string(again.Body) != "v=0\r\ns" {
		t.Errorf("%s", out)
	}
}

func TestPopViaTakesOneValueOfOneLine(t *testing.T) {
	const rest = "From: <sip:a@b>;tag=1\r\nTo: <sip:c@d>;tag=2\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\n\r\n"
	for name, c := range map[string]struct{ in, want string }{
		"own line":    {"Via: SIP/2.0/UDP us;branch=z9hG4bK1\r\nVia: SIP/2.0/UDP them;branch=z9hG4bK2\r\n", "Via: SIP/2.0/UDP them;branch=z9hG4bK2\r\n"},
		"one line":    {"v: SIP/2.0/UDP us;branch=z9hG4bK1 , SIP/2.0/UDP them;branch=z9hG4bK2\r\n", "Via: SIP/2.0/UDP them;branch=z9hG4bK2\r\n"},
		"folded line": {"Via: SIP/2.0/UDP us;branch=z9hG4bK1,\r\n  SIP/2.0/UDP them;branch=z9hG4bK2\r\n", "Via: SIP/2.0/UDP them;branch=z9hG4bK2\r\n"},
	} {
		v := parse(t, "SIP/2.0 200 OK\r\n"+c.in+rest)
		if got, want := string(v.AppendForward(nil, &Edits{PopVia: true})), "SIP/2.0 200 OK\r\n"+c.want+rest; got != want {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
		}
	}
}

func TestResponseCopiesWhatItMust(t *testing.T) {
	v := parse(t, invite)
	got := string(v.AppendResponse(nil, &Response{Status: 403, Phrase: "Forbidden", ToTag: []byte("dg1"), Source: source, Extra: []byte("Reason: Q.850;cause=21\r\n")}))
	want := "SIP/2.0 403 Forbidden\r\n" +
		"Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK776asdhds;received=203.0.113.5;rport=5099\r\n" +
		"Via: SIP/2.0/UDP 198.51.100.7:5062;branch=z9hG4bKabc\r\n" +
		"From: \"Windkracht\" <sip:+31205550100@dialer.example>;tag=1928301774\r\n" +
		"To: <sip:+31612345678@carrier.example>;tag=dg1\r\n" +
		"Call-ID: a84b4c76e66710@dialer.example\r\nCSeq: 314159 INVITE\r\n" +
		"Reason: Q.850;cause=21\r\nContent-Length: 0\r\n\r\n"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestCancelAndAckBelongToTheInvite(t *testing.T) {
	v := parse(t, invite)
	for method, out := range map[string][]byte{
		"CANCEL": v.AppendCANCEL(nil, []byte(`SIP;cause=487;text="x"`)),
		"ACK":    v.AppendACK(nil, []byte("<sip:+31612345678@carrier.example>;tag=far")),
	} {
		w := parse(t, string(out))
		if string(w.Method) != method || string(w.URI) != string(v.URI) || string(w.Top.Branch) != string(v.Top.Branch) ||
			w.CSeqNumber != v.CSeqNumber || w.ViaCount() != 1 || string(w.Value(Route)) != string(v.Value(Route)) ||
			string(w.FromTag) != string(v.FromTag) {
			t.Errorf("%s", out)
		}
	}
}

func TestParseURI(t *testing.T) {
	for text, want := range map[string]string{
		"sip:+31612345678@h;user=phone":           "1 +31612345678 h 0 ;user=phone",
		"sips:a:secret@h:5061":                    "2 a h 5061 ",
		"tel:+31-6;phone-context=+31":             "3 +31-6  0 ;phone-context=+31",
		"sip:user;par=u%40example.net@h":          "1 user;par=u%40example.net h 0 ",
		"sip:[2001:db8::1]:5070;lr":               "1  2001:db8::1 5070 ;lr",
		"SIP:h?Route=x":                           "1  h 0 ",
		"urn:service:sos":                         "4 service:sos  0 ",
		"sip:h:0":                                 "bad",
		"sip:h:70000":                             "bad",
		"sip:@h":                                  "bad",
		"tel:":                                    "bad",
		"nonsense":                                "bad",
		"nobodyKnowsThisScheme:totallyopaque":     "0 totallyopaque  0 ",
		"sip:vivekg@chair-dnrc.example.com;a@b?x": "bad",
		"sip:a:b:c@h":                             "bad",
		"sip:a[b@h":                               "bad",
		"sip:a@h;;lr":                             "bad",
		"sip:a@[2001:db8::1":                      "bad",
		"sip:#31#0612345678@h":                    "1 #31#0612345678 h 0 ",
	} {
		u, ok := ParseURI([]byte(text))
		got := fmt.Sprintf("%d %s %s %d %s", u.Scheme, u.User, u.Host, u.Port, u.Params)
		if !ok {
			got = "bad"
		}
		if got != want {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
	}
	if got := string(Unescape([]byte("+1%3551%2541%zz%"))); got != "+1551%41%zz%" {
		t.Errorf("unescaped to %q", got)
	}
}
