//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A small is a file system of its own that a test can fill.
type small struct {
	t    *testing.T
	dir  string
	file *os.File // takes what room is to be taken
	size int64
}

const ownNamespace = "DIALGATE_OWN_NAMESPACE"

// inNamespace runs the test again where it may mount. It reports false to the
// one that has run it.
func inNamespace(t *testing.T) bool {
	t.Helper()
	if os.Getenv(ownNamespace) != "" {
		return true
	}
	cmd := exec.Command("unshare", "-Urm", os.Args[0], "-test.run", "^"+t.Name()+"$", "-test.v", "-test.timeout", "20m")
	cmd.Env = append(os.Environ(), ownNamespace+"=1")
	out, err := cmd.CombinedOutput()
	if strings.Contains(string(out), "unshare failed") || errors.Is(err, exec.ErrNotFound) {
		t.Skipf("this machine lets nobody mount in a namespace of his own: %s", out)
	}
	t.Logf("%s", out)
	if err != nil {
		t.Error(err)
	}
	return false
}

func newSmall(t *testing.T, megabytes int) *small {
	t.Helper()
	s := &small{t: t, dir: t.TempDir()}
	if err := unix.Mount("tmpfs", s.dir, "tmpfs", 0, fmt.Sprintf("size=%dm", megabytes)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(s.dir, unix.MNT_DETACH) })
	var err error
	if s.file, err = os.Create(filepath.Join(s.dir, "others")); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *small) free() int64 {
	var st unix.Statfs_t
	if err := unix.Statfs(s.dir, &st); err != nil {
		s.t.Fatal(err)
	}
	return int64(st.Bavail) * st.Bsize
}

// leave has others fill the disk until so many megabytes are free; less than one
// leaves nothing.
func (s *small) leave(megabytes int64) {
	s.t.Helper()
	want := megabytes << 20
	if more := s.free() - want; more > 0 {
		if err := unix.Fallocate(int(s.file.Fd()), 0, s.size, more); err != nil && !errors.Is(err, unix.ENOSPC) {
			s.t.Fatal(err)
		}
		s.size += more
	} else {
		s.size = max(0, s.size+more)
		if err := s.file.Truncate(s.size); err != nil {
			s.t.Fatal(err)
		}
	}
	page := make([]byte, 4096)
	for at := s.size; megabytes == 0; at += int64(len(page)) {
		if _, err := s.file.WriteAt(page, at); err != nil {
			break
		}
		s.size = at + int64(len(page))
	}
	time.Sleep(500 * time.Millisecond) // the node looks every tenth of a second
}

// TestFullDisk fills the disk of a node under calls, by steps and to the last
// octet, and frees it: imports stop first, then facts, then calls; objections are
// taken all the while; nothing that was acknowledged is lost, the process lives,
// and goes on by itself.
func TestFullDisk(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	disk := newSmall(t, 400)
	n := newNode(t)
	data := filepath.Join(disk.dir, "data")
	n.replace(filepath.Join(n.dir, "data"), data, "store: {", "ledger: {segment_size: 4MiB}\nstore: {disk_floor: 32MiB, ")
	n.consents(200, func(i int) string { return []string{"windkracht", ""}[i%2] })
	w := newWitness(t, n)
	n.start()
	n.run("facts", "import", filepath.Join(n.dir, "facts.csv"))
	api := w.doors()[0]
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { w.calls(ctx, 10*time.Millisecond, 190) })
	defer wg.Wait()
	defer cancel()

	step := 0
	for _, s := range []struct {
		leave          int64 // MB
		imports, facts bool
		call           int // status of a call to who gave a consent
		ready          bool
	}{
		{300, true, true, 486, true},
		{80, false, true, 486, true},
		{50, false, false, 486, true},
		{20, false, false, 603, false},
		{0, false, false, 603, false},
		{300, true, true, 486, true},
	} {
		step++
		disk.leave(s.leave)
		at := fmt.Sprintf("step %d, %d MB free", step, disk.free()>>20)
		_, status := n.command("facts", "-c", n.config, "import", filepath.Join(n.dir, "facts.csv"))
		if (status == 0) != s.imports {
			t.Errorf("%s: an import ends with status %d", at, status)
		}
		fact := fmt.Sprintf(`{"id":"rel-%d","kind":"relationship","number":"+316%08d","advertiser":"windkracht","type":"sale","started":"2026-01-01"}`, step, 40_000_000+step)
		code, body, err := w.add(ctx, api, fact)
		if err != nil || (code < 300) != s.facts || !s.facts && code != http.StatusInsufficientStorage {
			t.Errorf("%s: a fact: %d %s %v", at, code, body, err)
		}
		for i := range 20 {
			number := 10_000_192 // consented, and not called otherwise
			if i > 0 {
				number = 41_000_000 + 100*step + i
			}
			objection := fmt.Sprintf(`{"id":"objection-%d-%d","kind":"objection","number":"+316%08d","advertiser":"*"}`, step, i, number)
			if code, body, err := w.add(ctx, api, objection); err != nil || code >= 300 {
				t.Errorf("%s: an objection: %d %s %v", at, code, body, err)
			}
		}
		if got := w.answer(w.call("+31610000190"), 5*time.Second); got != s.call {
			t.Errorf("%s: a call is answered %d, want %d", at, got, s.call)
		}
		if got := w.answer(w.call("+31610000192"), 5*time.Second); got != 603 {
			t.Errorf("%s: a call to who objected is answered %d, want 603", at, got)
		}
		if res, err := http.Get(n.url("/readyz")); err != nil || (res.StatusCode == 200) != s.ready {
			t.Errorf("%s: /readyz: %v %v", at, res, err)
		}
		if t.Failed() {
			return
		}
		t.Logf("%s: as it should be; %s", at, w.sums())
	}
	cancel()
	wg.Wait()
	time.Sleep(300 * time.Millisecond)
	for _, when := range []string{"running on", "after SIGKILL"} {
		if when == "after SIGKILL" {
			n.kill()
			n.start()
		}
		for _, text := range w.missing(n.decisions(), n.exported()) {
			t.Errorf("%s: %s", when, text)
		}
	}
	path, _ := binary()
	eventually(t, "the ledger verifies", 10*time.Second, func() error {
		out, err := exec.Command(path, "audit", "verify", data).CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w\n%s", err, out)
		}
		return nil
	})
}
