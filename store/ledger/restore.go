package ledger

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/mod/sumdb/tlog"
)

// A BackupFile is a backup that can be read from its beginning several times.
type BackupFile struct {
	Name string
	Open func() (io.ReadCloser, error)
}

// RestoreOptions of Restore.
type RestoreOptions struct {
	SegmentSize int64 // octets; 0: 64 MiB
	Keys        []Key // that the backups must be signed with; none: the ones they hold
	// Seen is called with every record before anything is written; its error
	// ends the restore.
	Seen func(*Record) error
}

// A Restored says what a restore has made.
type Restored struct {
	Key         Key // of the last backup
	First, Last uint64
	Erased      int // records whose payload a backup held and an erasure after it has named
	Signed      Checkpoint
}

// Restore makes a ledger anew, in a directory that is empty or not there, of a
// full backup and its increments. They are read twice: first everything is held
// against what was signed, then it is written. A payload that an erasure names
// is not written, and neither are records that were removed since.
func Restore(dir string, o RestoreOptions, backups []BackupFile) (Restored, error) {
	if o.SegmentSize == 0 {
		o.SegmentSize = defaultSegment
	}
	check := &chain{keys: o.Keys, erased: map[uint64]bool{}, seen: o.Seen}
	if err := check.all(backups); err != nil {
		return Restored{}, err
	}
	if seq, _ := check.zeroed.unnamed(); seq != 0 {
		return Restored{}, fmt.Errorf("the payload of record %d is zero, and no erasure in the backups names it; take another backup", seq)
	}
	to := &rebuild{dir: dir, size: o.SegmentSize, after: check.retained, erased: check.erased}
	if err := to.begin(); err != nil {
		return Restored{}, err
	}
	write := &chain{keys: o.Keys, to: to}
	err := write.all(backups)
	if err == nil && (write.tree.size != check.tree.size || write.tree.root() != check.tree.root()) {
		err = errors.New("a backup was changed while it was read; nothing was restored")
	}
	if err != nil {
		return Restored{}, errors.Join(err, to.close())
	}
	if err := to.end(check); err != nil {
		return Restored{}, err
	}
	return Restored{Key: check.key, First: to.first, Last: check.tree.size, Erased: to.zeroed, Signed: check.end}, nil
}

// all reads the backups in their order.
func (c *chain) all(backups []BackupFile) error {
	for _, f := range backups {
		in, err := f.Open()
		if err == nil {
			err = errors.Join(c.read(in), in.Close())
		}
		if err != nil {
			return fmt.Errorf("%s: %w", f.Name, err)
		}
	}
	return nil
}

// A rebuild writes the files of a ledger.
type rebuild struct {
	dir    string
	size   int64           // of a segment
	after  uint64          // records up to here were removed: only their hashes are kept
	erased map[uint64]bool // records whose payload is not written

	first  uint64 // record that was written
	zeroed int

	segment, tree, heads *output
}

// An output is a new file.
type output struct {
	f    *os.File
	w    *bufio.Writer
	size int64
}

func create(path string) (*output, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	return &output{f: f, w: bufio.NewWriterSize(f, 256<<10)}, nil
}

func (o *output) write(b []byte) error {
	n, err := o.w.Write(b)
	o.size += int64(n)
	return err
}

// close has it on disk.
func (o *output) close() error {
	if o == nil {
		return nil
	}
	return errors.Join(o.w.Flush(), o.f.Sync(), o.f.Close())
}

func (b *rebuild) begin() (err error) {
	if err := os.MkdirAll(b.dir, 0o700); err != nil {
		return err
	}
	if b.tree, err = create(filepath.Join(b.dir, hashesFile)); err != nil {
		return err
	}
	if b.heads, err = create(filepath.Join(b.dir, checkpointsFile)); err != nil {
		return errors.Join(err, b.tree.f.Close())
	}
	// How many records they cover is written when they are on disk.
	return b.tree.write(append([]byte(hashesMagic), make([]byte, hashesHeader-len(hashesMagic))...))
}

func (b *rebuild) hashes(stored []byte) error { return b.tree.write(stored) }

func (b *rebuild) checkpoints(notes []byte) error { return b.heads.write(notes) }

func (b *rebuild) record(r *Record) (err error) {
	if r.Seq <= b.after {
		return nil
	}
	if b.first == 0 {
		b.first = r.Seq
	}
	frame := r.frame
	if b.erased[r.Seq] && !r.Erased {
		frame = append(bytes.Clone(frame[:headerSize+len(r.Public)]), make([]byte, saltSize+len(r.Payload))...)
		b.zeroed++
	}
	padding := -len(frame) & (align - 1)
	if b.segment == nil || b.segment.size+int64(len(frame)+padding) > b.size && b.segment.size > 0 {
		if err := b.segment.close(); err != nil {
			return err
		}
		if b.segment, err = create(filepath.Join(b.dir, segmentName(r.Seq))); err != nil {
			return err
		}
	}
	var zeros [align]byte
	return errors.Join(b.segment.write(frame), b.segment.write(zeros[:padding]))
}

func (b *rebuild) close() error {
	return errors.Join(b.segment.close(), b.tree.close(), b.heads.close())
}

// end has everything on disk, and holds every checkpoint against the tree.
func (b *rebuild) end(c *chain) error {
	err := errors.Join(b.tree.w.Flush(), b.tree.f.Sync())
	if err == nil {
		header := binary.LittleEndian.AppendUint64([]byte(hashesMagic), c.tree.size)
		_, err = b.tree.f.WriteAt(append(header, make([]byte, 8)...), 0)
	}
	if err = errors.Join(err, b.close()); err != nil {
		return err
	}
	if err := checkHeads(b.dir); err != nil {
		return err
	}
	return writeNew(filepath.Join(b.dir, publicKeyFile), []byte(c.key.String()+"\n"))
}

// checkHeads holds the checkpoints of a directory, the last of which was
// verified, against its hashes.
func checkHeads(dir string) error {
	f, err := os.Open(filepath.Join(dir, hashesFile))
	if err != nil {
		return err
	}
	defer f.Close()
	heads, err := openCheckpoints(dir, nil)
	if err != nil {
		return err
	}
	defer heads.f.Close()
	r := bufio.NewReaderSize(io.NewSectionReader(f, hashesHeader, 1<<62), 64<<10)
	var s stack
	var scratch []byte
	for {
		signed, _, err := heads.cut()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s: %w", checkpointsFile, err)
		}
		c, err := ReadCheckpoint(signed)
		if err != nil {
			return fmt.Errorf("%s: %w", checkpointsFile, err)
		}
		for s.size < c.Size {
			var leaf tlog.Hash
			if _, err := io.ReadFull(r, leaf[:]); err != nil {
				return fmt.Errorf("%s: %w", hashesFile, err)
			}
			scratch = s.add(leaf, scratch[:0])
			if _, err := r.Discard(len(scratch) - tlog.HashSize); err != nil {
				return fmt.Errorf("%s: %w", hashesFile, err)
			}
		}
		if s.root() != c.Root {
			return fmt.Errorf("a checkpoint of %s in the backup is not one of its records; take another backup", stamp(c.Time))
		}
	}
}
