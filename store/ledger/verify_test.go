package ledger

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// small makes a ledger of two segments with an erasure in it and returns its
// files, its key and where its records lie.
func small(t testing.TB) (files map[string][]byte, key Key, all []Place) {
	t.Helper()
	dir := t.TempDir()
	l := open(t, Options{Dir: dir, SegmentSize: 1 << 9, Key: filepath.Join(t.TempDir(), "key")})
	fill(t, l, 5)
	sealed(t, l)
	if _, err := l.Erase(places(t, l)[2:3], time.Unix(1000, 0), "the person asked", []byte("block")); err != nil {
		t.Fatal(err)
	}
	fill(t, l, 14)
	all = places(t, l)
	l.Close()
	return readDir(t, dir), l.PublicKey(), all
}

func readDir(t testing.TB, dir string) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		files[e.Name()] = b
	}
	return files
}

func writeDir(t testing.TB, dir string, files map[string][]byte) {
	t.Helper()
	for name, b := range files {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// first is the first finding about a ledger made of files, "" when all is well.
func first(t testing.TB, dir string, files map[string][]byte, key Key) Finding {
	t.Helper()
	writeDir(t, dir, files)
	r, err := Verify(dir, nil, key)
	if err != nil {
		return Finding{Text: err.Error()}
	}
	if len(r.Findings) == 0 {
		return Finding{}
	}
	return r.Findings[0]
}

// TestVerifyNamesEveryChangedOctet changes each octet of a small ledger. Only
// those that mean nothing may be changed unnoticed: where hashes is said to be
// on disk, and the key that lies beside.
func TestVerifyNamesEveryChangedOctet(t *testing.T) {
	files, key, all := small(t)
	dir := t.TempDir()
	if f := first(t, dir, files, key); f.Text != "" {
		t.Fatalf("an honest ledger: %v", f)
	}
	for name, b := range files {
		if name == "lock" || name == publicKeyFile {
			continue
		}
		step := 3 // every field; all octets in the long form
		if os.Getenv("DIALGATE_LONG") != "" {
			step = 1
		}
		for at := 0; at < len(b); at += step {
			if name == hashesFile && at < hashesHeader {
				continue
			}
			bad := bytes.Clone(b)
			bad[at] ^= 0x10
			f := first(t, dir, map[string][]byte{name: bad}, key)
			if f.Text == "" {
				t.Fatalf("octet %d of %s was changed and nobody noticed", at, name)
			}
			if want := recordAt(name, at, b, files, all); want != 0 && f.Record != want {
				t.Fatalf("octet %d of %s belongs to record %d; got %+v", at, name, want, f)
			}
		}
		writeDir(t, dir, map[string][]byte{name: b})
	}
}

// recordAt is the record whose frame an octet of a segment belongs to, 0: none.
func recordAt(name string, at int, b []byte, files map[string][]byte, all []Place) (seq uint64) {
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(files)), func(n string) bool { return !strings.HasSuffix(n, ".seg") })
	for _, p := range all {
		if segmentOf(names, p.Seq) != name || int64(at) < p.Offset {
			continue
		}
		if _, size, err := parseFrame(b[p.Offset:]); err == nil && at < int(p.Offset)+size {
			seq = p.Seq
		}
	}
	return seq
}

// TestWhatAnAttackerMayTry: whoever writes to the disk can compute every
// checksum anew, and the file of hashes too, but signs nothing.
func TestWhatAnAttackerMayTry(t *testing.T) {
	files, key, all := small(t)
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(files)), func(n string) bool { return !strings.HasSuffix(n, ".seg") })
	change := func(seq uint64, f func(frame []byte)) map[string][]byte {
		out := maps.Clone(files)
		name := segmentOf(names, seq)
		b := bytes.Clone(files[name])
		for _, p := range all {
			if p.Seq == seq {
				f(b[p.Offset:])
				seal(b[p.Offset:], seq)
			}
		}
		out[name] = b
		return out
	}
	for name, test := range map[string]struct {
		files map[string][]byte
		want  string
	}{
		"public part":     {change(4, func(f []byte) { f[headerSize] ^= 1 }), "record 4 is not the one that was signed"},
		"time":            {change(9, func(f []byte) { f[25] ^= 1 }), "record 9 is not the one that was signed"},
		"kind":            {change(14, func(f []byte) { f[10] ^= 1 }), "record 14 is not the one that was signed"},
		"commitment":      {change(5, func(f []byte) { f[40] ^= 1 }), "the payload of record 5 is not what the record commits to"},
		"erased silently": {change(8, func(f []byte) { clear(f[headerSize+8:][:24]) }), "the payload of record 8 was erased, and no erasure names it"},
		"without hashes": {func() map[string][]byte {
			out := change(4, func(f []byte) { f[headerSize] ^= 1 })
			out[hashesFile] = nil
			return out
		}(), "one of the records 1 to 5 is not the one that was signed"},
		"no checkpoints": {func() map[string][]byte {
			out := maps.Clone(files)
			out[checkpointsFile] = nil
			return out
		}(), "there is no signed checkpoint"},
		"cut off": {func() map[string][]byte {
			out := maps.Clone(files)
			last := segmentOf(names, 14)
			b := bytes.Clone(files[last])
			clear(b[all[13].Offset:])
			out[last] = b
			return out
		}(), "only 13 are there: the end was cut off"},
	} {
		if f := first(t, t.TempDir(), test.files, key); !strings.Contains(f.Text, test.want) {
			t.Errorf("%s: got %q, want %q", name, f, test.want)
		}
	}
	// Segments that are missing or that changed places.
	if len(names) < 3 {
		t.Fatalf("only %d segments", len(names))
	}
	missing := maps.Clone(files)
	delete(missing, names[1])
	if f := first(t, t.TempDir(), missing, key); f.Record != firstOf(names[1]) {
		t.Errorf("a missing segment: %v", f)
	}
	swapped := maps.Clone(files)
	swapped[names[0]], swapped[names[1]] = files[names[1]], files[names[0]]
	if f := first(t, t.TempDir(), swapped, key); f.Record != 1 {
		t.Errorf("segments that changed places: %v", f)
	}
	// Another node's ledger, whole and signed, but not with this key.
	others, _, _ := small(t)
	if f := first(t, t.TempDir(), others, key); !strings.Contains(f.Text, "not signed with the key") {
		t.Errorf("another ledger: %v", f)
	}
}

// TestACheckpointKeptOutside shows what was written anew with the node's own key.
func TestACheckpointKeptOutside(t *testing.T) {
	key := filepath.Join(t.TempDir(), "key")
	build := func(from int) (dir string, head Checkpoint) {
		dir = t.TempDir()
		l := open(t, Options{Dir: dir, Key: key})
		for i := from; i < from+10; i++ {
			if _, err := l.AppendSync(record(i)); err != nil {
				t.Fatal(err)
			}
		}
		head = sealed(t, l)
		l.Close()
		return dir, head
	}
	honest, kept := build(1)
	forged, _ := build(2)
	var public Key
	{
		l := open(t, Options{Dir: t.TempDir(), Key: key})
		public = l.PublicKey()
	}
	l := open(t, Options{Dir: honest, Key: key})
	fill(t, l, 15)
	longer := sealed(t, l)
	l.Close()
	for _, test := range []struct {
		dir  string
		kept [][]byte
		want string
	}{
		{honest, [][]byte{longer.Note, kept.Note}, ""},
		{forged, nil, ""},
		{forged, [][]byte{kept.Note}, "are not those of the checkpoint"},
		{forged, [][]byte{longer.Note}, "only 10 are there"},
		{honest, [][]byte{[]byte("nonsense")}, "of those kept outside"},
	} {
		r, err := Verify(test.dir, test.kept, public)
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(r.Findings); test.want == "" && len(r.Findings) > 0 || !strings.Contains(got, test.want) {
			t.Errorf("%s, want %q", got, test.want)
		}
	}
}

// FuzzVerify feeds the readers of what others hand in.
func FuzzVerify(f *testing.F) {
	files, key, _ := small(f)
	for name, b := range files {
		f.Add(name, b)
	}
	names := slices.Sorted(maps.Keys(files))
	f.Fuzz(func(t *testing.T, name string, data []byte) {
		if !slices.Contains(names, name) || bytes.Equal(data, files[name]) || name == publicKeyFile || name == "lock" {
			return
		}
		dir := t.TempDir()
		bad := maps.Clone(files)
		bad[name] = data
		if name == hashesFile && len(data) >= hashesHeader && bytes.HasPrefix(files[name][hashesHeader:], data[hashesHeader:]) {
			return // it may end early
		}
		if got := first(t, dir, bad, key); got.Text == "" && !(name == hashesFile && len(data) < hashesHeader) {
			t.Fatalf("%s was changed and nobody noticed", name)
		}
	})
}

func FuzzParseLeaf(f *testing.F) {
	r := record(7)
	r.Seq = 1
	b := appendFrame(nil, &r, &[saltSize]byte{})
	rec, _, err := parseFrame(sealedFrame(b))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(rec.Leaf(), rec.Salted())
	f.Fuzz(func(t *testing.T, leaf, salted []byte) {
		r, err := ParseLeaf(leaf, salted)
		if err == nil && !r.Erased && len(r.Payload) != len(salted)-saltSize {
			t.Fatalf("%+v", r)
		}
	})
}

func sealedFrame(b []byte) []byte {
	seal(b, 1)
	return b
}
