package ledger

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestNoRoomForTheNextFile: from half of a segment on the next one is made; while
// it can't be, only vital records are taken, and it heals by itself.
func TestNoRoomForTheNextFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ledger")
	o := Options{Dir: dir, Key: filepath.Join(t.TempDir(), "key"), SegmentSize: 1 << 16, Linger: time.Microsecond}
	l := open(t, o)
	some := Record{Kind: 1, Time: time.Unix(0, 0), Payload: bytes.Repeat([]byte("x"), 1000)}
	vital := some
	vital.Vital = true
	taken := 0
	appendOne := func(r Record) error {
		_, err := l.AppendSync(r)
		if err == nil {
			taken++
		}
		return err
	}
	if err := appendOne(some); err != nil {
		t.Fatal(err)
	}
	obstacle := filepath.Join(dir, nextFile) // a file can't be made where a directory is
	if err := os.MkdirAll(filepath.Join(obstacle, "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	var err error
	for i := 0; err == nil; i++ {
		if i > 70 {
			t.Fatal("a segment was filled and another one begun, without room")
		}
		err = appendOne(some)
		time.Sleep(time.Millisecond)
	}
	if !errors.Is(err, ErrNoRoom) {
		t.Fatal(err)
	}
	left := l.file.size - l.file.end
	if left < l.file.size/4 {
		t.Errorf("%d octets are left for what is vital", left)
	}
	for range 10 {
		if err := appendOne(vital); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.RemoveAll(obstacle); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if err = appendOne(some); err == nil || time.Now().After(end) {
			break
		}
	}
	for range 100 { // into the next segment, and the one after it
		if err = errors.Join(err, appendOne(some)); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(obstacle); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a segment that was prepared is left: %v", err)
	}
	report, err := Verify(dir, nil)
	if err != nil || len(report.Findings) > 0 || report.Last != uint64(taken) {
		t.Errorf("%v %+v, want %d records", err, report, taken)
	}
}
