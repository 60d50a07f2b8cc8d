package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dialgate/configs"
	"dialgate/dialgatetest"
	"dialgate/trace"
)

// capture writes INVITEs as a capture, one a second from noon on.
func capture(t testing.TB, source string, messages ...[]byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "calls.pcap")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w, err := trace.NewWriter(f)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, calledZone())
	for i, b := range messages {
		m := trace.Message{Time: at.Add(time.Duration(i) * time.Second), Source: netip.MustParseAddrPort(source),
			Destination: netip.MustParseAddrPort("127.0.0.1:5060"), Transport: trace.UDP, Bytes: b}
		if err := w.Write(&m); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

// replayOf runs a replay and gives verdict and reason of each call, and what
// could not be read.
func replayOf(t *testing.T, status int, args ...string) (out []string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	if got := run(append([]string{"replay", "--format", "json"}, args...), streams{strings.NewReader(""), &stdout, &stderr}); got != status {
		t.Fatalf("replay %v: status %d, want %d: %s", args, got, status, &stderr)
	}
	for dec := json.NewDecoder(&stdout); dec.More(); {
		var r struct{ Verdict, Reason, Unreadable string }
		if err := dec.Decode(&r); err != nil {
			t.Fatal(err)
		}
		if r.Unreadable != "" {
			out = append(out, r.Unreadable)
		} else {
			out = append(out, r.Verdict+" "+r.Reason)
		}
	}
	return out
}

// TestReplayReadsIdentity: what hides or shows a caller on the wire does so in
// a capture.
func TestReplayReadsIdentity(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir) // the default configuration's store is not there
	const number = "+31612345678"
	facts := filepath.Join(dir, "facts.jsonl")
	if err := os.WriteFile(facts, []byte(`{"id":"c1","kind":"consent","number":"`+number+`","advertiser":"example","at":"2026-10-01T12:00:00+02:00","purposes":["commercial"],"products":["energy"],`+
		`"method":"web-form","preticked":false,"bundled":false,"verified_at":"2026-10-01T12:05:00+02:00","verified_by":"sms","evidence":{"person":"p1","sha256":"`+strings.Repeat("ab", 32)+`"}}`+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const anonymous = `"Anonymous" <sip:anonymous@anonymous.invalid>`
	calls := []struct {
		h    hypothetical
		want string
	}{
		{hypothetical{from: "+31205550100"}, "allow consent"},
		{hypothetical{fromHeader: anonymous}, "deny caller-anonymous"}, // RFC 3323 section 4.1.1.3
		{hypothetical{fromHeader: anonymous, headers: []string{"Privacy: id", "P-Asserted-Identity: <sip:+31205550100@dialer.invalid>"}}, "deny caller-anonymous"},
		{hypothetical{from: "+31205550100", headers: []string{"Privacy: id", "P-Asserted-Identity: <sip:+31205550100@dialer.invalid>"}}, "deny caller-anonymous"},
		{hypothetical{from: "+31205550100", headers: []string{"Identity: eyJhbGciOiJFUzI1NiJ9.e30.c2ln;info=<https://cert.invalid/a.pem>;alg=ES256;ppt=shaken"}}, "allow consent"},
		{hypothetical{from: "+31205550199"}, "deny caller-not-registered"},
		{hypothetical{from: "+31205550100", ruri: "sip:112@gate.invalid"}, "allow emergency"},
		{hypothetical{from: "+31205550100", headers: []string{"X-Campaign: a", "X-Campaign: b"}}, "deny malformed"},
	}
	var messages [][]byte
	var want []string
	for i, c := range calls {
		c.h.to, c.h.callID = number, fmt.Sprint("call-", i)
		messages, want = append(messages, c.h.invite()), append(want, c.want)
	}
	file := capture(t, "127.0.0.1:5070", messages...)
	got := replayOf(t, exitOK, "--facts", facts, file)
	for i := range want {
		if i >= len(got) || got[i] != want[i] {
			t.Fatalf("got %q\nwant %q", got, want)
		}
	}
	// What users' own tests say of it is the same.
	gate := dialgatetest.New(t, "dialgate.yaml", string(configs.Default))
	gate.Facts(t, facts)
	i := 0
	for j, err := range gate.Trace(file) {
		if err != nil || j.Decision.Verdict.String()+" "+j.Decision.Reason.String() != want[i] {
			t.Errorf("dialgatetest says %v %v, want %s", j, err, want[i])
		}
		i++
	}
	if got := replayOf(t, exitOK, "--facts", facts, capture(t, "198.51.100.1:5070", messages[0])); got[0] != "deny peer-unknown" {
		t.Errorf("a stranger's call: %q", got)
	}
	if got := replayOf(t, exitOK, "--facts", facts, capture(t, "127.0.0.1:5080", messages[0])); got[0] != errCarrier.Error() {
		t.Errorf("a carrier's call: %q", got)
	}
}

// TestReplayUsesTheStore: without a file the facts are those of the
// configuration's store.
func TestReplayUsesTheStore(t *testing.T) {
	t.Chdir(t.TempDir())
	h := hypothetical{from: "+31205550100", to: "+31612345678"}
	file := capture(t, "127.0.0.1:5070", h.invite())
	if got := replayOf(t, exitOK, file); got[0] != "deny no-consent" {
		t.Errorf("without a store: %q", got)
	}
	var out bytes.Buffer
	add := []string{"facts", "add", "kind=objection", "number=0612345678", "advertiser=*", "via=letter", "at=2026-11-01T12:00:00+01:00"}
	if status := run(add, streams{strings.NewReader(""), &out, &out}); status != exitOK {
		t.Fatalf("status %d: %s", status, &out)
	}
	if got := replayOf(t, exitOK, file); got[0] != "deny objected" {
		t.Errorf("with an objection in the store: %q", got)
	}
}

// TestReplayCountsItsOwnCalls: a call that the replay allowed is an earlier
// call for those after it, as in a running node.
func TestReplayCountsItsOwnCalls(t *testing.T) {
	t.Chdir(t.TempDir())
	config := strings.Replace(string(configs.Default), "rules: {}", "rules: {nl.basis: shadow, nl.attempts: {mode: enforce, max: 3, days: 1}}", 1)
	if err := os.WriteFile("three.yaml", []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	var messages [][]byte
	for i := range 5 {
		h := hypothetical{from: "+31205550100", to: "+31612345678", callID: fmt.Sprint(i)}
		messages = append(messages, h.invite())
	}
	got := strings.Join(replayOf(t, exitOK, "-c", "three.yaml", capture(t, "127.0.0.1:5070", messages...)), ", ")
	const want = "allow not-enforced, allow not-enforced, allow not-enforced, deny attempts-exceeded, deny attempts-exceeded"
	if got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

// BenchmarkReplay judges the calls of a capture and prints them as JSON.
func BenchmarkReplay(b *testing.B) {
	var messages [][]byte
	for i := range 10000 {
		h := hypothetical{from: "+31205550100", to: fmt.Sprintf("+316%08d", i), callID: fmt.Sprint("call-", i)}
		messages = append(messages, h.invite())
	}
	file := capture(b, "127.0.0.1:5070", messages...)
	b.Chdir(b.TempDir())
	b.ReportAllocs()
	for b.Loop() {
		if status := run([]string{"replay", "--format", "json", file}, streams{strings.NewReader(""), io.Discard, io.Discard}); status != exitOK {
			b.Fatalf("status %d", status)
		}
	}
	b.ReportMetric(float64(10000*b.N)/b.Elapsed().Seconds(), "calls/s")
}

// TestReplayWithACarrierByName: what DNS says of it is not asked.
func TestReplayWithACarrierByName(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir) // the default configuration's store is not there
	named := strings.Replace(string(configs.Default), "targets: [127.0.0.1:5080]", "targets: [127.0.0.1:5080, sip.carrier.invalid]", 1)
	if err := os.WriteFile("named.yaml", []byte(named), 0o600); err != nil {
		t.Fatal(err)
	}
	call := hypothetical{from: "+31205550100", to: "+31612345678", callID: "a"}
	if got := replayOf(t, exitOK, "-c", "named.yaml", capture(t, "127.0.0.1:5070", call.invite())); len(got) != 1 || got[0] != "deny no-consent" {
		t.Errorf("%q", got)
	}
}
