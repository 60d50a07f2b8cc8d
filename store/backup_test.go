package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"filippo.io/age"

	"dialgate/policy"
	"dialgate/store/ledger"
)

// backedUp writes a backup into a directory; since is the end of the one before it.
func backedUp(t testing.TB, s *Store, path string, to Recipients, since []byte) (end []byte) {
	t.Helper()
	var b bytes.Buffer
	w, err := to.Encrypt(&b)
	if err != nil {
		t.Fatal(err)
	}
	c, err := s.Backup(t.Context(), w, since, 0)
	if err = errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return c.Note
}

// restoreOptions are of a store that is restored beside another, with its keys.
func restoreOptions(dir, of string) RestoreOptions {
	o := RestoreOptions{Store: testOptions(dir, nil), Number: policy.ParseNumber, LedgerKey: filepath.Join(of, "ledger.key")}
	o.Store.ErasureKey = of + "-erasure.key"
	return o
}

func restored(t testing.TB, o RestoreOptions, backups ...string) Restored {
	t.Helper()
	r, err := Restore(o, backups...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// reopen opens a restored store.
func reopen(t testing.TB, o RestoreOptions) *Store {
	t.Helper()
	s, err := Open(o.Store)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// verified verifies the ledger of a closed store.
func verified(t testing.TB, dir string) {
	t.Helper()
	report, err := ledger.Verify(filepath.Join(dir, "ledger"), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range report.Findings {
		t.Error(f)
	}
}

func keyPair(t testing.TB) (Recipients, Identities) {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	to, err := ParseRecipients("# a comment\n" + id.Recipient().String() + "\n")
	if err != nil {
		t.Fatal(err)
	}
	ids, err := ParseIdentities(strings.NewReader(id.String()))
	if err != nil {
		t.Fatal(err)
	}
	return to, ids
}

func TestABackupBringsTheStoreBack(t *testing.T) {
	t.Parallel()
	top := t.TempDir()
	dir, back := filepath.Join(top, "data"), filepath.Join(top, "back")
	s := open(t, dir, nil)
	example(t, s)
	to, ids := keyPair(t)
	full, one := filepath.Join(top, "full"), filepath.Join(top, "one")
	end := backedUp(t, s, full, to, nil)
	add(t, s, consent("c9", carol))
	judged(t, s, policy.Allowed, carol, 9)
	backedUp(t, s, one, nil, end)
	var want bytes.Buffer
	if err := s.Export(&want); err != nil {
		t.Fatal(err)
	}
	decisions := len(decisionsOf(t, s))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(full); err != nil || bytes.Contains(b, []byte(alice.Digits())) {
		t.Errorf("the encrypted backup tells a number: %v", err)
	}

	o := restoreOptions(back, dir)
	for _, c := range []struct {
		with Identities
		want string
	}{{nil, "--identity"}, {second(keyPair(t)), "for others"}} {
		o.Identities = c.with
		if _, err := Restore(o, full, one); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
	o.Identities = ids
	restored(t, o, full, one)
	again := reopen(t, o)
	var got bytes.Buffer
	if err := again.Export(&got); err != nil {
		t.Fatal(err)
	}
	if got.String() != want.String() || want.Len() == 0 {
		t.Errorf("facts:\n%swant\n%s", &got, &want)
	}
	if n := len(decisionsOf(t, again)); n != decisions || n == 0 {
		t.Errorf("%d decisions, want %d", n, decisions)
	}
	add(t, again, consent("c10", bob))
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
	verified(t, back)
	if _, err := Restore(o, full, one); err == nil || !strings.Contains(err.Error(), "is not empty") {
		t.Errorf("over a store: %v", err)
	}
}

func second[A, B any](_ A, b B) B { return b }

func decisionsOf(t testing.TB, s *Store) (all []Decision) {
	t.Helper()
	for d, err := range s.Decisions(1) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, d)
	}
	return all
}

// TestAFailedRestoreLeavesNothing: damaged, cut and of another key.
func TestAFailedRestoreLeavesNothing(t *testing.T) {
	t.Parallel()
	top := t.TempDir()
	dir := filepath.Join(top, "data")
	s := open(t, dir, nil)
	example(t, s)
	other := open(t, filepath.Join(top, "other"), nil)
	to, ids := keyPair(t)
	plain, sealed := filepath.Join(top, "plain"), filepath.Join(top, "sealed")
	backedUp(t, s, plain, nil, nil)
	backedUp(t, s, sealed, to, nil)
	for _, s := range []*Store{s, other} {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	names := func() (out []string) {
		entries, err := os.ReadDir(top)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			out = append(out, e.Name())
		}
		return out
	}
	bad := filepath.Join(top, "bad")
	if err := os.WriteFile(bad, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	before := fmt.Sprint(names())
	for _, path := range []string{plain, sealed} {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for at := 0; at < len(b); at += 1 + len(b)/50 {
			flipped := bytes.Clone(b)
			flipped[at] ^= 1
			for _, damaged := range [][]byte{b[:at], flipped, append(bytes.Clone(b), 0)} {
				if err := os.WriteFile(bad, damaged, 0o600); err != nil {
					t.Fatal(err)
				}
				o := restoreOptions(filepath.Join(top, "back"), dir)
				o.Identities = ids
				if _, err := Restore(o, bad); err == nil || !strings.Contains(err.Error(), "bad: ") {
					t.Fatalf("octet %d of %s: %v", at, path, err)
				}
			}
		}
	}
	o := restoreOptions(filepath.Join(top, "back"), filepath.Join(top, "other"))
	if _, err := Restore(o, plain); err == nil || !strings.Contains(err.Error(), "is not the key") {
		t.Errorf("another ledger.key: %v", err)
	}
	key, err := other.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	o = restoreOptions(filepath.Join(top, "back"), dir)
	o.Keys = []ledger.Key{key}
	if _, err := Restore(o, plain); err == nil || !strings.Contains(err.Error(), "not signed with the key") {
		t.Errorf("another public key: %v", err)
	}
	if after := fmt.Sprint(names()); after != before {
		t.Errorf("%s is left, before it was %s", after, before)
	}
	// What a restore that was killed has left is in nobody's way.
	if err := os.MkdirAll(filepath.Join(top, "back.restoring", "ledger", "hashes"), 0o700); err != nil {
		t.Fatal(err)
	}
	o.Keys = nil
	restored(t, o, plain)

	// A directory that is there, as a mount is, is filled.
	mount := filepath.Join(top, "mount")
	if err := os.MkdirAll(filepath.Join(mount, "restoring", "ledger", "hashes"), 0o700); err != nil {
		t.Fatal(err)
	}
	o = restoreOptions(mount, dir)
	if _, err := Restore(o, bad); err == nil {
		t.Error("a damaged backup was restored")
	}
	if entries, err := os.ReadDir(mount); err != nil || len(entries) != 0 {
		t.Errorf("%v is left, %v", entries, err)
	}
	restored(t, o, plain)
	s = reopen(t, o)
	if len(decisionsOf(t, s)) == 0 {
		t.Error("no decision came back")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(mount, "restoring")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the place it was written in is left: %v", err)
	}
}

func TestAnErasureAfterABackupIsAppliedAgain(t *testing.T) {
	t.Parallel()
	top := t.TempDir()
	dir := filepath.Join(top, "data")
	s := open(t, dir, nil)
	crowd(t, s, 200)
	add(t, s, consent("c1", carol), objection("o1", carol, noon), consent("c2", bob))
	judged(t, s, policy.Allowed, carol, 1)
	full, one := filepath.Join(top, "full"), filepath.Join(top, "one")
	end := backedUp(t, s, full, nil, nil)
	if e := forgetCarol(t, s); e.Facts != 2 {
		t.Fatalf("%+v", e)
	}
	backedUp(t, s, one, nil, end)
	var export bytes.Buffer
	if err := s.ExportLedger(noon.AddDate(-1, 0, 0), time.Now().Add(time.Hour), &export); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(top, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, c := range []struct {
		name, erasures string
		backups        []string
		erased         int
		applied        int
	}{
		{"increment", "", []string{full, one}, 4, 0},
		{"store", dir, []string{full}, 0, 1},
		{"ledger", filepath.Join(dir, "ledger"), []string{full}, 0, 1},
		{"export", write("export.jsonl", export.String()), []string{full}, 0, 1},
		{"list", write("list", "# erased since Monday\n\n+31687654321\tasked, file 17\n"), []string{full}, 0, 1},
		{"known", write("list2", "+31687654321 asked, file 17\n"), []string{full, one}, 4, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			back := filepath.Join(top, "back-"+c.name)
			o := restoreOptions(back, dir)
			o.Erasures = c.erasures
			r := restored(t, o, c.backups...)
			if r.Erased != c.erased || r.Applied != c.applied || r.Lost != 0 {
				t.Errorf("%+v", r)
			}
			search := func() {
				t.Helper()
				if got := holders(t, back, carol); got != nil {
					t.Errorf("the number is in %v", got)
				}
			}
			search()
			again := reopen(t, o)
			if got := idsOf(t, again, bob); len(got) != 1 {
				t.Errorf("of bob is known %v", got)
			}
			b := again.block(carol)
			if b == nil || len(b.Kept) != 1 {
				t.Errorf("the block is %+v", b)
			}
			if err := again.Close(); err != nil {
				t.Fatal(err)
			}
			search()
			verified(t, back)
		})
	}

	refused := func(name string, o RestoreOptions, want string) {
		t.Helper()
		if _, err := Restore(o, full); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
	back := filepath.Join(top, "back")
	stranger := open(t, filepath.Join(top, "stranger"), nil)
	crowd(t, stranger, 300)
	if err := stranger.Close(); err != nil {
		t.Fatal(err)
	}
	o := restoreOptions(back, dir)
	o.Erasures = filepath.Join(top, "stranger")
	refused("another ledger", o, "it is of another ledger")
	o.Erasures = write("list3", "+31687654321\n")
	refused("no ground", o, "line 1: an erasure needs a ground")
	o.Erasures = dir
	o.Store.ErasureKey = filepath.Join(top, "nowhere")
	refused("no key of erased numbers", o, "the key they are recognised by can't be read")
	o.Erasures = ""
	if _, err := Restore(o, full, one); err == nil || !strings.Contains(err.Error(), "the key they are recognised by can't be read") {
		t.Errorf("no key of erased numbers: %v", err)
	}
}

// TestErasuresOfADamagedLedger: what can be read is applied, what can't is told.
func TestErasuresOfADamagedLedger(t *testing.T) {
	t.Parallel()
	top := t.TempDir()
	dir := filepath.Join(top, "data")
	s := open(t, dir, nil)
	crowd(t, s, 50)
	add(t, s, consent("c1", carol))
	full := filepath.Join(top, "full")
	backedUp(t, s, full, nil, nil)
	add(t, s, consent("c8", alice), consent("c9", bob))
	forgetCarol(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	segment := filepath.Join(dir, "ledger", fmt.Sprintf("%020d.seg", 1))
	b, err := os.ReadFile(segment)
	if err != nil {
		t.Fatal(err)
	}
	for _, hurt := range []string{`"id":"x7"`, `"id":"c9"`} {
		at := bytes.Index(b, []byte(hurt))
		if at < 0 {
			t.Fatalf("there is no %s", hurt)
		}
		b[at] ^= 1
	}
	if err := os.WriteFile(segment, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(testOptions(dir, nil)); err == nil {
		t.Fatal("it is not damaged")
	}
	o := restoreOptions(filepath.Join(top, "back"), dir)
	o.Erasures = dir
	if r := restored(t, o, full); r.Applied != 1 || r.Lost != 1 {
		t.Errorf("%+v", r)
	}
	if got := holders(t, filepath.Join(top, "back"), carol); got != nil {
		t.Errorf("the number is in %v", got)
	}
}

// TestABackupUnderCalls: decisions and facts that were acknowledged before it
// began are in it, and whatever came meanwhile leaves it whole.
func TestABackupUnderCalls(t *testing.T) {
	t.Parallel()
	top := t.TempDir()
	dir := filepath.Join(top, "data")
	s := open(t, dir, nil)
	ctx, stop := context.WithCancel(t.Context())
	var calls, facts atomic.Int64
	ended := make(chan struct{}, 2)
	go func() {
		defer func() { ended <- struct{}{} }()
		for i := 1; ctx.Err() == nil; i++ {
			done := make(chan error, 1)
			s.Append(record(policy.Allowed, alice, i), func(err error) bool { done <- err; return true })
			if err := <-done; err != nil {
				t.Error(err)
				return
			}
			calls.Store(int64(i))
		}
	}()
	go func() {
		defer func() { ended <- struct{}{} }()
		for i := 1; ctx.Err() == nil; i++ {
			if _, err := s.Add(ctx, consent(fmt.Sprint("c", i), bob)); err != nil && ctx.Err() == nil {
				t.Error(err)
				return
			}
			facts.Store(int64(i))
		}
	}()
	for calls.Load() < 50 || facts.Load() < 20 {
		time.Sleep(time.Millisecond)
	}
	before, factsBefore := int(calls.Load()), int(facts.Load())
	full := filepath.Join(top, "full")
	end := backedUp(t, s, full, nil, nil)
	one := filepath.Join(top, "one")
	time.Sleep(20 * time.Millisecond)
	later, factsLater := int(calls.Load()), int(facts.Load())
	backedUp(t, s, one, nil, end)
	stop()
	<-ended
	<-ended
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for i, backups := range [][]string{{full}, {full, one}} {
		back := filepath.Join(top, fmt.Sprint("back", i))
		o := restoreOptions(back, dir)
		restored(t, o, backups...)
		again := reopen(t, o)
		if got := len(decisionsOf(t, again)); got < before {
			t.Errorf("%d decisions, and %d were acknowledged before", got, before)
		}
		if got := len(idsOf(t, again, bob)); got < factsBefore {
			t.Errorf("%d facts, and %d were acknowledged before", got, factsBefore)
		}
		before, factsBefore = later, factsLater
		if err := again.Close(); err != nil {
			t.Fatal(err)
		}
		verified(t, back)
	}
}

func TestNothingIsBackedUpOfNothing(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir(), nil)
	defer s.Close()
	if _, err := s.Backup(t.Context(), io.Discard, nil, 0); err == nil || !strings.Contains(err.Error(), "nothing to back up") {
		t.Error(err)
	}
	if _, err := s.Backup(t.Context(), io.Discard, []byte("no checkpoint"), 0); err == nil || !strings.Contains(err.Error(), "checkpoint") {
		t.Error(err)
	}
}
