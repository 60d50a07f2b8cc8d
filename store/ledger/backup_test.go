package ledger

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// backup makes a backup; since is that of the one before it, nil for a full one.
func backup(t testing.TB, l *Ledger, since *Checkpoint) ([]byte, Checkpoint) {
	t.Helper()
	var b bytes.Buffer
	end, err := l.Backup(t.Context(), &b, BackupOrder{Node: "a", Now: time.Unix(2000, 0), Since: since})
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), end
}

func files(backups ...[]byte) (out []BackupFile) {
	for i, b := range backups {
		out = append(out, BackupFile{fmt.Sprint("backup", i), func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }})
	}
	return out
}

func restore(t testing.TB, backups ...[]byte) (dir string, r Restored) {
	t.Helper()
	dir = t.TempDir()
	r, err := Restore(dir, RestoreOptions{SegmentSize: 1 << 14}, files(backups...))
	if err != nil {
		t.Fatal(err)
	}
	return dir, r
}

// whole verifies a ledger's directory.
func whole(t testing.TB, dir string, keys ...Key) *Report {
	t.Helper()
	r, err := Verify(dir, nil, keys...)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range r.Findings {
		t.Error(f)
	}
	return r
}

func TestARestoredLedgerIsTheOneBackedUp(t *testing.T) {
	key := filepath.Join(t.TempDir(), "key")
	l := open(t, Options{Dir: t.TempDir(), Linger: time.Microsecond, Key: key})
	fill(t, l, 300)
	sealed(t, l)
	fill(t, l, 900)
	full, end := backup(t, l, nil)
	dir, r := restore(t, full)
	if r.First != 1 || r.Last != 900 || r.Signed.Size != 900 || end.Size != 900 || r.Key.String() != l.PublicKey().String() {
		t.Errorf("%+v", r)
	}
	if got := whole(t, dir, l.PublicKey()); got.Last != 900 || got.Checkpoints < 2 {
		t.Errorf("%v", got)
	}
	again := open(t, Options{Dir: dir, Linger: time.Microsecond, Key: key})
	check(t, again, 900)
	fill(t, again, 950)
	again.Close()
	again = open(t, Options{Dir: dir, Key: key})
	check(t, again, 950)
	again.Close()
	whole(t, dir, l.PublicKey())
}

func TestIncrementsFollowEachOther(t *testing.T) {
	l := open(t, Options{Dir: t.TempDir(), Linger: time.Microsecond})
	fill(t, l, 100)
	full, end := backup(t, l, nil)
	fill(t, l, 200)
	one, endOne := backup(t, l, &end)
	empty, endEmpty := backup(t, l, &endOne)
	fill(t, l, 300)
	two, _ := backup(t, l, &endEmpty)
	dir, r := restore(t, full, one, empty, two)
	if r.Last != 300 {
		t.Errorf("%+v", r)
	}
	whole(t, dir)
	other := open(t, Options{Dir: t.TempDir(), Linger: time.Microsecond})
	fill(t, other, 100)
	stranger, strangerEnd := backup(t, other, nil)
	for _, c := range []struct {
		backups [][]byte
		want    string
	}{
		{[][]byte{full, two}, "ends with record 200, and the one before it ends with 100"},
		{[][]byte{full, two, one}, "without a gap"},
		{[][]byte{one}, "full backup that it belongs to"},
		{[][]byte{full, full}, "stands behind another one"},
		{[][]byte{stranger, one}, "of another ledger"},
	} {
		_, err := Restore(t.TempDir(), RestoreOptions{Keys: []Key{l.PublicKey(), other.PublicKey()}}, files(c.backups...))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
	if _, err := Restore(t.TempDir(), RestoreOptions{Keys: []Key{other.PublicKey()}}, files(full)); err == nil || !strings.Contains(err.Error(), "give the key") {
		t.Errorf("another key: %v", err)
	}
	for _, since := range []Checkpoint{strangerEnd, {Size: 1000}} {
		if _, err := l.Backup(t.Context(), io.Discard, BackupOrder{Since: &since}); err == nil || !strings.Contains(err.Error(), "full backup") {
			t.Errorf("an increment to %d records: %v", since.Size, err)
		}
	}
}

// secret is a payload that can be searched for.
var secret = []byte("+31687654321 is a secret")

func TestWhatWasErasedSinceDoesNotComeBack(t *testing.T) {
	l := open(t, Options{Dir: t.TempDir(), Linger: time.Microsecond})
	fill(t, l, 50)
	seq, err := l.AppendSync(Record{Time: time.Unix(51, 0), Kind: 1, Public: []byte("{}"), Payload: secret})
	if err != nil {
		t.Fatal(err)
	}
	fill(t, l, 100)
	full, end := backup(t, l, nil)
	if !bytes.Contains(full, secret) {
		t.Fatal("the search finds nothing even before")
	}
	if _, err := l.Erase([]Place{places(t, l)[seq-1]}, time.Unix(101, 0), "asked", []byte("block")); err != nil {
		t.Fatal(err)
	}
	one, _ := backup(t, l, &end)
	dir, r := restore(t, full, one)
	if r.Erased != 1 {
		t.Errorf("%+v", r)
	}
	for name, b := range readDir(t, dir) {
		if bytes.Contains(b, secret) || bytes.Contains(b, secret[:12]) {
			t.Errorf("it is in %s", name)
		}
	}
	if got := whole(t, dir); got.Erased != 1 {
		t.Errorf("%v", got)
	}
	open(t, Options{Dir: dir}).Close()
	// A backup made after the erasure holds nothing of it either.
	later, _ := backup(t, l, nil)
	if bytes.Contains(later, secret) {
		t.Error("it is in a later backup")
	}
	dir, _ = restore(t, later)
	whole(t, dir)
}

// A writer that does something when it is first written to.
type during struct {
	io.Writer
	do func()
}

func (d *during) Write(b []byte) (int, error) {
	if d.do != nil {
		d.do()
		d.do = nil
	}
	return d.Writer.Write(b)
}

func TestAnErasureDuringABackup(t *testing.T) {
	l := open(t, Options{Dir: t.TempDir(), Linger: time.Microsecond})
	fill(t, l, 100)
	erase := func() {
		if _, err := l.Erase(places(t, l)[40:42], time.Unix(101, 0), "asked", nil); err != nil {
			t.Error(err)
		}
	}
	var b bytes.Buffer
	end, err := l.Backup(t.Context(), &during{&b, erase}, BackupOrder{})
	if err != nil {
		t.Fatal(err)
	}
	if end.Size != 101 {
		t.Errorf("it ends with %d, before the erasure's record", end.Size)
	}
	dir, _ := restore(t, b.Bytes())
	if got := whole(t, dir); got.Erased != 2 {
		t.Errorf("%v", got)
	}
}

func TestABackupAfterRetention(t *testing.T) {
	key := filepath.Join(t.TempDir(), "key")
	l := open(t, Options{Dir: t.TempDir(), Linger: time.Microsecond, Key: key})
	fill(t, l, 900)
	full, end := backup(t, l, nil)
	last, err := l.Oldest(time.Unix(5000, 0))
	if err != nil || last == 0 {
		t.Fatal(last, err)
	}
	if err := l.Remove(last, time.Unix(5000, 0), "old"); err != nil {
		t.Fatal(err)
	}
	one, _ := backup(t, l, &end)
	later, laterEnd := backup(t, l, nil)
	for _, backups := range [][][]byte{{full, one}, {later}} {
		dir, r := restore(t, backups...)
		if r.First != last+1 || r.Last != 901 {
			t.Errorf("%+v", r)
		}
		if got := whole(t, dir); got.Removed != last {
			t.Errorf("%v", got)
		}
		again := open(t, Options{Dir: dir, Key: key})
		if again.First() != last+1 {
			t.Error(again.First())
		}
		again.Close()
	}
	fill(t, l, 1500)
	for l.First() <= laterEnd.Size+1 {
		last, err := l.Oldest(time.Unix(9000, 0))
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Remove(last, time.Unix(9000, 0), "old"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := l.Backup(t.Context(), io.Discard, BackupOrder{Since: &laterEnd}); err == nil || !strings.Contains(err.Error(), "removed by retention") {
		t.Errorf("an increment with a gap: %v", err)
	}
}

// TestADamagedBackupIsRefused: every octet changed, and cut everywhere.
func TestADamagedBackupIsRefused(t *testing.T) {
	l := open(t, Options{Dir: t.TempDir(), Linger: time.Microsecond})
	fill(t, l, 8)
	if _, err := l.Erase(places(t, l)[2:3], time.Unix(1000, 0), "asked", []byte("block")); err != nil {
		t.Fatal(err)
	}
	full, _ := backup(t, l, nil)
	refused := func(b []byte, what string) {
		t.Helper()
		c := &chain{erased: map[uint64]bool{}}
		err := c.all(files(b))
		if err == nil {
			t.Fatalf("%s: it was taken", what)
		}
		if _, copied := CopyBackup(io.Discard, bytes.NewReader(b)); copied == nil {
			t.Fatalf("%s: it was copied as whole", what)
		}
	}
	for i := range full {
		refused(full[:i], fmt.Sprint("cut at ", i))
		for _, bit := range []byte{1, 0x80, 0xff} {
			b := bytes.Clone(full)
			b[i] ^= bit
			refused(b, fmt.Sprintf("octet %d ^ %#x", i, bit))
		}
	}
	refused(append(bytes.Clone(full), 0), "an octet more")
	c := &chain{erased: map[uint64]bool{}}
	if err := c.all(files(full)); err != nil {
		t.Error(err)
	}
}

// TestABackupWhileRecordsCome: what was acknowledged before it began is in it.
func TestABackupWhileRecordsCome(t *testing.T) {
	key := filepath.Join(t.TempDir(), "key")
	l := open(t, Options{Dir: t.TempDir(), Key: key, Linger: 100 * time.Microsecond})
	fill(t, l, 100)
	ctx, stop := context.WithCancel(t.Context())
	var acknowledged atomic.Uint64
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for i := 101; ctx.Err() == nil; i++ {
			seq, err := l.AppendSync(record(i))
			if err != nil {
				t.Error(err)
				return
			}
			acknowledged.Store(seq)
		}
	}()
	var since *Checkpoint
	var all [][]byte
	for range 10 {
		time.Sleep(5 * time.Millisecond)
		before := acknowledged.Load()
		b, end := backup(t, l, since)
		if end.Size < before {
			t.Errorf("it ends with %d, and %d were acknowledged before", end.Size, before)
		}
		all, since = append(all, b), &end
	}
	stop()
	<-ended
	dir, r := restore(t, all...)
	whole(t, dir)
	again := open(t, Options{Dir: dir, Key: key})
	check(t, again, int(r.Last))
}

func TestABackupKeepsItsPace(t *testing.T) {
	l := open(t, Options{Dir: t.TempDir(), Linger: time.Microsecond})
	fill(t, l, 100)
	size, _ := backup(t, l, nil)
	start := time.Now()
	if _, err := l.Backup(t.Context(), io.Discard, BackupOrder{Pace: int64(len(size)) * 5}); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took < 150*time.Millisecond {
		t.Errorf("a fifth of a second was to pass, and it took %s", took)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.Backup(ctx, io.Discard, BackupOrder{}); err == nil {
		t.Error("it was not ended")
	}
}

func FuzzBackup(f *testing.F) {
	l := open(f, Options{Dir: f.TempDir(), Linger: time.Microsecond, Key: filepath.Join(f.TempDir(), "key")})
	fill(f, l, 3)
	var b bytes.Buffer
	end, err := l.Backup(context.Background(), &b, BackupOrder{})
	if err != nil {
		f.Fatal(err)
	}
	full := bytes.Clone(b.Bytes())
	fill(f, l, 4)
	b.Reset()
	if _, err := l.Backup(context.Background(), &b, BackupOrder{Since: &end}); err != nil {
		f.Fatal(err)
	}
	l.Close()
	f.Add(full, b.Bytes())
	f.Add([]byte(backupMagic), []byte{})
	f.Fuzz(func(t *testing.T, full, increment []byte) {
		// Checksums are put right, so that what they guard is looked at too.
		full, increment = sum(full), sum(increment)
		backups := files(full)
		if len(increment) > 0 {
			backups = files(full, increment)
		}
		c := &chain{erased: map[uint64]bool{}}
		if err := c.all(backups); err != nil {
			return
		}
		if root := c.tree.root(); c.tree.size != c.end.Size || root != c.end.Root {
			t.Fatalf("%d records were taken, and %d were signed", c.tree.size, c.end.Size)
		}
	})
}

// sum puts the checksums of a backup's blocks right.
func sum(b []byte) []byte {
	if !bytes.HasPrefix(b, []byte(backupMagic)) {
		return b
	}
	b = bytes.Clone(b)
	for rest := b[len(backupMagic):]; len(rest) >= blockHeader; {
		n := blockHeader + int(binary.LittleEndian.Uint32(rest[4:]))
		if n > len(rest) {
			break
		}
		binary.LittleEndian.PutUint32(rest[8:], blockSum(rest[:n]))
		rest = rest[n:]
	}
	return b
}

// TestADamagedLedgerIsNotBackedUp: neither one that can't be read, nor one in
// which a payload was zeroed without a record that says so.
func TestADamagedLedgerIsNotBackedUp(t *testing.T) {
	for name, hurt := range map[string]func(b []byte, at int64){
		"changed": func(b []byte, at int64) { b[at+headerSize] ^= 1 },
		"zeroed": func(b []byte, at int64) {
			clear(b[at+headerSize+int64(len("public 20")) : at+headerSize+int64(len("public 20"))+saltSize+20])
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			l := open(t, Options{Dir: dir, Linger: time.Microsecond})
			fill(t, l, 50)
			path := filepath.Join(dir, segmentName(1))
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			hurt(b, places(t, l)[19].Offset)
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
			_, err = l.Backup(t.Context(), io.Discard, BackupOrder{})
			if err == nil || !strings.Contains(err.Error(), "record 20") {
				t.Error(err)
			}
		})
	}
}
