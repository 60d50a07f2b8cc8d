package store

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dialgate/policy"
)

// A damage is done to one file of a projection.
type damage struct {
	file string // pattern, of which the last match is damaged
	do   func(t *testing.T, path string)
	// says is what must stand in the log. Every damage heals, and none does so
	// without a word.
	says string
}

const (
	saysRebuilt  = "rebuilding the facts from the ledger"
	saysFollowed = "the facts are behind the ledger"
)

// damages are those of Badger's files, with what Badger alone makes of each: most
// it opens silently, with facts missing, and of a damaged table it dies.
var damages = map[string]damage{
	"none: killed with SIGKILL":     {"", nil, saysFollowed},
	"all deleted":                   {"", func(t *testing.T, state string) { remove(t, state) }, saysFollowed},
	"log: last record torn":         {"*.mem", func(t *testing.T, p string) { zeroAt(t, p, lastOctet(t, p)-3, 4) }, saysFollowed},
	"log: octet flipped in middle":  {"*.mem", func(t *testing.T, p string) { flipAt(t, p, lastOctet(t, p)/2) }, saysFollowed},
	"log: page zeroed in middle":    {"*.mem", func(t *testing.T, p string) { zeroAt(t, p, lastOctet(t, p)/2, 4096) }, saysFollowed},
	"log: octet flipped in first":   {"*.mem", func(t *testing.T, p string) { flipAt(t, p, 40) }, saysFollowed},
	"log: deleted":                  {"*.mem", func(t *testing.T, p string) { remove(t, p) }, saysFollowed},
	"log: cut below its header":     {"*.mem", func(t *testing.T, p string) { cutTo(t, p, 10) }, ""},
	"log: cut to nothing":           {"*.mem", func(t *testing.T, p string) { cutTo(t, p, 0) }, ""},
	"MANIFEST: last 5 octets cut":   {"MANIFEST", func(t *testing.T, p string) { cutTo(t, p, sizeOf(t, p)-5) }, saysRebuilt},
	"MANIFEST: cut to half":         {"MANIFEST", func(t *testing.T, p string) { cutTo(t, p, sizeOf(t, p)/2) }, saysRebuilt},
	"MANIFEST: last record cut":     {"MANIFEST", cutManifest, saysRebuilt},
	"MANIFEST: cut to its header":   {"MANIFEST", func(t *testing.T, p string) { cutTo(t, p, 8) }, saysRebuilt},
	"MANIFEST: cut to nothing":      {"MANIFEST", func(t *testing.T, p string) { cutTo(t, p, 0) }, saysRebuilt},
	"MANIFEST: deleted":             {"MANIFEST", func(t *testing.T, p string) { remove(t, p) }, saysRebuilt},
	"MANIFEST: octet flipped":       {"MANIFEST", func(t *testing.T, p string) { flipAt(t, p, sizeOf(t, p)-3) }, saysRebuilt},
	"table: octet flipped":          {"*.sst", func(t *testing.T, p string) { flipAt(t, p, sizeOf(t, p)/3) }, saysRebuilt},
	"table: cut by 100 octets":      {"*.sst", func(t *testing.T, p string) { cutTo(t, p, sizeOf(t, p)-100) }, saysRebuilt},
	"table: deleted":                {"*.sst", func(t *testing.T, p string) { remove(t, p) }, saysRebuilt},
	"table: zeroed":                 {"*.sst", func(t *testing.T, p string) { zeroAt(t, p, 0, sizeOf(t, p)) }, saysRebuilt},
	"value log: deleted":            {"*.vlog", func(t *testing.T, p string) { remove(t, p) }, saysFollowed},
	"value log: cut to nothing":     {"*.vlog", func(t *testing.T, p string) { cutTo(t, p, 0) }, ""},
	"KEYREGISTRY: deleted":          {"KEYREGISTRY", func(t *testing.T, p string) { remove(t, p) }, saysFollowed},
	"KEYREGISTRY: octet flipped":    {"KEYREGISTRY", func(t *testing.T, p string) { flipAt(t, p, sizeOf(t, p)/2) }, ""},
	"DISCARD: deleted":              {"DISCARD", func(t *testing.T, p string) { remove(t, p) }, saysFollowed},
	"the note of a clean end stays": {"", staleNote, saysRebuilt},
	"the last start died in Badger": {"", func(t *testing.T, state string) { leaveMarker(t, filepath.Dir(state)) }, saysRebuilt},
}

const damagedFacts = 3000

// TestDamage does each damage to the projection of a node that was killed: it
// heals from the ledger, or is made anew, with a message, and no objection is
// lost, so that no call is allowed that was not before.
func TestDamage(t *testing.T) {
	base := memoryDir(t)
	var facts []policy.Fact
	for i := range damagedFacts {
		facts = append(facts, objection(fmt.Sprint("o", i), numbered(i), noon))
	}
	s := open(t, base, nil)
	for i := range 3 { // three starts, so that there are several tables
		add(t, s, facts[i*damagedFacts/4:(i+1)*damagedFacts/4]...)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = open(t, base, nil)
	}
	add(t, s, facts[3*damagedFacts/4:]...)
	killed := memoryDir(t)
	copyTree(t, base, killed) // what SIGKILL leaves
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for name, d := range damages {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := memoryDir(t)
			copyTree(t, killed, dir)
			state := filepath.Join(dir, "state")
			target := state
			if d.file != "" {
				matches, err := filepath.Glob(filepath.Join(state, d.file))
				if err != nil || len(matches) == 0 {
					t.Fatalf("there is no %s: %v", d.file, err)
				}
				target = matches[len(matches)-1]
			}
			if d.do != nil {
				d.do(t, target)
			}
			var log bytes.Buffer
			s := open(t, dir, &log)
			defer s.Close()
			lost := 0
			for i := range damagedFacts {
				if ids := idsOf(t, s, numbered(i)); len(ids) != 1 {
					lost++
				}
			}
			if lost > 0 {
				t.Errorf("%d of %d objections are lost; the log says\n%s", lost, damagedFacts, log.String())
			}
			if says := log.String(); !strings.Contains(says, d.says) || !strings.Contains(says, saysRebuilt) && !strings.Contains(says, saysFollowed) {
				t.Errorf("the log says\n%s\nwant %q", says, d.says)
			}
			if got := s.Counts()[policy.Objection]; got != damagedFacts {
				t.Errorf("%d objections are counted, want %d", got, damagedFacts)
			}
			add(t, s, objection("after", alice, noon))
		})
	}
}

// memoryDir is a directory in memory, if the system has such: what is looked at
// is what stands in the files, and a busy disk would take minutes.
func memoryDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "dialgate-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func numbered(i int) policy.Number {
	return policy.MustNumber(fmt.Sprintf("+316%08d", 50_000_000+i))
}

// leaveMarker leaves what says that an opening was begun.
func leaveMarker(t *testing.T, dir string) {
	if err := os.WriteFile(filepath.Join(dir, markerFile), nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

// staleNote leaves the note of an earlier clean end, which is not of these files.
func staleNote(t *testing.T, state string) {
	if err := os.WriteFile(filepath.Join(state, cleanFile), []byte("000001.sst 1\nMANIFEST 16\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// cutManifest cuts a MANIFEST where a record ends, as if the last one had never
// been written. A record is its length, a checksum and so many octets.
func cutManifest(t *testing.T, path string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	last := 0
	for at := 8; at+8 <= len(b); {
		last = at
		at += 8 + int(uint32(b[at])<<24|uint32(b[at+1])<<16|uint32(b[at+2])<<8|uint32(b[at+3]))
	}
	if last == 8 {
		t.Fatal("the MANIFEST has one record")
	}
	cutTo(t, path, int64(last))
}

func sizeOf(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

func lastOctet(t *testing.T, path string) int64 {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return int64(len(bytes.TrimRight(b, "\x00"))) - 1
}

func cutTo(t *testing.T, path string, size int64) {
	t.Helper()
	if err := os.Truncate(path, size); err != nil {
		t.Fatal(err)
	}
}

func flipAt(t *testing.T, path string, at int64) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	zeroed := []byte{b[at] ^ 0x10}
	writeAt(t, path, at, zeroed)
}

func zeroAt(t *testing.T, path string, at, size int64) {
	t.Helper()
	writeAt(t, path, at, make([]byte, size))
}

func writeAt(t *testing.T, path string, at int64, b []byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(b, at); err != nil {
		t.Fatal(err)
	}
}

// copyTree copies a directory; files that are mostly holes stay so, and one that
// is taken away meanwhile is none.
func copyTree(t *testing.T, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		if d.IsDir() {
			return os.MkdirAll(target, 0o700)
		}
		if !d.Type().IsRegular() {
			return nil
		}
		if err := copySparse(path, target); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// copySparse copies what a file holds and leaves its holes: Badger's value log
// is 2 GiB of nothing.
func copySparse(from, to string) error {
	const seekData, seekHole = 3, 4 // lseek(2)
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	defer out.Close()
	for at := int64(0); at < info.Size(); {
		data, err := in.Seek(at, seekData)
		if err != nil {
			break // nothing follows
		}
		if at, err = in.Seek(data, seekHole); err != nil {
			return err
		}
		if _, err := io.Copy(io.NewOffsetWriter(out, data), io.NewSectionReader(in, data, at-data)); err != nil {
			return err
		}
	}
	return out.Truncate(info.Size())
}
