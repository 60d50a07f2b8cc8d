package ledger

import (
	"errors"
	"os"
	"path/filepath"
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
func TestASlowDisk(t *testing.T) {
	slow := 200 * time.Millisecond
	if os.Getenv("DIALGATE_LONG") != "" {
		slow = 2 * time.Second
	}
	var slowly atomic.Bool
	l := open(t, Options{Dir: t.TempDir(), Sync: func(f *os.File) error {
		if slowly.Load() {
			time.Sleep(slow)
		}
		return f.Sync()
	}})
	fill(t, l, 1)
	slowly.Store(true)
	defer slowly.Store(false)
	const n = 200
	acked := make(chan time.Duration, n)
	worst := time.Duration(0)
	for range n {
		start := time.Now()
		l.Append(Record{Time: start, Kind: 1, Payload: []byte("x")}, func(_ uint64, err error) {
			if err != nil {
				t.Error(err)
			}
			acked <- time.Since(start)
		})
		worst = max(worst, time.Since(start))
		time.Sleep(slow / 100)
	}
	latest := time.Duration(0)
	for range n {
		latest = max(latest, <-acked)
	}
	if worst > slow/2 {
		t.Errorf("an append waited %s, and a sync takes %s", worst, slow)
	}
	if bound := 2*slow + slow/2 + 100*time.Millisecond; latest > bound {
		t.Errorf("a record was acknowledged after %s, want at most two syncs of %s", latest, slow)
	}
	t.Logf("appending took at most %s; acknowledged after at most %s", worst, latest)
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
