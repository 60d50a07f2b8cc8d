package main

import (
	"strings"
	"testing"
	"time"
)

// TestRedialsAreCounted: with redial.collapse, three refused calls make one
// decision, whose id all of them are answered with, and a count.
func TestRedialsAreCounted(t *testing.T) {
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
