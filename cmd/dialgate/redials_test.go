package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dialgate/store"
)

// TestRedialsAreCounted: with redial.collapse, three refused calls make one
// decision, whose id all of them are answered with, and a count.
func TestRedialsAreCounted(t *testing.T) {
	t.Parallel()
	w := newWire(t, agreeConfig+"redial: {window: 5m, collapse: true}\n")
	h := hypothetical{from: "+31205550100", to: "+31612345678"}
	var ids []string
	for i, id := range []string{"one", "two", "three"} {
		h.callID = id
		got := w.call(h, i+1, workday.Add(time.Duration(i)*time.Second))
		if got.code != 403 || got.passed {
			t.Fatalf("%s: %+v", id, got)
		}
		ids = append(ids, strings.TrimSuffix(header(got.answer, "Warning"), `"`))
	}
	if ids[0] != ids[1] || ids[0] != ids[2] || !strings.Contains(ids[0], "id=") {
		t.Errorf("answered with %q", ids)
	}
	id := ids[0][strings.Index(ids[0], "id=")+3:]
	if !counted(w, `dialgate_caller_rotations_total{peer="dialer"}`) { // the same call under another campaign's number
		h.from, h.callID = "+31205550101", "four"
		w.call(h, 4, workday.Add(3*time.Second))
	}
	if !counted(w, `dialgate_caller_rotations_total{peer="dialer"}`) {
		t.Error("the other caller number was not noticed")
	}
	w.restart() // closes the windows
	if list := w.command(exitOK, "audit", "list", "-c", w.config); strings.Count(list, " deny ") != 2 || !strings.Contains(list, id) {
		t.Errorf("audit list: %s", list)
	}
	repeats := w.command(exitOK, "audit", "repeats", "-c", w.config)
	if lines := strings.Split(strings.TrimSpace(repeats), "\n"); len(lines) != 2 || !strings.Contains(lines[0], "     1 times") || !strings.Contains(lines[1], "     2 times") || strings.Count(repeats, id) != 2 {
		t.Errorf("audit repeats: %s", repeats)
	}
}

// TestACrashLosesOnlyTheCount: what is on disk while the node runs has the
// refusal, and its repeats as far as they were told.
func TestACrashLosesOnlyTheCount(t *testing.T) {
	t.Parallel()
	durable := strings.Replace(agreeConfig, "ledger: {mode: memory,", "ledger: {mode: durable,", 1)
	w := newWire(t, durable+"redial: {window: 5m, collapse: true}\n")
	h := hypothetical{from: "+31205550100", to: "+31612345678"}
	for i := range 14 {
		h.callID = fmt.Sprint("call-", i)
		w.call(h, 1, workday.Add(time.Duration(i)*time.Second))
	}
	found := 0
	for try := 0; try < 100 && found != 10; try++ { // the count is nobody's to wait for
		found = crashed(t, w, h.to)
	}
	if found != 10 {
		t.Errorf("13 calls were repeats, %d are on disk; want 10", found)
	}
}

// crashed opens a copy of the node's directory as it is on disk, and returns
// how many repeats of the only refusal it has.
func crashed(t *testing.T, w *wire, to string) (repeats int) {
	dir := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(filepath.Join(dir, "ledger"), os.DirFS(filepath.Join(w.node.world.cfg.Store.Path, "ledger"))); err != nil {
		t.Fatal(err)
	}
	o := storeOptions(w.node.world.cfg)
	o.Dir = dir
	s, err := store.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	denied := ""
	for d, err := range s.Decisions(1) {
		if err != nil || d.To != to || d.Verdict != "deny" || denied != "" {
			t.Fatalf("%+v, %v", d, err)
		}
		denied = d.ID
	}
	for r, err := range s.Repeats(1) {
		if err != nil || r.ID != denied {
			t.Fatalf("%+v, %v", r, err)
		}
		repeats = r.Count
	}
	return repeats
}
