package store

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"dialgate/policy"
)

func consentOf(id string, n policy.Number, batch string) policy.Fact {
	return policy.Fact{ID: id, Kind: policy.Consent, Number: n, Advertiser: "a", At: noon.AddDate(0, -1, 0), Batch: batch,
		Purposes: []policy.Purpose{policy.Commercial}, Products: []string{"x"}, Channels: []policy.CallMode{policy.Live}}
}

func inForce(t testing.TB, s *Store, n policy.Number) (ids []string) {
	t.Helper()
	var f policy.Facts
	if err := s.Facts(n, &f); err != nil {
		t.Fatal(err)
	}
	for _, x := range f.InForce().All {
		ids = append(ids, x.ID)
	}
	return ids
}

// TestAnUndoneBatch: its facts count no more, but stand where they stood; what
// protects stays unless it is lifted; and all of it is so after a rebuild.
func TestAnUndoneBatch(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, nil)
	ours := objection("o1", bob, noon)
	ours.Batch = "list.csv"
	add(t, s, consentOf("c1", alice, "list.csv"), consentOf("c2", alice, "other.csv"), ours, consentOf("c3", bob, ""))

	dry, err := s.Undo(t.Context(), "list.csv", UndoOptions{DryRun: true, Lift: true, Ground: "wrong"})
	if err != nil || dry.Undone["consent"] != 1 || dry.Undone["objection"] != 1 || dry.Numbers != 2 || dry.Freed != 1 {
		t.Errorf("%+v, %v", dry, err)
	}
	if got := inForce(t, s, alice); !slices.Equal(got, []string{"c1", "c2"}) {
		t.Errorf("a dry run left %v", got)
	}
	before := time.Now()
	u, err := s.Undo(t.Context(), "list.csv", UndoOptions{})
	if err != nil || u.Undone["consent"] != 1 || u.Stay["objection"] != 1 || u.Freed != 0 || !u.Known() {
		t.Errorf("%+v, %v", u, err)
	}
	u, err = s.Undo(t.Context(), "list.csv", UndoOptions{})
	if err != nil || len(u.Undone) != 0 || u.Before["consent"] != 1 || u.Stay["objection"] != 1 {
		t.Errorf("the second time: %+v, %v", u, err)
	}
	if _, err := s.Undo(t.Context(), "list.csv", UndoOptions{Lift: true}); err == nil {
		t.Error("an objection was lifted without a ground")
	}
	check := func(s *Store, bobs ...string) {
		t.Helper()
		if got := inForce(t, s, alice); !slices.Equal(got, []string{"c2"}) {
			t.Errorf("of alice count %v", got)
		}
		if got := inForce(t, s, bob); !slices.Equal(got, bobs) {
			t.Errorf("of bob count %v, want %v", got, bobs)
		}
	}
	for _, ground := range []string{strings.Repeat("x", 1001), "a\nb", "\xff"} {
		if _, err := s.Undo(t.Context(), "list.csv", UndoOptions{Lift: true, Ground: ground}); err == nil {
			t.Errorf("the ground %.9q was taken", ground)
		}
	}
	check(s, "c3", "o1")
	u, err = s.Undo(t.Context(), "list.csv", UndoOptions{Lift: true, Ground: "typed by mistake"})
	if err != nil || u.Undone["objection"] != 1 || u.Freed != 1 {
		t.Errorf("%+v, %v", u, err)
	}
	check(s, "c3")

	// History tells it, and what was known before.
	f, err := s.History(alice)
	if err != nil || len(f.All) != 3 || f.UndoneBy(&f.All[0]) == nil {
		t.Errorf("%+v, %v", f.All, err)
	}
	then := f.KnownAt(before)
	if len(then.InForce().All) != 2 {
		t.Errorf("known then: %+v", then.All)
	}
	p, text, page := prove(t, s, alice, time.Time{})
	if c := p.View.Consents[0]; c.Undone == nil || c.UndoneBy == 0 || p.View.Consents[1].Undone != nil {
		t.Errorf("%+v", p.View.Consents)
	}
	for _, pack := range [][]byte{text, page} {
		if _, _, err := ReadPack(pack); err != nil {
			t.Error(err)
		}
	}
	if !bytes.Contains(page, []byte("undone on")) {
		t.Error("the page does not tell it")
	}
	u, err = s.Undo(t.Context(), "lost.csv", UndoOptions{})
	if err != nil || u.Known() || !slices.Equal(u.Batches, []string{"list.csv", "other.csv"}) {
		t.Errorf("%+v, %v", u, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, nil)
	check(s, "c3")
	s.Close()
	remove(t, filepath.Join(dir, "state"))
	s = open(t, dir, nil)
	defer s.Close()
	check(s, "c3")
}

// TestWhatWasUndoneAndComesAgain: a mistake does not come back with the next
// run of the import, but whoever objects again is heard, as often as it is lifted.
func TestWhatWasUndoneAndComesAgain(t *testing.T) {
	s := open(t, t.TempDir(), nil)
	defer s.Close()
	o := objection("o1", alice, noon)
	o.Batch = "b"
	add(t, s, consentOf("c1", alice, "b"), o)
	for round := range 3 {
		if _, err := s.Undo(t.Context(), "b", UndoOptions{Lift: true, Ground: "g"}); err != nil {
			t.Fatal(err)
		}
		if got := inForce(t, s, alice); len(got) != 0 {
			t.Fatalf("round %d: %v count", round, got)
		}
		r := add(t, s, consentOf("c1", alice, "b"), o)
		if r[0].Err == nil || !strings.Contains(r[0].Err.Error(), "was undone") || r[1].Err != nil || r[1].Known || r[1].ID == "o1" {
			t.Fatalf("%+v", r)
		}
		if got := inForce(t, s, alice); !slices.Equal(got, []string{r[1].ID}) {
			t.Fatalf("round %d: %v count", round, got)
		}
		if again := add(t, s, o); !again[0].Known || again[0].ID != r[1].ID {
			t.Fatalf("the same once more: %+v", again)
		}
	}
}

// TestErasureKeepsNoLiftedObjection: and a number's undos go with it.
func TestErasureKeepsNoLiftedObjection(t *testing.T) {
	s := open(t, t.TempDir(), nil)
	defer s.Close()
	o := objection("o1", alice, noon)
	o.Batch = "b"
	add(t, s, o, objection("o2", alice, noon.Add(time.Hour)))
	if _, err := s.Undo(t.Context(), "b", UndoOptions{Lift: true, Ground: "g"}); err != nil {
		t.Fatal(err)
	}
	e, err := s.Erase(alice, "asked")
	if err != nil || e.Facts != 3 || e.Kept != 1 {
		t.Errorf("%+v, %v", e, err)
	}
	if got := inForce(t, s, alice); len(got) != 1 || !strings.HasPrefix(got[0], "kept-") {
		t.Errorf("%v count", got)
	}
}

// TestUndoModel holds undos against a plain list of facts: random imports,
// undos, objections given again and reopenings. Each run has numbers and
// batches of its own in one store.
func TestUndoModel(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, nil)
	run := uint64(0)
	rapid.Check(t, func(rt *rapid.T) {
		run++
		carol, _ := policy.NumberOfKey(31_610_000_000 + 2*run)
		dave, _ := policy.NumberOfKey(31_610_000_001 + 2*run)
		numbers, batches := []policy.Number{carol, dave}, []string{fmt.Sprint("x", run), fmt.Sprint("y", run)}
		type key struct {
			number policy.Number
			id     string
		}
		type fact struct {
			batch    string
			protects bool
			void     bool
		}
		model := map[key]*fact{}
		again := map[key]key{} // where an objection that was lifted stands now
		for step := range rapid.IntRange(1, 14).Draw(rt, "steps") {
			switch rapid.IntRange(0, 40).Draw(rt, "what") {
			case 0:
				if err := s.Close(); err != nil {
					rt.Fatal(err)
				}
				var err error
				if s, err = Open(testOptions(dir, nil)); err != nil {
					rt.Fatal(err)
				}
			case 1, 2, 3, 4, 5, 6, 7, 8, 9, 10:
				batch, lift := rapid.SampledFrom(batches).Draw(rt, "batch"), rapid.Bool().Draw(rt, "lift")
				u, err := s.Undo(context.Background(), batch, UndoOptions{Lift: lift, Ground: "g"})
				if err != nil {
					rt.Fatal(err)
				}
				undone := 0
				for _, f := range model {
					if f.batch == batch && !f.void && (lift || !f.protects) {
						f.void = true
						undone++
					}
				}
				if got := u.Undone["consent"] + u.Undone["objection"]; got != undone {
					rt.Fatalf("step %d: %d undone, want %d", step, got, undone)
				}
			default:
				n := rapid.SampledFrom(numbers).Draw(rt, "number")
				id, batch := fmt.Sprint(rapid.IntRange(0, 5).Draw(rt, "id")), rapid.SampledFrom(batches).Draw(rt, "batch")
				f := consentOf("c"+id, n, batch)
				if rapid.Bool().Draw(rt, "objection") {
					f = objection("o"+id, n, noon)
					f.Batch = batch
				}
				r, err := s.Add(context.Background(), f)
				if err != nil {
					rt.Fatal(err)
				}
				k := key{n, f.ID}
				for model[k] != nil && model[k].void && f.Protects() {
					next, ok := again[k]
					if !ok {
						next = key{n, r[0].ID}
						again[k] = next
					}
					k = next
				}
				have := model[k]
				switch {
				case have == nil:
					if r[0].Err != nil || r[0].Known || r[0].ID != k.id {
						rt.Fatalf("step %d, %s is new: %+v", step, k.id, r[0])
					}
					model[k] = &fact{batch: batch, protects: f.Protects()}
				case have.void:
					if r[0].Err == nil {
						rt.Fatalf("step %d: what was undone was taken in again", step)
					}
				case r[0].Err != nil || !r[0].Known:
					rt.Fatalf("step %d, %s is known: %+v", step, k.id, r[0])
				}
			}
			for _, n := range numbers {
				var facts policy.Facts
				if err := s.Facts(n, &facts); err != nil {
					rt.Fatal(err)
				}
				var want []string
				for k, f := range model {
					if k.number == n && !f.void {
						want = append(want, k.id)
					}
				}
				var got []string
				for _, x := range facts.InForce().All {
					got = append(got, x.ID)
				}
				slices.Sort(got)
				slices.Sort(want)
				if !slices.Equal(got, want) {
					rt.Fatalf("step %d: %v count, want %v", step, got, want)
				}
			}
		}
	})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	remove(t, filepath.Join(dir, "state"))
	s = open(t, dir, nil) // the ledger alone can be read
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestValuesOfEarlierVersions are still read.
func TestValuesOfEarlierVersions(t *testing.T) {
	f := objection("o", alice, noon)
	value := appendValue(nil, []policy.Fact{f}, []policy.EarlierCall{{At: noon, Advertiser: "a", Allowed: true}})
	value[0] = 2 // which had no batch and no undo
	var got policy.Facts
	if err := readValue(value, alice, &got); err != nil || len(got.All) != 1 || got.All[0].ID != "o" || len(got.Calls) != 1 {
		t.Errorf("%+v, %v", got, err)
	}
	value[0] = valueVersion + 1
	if err := readValue(value, alice, &got); err == nil {
		t.Error("a value of a later version was read")
	}
}

// TestTheCopiesOfRegisters: the newest one counts, as of then what was loaded
// by then; it outlives a restart, a rebuild and the removal of old records.
func TestTheCopiesOfRegisters(t *testing.T) {
	dir := t.TempDir()
	now := noon
	o := testOptions(dir, nil)
	o.Now = func() time.Time { return now }
	o.Ledger.SegmentSize = 4096
	reopen := func() *Store {
		s, err := Open(o)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := reopen()
	day := func(d int) time.Time { return noon.AddDate(0, 0, d) }
	asOf := func(at time.Time) string {
		t.Helper()
		var f policy.Facts
		if err := s.Facts(alice, &f); err != nil {
			t.Fatal(err)
		}
		known, err := s.History(alice)
		if err != nil {
			t.Fatal(err)
		}
		if a, b := text(t, f.AsOf), text(t, known.AsOf); a != b {
			t.Errorf("a call sees %s, a command %s", a, b)
		}
		if !at.IsZero() {
			known = known.KnownAt(at)
		}
		return text(t, known.AsOf)
	}
	if got := asOf(time.Time{}); got != "null" {
		t.Errorf("of an empty store: %s", got)
	}
	load := func(c RegisterLoaded) {
		t.Helper()
		if err := s.LoadRegister(c); err != nil {
			t.Fatal(err)
		}
	}
	load(RegisterLoaded{Register: "r", AsOf: day(-10), Batch: "first", Entries: 3})
	now = day(1)
	load(RegisterLoaded{Register: "r", AsOf: day(0), Batch: "second"})
	load(RegisterLoaded{Register: "r", AsOf: day(-20), Batch: "older"})
	newest, first := text(t, map[string]time.Time{"r": day(0)}), text(t, map[string]time.Time{"r": day(-10)})
	if err := s.LoadRegister(RegisterLoaded{Register: "r", AsOf: day(2)}); err == nil {
		t.Error("a copy of tomorrow was taken")
	}
	check := func(when string) {
		t.Helper()
		if got := asOf(time.Time{}); got != newest {
			t.Errorf("%s: %s, want %s", when, got, newest)
		}
		if got := asOf(noon); got != first {
			t.Errorf("%s, as known at noon: %s, want %s", when, got, first)
		}
		if got := asOf(noon.Add(-1)); got != "{}" {
			t.Errorf("%s, as known before: %s", when, got)
		}
	}
	check("at once")
	s.Close()
	s = reopen()
	check("after a restart")
	for i := range 100 {
		add(t, s, objection(fmt.Sprint("o", i), bob, noon))
	}
	now = day(100)
	if n, err := s.Retain(t.Context(), day(50)); err != nil || n == 0 {
		t.Fatalf("%d records were removed, %v", n, err)
	}
	check("after the removal of old records")
	s.Close()
	remove(t, filepath.Join(dir, "state"))
	s = reopen()
	check("after a rebuild")

	// Undone with its batch: the copy before it counts again.
	if u, err := s.Undo(t.Context(), "second", UndoOptions{}); err != nil || u.Stay["copy of register r"] != 1 {
		t.Errorf("%+v, %v", u, err)
	}
	check("after an undo that lifts nothing")
	now = day(-1) // the clock was set back: the undo is the later record all the same
	u, err := s.Undo(t.Context(), "second", UndoOptions{Lift: true, Ground: "the wrong file"})
	if err != nil || !slices.Equal(u.Registers, []string{"r"}) {
		t.Errorf("%+v, %v", u, err)
	}
	s.Close()
	s = reopen()
	defer s.Close()
	if got := asOf(time.Time{}); got != first {
		t.Errorf("after the undo: %s, want %s", got, first)
	}
	if u, err = s.Undo(t.Context(), "second", UndoOptions{Lift: true, Ground: "again"}); err != nil || len(u.Registers) != 0 {
		t.Errorf("the second time: %+v, %v", u, err)
	}
}

func text(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestCopiesAreBounded: the oldest of a register are forgotten.
func TestCopiesAreBounded(t *testing.T) {
	var r *Registers
	for i := range maxCopies + 10 {
		at := noon.Add(time.Duration(i) * time.Hour)
		r = r.with(RegisterLoaded{Register: "r", AsOf: at, RecordedAt: at})
	}
	r = r.with(RegisterLoaded{Register: "s", AsOf: noon, RecordedAt: noon})
	if got := len(r.Loaded()); got != maxCopies+1 || !r.AsOf()["r"].Equal(noon.Add((maxCopies+9)*time.Hour)) {
		t.Errorf("%d copies, %v", got, r.AsOf())
	}
}

// TestOneImportOfSeveral: of a name that was imported more than once nothing is
// undone before it is said which import is meant, and then that one alone.
func TestOneImportOfSeveral(t *testing.T) {
	now := noon
	o := testOptions(t.TempDir(), nil)
	o.Now = func() time.Time { return now }
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	add(t, s, consentOf("c1", alice, "leads.csv"))
	now = noon.Add(runGap * time.Minute) // the same import, if a slow one
	add(t, s, consentOf("c2", bob, "leads.csv"))
	now = noon.AddDate(0, 0, 1)
	june := now
	add(t, s, consentOf("c1", alice, "leads.csv"), consentOf("c3", alice, "leads.csv"))

	u, err := s.Undo(t.Context(), "leads.csv", UndoOptions{})
	if err != nil || !u.Several || !u.Known() || len(u.Undone)+len(u.Stay) != 0 || len(u.Runs) != 2 {
		t.Fatalf("%+v, %v", u, err)
	}
	if first := u.Runs[1]; first.Facts != 2 || !first.From.Equal(noon) || !first.To.Equal(noon.Add(6*time.Minute-1)) {
		t.Errorf("%+v", first)
	}
	if second := u.Runs[0]; second.Facts != 1 || !second.From.Equal(june) {
		t.Errorf("%+v", second)
	}
	if got := inForce(t, s, alice); !slices.Equal(got, []string{"c1", "c3"}) {
		t.Errorf("of alice count %v", got)
	}
	dry, err := s.Undo(t.Context(), "leads.csv", UndoOptions{DryRun: true})
	if err != nil || dry.Undone["consent"] != 3 || dry.Several || len(dry.Runs) != 2 {
		t.Errorf("%+v, %v", dry, err)
	}
	now = june.Add(time.Hour)
	u, err = s.Undo(t.Context(), "leads.csv", UndoOptions{From: june, To: june})
	if err != nil || u.Undone["consent"] != 1 || u.Numbers != 1 || len(u.Runs) != 2 {
		t.Errorf("%+v, %v", u, err)
	}
	if got := inForce(t, s, alice); !slices.Equal(got, []string{"c1"}) {
		t.Errorf("of alice count %v", got)
	}
	u, err = s.Undo(t.Context(), "leads.csv", UndoOptions{From: june.AddDate(0, 0, 1)})
	if err != nil || !u.Known() || len(u.Undone)+len(u.Before) != 0 {
		t.Errorf("%+v, %v", u, err)
	}
	u, err = s.Undo(t.Context(), "leads.csv", UndoOptions{All: true})
	if err != nil || u.Undone["consent"] != 2 || u.Before["consent"] != 1 {
		t.Errorf("%+v, %v", u, err)
	}

	// A register's copy is of its own import; entries that are lifted are missing
	// from every copy of the name, so none of them counts.
	for i := range 3 {
		now = noon.AddDate(0, 1, i)
		if err := s.LoadRegister(RegisterLoaded{Register: "r", AsOf: now, Batch: "r.csv"}); err != nil {
			t.Fatal(err)
		}
	}
	lift := UndoOptions{Lift: true, Ground: "g", From: now.Add(1)}
	if u, err = s.Undo(t.Context(), "r.csv", lift); err != nil || len(u.Registers) != 0 || len(u.Runs) != 3 {
		t.Errorf("%+v, %v", u, err)
	}
	lift.From, lift.To = noon.AddDate(0, 1, 1), noon.AddDate(0, 1, 1)
	if u, err = s.Undo(t.Context(), "r.csv", lift); err != nil || !slices.Equal(u.Registers, []string{"r"}) {
		t.Errorf("%+v, %v", u, err)
	}
}
