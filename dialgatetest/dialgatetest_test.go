package dialgatetest_test

import (
	"bytes"
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
