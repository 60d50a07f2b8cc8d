package ledger

import (
	"bytes"
	"testing"
	"time"
)

// TestReadingOneRecord by its place, also one that is larger than what is read
// at first, and the last of a segment.
func TestReadingOneRecord(t *testing.T) {
	l, err := Open(Options{Dir: t.TempDir(), SegmentSize: 1 << 20, Linger: time.Microsecond})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	sizes := []int{10, one - 100, one, one + 100, 300_000, 20, 900_000, 30, 0}
	for i, size := range sizes {
		if _, err := l.AppendSync(Record{Time: time.Unix(int64(i), 0), Kind: 1, Public: []byte("p"), Payload: bytes.Repeat([]byte{byte(i + 1)}, size)}); err != nil {
			t.Fatal(err)
		}
	}
	var places []Place
	for r, err := range l.All(1) {
		if err != nil {
			t.Fatal(err)
		}
		places = append(places, r.Place)
	}
	for i, p := range places {
		r, err := l.Read(p)
		if err != nil || r.Seq != uint64(i+1) || !bytes.Equal(r.Payload, bytes.Repeat([]byte{byte(i + 1)}, sizes[i])) {
			t.Errorf("record %d: %d octets of payload, %v", i+1, len(r.Payload), err)
		}
	}
	if len(places) != len(sizes) {
		t.Errorf("%d records", len(places))
	}
}
