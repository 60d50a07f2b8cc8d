package store

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"dialgate/policy"
	"dialgate/store/ledger"
)

var (
	alice = policy.MustNumber("+31612345601")
	bob   = policy.MustNumber("+31612345602")
	noon  = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
)

func open(t testing.TB, dir string, log *bytes.Buffer) *Store {
	t.Helper()
	s, err := Open(testOptions(dir, log))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// testOptions are those of most tests: nothing is synced, since a process that
// is killed loses nothing without either. TestPowerLoss has a disk of its own.
func testOptions(dir string, log *bytes.Buffer) Options {
	o := Options{Dir: dir, Node: "test", Memory: 64 << 20, Ledger: ledger.Options{SegmentSize: 1 << 20, Linger: time.Microsecond, Sync: func(*os.File) error { return nil }}}
	if log != nil {
		o.Log = slog.New(slog.NewTextHandler(log, nil))
	}
	return o
}

func objection(id string, n policy.Number, at time.Time) policy.Fact {
	return policy.Fact{ID: id, Kind: policy.Objection, Number: n, Advertiser: "*", At: at}
}

func add(t testing.TB, s *Store, facts ...policy.Fact) []Result {
	t.Helper()
	results, err := s.Add(context.Background(), facts...)
	if err != nil {
		t.Fatal(err)
	}
	return results
}

func idsOf(t testing.TB, s *Store, n policy.Number) []string {
	t.Helper()
	var f policy.Facts
	if err := s.Facts(n, &f); err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, x := range f.All {
		ids = append(ids, x.ID)
	}
	return ids
}

func TestAnAcknowledgedFactIsThereForTheNextCall(t *testing.T) {
	s := open(t, t.TempDir(), nil)
	defer s.Close()
	for i := range 200 {
		id := fmt.Sprint("o", i)
		add(t, s, objection(id, alice, noon.Add(time.Duration(i))))
		if ids := idsOf(t, s, alice); len(ids) != i+1 || ids[i] != id {
			t.Fatalf("after %s: %v", id, ids)
		}
	}
	if got := idsOf(t, s, bob); got != nil {
		t.Errorf("of bob is known %v", got)
	}
}

func TestWhatAddRefuses(t *testing.T) {
	s := open(t, t.TempDir(), nil)
	defer s.Close()
	future := objection("f", alice, noon)
	future.RecordedAt = time.Now().Add(time.Hour)
	other := objection("o", alice, noon)
	other.Advertiser = "windkracht"
	r := add(t, s, objection("o", alice, noon), objection("o", alice, noon), other, future, objection("", alice, noon))
	if r[0].Err != nil || r[0].Known || !r[1].Known || r[2].Err == nil || r[3].Err == nil || r[4].ID == "" {
		t.Errorf("%+v", r)
	}
	if ids := idsOf(t, s, alice); len(ids) != 2 {
		t.Errorf("%v", ids)
	}
}

// TestManyAndLargeFacts: what does not fit in one transaction goes in several,
// and what would not fit in a number's value is refused, but no objection.
func TestManyAndLargeFacts(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, nil)
	large := func(id string, n policy.Number) policy.Fact {
		f := objection(id, n, noon)
		f.Kind, f.Advertiser, f.Products = policy.Consent, "windkracht", slices.Repeat([]string{strings.Repeat("x", 1000)}, 60)
		return f
	}
	var facts []policy.Fact
	for i := range 100 { // 6 MB in one call, a transaction takes 2.4
		n, _ := policy.NumberOfKey(31_612_345_700 + uint64(i))
		facts = append(facts, large(fmt.Sprint("c", i), n))
	}
	for i, r := range add(t, s, facts...) {
		if r.Err != nil || len(idsOf(t, s, facts[i].Number)) != 1 {
			t.Fatalf("%d: %v", i, r.Err)
		}
	}
	refused := 0
	for i := range 12 {
		for _, r := range add(t, s, large(fmt.Sprint("a", i), alice), large(fmt.Sprint("b", i), alice)) {
			if r.Err != nil {
				refused++
			}
		}
	}
	if want := 24 - maxOctets/60_300; refused != want {
		t.Errorf("%d of 24 large facts of one number were refused, want %d", refused, want)
	}
	if r := add(t, s, objection("o", alice, noon)); r[0].Err != nil {
		t.Errorf("an objection found no room: %v", r[0].Err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	remove(t, filepath.Join(dir, "state"))
	s = open(t, dir, nil)
	defer s.Close()
	if got, want := len(idsOf(t, s, alice)), 24-refused+1; got != want {
		t.Errorf("%d facts after a rebuild, want %d", got, want)
	}
}

// TestModel holds the store against a plain map of facts under random
// additions and reopenings. Ids are unique among the facts of a number.
func TestModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp("", "store")
		if err != nil {
			rt.Fatal(err)
		}
		defer os.RemoveAll(dir)
		o := testOptions(dir, nil)
		o.foldAtMost = 3 // so that projections are often built in one go
		s, err := Open(o)
		if err != nil {
			rt.Fatal(err)
		}
		model := map[policy.Number]map[string]policy.Fact{}
		for range rapid.IntRange(1, 12).Draw(rt, "steps") {
			switch rapid.IntRange(0, 5).Draw(rt, "what") {
			case 0:
				if err := s.Close(); err != nil {
					rt.Fatal(err)
				}
				if s, err = Open(o); err != nil {
					rt.Fatal(err)
				}
			default:
				var batch []policy.Fact
				for range rapid.IntRange(1, 5).Draw(rt, "facts") {
					batch = append(batch, drawFact(rt))
				}
				var results []Result
				if rapid.Bool().Draw(rt, "loaded") {
					load := s.Load()
					results, err = load.Add(context.Background(), batch...)
					err = errors.Join(err, load.Close())
				} else {
					results, err = s.Add(context.Background(), batch...)
				}
				if err != nil {
					rt.Fatal(err)
				}
				for i, r := range results {
					f := batch[i]
					if model[f.Number] == nil {
						model[f.Number] = map[string]policy.Fact{}
					}
					have, known := model[f.Number][f.ID]
					if known && !same(&have, &f) {
						if r.Err == nil {
							rt.Fatalf("a fact was altered: %+v", r)
						}
						continue
					}
					if r.Err != nil || r.Known != known {
						rt.Fatalf("%+v, known %t", r, known)
					}
					model[f.Number][f.ID] = f
				}
			}
			for n, want := range model {
				var got policy.Facts
				if err := s.Facts(n, &got); err != nil {
					rt.Fatal(err)
				}
				if len(got.All) != len(want) {
					rt.Fatalf("%d facts, want %d", len(got.All), len(want))
				}
				for i := range got.All {
					w := want[got.All[i].ID]
					if !same(&got.All[i], &w) {
						rt.Fatalf("got %+v, want %+v", got.All[i], w)
					}
				}
				if !slices.IsSortedFunc(got.All, func(a, b policy.Fact) int { return a.Compare(&b) }) {
					rt.Fatal("out of order")
				}
			}
			counts := map[policy.Kind]int64{}
			for _, facts := range model {
				for _, f := range facts {
					counts[f.Kind]++
				}
			}
			if got := s.Counts(); fmt.Sprint(got) != fmt.Sprint(counts) {
				rt.Fatalf("%v facts, want %v", got, counts)
			}
		}
		if err := s.Close(); err != nil {
			rt.Fatal(err)
		}
	})
}

func drawFact(t *rapid.T) policy.Fact {
	f := policy.Fact{
		ID: fmt.Sprint("f", rapid.IntRange(0, 20).Draw(t, "id")), Number: []policy.Number{alice, bob}[rapid.IntRange(0, 1).Draw(t, "number")],
		Kind: policy.Kinds()[rapid.IntRange(0, 6).Draw(t, "kind")], Advertiser: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "advertiser"),
		At: noon.Add(time.Duration(rapid.IntRange(-1000, 1000).Draw(t, "at")) * time.Hour), Source: rapid.StringMatching("[a-z\u00e9<\"\\\\ ]{0,8}").Draw(t, "source"),
	}
	switch f.Kind {
	case policy.Consent:
		f.Purposes, f.Products, f.Channels = []policy.Purpose{policy.Commercial, policy.Ideal}, []string{"x", "y"}, []policy.CallMode{policy.Live}
		f.Bundled, f.VerifiedAt, f.ValidUntil = rapid.Bool().Draw(t, "bundled"), f.At.Add(time.Hour), f.At.AddDate(1, 0, 0)
		f.Evidence = policy.Evidence{URI: "u", SHA256: strings.Repeat("ab", 32), Person: "p", Note: "n"}
	case policy.Relationship:
		f.Type, f.Started, f.Ended, f.CollectedInSale = policy.Gift, 20240101, 20250101, true
	case policy.Subscriber:
		f.Subscriber, f.LegalForm, f.PublishedFor = policy.NaturalBusiness, "vof", []string{"commercial"}
	case policy.Objection:
		f.Scope, f.Via = policy.ScopeAll, "ivr"
	case policy.Listed:
		f.List, f.Until = "l", f.At.AddDate(1, 0, 0)
	}
	return f
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
}

func TestAProjectionBeyondTheLedgerIsNotTrusted(t *testing.T) {
	dir, elsewhere := t.TempDir(), t.TempDir()
	s := open(t, dir, nil)
	add(t, s, objection("a", alice, noon), objection("b", alice, noon))
	s.Close()
	other := open(t, elsewhere, nil)
	add(t, other, objection("x", bob, noon))
	other.Close()
	remove(t, filepath.Join(dir, "ledger"))
	if err := os.Rename(filepath.Join(elsewhere, "ledger"), filepath.Join(dir, "ledger")); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	s = open(t, dir, &log)
	defer s.Close()
	if ids := idsOf(t, s, alice); ids != nil || !strings.Contains(log.String(), "rebuilding") {
		t.Errorf("facts of another ledger: %v; %s", ids, log.String())
	}
}

func record(verdict policy.Verdict, to policy.Number, i int) *policy.Record {
	c := &policy.Campaign{ID: "energy", Advertiser: &policy.Advertiser{ID: "windkracht"}}
	rule := &policy.Rule{ID: "nl.basis"}
	return &policy.Record{
		ID: policy.RulingID{15: byte(i)}, At: noon.Add(time.Duration(i) * time.Second), Node: "n", Config: "c", Took: 5 * time.Microsecond,
		Attempt: &policy.Attempt{Peer: &policy.PeerTerms{ID: "dialer"}, CallID: `odd"id` + fmt.Sprint(i), Campaign: c,
			Caller: policy.Caller{Shown: alice, Marks: []policy.Mark{{Header: "Privacy", Saw: "with \x01", Means: "é"}}}, Called: policy.Called{Number: to},
			Media: []policy.Media{{Kind: "audio", Codecs: []string{"PCMA", `odd"codec`}}, {Kind: "image"}}},
		Decision: &policy.Decision{Verdict: verdict, Reason: policy.ReasonConsent, Book: "NL", Findings: []policy.Finding{{Rule: rule, Result: policy.Allow, Reason: policy.ReasonConsent, Rests: [2]*policy.Fact{{ID: "c1"}}}}},
		Answer:   403,
	}
}

func TestDecisionsComeBackAsTheyWere(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, nil)
	for i := range 10 {
		done := make(chan error, 1)
		s.Append(record(policy.Verdict(i%2), bob, i), func(err error) bool { done <- err; return true })
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	done := make(chan error, 1)
	s.AppendOutcome(&policy.Outcome{ID: policy.RulingID{15: 1}, At: noon, Code: 200, EndedBy: policy.EndedByCallee}, func(err error) { done <- err })
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	s.Close()
	s = open(t, dir, nil)
	defer s.Close()
	n := 0
	for d, err := range s.Decisions(0) {
		if err != nil {
			t.Fatal(err)
		}
		if d.Verdict != policy.Verdict(n%2).String() || d.To != bob.E164() || d.CallID != `odd"id`+fmt.Sprint(n) || len(d.Findings) != 1 || d.Findings[0].Facts[0] != "c1" || d.Marks[0] == "" ||
			len(d.Media) != 2 || d.Media[0].Codecs[1] != `odd"codec` || d.Media[1].Kind != "image" {
			t.Errorf("%d: %+v", n, d)
		}
		n++
	}
	if n != 10 {
		t.Errorf("%d decisions", n)
	}
	// The allowed calls are known as earlier calls, also after the restart.
	var f policy.Facts
	if err := s.Facts(bob, &f); err != nil {
		t.Fatal(err)
	}
	if len(f.Calls) != 5 || f.Calls[0].Advertiser != "windkracht" {
		t.Errorf("earlier calls: %+v", f.Calls)
	}
}

// TestAFailedProjectionTakesNothingMore: a later change must not let the
// cursor pass the one that failed.
func TestAFailedProjectionTakesNothingMore(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, nil)
	s.mu.Lock()
	s.broken = errors.New("the disk is full")
	s.mu.Unlock()
	f := objection("a", alice, noon)
	done := make(chan error, 1)
	seq, err := s.ledger.AppendSync(factRecord(&f, "test"))
	if err != nil {
		t.Fatal(err)
	}
	s.queue.put(change{seq: seq, fact: &f, done: func(err error) { done <- err }})
	if <-done == nil {
		t.Error("the change was acknowledged")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, nil)
	defer s.Close()
	if ids := idsOf(t, s, alice); len(ids) != 1 {
		t.Errorf("the fact in the ledger is not in the projection after the restart: %v", ids)
	}
}

func TestExportIsWhatImportTakes(t *testing.T) {
	s := open(t, t.TempDir(), nil)
	defer s.Close()
	add(t, s, objection("b", bob, noon), objection("a", alice, noon.Add(time.Hour)), objection("c", alice, noon))
	var out bytes.Buffer
	if err := s.Export(&out); err != nil {
		t.Fatal(err)
	}
	var ids []string
	for row, err := range (Intake{Form: policy.FactForm{Zone: time.UTC}}).Rows(&out) {
		if err != nil || row.Err != nil {
			t.Fatal(err, row.Err)
		}
		ids = append(ids, row.Fact.ID)
	}
	if got := strings.Join(ids, " "); got != "c a b" {
		t.Errorf("exported %s", got)
	}
}

// TestKill kills a process that adds facts, again and again: what it had
// acknowledged is always there.
func TestKill(t *testing.T) { // not beside others: a process that begins holds their locks for a moment
	if dir := os.Getenv("STORE_KILL_DIR"); dir != "" {
		addForEver(dir)
		return
	}
	dir := t.TempDir()
	rounds := 5
	if os.Getenv("DIALGATE_LONG") != "" {
		rounds = 100
	}
	acked := 0
	for round := range rounds {
		cmd := exec.Command(os.Args[0], "-test.run", "^TestKill$")
		cmd.Env = append(os.Environ(), "STORE_KILL_DIR="+dir, fmt.Sprint("STORE_KILL_FROM=", acked))
		acked += strings.Count(killInTheMiddle(t, cmd, round), "acked\n")
		s := open(t, dir, nil)
		got := len(idsOf(t, s, alice))
		if got < acked {
			t.Fatalf("round %d: %d facts are there, %d were acknowledged", round, got, acked)
		}
		acked = got // what was written but not said counts from now on
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if acked < 10 {
		t.Errorf("only %d facts in %d rounds", acked, rounds)
	}
	t.Logf("%d facts, %d rounds", acked, rounds)
}

// killInTheMiddle starts a process and kills it a while after it has said the
// first line, in every third round a while after its start: as it opens the
// store, if it is slow. It returns what the process said.
func killInTheMiddle(t *testing.T, cmd *exec.Cmd, round int) string {
	t.Helper()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said := bufio.NewReader(out)
	first := ""
	if round%3 != 2 {
		first, _ = said.ReadString('\n') // if it ends before, what it says is held to be wrong
	}
	time.AfterFunc(time.Duration(20+70*round%150)*time.Millisecond, func() { _ = cmd.Process.Kill() })
	rest, _ := io.ReadAll(said) // it ends with the process
	_ = cmd.Wait()              // it was killed
	return first + string(rest)
}

func addForEver(dir string) {
	s, err := Open(testOptions(dir, nil))
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	var from int
	fmt.Sscan(os.Getenv("STORE_KILL_FROM"), &from)
	for i := from; i < from+300; i++ {
		if _, err := s.Add(context.Background(), objection(fmt.Sprint("k", i), alice, noon.Add(time.Duration(i)))); err != nil {
			os.Exit(1)
		}
		os.Stdout.WriteString("acked\n")
	}
	select {}
}

func FuzzValue(f *testing.F) {
	f.Add(appendValue(nil, []policy.Fact{objection("o", alice, noon)}, []policy.EarlierCall{{At: noon, Advertiser: "a"}}))
	f.Fuzz(func(t *testing.T, data []byte) {
		var facts policy.Facts
		if err := readValue(data, alice, &facts); err != nil {
			if !errors.Is(err, errValue) || facts.All != nil {
				t.Fatalf("%v, with %d facts", err, len(facts.All))
			}
			return
		}
		var again policy.Facts
		if err := readValue(appendValue(nil, facts.All, facts.Calls), alice, &again); err != nil || len(again.All) != len(facts.All) {
			t.Fatalf("%v", err)
		}
	})
}

func FuzzRows(f *testing.F) {
	f.Add([]byte("kind,number,advertiser,at\nobjection,+31612345678,*,2026-01-01\n"))
	f.Add([]byte("\xef\xbb\xbfkind;number\n\"x;y"))
	f.Add([]byte(`{"kind":"objection","number":"+31612345678","advertiser":"*","at":"2026-01-01"}`))
	f.Add([]byte("Telefoon;Tel;Datum;Naam\n0612345678;1;2026-01-01;x\n"))
	f.Add([]byte("Telefoon;Soort;bedrijf;Datum\n0612345678;BEZWAAR;*;2026-01-01\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, columns := range []*Columns{nil, {Guess: true, Dutch: true, Values: map[string]map[string]string{"kind": {"Bezwaar": "objection", "": "consent"}}}} {
			var heads, fields []string
			in := Intake{Form: policy.FactForm{Zone: time.UTC}, Batch: "b", Columns: columns, Heads: func(c, f []string) { heads, fields = c, f }}
			for row, err := range in.Rows(bytes.NewReader(data)) {
				if err == nil && row.Err == nil && (row.Fact.ID == "" || row.Fact.Number.IsZero()) {
					t.Fatalf("row %d is no fact and no error", row.Line)
				}
				if err == nil && row.Err == nil && len(row.Cells) != len(heads) {
					t.Fatalf("row %d has %d cells beneath %d columns", row.Line, len(row.Cells), len(heads))
				}
			}
			if len(heads) != len(fields) {
				t.Fatalf("%d columns, %d fields", len(heads), len(fields))
			}
		}
	})
}

func BenchmarkFacts(b *testing.B) {
	s := open(b, b.TempDir(), nil)
	defer s.Close()
	var batch []policy.Fact
	for i := range 20_000 {
		n, _ := policy.NumberOfKey(31_610_000_000 + uint64(i)*2)
		batch = append(batch, policy.Fact{ID: fmt.Sprint("c", i), Kind: policy.Consent, Number: n, Advertiser: "windkracht", At: noon, VerifiedAt: noon,
			Purposes: []policy.Purpose{policy.Commercial}, Products: []string{"energy"}, Channels: []policy.CallMode{policy.Live}, Evidence: policy.Evidence{Person: "p", SHA256: strings.Repeat("ab", 32)}})
	}
	add(b, s, batch...)
	b.Run("held", func(b *testing.B) {
		b.ReportAllocs()
		var i uint64
		for b.Loop() {
			n, _ := policy.NumberOfKey(31_610_000_000 + i*2%40_000)
			var f policy.Facts
			if err := s.Hold(n, &f); err != nil {
				b.Fatal(err)
			}
			s.Release(n, nil)
			i++
		}
	})
	for name, odd := range map[string]uint64{"present": 0, "absent": 1} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var i uint64
			for b.Loop() {
				n, _ := policy.NumberOfKey(31_610_000_000 + i*2%40_000 + odd)
				var f policy.Facts
				if err := s.Facts(n, &f); err != nil {
					b.Fatal(err)
				}
				i++
			}
		})
	}
}

func BenchmarkAdd(b *testing.B) {
	s := open(b, b.TempDir(), nil)
	defer s.Close()
	const batch = 1000
	facts := make([]policy.Fact, batch)
	for i := 0; b.Loop(); i++ {
		for j := range facts {
			n, _ := policy.NumberOfKey(31_610_000_000 + uint64(i*batch+j))
			facts[j] = objection(fmt.Sprint(i, "-", j), n, noon)
		}
		add(b, s, facts...)
	}
	b.ReportMetric(float64(b.N*batch)/b.Elapsed().Seconds(), "rows/s")
}
