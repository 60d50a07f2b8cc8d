package store

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"dialgate/policy"
)

// A testDisk says how much is free on it.
type testDisk struct{ free atomic.Uint64 }

const testFloor = 100 << 20

func openOn(t *testing.T, dir string, disk *testDisk, log *bytes.Buffer) (*Store, error) {
	t.Helper()
	o := testOptions(dir, log)
	o.Floor, o.free = testFloor, func(string) (uint64, error) { return disk.free.Load(), nil }
	return Open(o)
}

// has waits until the store has seen how much is free.
func (d *testDisk) has(t *testing.T, s *Store, free uint64) {
	t.Helper()
	d.free.Store(free)
	for end := time.Now().Add(30 * time.Second); s.DiskFree() != free; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("nobody looks at the disk")
		}
	}
}

// TestAFullDisk: imports stop first, then new facts, then calls; objections and
// withdrawals are taken and bind as long as anything is, and everything goes on
// by itself when there is space again.
func TestAFullDisk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var disk testDisk
	disk.free.Store(1 << 40)
	var log bytes.Buffer
	s, err := openOn(t, dir, &disk, &log)
	if err != nil {
		t.Fatal(err)
	}
	mustCall(t, s, call(alice, "before", 0))
	n := 0
	try := func(what string) error {
		n++
		switch what {
		case "import":
			_, err := s.Import(t.Context(), consent(fmt.Sprint("i", n), alice))
			return err
		case "fact":
			_, err := s.Add(t.Context(), consent(fmt.Sprint("f", n), alice))
			return err
		case "erase":
			_, err := s.Erase(policy.MustNumber("+31612340000"), "asked by letter")
			return err
		case "objection":
			r, err := s.Add(t.Context(), objection(fmt.Sprint("o", n), bob, noon))
			if err == nil && r[0].Err == nil && r[0].Known {
				return errors.New("it was known")
			}
			return errors.Join(err, r[0].Err)
		}
		done := make(chan error, 1)
		s.Append(call(alice, fmt.Sprint("c", n), n), func(err error) bool { done <- err; return true })
		return <-done
	}
	objections := 0
	for _, step := range []struct {
		floors float64
		good   string
	}{
		{4, "import fact erase call objection"},
		{2.9, "fact erase call objection"},
		{1.9, "call objection"},
		{0.9, "objection"},
		{0.1, "objection"},
		{1.05, "objection"}, // an eighth more is wanted before anything goes on
		{1.5, "call objection"},
		{2.5, "fact erase call objection"},
		{4, "import fact erase call objection"},
	} {
		disk.has(t, s, uint64(step.floors*testFloor))
		for _, what := range strings.Fields("import fact erase call objection") {
			err := try(what)
			if good := strings.Contains(step.good, what); good != (err == nil) || err != nil && !errors.Is(err, ErrNoRoom) {
				t.Errorf("with %v floors free, %s: %v", step.floors, what, err)
			}
			if what == "objection" && err == nil {
				objections++
			}
		}
		if ready := s.Ready(); (ready == nil) != strings.Contains(step.good, "call") {
			t.Errorf("with %v floors free: %v", step.floors, ready)
		}
		// What is acknowledged binds, wherever it is looked for.
		var f policy.Facts
		if err := s.Hold(bob, &f); err != nil {
			t.Fatal(err)
		}
		s.Release(bob, nil)
		if got := idsOf(t, s, bob); len(got) != objections || len(f.All) != objections {
			t.Errorf("with %v floors free: %d and %d objections, want %d", step.floors, len(got), len(f.All), objections)
		}
	}
	facts, calls := len(idsOf(t, s, alice)), len(callsTo(t, s, alice))
	disk.has(t, s, 0)
	if err := try("objection"); err != nil {
		t.Fatal(err)
	}
	objections++
	if err := s.Close(); err != nil { // without a word to Badger, which would need room
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), "the projection is left as it is") {
		t.Error(log.String())
	}
	if err := s.state.db.Close(); err != nil { // what the end of the process does
		t.Fatal(err)
	}
	if _, err := openOn(t, dir, &disk, &log); !errors.Is(err, ErrNoRoom) {
		t.Fatalf("opened on a full disk: %v", err)
	}
	disk.free.Store(1 << 40)
	if s, err = openOn(t, dir, &disk, &log); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if a, b, c := len(idsOf(t, s, alice)), len(idsOf(t, s, bob)), len(callsTo(t, s, alice)); a != facts || b != objections || c != calls {
		t.Errorf("after the restart: %d facts, %d objections, %d calls; want %d, %d, %d", a, b, c, facts, objections, calls)
	}
}

// TestCallsWaitOnAFullDisk: what was allowed before the disk was full, and an
// objection after it, are in the projection once there is room.
func TestCallsWaitOnAFullDisk(t *testing.T) {
	dir := t.TempDir()
	var disk testDisk
	disk.free.Store(1 << 40)
	s, err := openOn(t, dir, &disk, &bytes.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
	mustCall(t, s, call(alice, "a", 0))
	disk.has(t, s, 0)
	add(t, s, objection("o", alice, noon))
	if !s.parked.any.Load() {
		t.Error("the projection was written to on a full disk")
	}
	if len(callsTo(t, s, alice)) != 1 || len(idsOf(t, s, alice)) != 1 {
		t.Error("a call or an objection is missing while they wait")
	}
	disk.has(t, s, 1<<40)
	for end := time.Now().Add(30 * time.Second); s.parked.any.Load(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("what waited does not go on")
		}
	}
	var f policy.Facts
	if err := s.state.facts(alice, &f); err != nil || len(f.All) != 1 || len(f.Calls) != 1 {
		t.Errorf("the projection has %+v %v", f, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
