package ledger

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestMissingAndReorderedSegmentsAreRefused: a start says which file it is.
func TestMissingAndReorderedSegmentsAreRefused(t *testing.T) {
	for name, damage := range map[string]func(dir string, names []string) error{
		"missing":           func(dir string, names []string) error { return os.Remove(filepath.Join(dir, names[1])) },
		"the first missing": func(dir string, names []string) error { return os.Remove(filepath.Join(dir, names[0])) },
		"the last missing":  func(dir string, names []string) error { return os.Remove(filepath.Join(dir, names[len(names)-1])) },
		"cut":               func(dir string, names []string) error { return os.Truncate(filepath.Join(dir, names[1]), 1<<15) },
		"empty":             func(dir string, names []string) error { return os.Truncate(filepath.Join(dir, names[1]), 0) },
		"exchanged": func(dir string, names []string) error {
			a, b, tmp := filepath.Join(dir, names[1]), filepath.Join(dir, names[2]), filepath.Join(dir, "x")
			return errors.Join(os.Rename(a, tmp), os.Rename(b, a), os.Rename(tmp, b))
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := Options{Dir: filepath.Join(t.TempDir(), "ledger"), Key: filepath.Join(t.TempDir(), "key"), SegmentSize: 1 << 16, Linger: time.Microsecond, Sync: func(*os.File) error { return nil }}
			l := open(t, o)
			fill(t, l, 1000)
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			names, err := segments(o.Dir)
			if err != nil || len(names) < 4 {
				t.Fatalf("%v %v", names, err)
			}
			if err := damage(o.Dir, names); err != nil {
				t.Fatal(err)
			}
			if l, err = Open(o); err == nil {
				t.Fatal("it opened: ", l.Close())
			}
			var damage *DamageError
			if !errors.As(err, &damage) || !strings.Contains(err.Error(), "restore it from a backup") {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestASlowDisk: while a sync takes its time, nobody who appends waits for it,
// and a record is acknowledged at the end of the sync after the one under way.
// That is counted, not timed: the machine may be slow too.
func TestASlowDisk(t *testing.T) {
	slow := 200 * time.Millisecond
	if os.Getenv("DIALGATE_LONG") != "" {
		slow = 2 * time.Second
	}
	var slowly atomic.Bool
	var ended atomic.Int64 // syncs
	l := open(t, Options{Dir: t.TempDir(), Sync: func(f *os.File) error {
		defer ended.Add(1)
		if slowly.Load() {
			time.Sleep(slow)
		}
		return f.Sync()
	}})
	fill(t, l, 1)
	slowly.Store(true)
	defer slowly.Store(false)
	const n = 200
	acked := make(chan int64, n) // syncs that ended since it was appended
	during, most := map[int64]int{}, 0
	for range n {
		before := ended.Load()
		l.Append(Record{Time: time.Now(), Kind: 1, Payload: []byte("x")}, func(_ uint64, err error) {
			if err != nil {
				t.Error(err)
			}
			acked <- ended.Load() - before
		})
		during[ended.Load()]++
		most = max(most, during[ended.Load()])
		time.Sleep(slow / 100)
	}
	latest := int64(0)
	for range n {
		latest = max(latest, <-acked)
	}
	// One that waited for the sync under way would be the only one of its time.
	if most < 10 {
		t.Errorf("at most %d records were appended during a sync", most)
	}
	if latest > 2 {
		t.Errorf("a record was acknowledged after %d syncs, want at most the one under way and its own", latest)
	}
	t.Logf("up to %d records were appended during a sync; acknowledged after at most %d", most, latest)
}

// TestTheClockIsSet: back an hour, forward a day. The order is that of the
// numbers, and everything that was signed stands.
func TestTheClockIsSet(t *testing.T) {
	o := Options{Dir: filepath.Join(t.TempDir(), "ledger"), Key: filepath.Join(t.TempDir(), "key"), SegmentSize: 1 << 16, Linger: time.Microsecond, Sync: func(*os.File) error { return nil }}
	now := time.Date(2026, 10, 25, 2, 30, 0, 0, time.UTC)
	seq := uint64(0)
	for _, step := range []time.Duration{0, -time.Hour, 25 * time.Hour, -48 * time.Hour} {
		now = now.Add(step)
		l := open(t, o)
		for i := range 50 {
			got, err := l.AppendSync(Record{Time: now.Add(time.Duration(i) * time.Millisecond), Kind: 1, Payload: []byte("x")})
			if err != nil || got != seq+1 {
				t.Fatalf("record %d after %d: %v", got, seq, err)
			}
			seq = got
		}
		sealed(t, l)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	report, err := Verify(o.Dir, nil)
	if err != nil || len(report.Findings) > 0 || report.Last != seq {
		t.Errorf("%v %+v", err, report)
	}
}

// TestAGapInTheCheckpoints, as a loss of power can leave one: it and what follows
// is cut off, the records are signed again, and all verifies. A file of which
// nothing near its end can be read is damage, and is not emptied.
func TestAGapInTheCheckpoints(t *testing.T) {
	o := Options{Dir: filepath.Join(t.TempDir(), "ledger"), Key: filepath.Join(t.TempDir(), "key"), Linger: time.Microsecond}
	l := open(t, o)
	for i := range 200 {
		fill(t, l, i+1)
		sealed(t, l)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(o.Dir, checkpointsFile)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(whole) < 8*maxCheckpoint {
		t.Fatalf("only %d octets of checkpoints", len(whole))
	}
	for name, gap := range map[string][2]int{
		"a sector near the end":   {len(whole) - 5000, len(whole) - 4488},
		"the last sectors":        {len(whole) - 1000, len(whole)},
		"the end of the last one": {len(whole) - 20, len(whole)},
	} {
		damaged := slices.Clone(whole)
		clear(damaged[gap[0]:gap[1]])
		if err := os.WriteFile(path, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		l := open(t, o)
		if head := sealed(t, l); head.Size != 200 {
			t.Errorf("%s: signed again up to %d", name, head.Size)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		report, err := Verify(o.Dir, nil)
		if err != nil || len(report.Findings) > 0 || report.Signed.Size != 200 {
			t.Errorf("%s: %v %v", name, err, report.Findings)
		}
	}
	clear(whole[len(whole)-5*maxCheckpoint:])
	if err := os.WriteFile(path, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	var damage *DamageError
	if _, err := Open(o); !errors.As(err, &damage) {
		t.Errorf("nothing can be read near the end: %v", err)
	}
	if info, err := os.Stat(path); err != nil || info.Size() != int64(len(whole)) {
		t.Errorf("the file was changed: %v %v", info.Size(), err)
	}
}

// TestTheLastCheckpointIsFoundWhereverTheTailBegins: the part of the file that
// is read may begin at any octet of a checkpoint.
func TestTheLastCheckpointIsFoundWhereverTheTailBegins(t *testing.T) {
	o := Options{Dir: filepath.Join(t.TempDir(), "ledger"), Key: filepath.Join(t.TempDir(), "key"), Linger: time.Microsecond}
	l := open(t, o)
	for i := range 120 {
		fill(t, l, i+1)
		sealed(t, l)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(filepath.Join(o.Dir, checkpointsFile))
	if err != nil {
		t.Fatal(err)
	}
	for cut := range 500 { // more than a checkpoint takes
		part := whole[:len(whole)-cut]
		if len(part) <= 4*maxCheckpoint {
			t.Fatalf("only %d octets of checkpoints", len(part))
		}
		f, err := os.Create(filepath.Join(t.TempDir(), "part"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write(part); err != nil {
			t.Fatal(err)
		}
		c, end, err := lastCheckpoint(f)
		f.Close()
		want := len(whole) // where the last one ends that is there whole
		for want > len(part) {
			want = bytes.LastIndex(whole[:want-1], []byte("\n\n"+origin+"\n")) + 2
		}
		if err != nil || end != int64(want) || c.Size == 0 {
			t.Fatalf("without the last %d octets: %v, checkpoint %d ends at %d, want %d", cut, err, c.Size, end, want)
		}
	}
}
