package ledger

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/mod/sumdb/tlog"
)

// Lock keeps every other process out of a ledger's directory until it is closed.
func Lock(dir string) (*os.File, error) { return lockDir(dir) }

// Salvage calls f with every record of a directory that can still be read, in
// order, past whatever is damaged. It proves nothing. torn tells that something
// stands behind the last of them that can't be read.
func Salvage(dir string, f func(*Record) error) (torn bool, err error) {
	names, err := segments(dir)
	if err != nil {
		return false, err
	}
	if len(names) == 0 {
		return false, fmt.Errorf("there is no ledger in %s", dir)
	}
	next := firstOf(names[0])
	for _, name := range names {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return false, fmt.Errorf("ledger: %w", err)
		}
		torn = false
		for at := 0; at < len(data); {
			r, size, err := parseFrame(data[at:])
			if err != nil || r.Seq < next {
				torn = torn || !isZero(data[at:min(at+align, len(data))])
				at += align
				continue
			}
			next, torn = r.Seq+1, false
			if err := f(&r); err != nil {
				return false, err
			}
			at += size
		}
	}
	return torn, nil
}

// Holds reports whether a record, given by its leaf, is the one of that number here.
func (l *Ledger) Holds(seq uint64, leaf []byte) (bool, error) {
	if seq == 0 || seq > l.Checkpoint().Size {
		return false, nil
	}
	have, err := hashReader{l.evidence.tree.f}.ReadHashes([]int64{tlog.StoredHashIndex(0, int64(seq)-1)})
	if err != nil {
		return false, fmt.Errorf("ledger: %w", err)
	}
	return have[0] == tlog.RecordHash(leaf), nil
}
