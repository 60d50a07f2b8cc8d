package store

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"dialgate/policy"
	"dialgate/store/ledger"
)

// TestProofsAtScale says how long proofs take in a large store: 200,000 facts
// and a million decisions, in the long form.
func TestProofsAtScale(t *testing.T) {
	t.Parallel()
	facts, decisions := 2000, 5000
	if os.Getenv("DIALGATE_LONG") != "" {
		facts, decisions = 200_000, 1_000_000
	}
	dir := filepath.Join(t.TempDir(), "data")
	o := testOptions(dir, nil)
	o.Ledger.SegmentSize, o.Ledger.Linger = 64<<20, 0
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { s.Close() }()
	took := func(what string, f func()) {
		start := time.Now()
		f()
		t.Logf("%-50s %v", what, time.Since(start).Round(time.Millisecond/10))
	}
	number := func(i int) policy.Number {
		n, _ := policy.NumberOfKey(31_610_000_000 + uint64(i%facts)*131)
		return n
	}
	took("facts", func() {
		var batch []policy.Fact
		for i := range facts {
			f := consent("c", number(i))
			if batch = append(batch, f); len(batch) == 1000 {
				add(t, s, batch...)
				batch = batch[:0]
			}
		}
	})
	took("decisions with outcomes", func() {
		slots := make(chan error, 8192)
		for i := range decisions {
			if i >= cap(slots)/2 {
				for range 2 {
					if err := <-slots; err != nil {
						t.Fatal(err)
					}
				}
			}
			r := record(policy.Verdict(i%4/3), number(i*7), i)
			r.ID[0], r.ID[1], r.ID[2], r.ID[3] = byte(i>>24), byte(i>>16), byte(i>>8), byte(i)
			s.Append(r, func(err error) bool { slots <- err; return true })
			s.AppendOutcome(&policy.Outcome{ID: r.ID, At: r.At, Code: 200}, func(err error) { slots <- err })
		}
	})
	took("index brought up to the ledger", func() {
		if err := s.catchUpIndex(0); err != nil {
			t.Fatal(err)
		}
	})
	var text []byte
	for range 3 {
		took("proof pack", func() { _, text, _ = prove(t, s, number(7), time.Time{}) })
	}
	t.Logf("%d octets", len(text))
	took("proof pack verified", func() {
		if _, _, err := ReadPack(text, s.ledger.PublicKey()); err != nil {
			t.Fatal(err)
		}
	})
	var export bytes.Buffer
	took("export of an hour", func() {
		if err := s.ExportLedger(noon, noon.Add(time.Hour), &export); err != nil {
			t.Fatal(err)
		}
	})
	t.Logf("%d octets", export.Len())
	took("export verified", func() {
		if _, err := ReadExport(&export, s.ledger.PublicKey()); err != nil {
			t.Fatal(err)
		}
	})
	took("ledger verified", func() {
		if r, err := ledger.Verify(filepath.Join(dir, "ledger"), nil, s.ledger.PublicKey()); err != nil || len(r.Findings) > 0 {
			t.Fatalf("%+v, %v", r, err)
		}
	})
	if os.Getenv("DIALGATE_LONG") != "" {
		took("a number erased", func() {
			if _, err := s.Erase(number(14), "asked"); err != nil {
				t.Fatal(err)
			}
		})
	}
	took("closed", func() {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	})
	for _, part := range []string{"ledger", "state"} {
		var size, hashes int64
		files, _ := filepath.Glob(filepath.Join(dir, part, "*"))
		for _, f := range files {
			if info, err := os.Stat(f); err == nil {
				size += info.Size()
				if filepath.Base(f) == "hashes" {
					hashes = info.Size()
				}
			}
		}
		t.Logf("%s: %d octets, of them hashes %d", part, size, hashes)
	}
	took("opened", func() {
		if s, err = Open(o); err != nil {
			t.Fatal(err)
		}
	})
}
