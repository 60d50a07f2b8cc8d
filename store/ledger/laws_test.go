package ledger

import (
	"bytes"
	"os"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestLaws holds the ledger against a plain slice of records under appending,
// erasing, sealing and reopening, in any order:
//
//   - records come back as they were appended, numbered from 1 without gaps;
//   - an erased one keeps its place, its public part and its commitment, and
//     its payload is gone for good;
//   - every record is proved by every checkpoint that covers it, and every
//     checkpoint by every later one, also over erasures and restarts;
//   - what is on disk verifies.
func TestLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp("", "ledger")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		o := Options{Dir: dir, SegmentSize: 1 << 12, Linger: time.Microsecond}
		l, err := Open(o)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { l.Close() }()
		var model []Record // Erased where it is
		var signed []Checkpoint
		for range rapid.IntRange(1, 8).Draw(t, "steps") {
			switch rapid.IntRange(0, 4).Draw(t, "what") {
			case 0:
				if err := l.Close(); err != nil {
					t.Fatal(err)
				}
				if l, err = Open(o); err != nil {
					t.Fatal(err)
				}
			case 1:
				if len(model) == 0 {
					continue
				}
				victim := rapid.IntRange(0, len(model)-1).Draw(t, "victim")
				if model[victim].Erased || model[victim].Kind == KindErasure {
					continue
				}
				seq, err := l.Erase([]Place{model[victim].Place}, time.Unix(5, 0), "asked", nil)
				if err != nil {
					t.Fatal(err)
				}
				model[victim].Erased = true
				r, err := l.Read(Place{Seq: seq})
				if err != nil || seq != uint64(len(model))+1 {
					t.Fatalf("erasure %d, %v", seq, err)
				}
				r.Public, r.Payload = bytes.Clone(r.Public), bytes.Clone(r.Payload)
				model = append(model, r)
			default:
				for range rapid.IntRange(1, 20).Draw(t, "records") {
					r := Record{
						Time: time.Unix(0, rapid.Int64().Draw(t, "time")), Kind: Kind(rapid.IntRange(1, 9).Draw(t, "kind")),
						Public: rapid.SliceOfN(rapid.Byte(), 0, 90).Draw(t, "public"), Payload: rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, "payload"),
					}
					if r.Seq, err = l.AppendSync(r); err != nil || r.Seq != uint64(len(model))+1 {
						t.Fatalf("record %d, %v", r.Seq, err)
					}
					model = append(model, r)
				}
			}
			i := 0
			var leaves [][]byte
			for r, err := range l.All(1) {
				if err != nil {
					t.Fatal(err)
				}
				want := &model[i]
				i++
				if r.Seq != uint64(i) || r.Kind != want.Kind || !r.Time.Equal(want.Time) || !bytes.Equal(r.Public, want.Public) || r.Erased != want.Erased {
					t.Fatalf("record %d is %+v, want %+v", i, r, want)
				}
				if !r.Erased && !bytes.Equal(r.Payload, want.Payload) || r.Erased && r.Payload != nil {
					t.Fatalf("record %d holds %x", i, r.Payload)
				}
				want.Place = r.Place
				leaves = append(leaves, r.Leaf())
			}
			if i != len(model) {
				t.Fatalf("%d records, want %d", i, len(model))
			}
			if i == 0 {
				continue
			}
			c, err := l.Seal()
			if err != nil || c.Size != uint64(i) {
				t.Fatalf("%+v, %v", c, err)
			}
			signed = append(signed, c)
			for _, older := range signed {
				p, err := l.ProveConsistency(older, c)
				if err == nil {
					err = p.CheckConsistency(older, c)
				}
				if err != nil {
					t.Fatal(err)
				}
				seq := rapid.Uint64Range(1, older.Size).Draw(t, "proved")
				proof, err := l.Prove(seq, older)
				if err == nil {
					err = proof.Check(older, seq, leaves[seq-1])
				}
				if err != nil {
					t.Fatal(err)
				}
			}
		}
		if len(signed) == 0 {
			return
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if r, err := Verify(dir, nil, l.PublicKey()); err != nil || len(r.Findings) > 0 || r.Last != uint64(len(model)) {
			t.Fatalf("%+v, %v", r, err)
		}
	})
}
