package ledger

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/mod/sumdb/tlog"
)

// A stack is the right edge of a Merkle tree: all that is needed to add leaves
// to it and to tell its root. edge[i] is the complete subtree of 1<<i leaves
// that ends the tree so far; it is there when bit i of size is set.
type stack struct {
	size uint64
	edge [64]tlog.Hash
}

// add adds a leaf and appends to stored the hashes that are now complete.
func (s *stack) add(h tlog.Hash, stored []byte) []byte {
	stored = append(stored, h[:]...)
	level := 0
	for ; s.size>>level&1 == 1; level++ {
		h = tlog.NodeHash(s.edge[level], h)
		stored = append(stored, h[:]...)
	}
	s.edge[level] = h
	s.size++
	return stored
}

// root is the hash of the tree of all leaves so far, with size > 0.
func (s *stack) root() tlog.Hash {
	level := bits.TrailingZeros64(s.size)
	h := s.edge[level]
	for level++; level < 64; level++ {
		if s.size>>level&1 == 1 {
			h = tlog.NodeHash(s.edge[level], h)
		}
	}
	return h
}

// load reads the right edge of a tree of size leaves.
func (s *stack) load(size uint64, r tlog.HashReader) error {
	s.size = size
	var indexes []int64
	var levels []int
	for level := range 64 {
		if size>>level&1 == 1 {
			indexes = append(indexes, tlog.StoredHashIndex(level, int64(size>>level)-1))
			levels = append(levels, level)
		}
	}
	hashes, err := r.ReadHashes(indexes)
	if err != nil {
		return err
	}
	for i, level := range levels {
		s.edge[level] = hashes[i]
	}
	return nil
}

const (
	hashesFile   = "hashes"
	hashesMagic  = "dialgate/hashes1"
	hashesHeader = 32
	// maxUnwritten bounds the hashes in memory, in octets.
	maxUnwritten = 1 << 20
)

// A tree is the Merkle tree of a ledger, its hashes on disk. It belongs to one
// goroutine; readers use the file, up to a checkpoint.
type tree struct {
	stack
	f         *os.File
	unwritten []byte // hashes that are not in the file yet
	at        int64  // where they go
	scratch   []byte

	sync     func(*os.File) error
	settling sync.Mutex // guards sure, and the header
	sure     uint64     // how many records' hashes the header says are on disk
}

// openTree opens the hashes of a ledger's directory and reads how much of them
// is sure to be right. A file that is not one of hashes is made anew.
func openTree(dir string, sync func(*os.File) error) (*tree, error) {
	f, err := os.OpenFile(filepath.Join(dir, hashesFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	t := &tree{f: f, sync: sync}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("ledger: %w", err), f.Close())
	}
	t.sure = sureHashes(f, info.Size())
	return t, nil
}

// sureHashes is how many records the hashes of a file surely cover.
func sureHashes(f io.ReaderAt, size int64) uint64 {
	var header [hashesHeader]byte
	if _, err := f.ReadAt(header[:], 0); err != nil || string(header[:len(hashesMagic)]) != hashesMagic {
		return 0
	}
	sure := binary.LittleEndian.Uint64(header[len(hashesMagic):])
	if sure > uint64(size) || hashesHeader+tlog.StoredHashCount(int64(sure))*tlog.HashSize > size {
		return 0
	}
	return sure
}

// begin sets the tree to its first size records.
func (t *tree) begin(size uint64) error {
	t.unwritten = t.unwritten[:0]
	t.at = hashesHeader + tlog.StoredHashCount(int64(size))*tlog.HashSize
	return t.load(size, hashReader{t.f})
}

// add adds the frame of the next record.
func (t *tree) add(frame []byte) error {
	var h tlog.Hash
	h, t.scratch = leafHash(t.scratch, frame)
	t.unwritten = t.stack.add(h, t.unwritten)
	if len(t.unwritten) >= maxUnwritten {
		return t.write()
	}
	return nil
}

// write puts the hashes in the file.
func (t *tree) write() error {
	if len(t.unwritten) == 0 {
		return nil
	}
	if _, err := t.f.WriteAt(t.unwritten, t.at); err != nil {
		return err
	}
	t.at += int64(len(t.unwritten))
	t.unwritten = t.unwritten[:0]
	return nil
}

// settle syncs the file, so that the next start need not look at what is in it.
func (t *tree) settle() error {
	if err := t.write(); err != nil {
		return err
	}
	t.settling.Lock()
	defer t.settling.Unlock()
	return t.settleAt(t.size)
}

// settleSoon is settle that waits for nothing. What it can't do, the next one does.
func (t *tree) settleSoon() {
	size := t.size
	if len(t.unwritten) > 0 || !t.settling.TryLock() {
		return
	}
	go func() {
		defer t.settling.Unlock()
		_ = t.settleAt(size) // then the next start looks at more
	}()
}

func (t *tree) settleAt(size uint64) error {
	if t.sure >= size {
		return nil
	}
	if err := t.sync(t.f); err != nil {
		return err
	}
	header := binary.LittleEndian.AppendUint64([]byte(hashesMagic), size)
	if _, err := t.f.WriteAt(append(header, make([]byte, 8)...), 0); err != nil {
		return err
	}
	t.sure = size
	return t.sync(t.f)
}

// A hashReader reads stored hashes from a file.
type hashReader struct{ f io.ReaderAt }

// ReadHashes implements [tlog.HashReader].
func (r hashReader) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		if _, err := r.f.ReadAt(out[i][:], hashesHeader+index*tlog.HashSize); err != nil {
			return nil, fmt.Errorf("the file of hashes can't be read: %w", err)
		}
	}
	return out, nil
}
