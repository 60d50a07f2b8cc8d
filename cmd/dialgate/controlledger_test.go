package main

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"dialgate/policy"
	"dialgate/store"
	"dialgate/store/ledger"
)

// TestEvidenceOfARunningNode: what the commands do they also do through the
// control socket, with the same answers.
func TestEvidenceOfARunningNode(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "dialgate.yaml")
	if err := os.WriteFile(path, fmt.Appendf(nil, reloadText, "safe", "windkracht", filepath.Join(dir, "data")), 0o600); err != nil {
		t.Fatal(err)
	}
	w, err := loadAccepted(path)
	if err != nil {
		t.Fatal(err)
	}
	n, err := startNode(w, nodeOptions{now: time.Now, log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := n.close(); err != nil {
			t.Error(err)
		}
	}()
	called := policy.MustNumber("+31612345678")
	fact := policy.Fact{ID: "o1", Kind: policy.Objection, Number: called, Advertiser: "*", At: time.Now().Add(-time.Hour)}
	if _, err := n.store.Add(t.Context(), fact); err != nil {
		t.Fatal(err)
	}
	k, err := openKeeper(w.cfg.Store.Path, storeOptions(w.cfg))
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := k.(*remote); !ok {
		t.Fatalf("the keeper is a %T", k)
	}
	key, err := k.PublicKey()
	if err != nil || key.String() == "" {
		t.Fatal(err)
	}
	signed, err := k.Checkpoint()
	if err != nil {
		t.Fatal(err)
	}
	if c, err := ledger.OpenCheckpoint(signed, key); err != nil || c.Size != 1 {
		t.Errorf("%+v, %v", c, err)
	}
	objections := func(knownAt time.Time) int {
		t.Helper()
		p, err := k.Prove(called, knownAt)
		if err != nil {
			t.Fatal(err)
		}
		text, err := p.AppendJSON(nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := store.ReadPack(text, key); err != nil {
			t.Error(err)
		}
		return len(p.View.Objections)
	}
	if now, then := objections(time.Time{}), objections(time.Now().Add(-time.Minute)); now != 1 || then != 0 {
		t.Errorf("%d objections are known now, %d then", now, then)
	}
	var export bytes.Buffer
	if err := k.ExportLedger(time.Now().Add(-time.Hour), time.Now().Add(time.Hour), &export); err != nil {
		t.Fatal(err)
	}
	if head, err := store.ReadExport(&export, key); err != nil || head.Last != 1 {
		t.Errorf("%+v, %v", head, err)
	}
	if _, err := k.Erase(called, "by +31612345678"); err == nil {
		t.Error("a ground with the number was taken")
	}
	if e, err := k.Erase(called, "asked"); err != nil || e.Facts != 1 || e.Kept != 1 {
		t.Errorf("%+v, %v", e, err)
	}
	if objections(time.Time{}) != 0 {
		t.Error("the objection is still proved")
	}
}
