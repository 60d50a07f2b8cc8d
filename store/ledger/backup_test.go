package ledger

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func backup(t testing.TB, l *Ledger, after []byte) ([]byte, Checkpoint) {
	t.Helper()
	var b bytes.Buffer
	if err := l.Backup(&b, after); err != nil {
		t.Fatal(err)
	}
	_, end, err := CheckBackup(bytes.NewReader(b.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), end
}

func restore(dir string, backups ...[]byte) (*Report, error) {
	r, err := NewRestorer(dir)
	if err != nil {
		return nil, err
	}
	for _, b := range backups {
		if err := r.Add(bytes.NewReader(b)); err != nil {
			return nil, err
		}
	}
	return r.Finish()
}

// TestBackupsUnderLoad takes a whole backup and some that go on from it while
// records are appended and erased: what was acknowledged before one began is in
// it, and what was erased by the last is erased.
func TestBackupsUnderLoad(t *testing.T) {
	l := open(t, Options{Dir: filepath.Join(t.TempDir(), "ledger"), Key: filepath.Join(t.TempDir(), "key"), Linger: 100 * time.Microsecond})
	fill(t, l, 500)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				r := record(i)
				r.Payload = fmt.Appendf(nil, "load %d-%d", w, i)
				if _, err := l.AppendSync(r); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
			}
			seq := rand.Uint64N(l.Durable()) + 1
			for r, err := range l.All(seq) {
				if err != nil {
					t.Error(err)
					return
				}
				if r.Kind < KindRetention {
					if _, err := l.Erase([]Place{r.Place}, time.Unix(int64(i), 0), "asked", []byte("{}")); err != nil {
						t.Error(err)
						return
					}
				}
				break
			}
		}
	})
	var all [][]byte
	var after []byte
	for range 5 {
		before := l.Durable()
		b, end := backup(t, l, after)
		if end.Size < before {
			t.Errorf("the backup ends with record %d, and %d were acknowledged before it", end.Size, before)
		}
		all, after = append(all, b), end.Note
		time.Sleep(40 * time.Millisecond)
	}
	close(stop)
	wg.Wait()
	erased := map[uint64]bool{}
	last := uint64(0)
	for n := 1; n <= len(all); n++ {
		dir := filepath.Join(t.TempDir(), "restored")
		report, err := restore(dir, all[:n]...)
		if err != nil {
			t.Fatalf("of %d backups: %v", n, err)
		}
		last = report.Last
		clear(erased)
		for r, err := range walk(dir, Place{Seq: 1}, last, nil) {
			if err != nil {
				t.Fatal(err)
			}
			erased[r.Seq] = r.Erased
		}
	}
	for r, err := range l.All(1) {
		if err != nil {
			t.Fatal(err)
		}
		if r.Seq > last {
			break
		}
		if r.Kind != KindErasure && erased[r.Seq] && !r.Erased {
			t.Errorf("record %d was erased by the restoring only", r.Seq)
		}
		if r.Kind == KindErasure {
			e, _ := ParseErasure(r.Public)
			for _, seq := range e.Erases {
				if !erased[seq] {
					t.Errorf("record %d was erased, and is there again", seq)
				}
			}
		}
	}
	t.Logf("%d records", last)
}

// TestARestoredLedgerGoesOn: it is opened, appended to and retained like any other.
func TestARestoredLedgerGoesOn(t *testing.T) {
	l := open(t, Options{Dir: filepath.Join(t.TempDir(), "ledger"), Key: filepath.Join(t.TempDir(), "key"), Linger: time.Microsecond, sync: func(*os.File) error { return nil }})
	fill(t, l, 900)
	first, end := backup(t, l, nil)
	names, _ := segments(l.o.Dir)
	if len(names) < 3 {
		t.Fatalf("only %d segments", len(names))
	}
	if err := l.Remove(firstOf(names[1])-1, time.Unix(1, 0), "old"); err != nil {
		t.Fatal(err)
	}
	second, _ := backup(t, l, end.Note)
	whole, _ := backup(t, l, nil)
	for what, backups := range map[string][][]byte{"with what was removed since": {first, second}, "without": {whole}} {
		dir := filepath.Join(t.TempDir(), "restored")
		if _, err := restore(dir, backups...); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		again := open(t, Options{Dir: dir, Key: l.o.Key})
		if again.Durable() != l.Durable() || sealed(t, again).Root != sealed(t, l).Root {
			t.Errorf("%s: it is another ledger", what)
		}
		if _, err := again.AppendSync(record(1)); err != nil {
			t.Fatal(err)
		}
		if err := again.Close(); err != nil {
			t.Fatal(err)
		}
		if err := RemoveRetained(dir); err != nil {
			t.Fatal(err)
		}
		report, err := Verify(dir, nil)
		if err != nil || len(report.Findings) > 0 || report.First != l.First() {
			t.Errorf("%s: %v %+v", what, err, report)
		}
	}
}

// TestADamagedBackupIsRefused flips octets and cuts at them: in the long form
// at every one.
func TestADamagedBackupIsRefused(t *testing.T) {
	l := open(t, Options{Dir: filepath.Join(t.TempDir(), "ledger"), Key: filepath.Join(t.TempDir(), "key"), Linger: time.Microsecond, sync: func(*os.File) error { return nil }})
	fill(t, l, 8)
	whole, _ := backup(t, l, nil)
	parent := t.TempDir()
	step := 31
	if os.Getenv("DIALGATE_LONG") != "" {
		step = 1
	}
	for i := 0; i < len(whole); i += step {
		bad := bytes.Clone(whole)
		bad[i] ^= 1 << (i % 8)
		for what, b := range map[string][]byte{"flipped": bad, "cut": whole[:i]} {
			dir := filepath.Join(parent, "restored")
			if _, err := restore(dir, b); err == nil {
				t.Fatalf("octet %d %s: no error", i, what)
			} else if strings.Contains(err.Error(), "\n") {
				t.Errorf("octet %d %s: %v", i, what, err)
			}
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := restore(filepath.Join(parent, "long"), append(whole, 0)); err == nil {
		t.Error("an octet too many: no error")
	}
}

func FuzzRestore(f *testing.F) {
	l := open(f, Options{Dir: filepath.Join(f.TempDir(), "ledger"), Key: filepath.Join(f.TempDir(), "key")})
	fill(f, l, 3)
	whole, end := backup(f, l, nil)
	fill(f, l, 5)
	next, _ := backup(f, l, end.Note)
	f.Add(whole)
	f.Add(next)
	f.Add([]byte(backupMagic + "H"))
	parent := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte) {
		dir := filepath.Join(parent, fmt.Sprint(os.Getpid()))
		defer os.RemoveAll(dir)
		report, err := restore(dir, data)
		if err == nil && (report.Last == 0 || len(report.Findings) > 0) {
			t.Fatalf("restored %+v", report)
		}
	})
}
