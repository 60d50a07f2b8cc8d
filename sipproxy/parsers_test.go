//go:build e2e

package sipproxy

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"dialgate/policy"
)

// A reading is what a parser takes out of a message of what we judge.
type reading struct{ method, called, from, asserted, callID, length string }

// A passed is a message that reached the carrier, and how it was judged.
type passed struct {
	what, out, body string
	judged          *policy.Attempt
}

const assertedInvite = "INVITE sip:+31612345678@192.0.2.1;user=phone SIP/2.0\r\n" +
	"Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK-smuggle\r\n" +
	"Max-Forwards: 70\r\n" +
	"From: Windkracht <sip:+31205550100@dialer.example>;tag=1\r\n" +
	"P-Asserted-Identity: \"Windkracht\" <sip:+31205550100@dialer.example>\r\n" +
	"To: <sip:+31612345678@carrier.example>\r\n" +
	"Call-ID: smuggle\r\n" +
	"CSeq: 1 INVITE\r\n" +
	"Contact: <sip:d@192.0.2.10>\r\n" +
	"Content-Length: 4\r\n\r\nbody"

// inserted are what disturbs a parser, put at every place of a message.
var inserted = []string{" ", "\t", "\r\n ", "\x00", ",", ";", "<", ">", "\"", "\\", "%", "@", ":", "?", "%00", "%40", "\n", "\r", "\r\n", "\xff", "\u00a0", "7", "(x)"}

// TestSecondParsers lets Kamailio and tshark read what reaches the carrier of
// thousands of disturbed messages: what they find of the caller, the called
// number, the method, the Call-ID and the body is what was judged.
func TestSecondParsers(t *testing.T) {
	var all []passed
	try := func(what, raw string) {
		out, judged := carried(t, raw)
		if out == "" {
			return
		}
		if judged == nil {
			t.Errorf("%s: reached the carrier unjudged", what)
			return
		}
		if judged.Called.Number == (policy.Number{}) || judged.Caller.Shown == (policy.Number{}) {
			return // the stage lets through what no rule would: callee-invalid, caller-invalid
		}
		_, body, _ := strings.Cut(out, "\r\n\r\n")
		all = append(all, passed{what, out, body, judged})
	}
	sent := 0
	every := 4 // a share of them; DIALGATE_LONG takes all
	if os.Getenv("DIALGATE_LONG") != "" {
		every = 1
	}
	for name, c := range smuggled {
		sent++
		try(name, strings.Replace(plainInvite, c[0], c[1], 1))
	}
	torture, err := filepath.Glob(filepath.Join("..", "..", "shared", "testdata", "rfc4475", "*.dat"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range torture {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		sent++
		try(filepath.Base(file), string(raw))
	}
	for base, invite := range map[string]string{"plain": plainInvite, "asserted": assertedInvite} {
		for at := range len(invite) {
			for k, s := range inserted {
				if (at+k)%every != 0 {
					continue
				}
				sent++
				try(fmt.Sprintf("%s: %q at %d", base, s, at), invite[:at]+s+invite[at:])
			}
			sent++
			try(fmt.Sprintf("%s: without %d", base, at), invite[:at]+invite[at+1:])
		}
	}
	t.Logf("%d of %d messages reached the carrier", len(all), sent)
	if len(all) < 4000/every {
		t.Fatal("too few to tell anything")
	}
	for parser, readings := range map[string][]reading{"Kamailio": kamailioReads(t, all), "tshark": tsharkReads(t, all)} {
		read := 0
		for i, r := range readings {
			if r == (reading{}) {
				continue // it takes the message for none
			}
			read++
			if unread(parser, r, all[i]) {
				continue
			}
			if differs := r.differs(all[i]); differs != "" {
				t.Errorf("%s reads %s, in\n%q", parser, differs, all[i].out)
			}
		}
		t.Logf("%s read %d of %d", parser, read, len(all))
		if read < len(all)/2 {
			t.Errorf("%s took %d of %d messages for none", parser, len(all)-read, len(all))
		}
	}
}

// foldedName is a display name that is folded inside its quotes.
var foldedName = regexp.MustCompile(`(?m)^From: "[^"\r]*\r\n [^"]*"`)

// unread reports whether a parser is known to find nothing where RFC 3261 has
// something legal: it does not read another number there, but none.
// docs/compatibility.txt tells of these.
func unread(parser string, r reading, p passed) bool {
	switch parser {
	case "tshark": // 4.0: a blank before the colon hides a header field from it, one behind a length the length
		return r.from == "" && strings.Contains(strings.ReplaceAll(p.out, "\t", " "), "\nFrom :") ||
			r.callID == "" && strings.Contains(strings.ReplaceAll(p.out, "\t", " "), "\nCall-ID :") ||
			r.length == "0" && strings.Contains(strings.ReplaceAll(p.out, "\t", " "), "\nContent-Length: 4 \r\n")
	default: // Kamailio 5.6 parses no From that is folded inside a quoted name
		return r.from == "" && foldedName.MatchString(p.out)
	}
}

// differs tells what a parser reads otherwise than it was judged, "" if nothing.
func (r reading) differs(p passed) string {
	caller := r.from
	if p.judged.Caller.From == policy.HeaderPAI {
		caller = r.asserted
	}
	judged := p.judged.Caller.Shown.E164()
	switch {
	case r.method != "INVITE":
		return fmt.Sprintf("the method %q", r.method)
	case decoded(r.called) != p.judged.Called.Number.E164():
		return fmt.Sprintf("a call to %q, judged as to %s", r.called, p.judged.Called.Number.E164())
	case decoded(caller) != judged:
		return fmt.Sprintf("a call from %q, judged as from %s", caller, judged)
	case strings.TrimSuffix(strings.TrimRight(r.callID, " \t"), `\t`) != p.judged.CallID:
		return fmt.Sprintf("the Call-ID %q, recorded as %q", r.callID, p.judged.CallID)
	case r.length != "" && strings.TrimRight(r.length, " \t") != fmt.Sprint(len(p.body)):
		return fmt.Sprintf("a body of %q octets, which has %d", r.length, len(p.body))
	}
	return ""
}

// decoded is a user part as it is compared: unescaped once, without its
// parameters and visual separators.
func decoded(user string) string {
	var b []byte
	for i := 0; i < len(user); i++ {
		c := user[i]
		if c == '%' && i+2 < len(user) {
			if v, err := strconv.ParseUint(user[i+1:i+3], 16, 8); err == nil {
				c = byte(v)
				i += 2
			}
		}
		b = append(b, c)
	}
	number, _, _ := strings.Cut(string(b), ";")
	return strings.NewReplacer(" ", "", "-", "", ".", "", "(", "", ")", "").Replace(number)
}

// kamailioReads asks a Kamailio, which answers each message with what it reads.
func kamailioReads(t *testing.T, all []passed) []reading {
	modules, err := filepath.Glob("/usr/lib/*/kamailio/modules")
	if err != nil || len(modules) == 0 {
		t.Fatal("Kamailio is missing; install kamailio")
	}
	held, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := held.LocalAddr().String()
	held.Close()
	dir := t.TempDir()
	config := filepath.Join(dir, "kamailio.cfg")
	if err := os.WriteFile(config, fmt.Appendf(nil, `log_stderror=yes
debug=-3
children=1
disable_tcp=yes
auto_aliases=no
listen=udp:%s
mpath="%s"
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "textops.so"
request_route {
	append_to_reply("X-Read: $rm\t$rU\t$fU\t$(ai{uri.user})\t$ci\t$cl\r\n");
	sl_send_reply("200", "Read");
}
`, address, modules[0]), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "kamailio", "-f", config, "-DD", "-m", "16", "-M", "4", "-Y", dir)
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Signal(os.Interrupt) // it may have ended
		_ = cmd.Wait()
	}()
	conn, err := net.Dial("udp4", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	b := make([]byte, 65535)
	// ask sends a message, and behind it one that is answered in any case.
	probe := "INVITE sip:probe@x SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK-probe;rport\r\nFrom: <sip:probe@x>;tag=1\r\nTo: <sip:probe@x>\r\nCall-ID: probe-%d\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n"
	ask := func(i int, raw string, within time.Duration) (r reading, ok bool) {
		for _, m := range []string{raw, fmt.Sprintf(probe, i)} {
			if m == "" {
				continue
			}
			if _, err := conn.Write([]byte(m)); err != nil {
				return r, false
			}
		}
		if err := conn.SetReadDeadline(time.Now().Add(within)); err != nil {
			t.Fatal(err)
		}
		for {
			n, err := conn.Read(b)
			if err != nil {
				return r, false
			}
			_, line, found := strings.Cut(string(b[:n]), "X-Read: ")
			line, _, _ = strings.Cut(line, "\r\n")
			cells := strings.Split(line, "\t")
			switch {
			case found && strings.Contains(line, fmt.Sprintf("probe-%d\t", i)):
				return r, true
			case found && len(cells) == 6 && !strings.Contains(line, "\tprobe-"):
				r = reading{cells[0], null(cells[1]), null(cells[2]), null(cells[3]), cells[4], null(cells[5])}
			}
		}
	}
	for i := range 100 {
		if _, ok := ask(-1-i, "", 200*time.Millisecond); ok {
			break
		}
		if i == 99 {
			t.Fatalf("Kamailio does not answer:\n%s", log.String())
		}
		time.Sleep(20 * time.Millisecond)
	}
	readings := make([]reading, len(all))
	for i, p := range all {
		// Its answer is to come here: rport in place of the address that was added.
		raw := strings.Replace(p.out, ";branch=", ";rport;branch=", 1)
		r, ok := ask(i, raw, 5*time.Second)
		if !ok {
			t.Fatalf("Kamailio answers no more after\n%q\n%s", raw, log.String())
		}
		readings[i] = r
	}
	return readings
}

func null(s string) string {
	if s == "<null>" {
		return ""
	}
	return s
}

// tsharkReads writes the messages into a capture and lets tshark read it.
func tsharkReads(t *testing.T, all []passed) []reading {
	// Raw IPv4 (LINKTYPE_RAW, 101), a UDP datagram each.
	file := binary.LittleEndian.AppendUint32(nil, 0xa1b2c3d4)
	file = append(file, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 101, 0, 0, 0)
	for i, p := range all {
		n := 28 + len(p.out)
		for _, v := range []int{i, 0, n, n} {
			file = binary.LittleEndian.AppendUint32(file, uint32(v))
		}
		file = append(file, 0x45, 0, byte(n>>8), byte(n), 0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 203, 0, 113, 1)
		file = append(file, 5060>>8, 5060&0xff, 5060>>8, 5060&0xff, byte((n-20)>>8), byte((n-20)&0xff), 0, 0)
		file = append(file, p.out...)
	}
	capture := filepath.Join(t.TempDir(), "passed.pcap")
	if err := os.WriteFile(capture, file, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	// The record separator can't stand in a field that tshark prints.
	cmd := exec.CommandContext(ctx, "tshark", "-r", capture, "-T", "fields", "-E", "separator=/t", "-E", "occurrence=a", "-E", "aggregator=|",
		"-e", "sip.Method", "-e", "sip.r-uri.user", "-e", "sip.from.user", "-e", "sip.pai.user", "-e", "sip.Call-ID", "-e", "sip.Content-Length")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("tshark: %v\n%s", err, stderr.String())
	}
	lines := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	if len(lines) != len(all) {
		t.Fatalf("tshark reads %d messages, of %d", len(lines), len(all))
	}
	readings := make([]reading, len(all))
	for i, line := range lines {
		cells := strings.Split(line, "\t")
		if len(cells) != 6 {
			t.Fatalf("tshark prints %q", line)
		}
		readings[i] = reading{cells[0], cells[1], cells[2], cells[3], cells[4], cells[5]}
	}
	return readings
}
