package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t testing.TB, o Options) *Ledger {
	t.Helper()
	if o.SegmentSize == 0 {
		o.SegmentSize = 1 << 16
	}
	l, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func record(i int) Record {
	return Record{Time: time.Unix(int64(i), 0), Kind: Kind(i%5 + 1), Public: fmt.Appendf(nil, "public %d", i), Payload: bytes.Repeat([]byte{byte(i)}, i%300)}
}

// check reads the ledger and compares it with what record made.
func check(t *testing.T, l *Ledger, want int) {
	t.Helper()
	n := 0
	for r, err := range l.All(1) {
		if err != nil {
			t.Fatal(err)
		}
		n++
		w := record(n)
		if r.Seq != uint64(n) || r.Kind != w.Kind || !bytes.Equal(r.Public, w.Public) || !bytes.Equal(r.Payload, w.Payload) || !r.Time.Equal(w.Time) {
			t.Fatalf("record %d is %+v", n, r)
		}
	}
	if n != want {
		t.Fatalf("%d records, want %d", n, want)
	}
}

func TestRecordsComeBackInOrderOverSegmentsAndRestarts(t *testing.T) {
	dir := t.TempDir()
	n := 0
	for range 3 {
		l := open(t, Options{Dir: dir, Linger: time.Microsecond})
		for range 400 {
			n++
			if seq, err := l.AppendSync(record(n)); err != nil || seq != uint64(n) {
				t.Fatalf("record %d got number %d: %v", n, seq, err)
			}
		}
		check(t, l, n)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if names, _ := segments(dir); len(names) < 3 {
		t.Errorf("only %d segments", len(names))
	}
}

func TestManyWritersShareTheirSyncs(t *testing.T) {
	syncs := 0
	l := open(t, Options{Dir: t.TempDir(), Sync: func(*os.File) error { syncs++; return nil }})
	var wg sync.WaitGroup
	for range 2000 {
		wg.Add(1)
		l.Append(Record{Time: time.Unix(1, 0), Kind: 1, Public: []byte("x")}, func(_ uint64, err error) {
			if err != nil {
				t.Error(err)
			}
			wg.Done()
		})
	}
	wg.Wait()
	l.Close()
	if syncs > 200 {
		t.Errorf("%d syncs for 2,000 records", syncs)
	}
}

// TestACrashAnywhereLosesNothingAcknowledged cuts the log at every octet of its
// last batch, as a crash would, in every way: cut off, zeroed from there on,
// and torn with later frames of the same batch present.
func TestACrashAnywhereLosesNothingAcknowledged(t *testing.T) {
	dir := t.TempDir()
	key := filepath.Join(t.TempDir(), "key")
	l := open(t, Options{Dir: dir, SegmentSize: 1 << 13, Key: key})
	for i := 1; i <= 3; i++ {
		if _, err := l.AppendSync(record(i)); err != nil {
			t.Fatal(err)
		}
	}
	acked := l.file.end
	var wg sync.WaitGroup
	l.mu.Lock() // so that the next three share a batch
	for i := 4; i <= 6; i++ {
		l.seq++
		r := record(i)
		r.Seq = l.seq
		before := len(l.pending)
		l.pending = appendFrame(l.pending, &r, &[saltSize]byte{})
		wg.Add(1)
		l.frames = append(l.frames, frame{size: len(l.pending) - before, seq: r.Seq, done: func(uint64, error) { wg.Done() }})
	}
	l.writeBy(time.Now())
	l.mu.Unlock()
	wg.Wait()
	end := l.file.end
	l.Close()
	names, _ := segments(dir)
	whole, err := os.ReadFile(filepath.Join(dir, names[0]))
	if err != nil {
		t.Fatal(err)
	}
	try := func(what string, data []byte) {
		t.Helper()
		at := t.TempDir()
		if err := os.WriteFile(filepath.Join(at, names[0]), data, 0o600); err != nil {
			t.Fatal(err)
		}
		l, err := Open(Options{Dir: at, SegmentSize: 1 << 13, Key: key})
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		defer l.Close()
		if n := l.Durable(); n < 3 || n > 6 {
			t.Fatalf("%s: %d records left", what, n)
		}
		next := int(l.Durable()) + 1
		if _, err := l.AppendSync(record(next)); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		check(t, l, next)
	}
	for cut := acked; cut < end; cut++ {
		zeroed := bytes.Clone(whole)
		clear(zeroed[cut:])
		try(fmt.Sprintf("zeroed from %d", cut), zeroed)
		torn := bytes.Clone(whole)
		torn[cut] ^= 0xff
		try(fmt.Sprintf("torn at %d", cut), torn)
	}
	try("cut off", whole[:acked+10])
}

func TestDamageInTheMiddleIsReportedNotSkipped(t *testing.T) {
	dir := t.TempDir()
	l := open(t, Options{Dir: dir})
	for i := 1; i <= 50; i++ {
		if _, err := l.AppendSync(record(i)); err != nil {
			t.Fatal(err)
		}
	}
	end := l.file.end
	l.Close()
	names, _ := segments(dir)
	path := filepath.Join(dir, names[0])
	whole, _ := os.ReadFile(path)
	for at := int64(0); at < end/2; at += 97 {
		bad := bytes.Clone(whole)
		bad[at] ^= 1
		if _, _, err := parseFrame(bad); err == nil && at < 200 {
			continue // a padding octet
		}
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		l, err := Open(Options{Dir: dir})
		var damage *DamageError
		if err == nil {
			// Padding octets belong to nobody; everything must still be there.
			if n := l.Durable(); n != 50 {
				t.Fatalf("octet %d flipped: %d of 50 records left, and no error", at, n)
			}
			l.Close()
			continue
		}
		if !errors.As(err, &damage) || damage.File != names[0] {
			t.Fatalf("octet %d flipped: %v", at, err)
		}
	}
}

func TestAFailingDiskFailsRecordsAndHeals(t *testing.T) {
	var fail error
	l := open(t, Options{Dir: t.TempDir(), Linger: time.Microsecond, Sync: func(*os.File) error { return fail }})
	if _, err := l.AppendSync(record(1)); err != nil {
		t.Fatal(err)
	}
	fail = errors.New("input/output error")
	for range 3 {
		if _, err := l.AppendSync(record(99)); !errors.Is(err, fail) {
			t.Fatalf("got %v", err)
		}
	}
	if l.Failure() == nil {
		t.Error("the ledger does not say that it fails")
	}
	fail = nil
	for i := 2; i <= 10; i++ {
		if _, err := l.AppendSync(record(i)); err != nil {
			t.Fatal(err)
		}
	}
	if l.Failure() != nil {
		t.Error("the ledger still says that it fails")
	}
	check(t, l, 10)
}

func TestOnlyOneProcessMayOpen(t *testing.T) {
	dir := t.TempDir()
	open(t, Options{Dir: dir})
	if _, err := Open(Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), "in use by another process") {
		t.Errorf("got %v", err)
	}
}

func TestMemoryModeAcknowledgesAtOnceAndStillWrites(t *testing.T) {
	dir := t.TempDir()
	block := make(chan struct{}) // the disk hangs until everything is acknowledged
	l := open(t, Options{Dir: dir, Memory: true, Sync: func(*os.File) error { <-block; return nil }})
	for i := 1; i <= 1000; i++ {
		acked := false
		l.Append(record(i), func(_ uint64, err error) { acked = err == nil })
		if !acked {
			t.Fatal("not acknowledged at once")
		}
	}
	close(block)
	l.Close()
	check(t, open(t, Options{Dir: dir}), 1000)
}

func TestAClosedOrFullLedgerSaysSo(t *testing.T) {
	l := open(t, Options{Dir: t.TempDir()})
	l.Close()
	if _, err := l.AppendSync(record(1)); !errors.Is(err, ErrClosed) {
		t.Errorf("closed: %v", err)
	}
	block := make(chan struct{})
	l = open(t, Options{Dir: t.TempDir(), Sync: func(*os.File) error { <-block; return nil }})
	full := 0
	for range 40 {
		l.Append(Record{Time: time.Unix(1, 0), Kind: 1, Payload: make([]byte, maxPayload)}, func(_ uint64, err error) {
			if errors.Is(err, ErrFull) {
				full++
			}
		})
	}
	if full == 0 {
		t.Error("a ledger whose disk hangs took 40 MiB")
	}
	close(block)
}

func FuzzFrame(f *testing.F) {
	r := record(7)
	r.Seq = 1
	b := appendFrame(nil, &r, &[saltSize]byte{})
	seal(b, 1)
	f.Add(b)
	f.Fuzz(func(t *testing.T, data []byte) {
		next, end, _ := scan(data, 1, func(Record) bool { return true })
		if end > int64(len(data)) || next < 1 {
			t.Fatalf("next %d, end %d of %d", next, end, len(data))
		}
		laterFrame(data, next)
	})
}

func BenchmarkAppend(b *testing.B) {
	l := open(b, Options{Dir: b.TempDir(), SegmentSize: 64 << 20})
	r := Record{Time: time.Unix(1, 0), Kind: 1, Public: make([]byte, 90), Payload: make([]byte, 90)}
	slots := make(chan struct{}, 4096)
	b.ReportAllocs()
	for b.Loop() {
		slots <- struct{}{}
		l.Append(r, func(uint64, error) { <-slots })
	}
}

func BenchmarkAppendSync(b *testing.B) {
	l := open(b, Options{Dir: b.TempDir(), SegmentSize: 64 << 20, Linger: time.Nanosecond})
	r := Record{Time: time.Unix(1, 0), Kind: 1, Public: make([]byte, 90), Payload: make([]byte, 90)}
	for b.Loop() {
		if _, err := l.AppendSync(r); err != nil {
			b.Fatal(err)
		}
	}
}
