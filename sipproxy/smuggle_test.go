package sipproxy

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/emiago/sipgo/sip"

	"dialgate/internal/simnet"
	"dialgate/policy"
)

const plainInvite = "INVITE sip:+31612345678@192.0.2.1 SIP/2.0\r\n" +
	"Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK-smuggle\r\n" +
	"Max-Forwards: 70\r\n" +
	"From: \"Windkracht\" <sip:+31205550100@dialer.example>;tag=1\r\n" +
	"To: <sip:+31612345678@carrier.example>\r\n" +
	"Call-ID: smuggle\r\n" +
	"CSeq: 1 INVITE\r\n" +
	"Contact: <sip:d@192.0.2.10>\r\n" +
	"Content-Length: 0\r\n\r\n"

// otherFrom is the identity that a smuggler wants the called person to see.
const otherFrom = "<sip:+31201234567@dialer.example>;tag=1"

// smuggled are messages that one parser could read otherwise than another in
// what is judged or routed. Nothing of them may reach a carrier.
var smuggled = map[string][2]string{ // what, by what it is replaced
	"From twice":                                  {"To:", "From: " + otherFrom + "\r\nTo:"},
	"From in both forms":                          {"To:", "f: " + otherFrom + "\r\nTo:"},
	"From before Via in the compact form":         {"Via:", "f: " + otherFrom + "\r\nVia:"},
	"From in another case":                        {"To:", "fROM: " + otherFrom + "\r\nTo:"},
	"From with a blank before the colon":          {"To:", "From : " + otherFrom + "\r\nTo:"},
	"From with a tab before the colon":            {"To:", "f\t: " + otherFrom + "\r\nTo:"},
	"From with two values":                        {";tag=1\r\n", ";tag=1, " + otherFrom + "\r\n"},
	"To twice":                                    {"Call-ID:", "t: <sip:+31698765432@carrier.example>\r\nCall-ID:"},
	"Call-ID twice":                               {"CSeq:", "i: other\r\nCSeq:"},
	"CSeq twice":                                  {"CSeq: 1 INVITE", "CSeq: 1 INVITE\r\nCSeq: 2 BYE"},
	"Max-Forwards twice":                          {"Max-Forwards: 70", "Max-Forwards: 70\r\nMax-Forwards: 0"},
	"Content-Length twice":                        {"Content-Length: 0", "l: 4\r\nContent-Length: 0"},
	"Content-Length that is too long":             {"Content-Length: 0", "Content-Length: 4"},
	"Content-Length with a sign":                  {"Content-Length: 0", "Content-Length: +0"},
	"Content-Length in hexadecimal":               {"Content-Length: 0", "Content-Length: 0x0"},
	"Content-Length with a list":                  {"Content-Length: 0", "Content-Length: 0, 4"},
	"Content-Length that wraps":                   {"Content-Length: 0", "Content-Length: 4294967296"},
	"a bare LF ends a line":                       {"Max-Forwards: 70\r\n", "Max-Forwards: 70\nFrom: " + otherFrom + "\r\n"},
	"a bare LF inside a value":                    {"Contact:", "X-A: b\nFrom: " + otherFrom + "\r\nContact:"},
	"a bare CR inside a value":                    {"Contact:", "X-A: b\rFrom: " + otherFrom + "\r\nContact:"},
	"a header that ends early by LF LF":           {"Contact:", "X-A: b\n\nFrom: " + otherFrom + "\r\nContact:"},
	"NUL in a name":                               {"Contact:", "X-\x00A: b\r\nContact:"},
	"NUL in a value":                              {"Contact:", "X-A: b\x00c\r\nContact:"},
	"NUL in the number":                           {"+31205550100", "+3120\x005550100"},
	"NUL in the Request-URI":                      {"INVITE sip:+31612345678@", "INVITE sip:+316\x0012345678@"},
	"a name with a Cyrillic o":                    {"To:", "Fr\u043em: " + otherFrom + "\r\nTo:"},
	"a name with a full-width F":                  {"To:", "\uff26rom: " + otherFrom + "\r\nTo:"},
	"a name behind a zero-width space":            {"To:", "\u200bFrom: " + otherFrom + "\r\nTo:"},
	"a name behind a byte order mark":             {"To:", "\ufeffFrom: " + otherFrom + "\r\nTo:"},
	"a name with an overlong octet":               {"To:", "\xc1\x86rom: " + otherFrom + "\r\nTo:"},
	"a line that is no header":                    {"Contact:", "From\r\nContact:"},
	"the first line is folded":                    {"Via:", " Via: x\r\nVia:"},
	"white space alone as a folded line":          {"Max-Forwards:", " \r\nMax-Forwards:"},
	"a header in the Request-URI":                 {"@192.0.2.1 SIP", "@192.0.2.1?From=%3Csip%3A%2B31201234567%40x%3E SIP"},
	"an empty header in the Request-URI":          {"@192.0.2.1 SIP", "@192.0.2.1? SIP"},
	"two at signs in the Request-URI":             {"@192.0.2.1 SIP", "@x@192.0.2.1 SIP"},
	"brackets around the Request-URI":             {"sip:+31612345678@192.0.2.1", "<sip:+31612345678@192.0.2.1>"},
	"a blank in the Request-URI":                  {"@192.0.2.1 SIP", " @192.0.2.1 SIP"},
	"a tab before the version":                    {" SIP/2.0\r\nVia", "\tSIP/2.0\r\nVia"},
	"a second version":                            {" SIP/2.0\r\nVia", " SIP/2.0 SIP/2.0\r\nVia"},
	"another version":                             {" SIP/2.0\r\nVia", " SIP/3.0\r\nVia"},
	"a method in lower case":                      {"INVITE sip", "invite sip"},
	"a port that wraps":                           {"@192.0.2.1 SIP", "@192.0.2.1:70596 SIP"},
	"maddr in the Request-URI":                    {"@192.0.2.1 SIP", "@192.0.2.1;maddr=203.0.113.9 SIP"},
	"MADDR, escaped, in the Request-URI":          {"@192.0.2.1 SIP", "@192.0.2.1;m%61ddr=203.0.113.9 SIP"},
	"rn in the user part":                         {"+31612345678@192", "+31612345678;rn=+31201234567@192"},
	"rn, escaped, in the user part":               {"+31612345678@192", "+31612345678%3Brn=+31201234567@192"},
	"npdi in the user part":                       {"+31612345678@192", "+31612345678;npdi@192"},
	"a Route that leads elsewhere":                {"Contact:", "Route: <sip:203.0.113.9;lr>\r\nContact:"},
	"a Route that leads elsewhere below ours":     {"Contact:", "Route: <sip:192.0.2.1;lr>, <sip:203.0.113.9;lr>\r\nContact:"},
	"a quote that is not closed":                  {"\"Windkracht\"", "\"Windkracht"},
	"a quote that closes in another header":       {"\"Windkracht\"", "\"Windkracht\\\""},
	"a bracket that is not closed":                {"dialer.example>;tag=1", "dialer.example;tag=1"},
	"two brackets":                                {"<sip:+31205550100@dialer.example>", "<sip:+31205550100@dialer.example><sip:+31201234567@x>"},
	"two tags":                                    {";tag=1\r\n", ";tag=1;tag=2\r\n"},
	"an unclosed quote in P-Asserted-Identity":    {"To:", "P-Asserted-Identity: \"x <sip:+31205550100@x>\r\nTo:"},
	"an unclosed quote in Remote-Party-ID":        {"To:", "Remote-Party-ID: \"x <sip:+31205550100@x>\r\nTo:"},
	"Privacy with a quote":                        {"To:", "Privacy: \"none\"\r\nTo:"},
	"X-Campaign twice":                            {"To:", "X-Campaign: a\r\nx-campaign: b\r\nTo:"},
	"a second message behind it without a length": {"Content-Length: 0\r\n\r\n", "\r\nINVITE sip:+31698765432@192.0.2.1 SIP/2.0\r\n"},
}

// carried plays one message of a dialer and tells what left for the carrier,
// and the attempt as it was judged, nil if it was not.
func carried(t *testing.T, raw string) (out string, judged *policy.Attempt) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, nil)
		judge := s.config.Judge
		c := s.config
		c.Judge = func(a *policy.Attempt, ready func(policy.Ruling)) {
			judged = a
			judge(a, ready)
		}
		if err := s.proxy.Use(c); err != nil {
			t.Fatal(err)
		}
		s.net.Drop = func(p simnet.Packet) bool { return p.From == gateAddr }
		s.net.Tap = func(p simnet.Packet) {
			if p.To == carrierAddr && out == "" {
				out = string(p.Payload)
			}
		}
		s.dialer.send([]byte(raw))
		synctest.Wait()
	})
	return out, judged
}

// TestNothingIsSmuggled: what could be read in two ways never reaches a carrier.
func TestNothingIsSmuggled(t *testing.T) {
	if out, _ := carried(t, plainInvite); out == "" {
		t.Fatal("the INVITE that all others are made of does not pass")
	}
	for name, c := range smuggled {
		if !strings.Contains(plainInvite, c[0]) {
			t.Errorf("%s: the INVITE holds no %q", name, c[0])
			continue
		}
		out, _ := carried(t, strings.Replace(plainInvite, c[0], c[1], 1))
		if name == "a second message behind it without a length" {
			// The datagram frames it: all that follows is its body.
			if strings.Count(out, "\r\n\r\n") != 1 || !strings.HasSuffix(out, "\r\n\r\nINVITE sip:+31698765432@192.0.2.1 SIP/2.0\r\n") {
				t.Errorf("%s left as\n%q", name, out)
			}
			continue
		}
		if out != "" {
			t.Errorf("%s: left as\n%s", name, out)
		}
	}
}

// TestOddFormsAreReadOnce: legal messages in odd forms pass, were judged by
// what they say, leave as they came, and sipgo reads of them what was judged,
// where it reads them at all.
func TestOddFormsAreReadOnce(t *testing.T) {
	for name, c := range map[string][2]string{
		"compact forms":               {"From:", "f:"},
		"another case":                {"From:", "fRoM:"},
		"a blank before the colon":    {"From:", "From \t:"},
		"a folded value":              {"From: ", "From:\r\n "},
		"folded twice":                {"\"Windkracht\" <", "\"Windkracht\"\r\n\t\t<"},
		"an escaped number":           {"sip:+31205550100@dialer", "sip:%2b3120%35550100@dialer"},
		"an escaped Request-URI":      {"INVITE sip:+31612345678@", "INVITE sip:%2B316123456%378@"},
		"a comma inside a quote":      {"\"Windkracht\"", "\"Wind, kracht <sip:x@y>\""},
		"an escaped quote":            {"\"Windkracht\"", "\"Wind \\\" kracht\""},
		"UTF-8 in the name":           {"\"Windkracht\"", "\"W\u00efndkracht\""},
		"leading zeros":               {"CSeq: 1 INVITE", "CSeq: 0001   INVITE"},
		"empty lines before it":       {"INVITE sip", "\r\n\r\nINVITE sip"},
		"octets behind its length":    {"Content-Length: 0\r\n\r\n", "Content-Length: 0\r\n\r\nFrom: " + otherFrom + "\r\n"},
		"a header that nobody knows":  {"Contact:", "X-From: " + otherFrom + "\r\nContact:"},
		"a name that From begins":     {"Contact:", "From-Elsewhere: " + otherFrom + "\r\nContact:"},
		"a parameter that is no user": {"dialer.example>;tag=1", "dialer.example;user=phone>;tag=1"},
	} {
		raw := strings.Replace(plainInvite, c[0], c[1], 1)
		out, judged := carried(t, raw)
		if out == "" || judged == nil {
			t.Errorf("%s: does not pass", name)
			continue
		}
		if judged.Caller.Shown != policy.MustNumber("+31205550100") || judged.Called.Number != policy.MustNumber("+31612345678") {
			t.Errorf("%s: judged as a call from %s to %s", name, judged.Caller.Shown, judged.Called.Number)
		}
		if !strings.Contains(out, c[1]) && !strings.HasPrefix(c[1], "\r\n\r\n") && !strings.HasPrefix(c[1], "INVITE") && !strings.HasPrefix(c[1], "Content-Length") {
			t.Errorf("%s: left as\n%s", name, out)
		}
		msg, err := sip.NewParser().ParseSIP([]byte(out))
		if err != nil {
			continue
		}
		req := msg.(*sip.Request)
		from, called := unescaped(req.From().Address.User), unescaped(req.Recipient.User)
		if from != "+31205550100" || called != "+31612345678" {
			t.Errorf("%s: sipgo reads a call from %q to %q", name, from, called)
		}
	}
}

func unescaped(user string) string {
	return strings.NewReplacer("%2b", "+", "%2B", "+", "%35", "5", "%37", "7").Replace(user)
}
