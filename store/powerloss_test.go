package store

import (
	"bufio"
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"dialgate/policy"
	"dialgate/store/ledger"
)

// A recorder plays a disk that loses its power. It models, sector by sector:
//
//   - of the ledger's segments and its hashes: what was there when the last sync
//     returned is kept; of what was written since, each sector of 512 octets is
//     there or not, in any order;
//   - of every other file (checkpoints, Badger's): of all that was written
//     since the recorder looked last each sector is there or not, whether or not
//     somebody synced it; its size is the old one, the new one, or between; a file
//     made since may be missing;
//   - a segment's name is on disk, since its directory is synced before it is used.
//
// It does not model sectors that are torn in themselves, nor a disk that lies.
type recorder struct {
	mu     sync.Mutex
	random *rand.Rand
	synced map[string][]byte // what the ledger has synced, by file
	seen   string            // copy of the directory when it was looked at
}

const sector = 512

// sync is the ledger's disk.
func (r *recorder) sync(f *os.File) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	path := inode(f)
	if path == "" {
		return fmt.Errorf("%s has no name", f.Name())
	}
	b, err := os.ReadFile(path)
	if err == nil {
		r.synced[filepath.Base(path)] = b
	}
	return err
}

// inode is the path of an open file, which may have another name than when it
// was opened.
func inode(f *os.File) string {
	paths, _ := filepath.Glob(filepath.Join(filepath.Dir(f.Name()), "*"))
	info, err := f.Stat()
	if err != nil {
		return ""
	}
	for _, p := range paths {
		if other, err := os.Stat(p); err == nil && os.SameFile(info, other) {
			return p
		}
	}
	return ""
}

// look keeps what is in a directory now.
func (r *recorder) look(t *testing.T, dir string) {
	t.Helper()
	r.seen = memoryDir(t)
	copyTree(t, dir, r.seen)
}

// lose makes what the disk holds after the power has gone, in another directory.
// The lock is held, so that nothing is acknowledged meanwhile.
func (r *recorder) lose(t *testing.T, dir, into string) {
	t.Helper()
	copyTree(t, dir, into)
	err := filepath.WalkDir(into, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(into, path)
		if err != nil {
			return err
		}
		if before, ok := r.synced[d.Name()]; ok || strings.HasSuffix(path, ".seg") {
			return r.mix(path, before, d.Name() == "hashes")
		}
		switch {
		case strings.HasSuffix(path, ".key") || d.Name() == "key.pub" || d.Name() == "lock" || strings.HasSuffix(path, ".seg.new"):
			return nil // written once and synced, or of no meaning
		}
		before, err := readUsed(filepath.Join(r.seen, rel))
		if os.IsNotExist(err) && r.random.IntN(4) == 0 {
			return os.Remove(path)
		}
		return r.mix(path, before, true)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// mix puts what was there before in the place of sectors that were lost.
func (r *recorder) mix(path string, before []byte, size bool) error {
	now, err := readUsed(path)
	if err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	all := r.random.IntN(4) == 0 // now and then everything is lost
	for at := 0; at < max(len(now), len(before)); at += sector {
		var old [sector]byte
		if at < len(before) {
			copy(old[:], before[at:])
		}
		end := min(at+sector, int(info.Size()))
		if at >= len(now) || end <= at || string(old[:end-at]) == string(now[at:min(end, len(now))]) {
			continue
		}
		if all || r.random.IntN(2) == 0 {
			if _, err := f.WriteAt(old[:end-at], int64(at)); err != nil {
				return err
			}
		}
	}
	if was := int64(len(before)); size && was < info.Size() && r.random.IntN(2) == 0 {
		return f.Truncate(was + r.random.Int64N(info.Size()-was+1))
	}
	return nil
}

// readUsed is a file without the hole at its end.
func readUsed(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var used int64
	const seekData, seekHole = 3, 4 // lseek(2)
	for at := int64(0); ; {
		data, err := f.Seek(at, seekData)
		if err != nil {
			used = at
			break
		}
		if at, err = f.Seek(data, seekHole); err != nil {
			return nil, err
		}
	}
	b := make([]byte, used)
	_, err = f.ReadAt(b, 0)
	return b, err
}

// TestPowerLoss takes the power away from a store again and again while facts
// and calls come in: the next start finds everything that was acknowledged, or
// makes the projection anew from it, and Badger never ends the process. The
// ledger verifies.
func TestPowerLoss(t *testing.T) {
	if dir := os.Getenv("STORE_POWERLESS_DIR"); dir != "" {
		afterPowerLoss(t, dir)
		return
	}
	rounds := 6
	if os.Getenv("DIALGATE_LONG") != "" {
		rounds = 200
	}
	rebuilt, facts, calls := 0, 0, 0
	for round := range rounds {
		dir := memoryDir(t)
		r := &recorder{random: rand.New(rand.NewPCG(7, uint64(round))), synced: map[string][]byte{}}
		o := testOptions(dir, nil)
		o.Ledger.Sync, o.Ledger.SegmentSize, o.Ledger.Linger = r.sync, 1<<18, 100*time.Microsecond
		s, err := Open(o)
		if err != nil {
			t.Fatal(err)
		}
		var acked []string
		if round%2 == 0 { // tables are made when the store is closed, which the recorder takes for not synced
			for i := range 50 {
				n := numbered(900_000 + i)
				add(t, s, objection(fmt.Sprint("t", i), n, noon))
				acked = append(acked, fmt.Sprint("fact t", i, " ", n.E164()))
			}
			r.look(t, dir)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if s, err = Open(o); err != nil {
				t.Fatal(err)
			}
		}
		var mu sync.Mutex
		ctx, stop := context.WithCancel(t.Context())
		var writers sync.WaitGroup
		writers.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				id, n := fmt.Sprint("o", i), numbered(i)
				if res, err := s.Add(context.Background(), objection(id, n, noon)); err != nil || res[0].Err != nil {
					t.Error(err, res)
					return
				}
				mu.Lock()
				acked = append(acked, fmt.Sprint("fact ", id, " ", n.E164()))
				mu.Unlock()
			}
		})
		writers.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				n := numbered(500_000 + i)
				done := make(chan error, 1)
				if _, err := makeCall(s, call(n, fmt.Sprint("c", i), i), 1<<20, func(err error) { done <- err }); err != nil || <-done != nil {
					t.Error("a call was not recorded: ", err)
					return
				}
				mu.Lock()
				acked = append(acked, fmt.Sprint("call ", i, " ", n.E164()))
				mu.Unlock()
			}
		})
		time.Sleep(time.Duration(20+r.random.IntN(60)) * time.Millisecond)
		if round%2 == 1 {
			r.mu.Lock()
			r.look(t, dir)
			r.mu.Unlock()
		}
		time.Sleep(time.Duration(20+r.random.IntN(100)) * time.Millisecond)
		r.mu.Lock()
		mu.Lock()
		promised := strings.Join(acked, "\n")
		mu.Unlock()
		lost := memoryDir(t)
		r.lose(t, dir, lost)
		r.mu.Unlock()
		stop()
		writers.Wait()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		facts, calls = facts+strings.Count(promised, "fact "), calls+strings.Count(promised, "call ")
		if err := os.WriteFile(filepath.Join(lost, "promised"), []byte(promised), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(os.Args[0], "-test.run", "^TestPowerLoss$", "-test.v")
		cmd.Env = append(os.Environ(), "STORE_POWERLESS_DIR="+lost)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("round %d: %v\n%s", round, err, out)
		}
		rebuilt += strings.Count(string(out), saysRebuilt)
	}
	if facts < 10*rounds || calls < 10*rounds {
		t.Errorf("only %d facts and %d calls were acknowledged in %d rounds", facts, calls, rounds)
	}
	t.Logf("%d rounds, %d facts and %d calls acknowledged, none lost; the projection was made anew %d times", rounds, facts, calls, rebuilt)
}

// afterPowerLoss is the next start, in a process of its own as Badger could end it.
func afterPowerLoss(t *testing.T, dir string) {
	o := testOptions(dir, nil)
	o.Log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(filepath.Join(dir, "promised"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var kind, id, number string
		if _, err := fmt.Sscan(lines.Text(), &kind, &id, &number); err != nil {
			t.Fatal(err)
		}
		n := policy.MustNumber(number)
		if kind == "fact" && len(idsOf(t, s, n)) != 1 || kind == "call" && len(callsTo(t, s, n)) != 1 {
			t.Errorf("%s is lost", lines.Text())
		}
	}
	add(t, s, objection("after", alice, noon))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	report, err := ledger.Verify(filepath.Join(dir, "ledger"), nil)
	if err != nil || len(report.Findings) > 0 {
		t.Errorf("%v %v\n%v", err, report.Findings, report)
	}
}
