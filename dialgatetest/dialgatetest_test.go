package dialgatetest_test

import (
	"bytes"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dialgate/dialgatetest"
)

// TestWholeCalls plays calls through the real proxy.
func TestWholeCalls(t *testing.T) {
	gate := dialgatetest.New(t, "dialgate.yaml", config)
	gate.Know(t, consent)
	gate.At(noon)
	line := gate.Connect(t)
	for _, c := range []struct {
		from, to string
		headers  []string
		carried  bool
	}{
		{"+31205550100", "+31612345678", nil, true},
		{"+31205550100", "+31612345679", nil, false},
		{"+31205550100", "+31612345678", []string{"Privacy: id"}, false},
		{"+31205550100", "112", nil, true},
	} {
		a := line.Call(c.from, c.to, c.headers...)
		if (a.Code == 200) != c.carried || (a.Carried != nil) != c.carried {
			t.Errorf("%s to %s %v: %d, carried: %v\n%s", c.from, c.to, c.headers, a.Code, a.Carried != nil, line.Ladder())
		}
		if c.carried && !bytes.Contains(a.Carried, []byte("INVITE sip:"+c.to)) {
			t.Errorf("the carrier got %q", a.Carried)
		}
	}
	if ladder := line.Ladder(); !strings.Contains(ladder, "INVITE") || !strings.Contains(ladder, "carrier") {
		t.Errorf("the ladder is\n%s", ladder)
	}
}

// TestRegister: without the date of its copy a register refuses, and with it only
// who is listed, as long as the copy is not too old.
func TestRegister(t *testing.T) {
	gate := dialgatetest.New(t, "dialgate.yaml", config+"registers: [{id: nobellen, max_age: 30}]\n")
	gate.Know(t, consent)
	gate.At(noon)
	judge := func() string {
		return gate.Judge(invite("one", "+31612345678"), netip.AddrPort{}).Decision.Reason.String()
	}
	if got := judge(); got != "facts-stale" {
		t.Errorf("without a copy: %s", got)
	}
	gate.Register(t, "nobellen", noon.AddDate(0, 0, -31))
	if got := judge(); got != "facts-stale" {
		t.Errorf("with an old copy: %s", got)
	}
	gate.Register(t, "nobellen", noon.AddDate(0, 0, -1))
	if got := judge(); got != "consent" {
		t.Errorf("with a fresh copy: %s", got)
	}
	gate.Know(t, `{"id":"l1","kind":"listed","number":"+31612345678","list":"nobellen","at":"2026-11-01T12:00:00+01:00"}`)
	if got := judge(); got != "listed" {
		t.Errorf("when listed: %s", got)
	}
}

// TestGolden writes a golden file and finds a difference by it.
func TestGolden(t *testing.T) {
	dir := t.TempDir()
	path, golden := filepath.Join(dir, "calls.pcap"), filepath.Join(dir, "calls.golden")
	if err := record(path, invite("one", "+31612345678"), invite("one", "+31612345678"), invite("two", "+31612345679")); err != nil {
		t.Fatal(err)
	}
	gate := dialgatetest.New(t, "dialgate.yaml", config)
	t.Setenv("DIALGATE_REWRITE", "1")
	dialgatetest.Golden(t, golden, dialgatetest.Lines(gate.Trace(path)))
	t.Setenv("DIALGATE_REWRITE", "")
	dialgatetest.Golden(t, golden, dialgatetest.Lines(gate.Trace(path)))
	text, err := os.ReadFile(golden)
	if err != nil || strings.Count(string(text), "deny no-consent\n") != 2 {
		t.Fatalf("%v: %s", err, text)
	}
	gate.Know(t, consent)
	failed := &recorder{TB: t}
	dialgatetest.Golden(failed, golden, dialgatetest.Lines(gate.Trace(path)))
	if failed.errors != 1 {
		t.Errorf("one line differs, %d were told", failed.errors)
	}
	if lines := dialgatetest.Lines(gate.Trace(filepath.Join(dir, "none"))); !strings.HasPrefix(lines, "could not be read: ") {
		t.Errorf("a missing trace reads as %q", lines)
	}
}

// A recorder counts errors instead of failing.
type recorder struct {
	testing.TB
	errors int
}

func (r *recorder) Helper()               {}
func (r *recorder) Errorf(string, ...any) { r.errors++ }
