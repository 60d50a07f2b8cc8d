package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dialgate/store/ledger"
)

// A brokenKeeper's backups end early, after some octets.
type brokenKeeper struct {
	ledgerKeeper
	octets string
}

func (k brokenKeeper) Backup(_ context.Context, w io.Writer, _ []byte, _ int64) (ledger.Checkpoint, error) {
	if k.octets != "" {
		if _, err := io.WriteString(w, k.octets); err != nil {
			return ledger.Checkpoint{}, err
		}
	}
	return ledger.Checkpoint{}, errors.New("the disk is broken")
}

// TestABackupThatEndsEarlyIsNone: what a node could not finish is not under the
// name of the backup, and the command fails.
func TestABackupThatEndsEarlyIsNone(t *testing.T) {
	for octets, want := range map[string]string{
		"":                   "refuses: the disk is broken",
		"dialgate/backup1\n": "ended early, or the node was stopped: the disk is broken",
		"dialgate/backup1\n\x01\x00\x00\x00\x00\x00\x10\x00" + strings.Repeat(" ", 100_000): "ended early, or the node was stopped: the disk is broken",
	} {
		dir := t.TempDir()
		l, err := net.Listen("unix", socketPath(dir))
		if err != nil {
			t.Fatal(err)
		}
		mux := http.NewServeMux()
		handleLedger(mux, brokenKeeper{octets: octets})
		server := &http.Server{Handler: mux}
		go func() { _ = server.Serve(l) }() // ends with Close
		c := backupCmd{File: filepath.Join(dir, "backup")}
		if _, _, err := c.write(newRemote(socketPath(dir)), nil, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
		if err := server.Close(); err != nil {
			t.Fatal(err)
		}
		if left, err := filepath.Glob(filepath.Join(dir, "*backup*")); err != nil || len(left) > 0 {
			t.Errorf("%v is left, %v", left, err)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) > 1 { // the socket may be there
			t.Errorf("%v is left, %v", left, err)
		}
	}
}
