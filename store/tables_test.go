package store

import (
	"bufio"
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

// aTable is what Badger wrote of some numbers.
func aTable(t *testing.T) []byte {
	t.Helper()
	dir := memoryDir(t)
	s, err := Open(testOptions(dir, nil))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 40 {
		add(t, s, objection("o", numbered(i), noon))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	paths, _ := filepath.Glob(filepath.Join(dir, "state", "*.sst"))
	if len(paths) == 0 {
		t.Fatal("no table was written")
	}
	b, err := os.ReadFile(paths[0])
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestDamagedTablesAreTold cuts a table at every octet, and changes and zeroes
// parts of it: each is told, and none panics.
func TestDamagedTablesAreTold(t *testing.T) {
	whole := aTable(t)
	r := tableReader{ahead: bufio.NewReader(nil)}
	tableWhole := func(b []byte) error { return r.whole(bytes.NewReader(b), int64(len(b))) }
	if err := tableWhole(whole); err != nil {
		t.Fatal(err)
	}
	for n := range len(whole) {
		if tableWhole(whole[:n]) == nil {
			t.Fatalf("%d of %d octets passed", n, len(whole))
		}
		if b := make([]byte, len(whole)); tableWhole(append(b[:n], whole[n:]...)) == nil && string(b[:n]) != string(whole[:n]) {
			t.Fatalf("passed with its first %d of %d octets zeroed", n, len(whole))
		}
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		b := append([]byte(nil), whole...)
		at := random.IntN(len(b))
		switch random.IntN(3) {
		case 0:
			b[at] ^= byte(1 + random.IntN(255))
		case 1:
			clear(b[at:min(len(b), at+1+random.IntN(512))])
		case 2: // another part of it
			copy(b[at:], whole[random.IntN(len(whole)):])
		}
		if string(b) != string(whole) && tableWhole(b) == nil {
			t.Fatalf("a change at octet %d of %d passed", at, len(whole))
		}
	}
}
