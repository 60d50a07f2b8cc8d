package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"dialgate/policy"
	"dialgate/sipproxy/message"
	"dialgate/trace"
)

// pseudonymous runs the command and gives the path of what it wrote.
func pseudonymous(t *testing.T, status int, args ...string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "out.pcap")
	var stdout, stderr bytes.Buffer
	if got := run(append(append([]string{"trace", "pseudonymise"}, args...), out), streams{strings.NewReader(""), &stdout, &stderr}); got != status {
		t.Fatalf("pseudonymise %v: status %d, want %d\n%s%s", args, got, status, &stdout, &stderr)
	}
	return out
}

// numbersOf are the numbers that the calls of a trace show.
func numbersOf(t *testing.T, w *world, file string) (found []policy.Number) {
	t.Helper()
	for m, err := range trace.Open(file, trace.Options{}) {
		var v message.View
		if err != nil || v.Parse(m.Bytes) != nil || !v.IsMethod("INVITE") {
			continue
		}
		var a policy.Attempt
		w.read(&v, nil, w.domain.Peers[0].Terms, &a)
		for _, n := range []policy.Number{a.Called.Number, a.Caller.Shown} {
			if !n.IsZero() && w.domain.Directory.Caller(n) == nil {
				found = append(found, n)
			}
		}
	}
	return found
}

// samePseudonymous holds one trace to what is promised: it is judged as
// before, and no number of it is left.
func samePseudonymous(t *testing.T, w *world, file string, at ...string) {
	t.Helper()
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte("the same in every run"), 0o600); err != nil {
		t.Fatal(err)
	}
	out := pseudonymous(t, exitOK, "--key", key, file)
	args := append([]string{"--peer", "dialer"}, at...)
	calls := func(name string) []string {
		return slices.DeleteFunc(replayAny(t, append(args, name)...), func(s string) bool { return strings.Contains(s, "not whole") })
	}
	if before, after := calls(file), calls(out); !slices.Equal(before, after) {
		t.Errorf("%s:\nbefore %q\nafter  %q", file, before, after)
	}
	data, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range numbersOf(t, w, file) {
		// The country and class stay; the subscriber's own digits do not.
		if digits := n.Digits(); bytes.Contains(data, []byte(digits)) || bytes.Contains(data, []byte(digits[len(digits)-6:])) {
			t.Errorf("%s: digits of the number %s are left", file, n)
		}
	}
}

// replayAny is replayOf whatever the exit status.
func replayAny(t *testing.T, args ...string) []string {
	t.Helper()
	var out bytes.Buffer
	status := run(append([]string{"replay", "--format", "json"}, args...), streams{strings.NewReader(""), &out, &out})
	return replayOf(t, status, args...)
}

func TestPseudonymousIsJudgedTheSame(t *testing.T) {
	third, err := filepath.Abs("../../../shared/testdata")
	if err != nil {
		t.Fatal(err)
	}
	w, err := loadWorld("")
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	const anonymous = `"Anonymous" <sip:anonymous@anonymous.invalid>`
	var messages [][]byte
	for _, h := range []hypothetical{
		{from: "+31205550100", to: "+31612345678"},
		{from: "+31205550100", to: "0612345678"},
		{from: "+31205550100", to: "0031612345678", headers: []string{"X-Campaign: example-energy"}},
		{from: "+31201234567", to: "+31881234567", headers: []string{"P-Asserted-Identity: \"Jan Jansen 020-1234567\" <sip:0201234567@192.0.2.9>", "Privacy: none"}},
		{fromHeader: anonymous, to: "+31612345678", headers: []string{"P-Asserted-Identity: <tel:+31-20-123-4567>"}},
		{from: "+3190012345", to: "112"},
		{from: "Unknown", to: "*31*0612345678"},
		{from: "266696687", to: "14020"},
		{from: "+31205550100", ruri: "sip:%2B31612345678@gate.invalid", to: "+31612345678"},
		{from: "+31205550100", to: "+31612345678", headers: []string{"Call-ID: twice"}},
		{from: "+31205550100", to: "+31612345678", headers: []string{"Content-Type: application/sdp"}},
	} {
		messages = append(messages, h.invite())
	}
	for i, b := range messages { // each a call of its own
		messages[i] = bytes.Replace(b, []byte("hypothetical@"), []byte{'a' + byte(i), '@'}, 1)
	}
	samePseudonymous(t, w, capture(t, "192.0.2.7:5070", messages...))
	files, err := trace.Files(filepath.Join(third, "pcap"), filepath.Join(third, "texttrace"))
	if err != nil {
		t.Log("the third-party traces are not there")
	}
	for _, file := range files {
		samePseudonymous(t, w, file, "--at", "2026-11-23T14:00:00+01:00")
	}
}

// TestPseudonymsAreConsistent: a number has one pseudonym in all its forms, and
// another under another key.
func TestPseudonymsAreConsistent(t *testing.T) {
	w, err := loadWorld("")
	if err != nil {
		t.Fatal(err)
	}
	p := pseudonymiser{world: w, key: []byte("sixteen octets..")}
	want := string(p.number([]byte("31612345678"), true))
	for _, form := range []string{"0612345678", "0031612345678"} {
		if got := string(p.number([]byte(form), false)); got[len(got)-6:] != want[len(want)-6:] || got[:len(got)-6] != form[:len(form)-6] {
			t.Errorf("%s becomes %s, +31612345678 becomes +%s", form, got, want)
		}
	}
	if other := (&pseudonymiser{world: w, key: []byte("another key.....")}); string(other.number([]byte("31612345678"), true)) == want {
		t.Error("two keys give one pseudonym")
	}
	seen := map[string]bool{}
	for i := range 2000 {
		digits := []byte("31612340000")
		for j, n := len(digits)-1, i; n > 0; j, n = j-1, n/10 {
			digits[j] += byte(n % 10)
		}
		got := string(p.number(digits, true))
		if seen[got] || len(got) != len(digits) {
			t.Fatalf("%s becomes %s, as another did", digits, got)
		}
		seen[got] = true
	}
	for text, kept := range map[string]string{
		"<sip:bob@192.0.2.44:5060;transport=udp>;tag=abc": "<sip:|@|:5060;transport=udp>;tag=",
		"\"Anonymous\" <sip:anonymous@anonymous.invalid>": "\"Anonymous\" <sip:anonymous@anonymous.invalid>",
		"SIP/2.0/UDP [2001:db8::9];branch=z9hG4bKabc":     "SIP/2.0/UDP [2001:|]|;branch=z9hG4bK",
	} {
		got := string(p.words([]byte(text)))
		for part := range strings.SplitSeq(kept, "|") {
			if !strings.Contains(got, part) {
				t.Errorf("%q becomes %q, which lacks %q", text, got, part)
			}
		}
		if strings.Contains(got, "bob") || strings.Contains(got, "192.0.2.44") {
			t.Errorf("%q becomes %q", text, got)
		}
	}
}

func TestPseudonymiseSaysWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	if err := os.WriteFile("key", []byte("short\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	h := hypothetical{from: "+31205550100", to: "+31612345678"}
	file := capture(t, "192.0.2.7:5070", h.invite())
	pseudonymous(t, exitUsage, "--key", "key", file)
	pseudonymous(t, exitUsage, "--key", "none", file)
	pseudonymous(t, exitFailed, "none.pcap")
	if err := os.WriteFile("key", bytes.Repeat([]byte("k"), 16), 0o600); err != nil {
		t.Fatal(err)
	}
	a, err := os.ReadFile(pseudonymous(t, exitOK, "--key", "key", file))
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(pseudonymous(t, exitOK, "--key", "key", file))
	if err != nil || !bytes.Equal(a, b) {
		t.Errorf("one key gives two captures: %v", err)
	}
	var out bytes.Buffer
	if status := run([]string{"trace", "pseudonymise", file, file}, streams{strings.NewReader(""), &out, &out}); status != exitUsage {
		t.Errorf("a file that is there was written over: status %d, %s", status, &out)
	}
}

// FuzzPseudonym: no message makes it fail, and what has no IPv6 address keeps
// its length.
func FuzzPseudonym(f *testing.F) {
	w, err := loadWorld("")
	if err != nil {
		f.Fatal(err)
	}
	p := pseudonymiser{world: w, key: []byte("sixteen octets..")}
	h := hypothetical{from: "+31205550100", to: "%2B31612345678", headers: []string{"P-Asserted-Identity: <tel:+31-20-123-4567;phone-context=+31>", "Contact: <sip:[2001:db8::1]>"}}
	f.Add(h.invite())
	f.Add([]byte("SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 192.0.2.1;received=1.2.3.4;branch=z9hG4bK~1\r\n\r\nv=0\r\nc=IN IP4 192.0.2.1\r\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		out := p.message(raw)
		if !bytes.Contains(raw, []byte(":")) && len(out) != len(raw) {
			t.Fatalf("%d octets become %d", len(raw), len(out))
		}
	})
}
