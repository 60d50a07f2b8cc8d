package trace

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"
)

// plain is an INVITE as text, with or without CRs.
func plain(callID string, body int) string {
	return strings.ReplaceAll(string(invite(callID, body)), "\r\n", "\n")
}

func TestTexts(t *testing.T) {
	const way = " 192.0.2.7:5070>192.0.2.1:5060 "
	const nowhere = " invalid AddrPort>invalid AddrPort "
	raw := string(invite("a", 20))
	for _, c := range []struct{ name, text, want string }{
		{"SIPp", "----------------------------------------------- 2026-11-23 14:00:00.123456\nUDP message sent (511 bytes):\n\n" + raw +
			"\n----------------------------------------------- 2026-11-23 14:00:00.200000\nTCP message received [309] bytes :\n\n" + string(invite("b", 0)) + "\n",
			"4 UDP" + nowhere + "a|16 TCP" + nowhere + "b"},
		{"sngrep", "2026/11/23 14:00:00.123456 192.0.2.7:5070 -> 192.0.2.1:5060\n" + raw + "\n\n2026/11/23 14:00:01.000000 192.0.2.1:5060 -> 192.0.2.7:5070\nSIP/2.0 100 Trying\nCall-ID: a\n\n",
			"2 " + way + "a|13  192.0.2.1:5060>192.0.2.7:5070 a"},
		{"Asterisk, PJSIP", "[2026-11-23 14:00:00.123] VERBOSE[77] res_pjsip_logger.c: <--- Received SIP request (511 bytes) from UDP:192.0.2.7:5070 --->\n" + raw +
			"\n[2026-11-23 14:00:00.200] VERBOSE[77] res_pjsip_logger.c: <--- Transmitting SIP response (300 bytes) to UDP:192.0.2.7:5070 --->\nSIP/2.0 100 Trying\r\nCall-ID: a\r\n\r\n\n",
			"2 UDP 192.0.2.7:5070>invalid AddrPort a|12 UDP invalid AddrPort>192.0.2.7:5070 a"},
		{"Asterisk, chan_sip", "[2026-11-23 14:00:00] VERBOSE[77] chan_sip.c:\n<--- SIP read from UDP:192.0.2.7:5070 --->\n" + plain("a", 0) + "<------------->\n--- (7 headers 0 lines) ---\n",
			"3 UDP 192.0.2.7:5070>invalid AddrPort a"},
		{"Kamailio, sipdump", "====================\ntag: rcv\npid: 77\ntime: 1795438800.123456\ndate: Mon Nov 23 14:00:00 2026\nproto: udp ipv4\nsrcip: 192.0.2.7\nsrcport: 5070\ndstip: 192.0.2.1\ndstport: 5060\n~~~~~~~~~~~~~~~~~~~~\n" +
			raw + "||||||||||||||||||||\n", "12 UDP" + way + "a"},
		{"Kamailio, xlog", "2026-11-23T14:00:00.123456+01:00 proxy kamailio[77]: INFO: <script>: received: INVITE sip:+31612345678@192.0.2.1 SIP/2.0\n" +
			strings.SplitN(plain("a", 0), "\n", 2)[1] + "2026-11-23T14:00:00.3+01:00 proxy kamailio[77]: DEBUG: done\n", "1 " + nowhere + "a"},
		{"system log", "2026-11-23T14:00:00.123456+01:00 proxy kamailio[77]: " + strings.ReplaceAll(raw, "\r\n", "#015#012") + "\n", "1 " + nowhere + "a"},
		{"YAML", "- |+\n  " + strings.ReplaceAll(strings.TrimSpace(plain("a", 20)), "\n", "\n  ") + "\n\n- |+\n  SIP/2.0 200 OK\n  Call-ID: a\n\n", "2 " + nowhere + "a|13 " + nowhere + "a"},
		{"plain", raw + string(invite("b", 0)) + string(invite("c", 9)), "1 " + nowhere + "a|9 " + nowhere + "b|17 " + nowhere + "c"},
		{"a mention", "Looking for INVITE sip:a@b SIP/2.0\nnothing here\n" + plain("a", 0), "3 " + nowhere + "a"},
		{"no empty line at the end", strings.TrimRight(plain("a", 0), "\n"), "1 " + nowhere + "a"},
		{"the last line end is lost", strings.TrimRight(strings.ReplaceAll(string(invite("a", 0)), "Content-Length: 0\r\n\r\n", "Content-Length: 6\n\ns=no"), "\n"), "1 " + nowhere + "a CUT the text ends before it does"},
		{"a cut body", "INVITE sip:a@b SIP/2.0\nCall-ID: a\nContent-Length: 500\n\nv=0\n----------------------------------------------- 2026-11-23 14:00:00\n", "1 " + nowhere + "a CUT its body is cut"},
		{"a cut header", "INVITE sip:a@b SIP/2.0\r\nCall-ID: a\r\n" + raw, "1 " + nowhere + "a CUT its header has no end|3 " + nowhere + "a"},
		{"a body like a log", "MESSAGE sip:a@b SIP/2.0\r\nCall-ID: a\r\nContent-Length: 32\r\n\r\n----\r\nSIP/2.0 200 OK\r\n--------\r\n" + raw, "1 " + nowhere + "a|8 " + nowhere + "a"},
		{"a body of no announced length", "INVITE sip:a@b SIP/2.0\nCall-ID: a\nContent-Type: application/sdp\n\nv=0\ns=-\n\n\n----- next\n", "1 " + nowhere + "a"},
		{"no message", "once upon a time\nthere was a dialer\n", "holds no SIP message"},
	} {
		got := strings.Join(found(Read(strings.NewReader(c.text), Options{Zone: time.FixedZone("", 3600)})), "|")
		if got != c.want {
			t.Errorf("%s:\n got %q\nwant %q", c.name, got, c.want)
		}
		for m, err := range Read(strings.NewReader(c.text), Options{Zone: time.FixedZone("", 3600)}) {
			if err == nil && strings.Contains(c.text, "14:00:00.123456") && m.Packet < 13 && !m.Time.Equal(began) {
				t.Errorf("%s: the time is %s, want %s", c.name, m.Time, began)
			}
			if err == nil && m.Cut == "" && bytes.Contains(bytes.ReplaceAll(m.Bytes, []byte("\r\n"), nil), []byte("\n")) {
				t.Errorf("%s: a line of %q does not end in CR LF", c.name, m.Bytes)
			}
		}
	}
}

// TestTextIsAsItWas: what a text gives back is the message, octet for octet,
// whatever its line ends had become.
func TestTextIsAsItWas(t *testing.T) {
	body := "v=0\r\no=- 1 1 IN IP4 192.0.2.7\r\ns=-\r\nm=audio 9 RTP/AVP 0\r\n"
	message := strings.Replace(string(invite("a", 0)), "Content-Length: 0\r\n\r\n", fmt.Sprintf("Content-Type: application/sdp\r\nContent-Length: %d\r\n\r\n%s", len(body), body), 1)
	for name, text := range map[string]string{"raw": message, "without CRs": strings.ReplaceAll(message, "\r\n", "\n"),
		"with empty lines": "\n\n" + message + "\n\n", "indented": "    " + strings.ReplaceAll(strings.ReplaceAll(message, "\r\n", "\n"), "\n", "\n    ")} {
		n := 0
		for m, err := range Read(strings.NewReader(text), Options{}) {
			if n++; err != nil || string(m.Bytes) != message {
				t.Errorf("%s: %v\n got %q\nwant %q", name, err, m.Bytes, message)
			}
		}
		if n != 1 {
			t.Errorf("%s: %d messages", name, n)
		}
	}
}

// TestEndlessTexts: a line, a header or a body without end is passed over in
// bounded memory.
func TestEndlessTexts(t *testing.T) {
	for name, text := range map[string]string{
		"a header of 3 MB":  "INVITE sip:a@b SIP/2.0\r\n" + strings.Repeat("X: y\r\n", 512<<10),
		"a line of 3 MB":    "INVITE sip:a@b SIP/2.0\r\nX: " + strings.Repeat("y", 3<<20) + "\r\n",
		"a body of 3 MB":    "INVITE sip:a@b SIP/2.0\r\nContent-Type: a/b\r\n\r\n" + strings.Repeat("body\r\n", 512<<10),
		"a promise of 3 MB": "INVITE sip:a@b SIP/2.0\r\nContent-Length: 100000000\r\n\r\n" + strings.Repeat("body\r\n", 100),
	} {
		text += "\r\n\r\n" + string(invite("a", 0))
		var got []string
		most := 0
		for m, err := range Read(strings.NewReader(text), Options{}) {
			most = max(most, len(m.Bytes))
			if err != nil {
				got = append(got, err.Error())
			} else {
				got = append(got, m.Cut)
			}
		}
		if len(got) != 2 || got[0] == "" || got[1] != "" || most > 2*maxMessage {
			t.Errorf("%s: %q, the longest message has %d octets", name, got, most)
		}
	}
}
