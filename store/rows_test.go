package store

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"dialgate/policy"
)

// TestGoldenRows freezes the rows of the projection: what this program makes of
// the golden ledger stands in the file of its version, key and value in
// hexadecimal. Rows of every older version stay readable, or name a version
// that is made anew from the ledger.
func TestGoldenRows(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "ledger"), 0o700); err != nil {
		t.Fatal(err)
	}
	segments, _ := filepath.Glob(filepath.Join("testdata", "ledger1", "ledger", "*.seg"))
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
	if err := s.catchUpIndex(0); err != nil {
		t.Fatal(err)
	}
	rows := rowsIn(t, s.state)
	var b strings.Builder
	for _, key := range slices.Sorted(maps.Keys(rows)) {
		fmt.Fprintf(&b, "%x %s\n", key, rows[key])
	}
	golden := filepath.Join("testdata", fmt.Sprintf("projection%d-%d.txt", schema, valueVersion))
	if *update {
		if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("the rows are\n%swant\n%s", b.String(), want)
	}
	files, _ := filepath.Glob(filepath.Join("testdata", "projection*.txt"))
	for _, name := range files {
		readRows(t, name)
	}
}

// readRows reads each row of a golden file as the store does.
func readRows(t *testing.T, name string) {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var facts, counted int64
	for sc := bufio.NewScanner(f); sc.Scan(); {
		left, right, _ := strings.Cut(sc.Text(), " ")
		key, err := hex.DecodeString(left)
		if err != nil || len(key) == 0 {
			t.Fatalf("%s: %q", name, sc.Text())
		}
		value, err := hex.DecodeString(right)
		switch key[0] {
		case 'F':
			var known policy.Facts
			n, _ := policy.NumberOfKey(binary.BigEndian.Uint64(key[1:]))
			if err == nil {
				err = readValue(value, n, &known)
			}
			facts += int64(len(known.All))
		case 'O', 'E':
			if err == nil {
				_, err = readPlace(value)
			}
		case 'M':
			if string(key) == string(countsKey) {
				var t tally
				err = t.read(value)
				for _, n := range t[1:] {
					counted += n
				}
			}
		}
		if err != nil {
			t.Errorf("%s: %q: %v", name, key, err)
		}
	}
	if facts == 0 || facts != counted {
		t.Errorf("%s: %d facts, and %d were counted", name, facts, counted)
	}
}
