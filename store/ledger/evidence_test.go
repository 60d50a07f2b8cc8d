package ledger

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"
)

// fill appends records 1 to n.
func fill(t testing.TB, l *Ledger, n int) {
	t.Helper()
	for i := int(l.Durable()) + 1; i <= n; i++ {
		if _, err := l.AppendSync(record(i)); err != nil {
			t.Fatal(err)
		}
	}
}

func sealed(t testing.TB, l *Ledger) Checkpoint {
	t.Helper()
	c, err := l.Seal()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func places(t testing.TB, l *Ledger) (out []Place) {
	t.Helper()
	for r, err := range l.All(1) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, r.Place)
	}
	return out
}

// TestTheStackIsTheTreeOfRFC6962 holds our tree against that of tlog.
func TestTheStackIsTheTreeOfRFC6962(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 300).Draw(t, "n")
		var s stack
		var stored []byte
		var want []tlog.Hash
		reader := tlog.HashReaderFunc(func(indexes []int64) (out []tlog.Hash, err error) {
			for _, i := range indexes {
				out = append(out, want[i])
			}
			return out, nil
		})
		for i := range n {
			leaf := fmt.Append(nil, "leaf ", i)
			stored = s.add(tlog.RecordHash(leaf), stored)
			more, err := tlog.StoredHashes(int64(i), leaf, reader)
			if err != nil {
				t.Fatal(err)
			}
			want = append(want, more...)
		}
		for i, h := range want {
			if !bytes.Equal(stored[i*32:][:32], h[:]) {
				t.Fatalf("stored hash %d differs", i)
			}
		}
		root, err := tlog.TreeHash(int64(n), reader)
		if err != nil || root != s.root() || len(stored) != 32*len(want) {
			t.Fatalf("root of %d: %v, %v", n, root, err)
		}
		var loaded stack
		if err := loaded.load(uint64(n), reader); err != nil || loaded.root() != root {
			t.Fatalf("a loaded edge has another root: %v", err)
		}
	})
}

// TestProofs: every record proves itself against every later checkpoint, and
// against nothing else; every checkpoint is a beginning of every later one.
func TestProofs(t *testing.T) {
	l := open(t, Options{Dir: t.TempDir(), Linger: time.Nanosecond})
	var heads []Checkpoint
	for _, n := range []int{1, 2, 3, 7, 8, 20, 33} {
		fill(t, l, n)
		heads = append(heads, sealed(t, l))
	}
	key, err := ParseKey(l.PublicKey().String())
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range heads {
		if got, err := OpenCheckpoint(c.Note, key); err != nil || got.Root != c.Root || got.Size != c.Size || !got.Time.Equal(c.Time) {
			t.Fatalf("checkpoint %d: %+v, %v", i, got, err)
		}
		for j := range c.Note {
			bad := bytes.Clone(c.Note)
			bad[j] ^= 1
			if _, err := OpenCheckpoint(bad, key); err == nil {
				t.Fatalf("octet %d of a checkpoint was changed and nobody noticed: %q", j, bad)
			}
		}
		for r, err := range l.All(1) {
			if err != nil {
				t.Fatal(err)
			}
			p, err := l.Prove(r.Seq, c)
			if r.Seq > c.Size {
				if err == nil {
					t.Fatalf("record %d of %d is proved", r.Seq, c.Size)
				}
				continue
			}
			if err != nil || p.Check(c, r.Seq, r.Leaf()) != nil {
				t.Fatalf("record %d of %d: %v", r.Seq, c.Size, err)
			}
			text, _ := p.MarshalText()
			var again Proof
			if err := again.UnmarshalText(text); err != nil || !slices.Equal(again, p) {
				t.Fatalf("a proof does not come back from its text: %v", err)
			}
			bad := r.Leaf()
			bad[int(r.Seq)%len(bad)] ^= 1
			if p.Check(c, r.Seq, bad) == nil || p.Check(c, r.Seq+1, r.Leaf()) == nil {
				t.Fatalf("record %d of %d: a wrong one is proved", r.Seq, c.Size)
			}
			back, err := ParseLeaf(r.Leaf(), r.Salted())
			if err != nil || back.Seq != r.Seq || back.Kind != r.Kind || !bytes.Equal(back.Payload, r.Payload) || !back.Time.Equal(r.Time) {
				t.Fatalf("record %d comes back as %+v: %v", r.Seq, back, err)
			}
		}
		for _, older := range heads[:i+1] {
			p, err := l.ProveConsistency(older, c)
			if err != nil || p.CheckConsistency(older, c) != nil {
				t.Fatalf("%d is no beginning of %d: %v", older.Size, c.Size, err)
			}
			forged := older
			forged.Root[0] ^= 1
			if p.CheckConsistency(forged, c) == nil {
				t.Fatal("another history is consistent")
			}
		}
	}
}

// TestTheTreeIsMadeAnewWhenItsFileIsNot: an old ledger has none, a crash
// leaves part of it, a disk may damage it.
func TestTheTreeIsMadeAnewWhenItsFileIsNot(t *testing.T) {
	dir := t.TempDir()
	l := open(t, Options{Dir: dir, SegmentSize: 1 << 13})
	fill(t, l, 200)
	want := sealed(t, l)
	l.Close()
	whole, err := os.ReadFile(filepath.Join(dir, hashesFile))
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func([]byte) []byte{
		"gone":       nil,
		"empty":      func([]byte) []byte { return nil },
		"cut":        func(b []byte) []byte { return b[:len(b)/2+5] },
		"cut header": func(b []byte) []byte { return b[:20] },
		"an edge":    func(b []byte) []byte { b[len(b)-1] ^= 1; return b },
		"not synced": func(b []byte) []byte { copy(b[16:24], "\x40\x00\x00\x00\x00\x00\x00\x00"); clear(b[8000:]); return b },
		"absurd":     func(b []byte) []byte { copy(b[16:24], "\xff\xff\xff\xff\xff\xff\xff\xff"); return b },
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(dir, hashesFile)
			if change == nil {
				os.Remove(path)
			} else if err := os.WriteFile(path, change(bytes.Clone(whole)), 0o600); err != nil {
				t.Fatal(err)
			}
			l := open(t, Options{Dir: dir, SegmentSize: 1 << 13})
			defer l.Close()
			if root := l.evidence.tree.root(); root != want.Root {
				t.Errorf("the root is %v, want %v", root, want.Root)
			}
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, whole) {
				t.Errorf("the file is not as it was (%v)", err)
			}
		})
	}
}

// TestWhatWasSignedMustBeThere: a ledger that was cut back, or whose records
// were changed, is not opened.
func TestWhatWasSignedMustBeThere(t *testing.T) {
	dir := t.TempDir()
	l := open(t, Options{Dir: dir})
	fill(t, l, 30)
	places := places(t, l)
	l.Close()
	names, _ := segments(dir)
	path := filepath.Join(dir, names[0])
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(b []byte){
		"cut back": func(b []byte) { clear(b[places[28].Offset:]) },
		"changed with its checksums": func(b []byte) {
			frame := b[places[9].Offset:]
			frame[headerSize] ^= 1
			seal(frame, 10)
		},
	} {
		bad := bytes.Clone(whole)
		change(bad)
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		os.Remove(filepath.Join(dir, hashesFile))
		if _, err := Open(Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), "signed at") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestAStartAfterACrashComputesFewHashes: they are synced once in a segment.
func TestAStartAfterACrashComputesFewHashes(t *testing.T) {
	l := open(t, Options{Dir: t.TempDir(), SegmentSize: 1 << 12})
	for n := 10; n <= 120; n += 10 {
		fill(t, l, n)
		sealed(t, l)
	}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		info, err := l.evidence.tree.f.Stat()
		if err != nil {
			t.Fatal(err)
		}
		if sure := sureHashes(l.evidence.tree.f, info.Size()); sure >= 60 {
			return
		} else if time.Now().After(deadline) {
			t.Fatalf("the hashes of %d records of %d are sure", sure, l.Durable())
		}
	}
}

func TestACheckpointComesByItself(t *testing.T) {
	l := open(t, Options{Dir: t.TempDir()})
	fill(t, l, 1)
	for deadline := time.Now().Add(10 * checkpointEvery); l.Checkpoint().Size == 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("no checkpoint")
		}
	}
	// A torn one at the end of the file is cut, and the next one follows.
	dir := l.o.Dir
	l.Close()
	f, err := os.OpenFile(filepath.Join(dir, checkpointsFile), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("dialgate ledger\n17\n"); err != nil {
		t.Fatal(err)
	}
	f.Close()
	l = open(t, Options{Dir: dir})
	if l.Checkpoint().Size != 1 {
		t.Errorf("the last checkpoint is of %d records", l.Checkpoint().Size)
	}
	fill(t, l, 2)
	l.Close()
	if c := open(t, Options{Dir: dir}).Checkpoint(); c.Size != 2 {
		t.Errorf("the last checkpoint is of %d records", c.Size)
	}
}

func TestErase(t *testing.T) {
	dir := t.TempDir()
	l := open(t, Options{Dir: dir, SegmentSize: 1 << 13})
	fill(t, l, 100)
	before := sealed(t, l)
	all := places(t, l)
	erased := []Place{all[4], all[50], all[98]}
	seq, err := l.Erase(erased, time.Unix(1000, 0), "the person asked", []byte("block"))
	if err != nil || seq != 101 {
		t.Fatalf("record %d: %v", seq, err)
	}
	look := func(l *Ledger) {
		t.Helper()
		for r, err := range l.All(1) {
			if err != nil {
				t.Fatal(err)
			}
			want := r.Seq == 5 || r.Seq == 51 || r.Seq == 99
			if r.Erased != want || want && r.Payload != nil {
				t.Fatalf("record %d: erased %t", r.Seq, r.Erased)
			}
			p, err := l.Prove(r.Seq, l.Checkpoint())
			if err != nil || p.Check(l.Checkpoint(), r.Seq, r.Leaf()) != nil {
				t.Fatalf("record %d is not proved any more: %v", r.Seq, err)
			}
			if r.Seq == 101 && (r.Kind != KindErasure || string(r.Payload) != "block") {
				t.Fatalf("the erasure's record is %+v", r)
			}
		}
		p, err := l.ProveConsistency(before, l.Checkpoint())
		if err != nil || p.CheckConsistency(before, l.Checkpoint()) != nil {
			t.Fatalf("the history is another: %v", err)
		}
	}
	look(l)
	l.Close()
	look(open(t, Options{Dir: dir, SegmentSize: 1 << 13}))
	if _, err := os.Stat(filepath.Join(dir, erasingFile)); err == nil {
		t.Error("the erasure is not over")
	}
}

// TestACrashInAnErasureIsFinishedAtTheNextStart leaves the ledger at every
// step of an erasure.
func TestACrashInAnErasureIsFinishedAtTheNextStart(t *testing.T) {
	for half := range 3 {
		dir := t.TempDir()
		l := open(t, Options{Dir: dir})
		fill(t, l, 20)
		all := places(t, l)
		l.Close()
		if err := writeNew(filepath.Join(dir, erasingFile), []byte(fmt.Sprintf(
			`{"Places":[{"Seq":%d,"Offset":%d},{"Seq":%d,"Offset":%d}],"Ground":"g","Time":"2026-01-01T00:00:00Z","Payload":"YmxvY2s="}`,
			all[4].Seq, all[4].Offset, all[9].Seq, all[9].Offset))); err != nil {
			t.Fatal(err)
		}
		names, _ := segments(dir)
		path := filepath.Join(dir, names[0])
		b, _ := os.ReadFile(path)
		switch half {
		case 1: // half a payload
			clear(b[all[4].Offset+headerSize+9:][:12])
		case 2: // the last record's payload is half zero: not a torn tail
			clear(b[all[9].Offset+headerSize+9:][:12])
		}
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		l = open(t, Options{Dir: dir})
		var erased []uint64
		for r, err := range l.All(1) {
			if err != nil {
				t.Fatal(err)
			}
			if r.Erased {
				erased = append(erased, r.Seq)
			}
		}
		if !slices.Equal(erased, []uint64{5, 10}) || l.Durable() != 21 {
			t.Errorf("case %d: erased are %v of %d", half, erased, l.Durable())
		}
	}
}

func TestAZeroPayloadThatNoErasureNamesIsDamage(t *testing.T) {
	dir := t.TempDir()
	l := open(t, Options{Dir: dir, SegmentSize: 1 << 12})
	fill(t, l, 50)
	all := places(t, l)
	if err := zero(dir, all[9:10]); err != nil {
		t.Fatal(err)
	}
	var got error
	for _, err := range l.All(1) {
		got = err
	}
	if got == nil || !strings.Contains(got.Error(), "the payload of record 10 is zero") {
		t.Errorf("got %v", got)
	}
}

// TestRemove: the oldest segments go, and what is left is proved as before.
func TestRemove(t *testing.T) {
	dir := t.TempDir()
	l := open(t, Options{Dir: dir, SegmentSize: 1 << 12})
	fill(t, l, 90)
	before := sealed(t, l)
	all := places(t, l)
	if _, err := l.Erase(all[1:2], time.Unix(1000, 0), "asked", nil); err != nil {
		t.Fatal(err)
	}
	if last, err := l.Oldest(time.Unix(1, 0)); err != nil || last != 0 {
		t.Fatalf("the oldest segment ends with %d, %v", last, err)
	}
	removed := uint64(0)
	for range 2 {
		last, err := l.Oldest(time.Unix(91, 0))
		if err != nil || last <= removed {
			t.Fatalf("the oldest segment ends with %d, %v", last, err)
		}
		if err := l.Remove(last, time.Unix(2000, 0), "older than a year"); err != nil {
			t.Fatal(err)
		}
		removed = last
	}
	look := func(l *Ledger) {
		t.Helper()
		if l.First() != removed+1 {
			t.Fatalf("the first record is %d", l.First())
		}
		if _, err := l.Read(all[0]); err == nil || !strings.Contains(err.Error(), "removed by retention") {
			t.Errorf("a removed record: %v", err)
		}
		head := sealed(t, l)
		for r, err := range l.All(1) {
			if err != nil {
				t.Fatal(err)
			}
			if p, err := l.Prove(r.Seq, head); err != nil || p.Check(head, r.Seq, r.Leaf()) != nil {
				t.Fatalf("record %d: %v", r.Seq, err)
			}
		}
		p, err := l.ProveConsistency(before, head)
		if err != nil || p.CheckConsistency(before, head) != nil {
			t.Fatalf("the history is another: %v", err)
		}
		r, err := Verify(dir, nil, l.PublicKey())
		if err != nil || len(r.Findings) > 0 || r.Removed != removed {
			t.Fatalf("%+v, %v", r, err)
		}
	}
	look(l)
	fill(t, l, int(l.Durable())+5)
	l.Close()
	l = open(t, Options{Dir: dir, SegmentSize: 1 << 12})
	look(l)
	l.Close()

	// A segment that somebody took away is not one that was removed.
	names, _ := segments(dir)
	away := t.TempDir()
	writeDir(t, away, readDir(t, dir))
	os.Remove(filepath.Join(away, names[0]))
	if r, err := Verify(away, nil); err != nil || len(r.Findings) == 0 || !strings.Contains(r.Findings[0].Text, "no record says that they were removed") {
		t.Errorf("%+v, %v", r, err)
	}
	// Without the hashes nothing that is left can be proved.
	os.Remove(filepath.Join(dir, hashesFile))
	if _, err := Open(Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), "removed by retention") {
		t.Errorf("without hashes: %v", err)
	}
}
