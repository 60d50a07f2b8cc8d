package store

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dialgate/policy"
	"dialgate/store/ledger"
)

var update = flag.Bool("update", false, "rewrite the golden files; an old form must stay readable, so keep the old ones under another name")

// judged appends a decision and its outcome.
func judged(t testing.TB, s *Store, verdict policy.Verdict, to policy.Number, i int) {
	t.Helper()
	done := make(chan error, 2)
	s.Append(record(verdict, to, i), func(err error) bool { done <- err; return true })
	outcome := policy.Outcome{ID: policy.RulingID{15: byte(i)}, At: noon.Add(time.Duration(i)*time.Second + time.Second), Code: 200, Ring: time.Second, EndedBy: policy.EndedByCallee}
	if verdict == policy.Allowed {
		outcome.Block = &policy.Block{Called: to}
	}
	s.AppendOutcome(&outcome, func(err error) { done <- err })
	for range 2 {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
}

func consent(id string, n policy.Number) policy.Fact {
	return policy.Fact{ID: id, Kind: policy.Consent, Number: n, Advertiser: "windkracht", At: noon.AddDate(0, -1, 0), Purposes: []policy.Purpose{policy.Commercial},
		Products: []string{"energy"}, Channels: []policy.CallMode{policy.Live}, Method: "web-form",
		Evidence: policy.Evidence{TextVersion: "v3", URI: "s3://forms/1", Note: `</script><b onclick="x">`}}
}

// example fills a store with what a pack shows.
func example(t testing.TB, s *Store) {
	t.Helper()
	rel := policy.Fact{ID: "r1", Kind: policy.Relationship, Number: alice, Advertiser: "windkracht", At: noon, Type: policy.Subscription, Started: 20240101, Products: []string{"energy"}}
	wd := policy.Fact{ID: "w1", Kind: policy.Withdrawal, Number: alice, Advertiser: "windkracht", At: noon, Consent: "c1"}
	add(t, s, consent("c1", alice), consent("c2", bob), rel, wd, objection("o1", alice, noon))
	judged(t, s, policy.Allowed, alice, 1)
	judged(t, s, policy.Denied, alice, 2)
	judged(t, s, policy.Denied, bob, 3)
}

func prove(t testing.TB, s *Store, n policy.Number, knownAt time.Time) (p *Pack, text, page []byte) {
	t.Helper()
	p, err := s.Prove(n, knownAt)
	if err != nil {
		t.Fatal(err)
	}
	if text, err = p.AppendJSON(nil); err != nil {
		t.Fatal(err)
	}
	if page, err = p.HTML(); err != nil {
		t.Fatal(err)
	}
	return p, text, page
}

func TestAProofPackHoldsAllAboutOneNumber(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, nil)
	defer func() { s.Close() }()
	example(t, s)
	check := func() {
		t.Helper()
		p, text, page := prove(t, s, alice, time.Time{})
		v := &p.View
		if len(v.Consents) != 1 || len(v.Withdrawals) != 1 || len(v.Objections) != 1 || len(v.Relationships) != 1 || len(v.Calls) != 2 {
			t.Fatalf("%+v", v)
		}
		c := v.Calls[0]
		if c.Decision.Verdict != "allow" || c.Decision.Rule != "nl.basis" || len(c.Basis) != 1 || c.Outcome == nil || c.Outcome.Code != 200 || c.Outcome.EndedBy != "callee" {
			t.Errorf("%+v, %+v", c, c.Outcome)
		}
		for _, data := range [][]byte{text, page} {
			if _, head, err := ReadPack(data, s.ledger.PublicKey()); err != nil || head.Size != s.LedgerEnd() {
				t.Fatalf("%v", err)
			}
		}
		if strings.Contains(string(page), "<b onclick") || strings.Count(string(page), "</script>") != 1 {
			t.Error("the page is not escaped")
		}
		if !strings.Contains(string(page), "wording v3") || strings.Contains(string(page), bob.Digits()) {
			t.Error("the page lacks the wording, or tells of another")
		}
	}
	check()
	// The index is made anew with the projection.
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	remove(t, filepath.Join(dir, "state"))
	s = open(t, dir, nil)
	check()
}

func TestAPackOfWhatWasKnownThen(t *testing.T) {
	o := testOptions(t.TempDir(), nil)
	now := noon
	o.Now = func() time.Time { return now }
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	add(t, s, consent("c1", alice))
	now = noon.Add(time.Hour)
	add(t, s, objection("o1", alice, noon.AddDate(0, 0, -1))) // happened before, learnt later
	for at, want := range map[time.Time]int{{}: 1, noon.Add(time.Minute): 0, noon.Add(2 * time.Hour): 1, noon.Add(-time.Minute): 0} {
		p, text, _ := prove(t, s, alice, at)
		if _, _, err := ReadPack(text); err != nil || len(p.View.Objections) != want {
			t.Errorf("known at %v: %d objections, %v", at, len(p.View.Objections), err)
		}
	}
}

// TestNothingInAPackCanBeChanged changes the octets of a pack, its page and an export.
func TestNothingInAPackCanBeChanged(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir(), nil)
	defer s.Close()
	example(t, s)
	_, text, page := prove(t, s, alice, time.Time{})
	var export bytes.Buffer
	if err := s.ExportLedger(noon.AddDate(-1, 0, 0), time.Now().AddDate(1, 0, 0), &export); err != nil {
		t.Fatal(err)
	}
	key := s.ledger.PublicKey()
	pack := func(b []byte) error { _, _, err := ReadPack(b, key); return err }
	for name, test := range map[string]struct {
		data []byte
		read func([]byte) error
	}{
		"json": {text, pack}, "html": {page, pack},
		"export": {export.Bytes(), func(b []byte) error { _, err := ReadExport(bytes.NewReader(b), key); return err }},
	} {
		if err := test.read(test.data); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		step := 11
		if os.Getenv("DIALGATE_LONG") != "" {
			step = 1
		}
		for at := 0; at < len(test.data); at += step {
			bad := bytes.Clone(test.data)
			bad[at] ^= 1
			if test.read(bad) == nil && !unproved(test.data, at) {
				t.Fatalf("%s: octet %d was changed and nobody noticed: %q", name, at, bad[max(0, at-40):min(len(bad), at+20)])
			}
		}
		for cut := len(test.data) - 2; cut > 0; cut -= len(test.data) / 50 {
			if test.read(test.data[:cut]) == nil {
				t.Fatalf("%s: cut at %d and nobody noticed", name, cut)
			}
		}
	}
}

// unproved reports whether an octet belongs to what a pack says of itself:
// when it was made and for which key and period it claims to be.
func unproved(data []byte, at int) bool {
	for _, field := range []string{`"made"`, `"key"`, `"from"`, `"to"`, `"first"`, `"last"`} {
		if i := bytes.Index(data, []byte(field)); at >= i && at < i+110 {
			return true
		}
	}
	return false
}

// TestAForgedPack: what is honest in itself but says something else.
func TestAForgedPack(t *testing.T) {
	s := open(t, t.TempDir(), nil)
	defer s.Close()
	example(t, s)
	key := s.ledger.PublicKey()
	for name, forge := range map[string]func(p, of *Pack){
		"another's record":    func(p, of *Pack) { p.Records = append(p.Records, of.Records...) },
		"one left out of two": func(p, _ *Pack) { p.View.Calls = p.View.Calls[:1] },
		"in another order":    func(p, _ *Pack) { p.Records[0], p.Records[1] = p.Records[1], p.Records[0] },
		"an erased payload":   func(p, _ *Pack) { p.Records[0].Payload = nil },
		"a call's verdict":    func(p, _ *Pack) { p.View.Calls[0].Decision.Verdict = "deny" },
		"another number":      func(p, _ *Pack) { p.Number = bob.E164() },
		"another checkpoint":  func(p, of *Pack) { p.Checkpoint = strings.Replace(of.Checkpoint, "\n", "\n\n", 1) },
		"another form":        func(p, _ *Pack) { p.Format = "dialgate proof pack 2" },
	} {
		p, _, _ := prove(t, s, alice, time.Time{})
		of, _, _ := prove(t, s, bob, time.Time{})
		forge(p, of)
		text, err := p.AppendJSON(nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := ReadPack(text, key); err == nil {
			t.Errorf("%s: nobody noticed", name)
		}
	}
}

// TestGolden freezes the forms: the ledger on disk, the pack, its page, and the
// export. What was written once is read and verified for ever.
func TestGolden(t *testing.T) {
	golden := filepath.Join("testdata", "ledger1")
	if *update {
		writeGolden(t, golden)
	}
	read := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join(golden, name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	key, err := ledger.ParseKey(string(read("ledger/key.pub")))
	if err != nil {
		t.Fatal(err)
	}
	if r, err := ledger.Verify(filepath.Join(golden, "ledger"), nil, key); err != nil || len(r.Findings) != 0 || r.Last != 11 {
		t.Errorf("the ledger: %+v, %v", r, err)
	}
	for _, name := range []string{"pack.json", "pack.html"} {
		if _, _, err := ReadPack(read(name), key); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := ReadExport(bytes.NewReader(read("export.jsonl")), key); err != nil {
		t.Errorf("the export: %v", err)
	}
	// A ledger from before there was a tree gets the same tree when it is opened.
	signed := strings.Split(string(read("pack.json")), `dialgate ledger\n`)[1]
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "ledger"), 0o700); err != nil {
		t.Fatal(err)
	}
	segments, _ := filepath.Glob(filepath.Join(golden, "ledger", "*.seg"))
	for _, from := range segments {
		b, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "ledger", filepath.Base(from)), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := open(t, dir, nil)
	defer s.Close()
	p, _, _ := prove(t, s, alice, time.Time{})
	_, again, _ := strings.Cut(p.Checkpoint, "dialgate ledger\n")
	wantSize, wantRoot, _ := strings.Cut(signed, `\n`)
	wantRoot, _, _ = strings.Cut(wantRoot, `\n`)
	if want := wantSize + "\n" + wantRoot + "\n"; !strings.HasPrefix(again, want) {
		t.Errorf("the tree is %q, want %q", again, want)
	}
	if len(p.View.Calls) != 2 || len(p.View.Consents) != 1 {
		t.Errorf("%+v", p.View)
	}
}

func writeGolden(t *testing.T, golden string) {
	dir := t.TempDir()
	o := testOptions(dir, nil)
	o.Now = func() time.Time { return noon }
	o.Ledger.SegmentSize = 4096
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	example(t, s)
	_, text, page := prove(t, s, alice, time.Time{})
	var export bytes.Buffer
	if err := s.ExportLedger(noon.AddDate(-1, 0, 0), noon.AddDate(1, 0, 0), &export); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	remove(t, golden)
	if err := os.CopyFS(filepath.Join(golden, "ledger"), os.DirFS(filepath.Join(dir, "ledger"))); err != nil {
		t.Fatal(err)
	}
	remove(t, filepath.Join(golden, "ledger", "lock"))
	for name, b := range map[string][]byte{"pack.json": text, "pack.html": page, "export.jsonl": export.Bytes()} {
		if err := os.WriteFile(filepath.Join(golden, name), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func FuzzReadPack(f *testing.F) {
	for _, name := range []string{"pack.json", "pack.html", "export.jsonl"} {
		b, err := os.ReadFile(filepath.Join("testdata", "ledger1", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if p, head, err := ReadPack(data); err == nil && (p.Number == "" && len(p.Records) > 0 || head.Size == 0) {
			t.Fatalf("%+v", p)
		}
		if head, err := ReadExport(bytes.NewReader(data)); err == nil && head.Format != ExportFormat {
			t.Fatalf("%+v", head)
		}
	})
}

func TestNothingRecordedIsNoProof(t *testing.T) {
	s := open(t, t.TempDir(), nil)
	defer s.Close()
	if p, err := s.Prove(alice, time.Time{}); !errors.Is(err, errNothingRecorded) {
		t.Errorf("%+v %v", p, err)
	}
}

func BenchmarkProve(b *testing.B) {
	s := open(b, b.TempDir(), nil)
	defer s.Close()
	var facts []policy.Fact
	for i := range 20_000 {
		n, _ := policy.NumberOfKey(31_610_000_000 + uint64(i))
		facts = append(facts, objection(fmt.Sprint("o", i), n, noon))
	}
	add(b, s, facts...)
	example(b, s)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Prove(alice, time.Time{}); err != nil {
			b.Fatal(err)
		}
	}
}
