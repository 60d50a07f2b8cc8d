package ledger

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// A backup is one stream: the records, the hashes of those that retention has
// removed before them, and the checkpoints. With these a ledger is made anew
// and proved to be the one that was signed. The node's private key is not in it.
//
//	"dialgate/backup1" and a newline
//	blocks: u8 kind, 3 zeros, u32 little-endian length of the data,
//	        u32 CRC-32C of these 8 octets and the data, the data
//
// The blocks are, in this order: one head; leaves, 32 octets for each removed
// record; records, as whole frames; checkpoints, as they stand in their file;
// one end. An increment holds what came after another backup and has no leaves.
const (
	backupMagic  = "dialgate/backup1\n"
	backupFormat = "dialgate backup 1"
	blockHeader  = 12

	blockHead        = 1
	blockLeaves      = 2
	blockRecords     = 3
	blockCheckpoints = 4
	blockEnd         = 5

	// A block is full from fullBlock octets on, so none is as large as maxBlock.
	fullBlock = 256 << 10
	maxBlock  = 2 << 20
)

// A backupHead says what a backup is of.
type backupHead struct {
	Format string    `json:"format"`
	Node   string    `json:"node,omitempty"`
	Made   time.Time `json:"made"`
	Key    string    `json:"key"`             // the public one
	First  uint64    `json:"first"`           // record
	Since  string    `json:"since,omitempty"` // of an increment: the checkpoint that the one before it ends with
}

// A backupEnd shows that a backup is whole.
type backupEnd struct {
	Last       uint64 `json:"last"` // record
	Checkpoint string `json:"checkpoint"`
	Sum        string `json:"sum"` // SHA-256 of all octets before this block
}

// A BackupOrder says what a backup is to hold.
type BackupOrder struct {
	Node  string
	Now   time.Time
	Since *Checkpoint // of an increment: the end of the backup before it
	Pace  int64       // octets a second at most; 0: no limit
}

// Backup writes what is on disk, up to a checkpoint that is signed now and
// returned. Records are appended meanwhile, and payloads erased; no file may be
// removed by retention. When an erasure is seen whose record comes after that
// checkpoint, the backup ends with a later one.
func (l *Ledger) Backup(ctx context.Context, w io.Writer, o BackupOrder) (end Checkpoint, err error) {
	if end, err = l.Seal(); err != nil {
		return end, err
	}
	if end.Size == 0 {
		return end, errors.New("ledger: it is empty, there is nothing to back up")
	}
	first := l.First()
	head := backupHead{Format: backupFormat, Node: o.Node, Made: o.Now.UTC().Truncate(time.Second), Key: l.PublicKey().String(), First: first}
	if o.Since != nil {
		if err := l.follows(o.Since, end, first); err != nil {
			return end, err
		}
		head.First, head.Since = o.Since.Size+1, string(o.Since.Note)
	}
	b := &blockWriter{ctx: ctx, w: w, sum: sha256.New(), pace: o.Pace, began: time.Now()}
	if err := b.magic(); err != nil {
		return end, err
	}
	if err := b.json(blockHead, head); err != nil {
		return end, err
	}
	if o.Since == nil {
		if err := l.backupLeaves(b, first); err != nil {
			return end, err
		}
	}
	if end, err = l.backupRecords(b, head.First, end); err != nil {
		return end, err
	}
	if err := backupCheckpoints(b, l.o.Dir, head.First-1, end); err != nil {
		return end, err
	}
	return end, b.json(blockEnd, backupEnd{end.Size, string(end.Note), hex.EncodeToString(b.sum.Sum(nil))})
}

// follows tells why an increment can't begin where another backup has ended.
func (l *Ledger) follows(since *Checkpoint, end Checkpoint, first uint64) error {
	if since.Size > end.Size {
		return fmt.Errorf("ledger: the earlier backup ends with record %d, the ledger with %d: it is not of this ledger, or this one was restored from an older one; make a full backup", since.Size, end.Size)
	}
	root, err := tlog.TreeHash(int64(since.Size), hashReader{l.evidence.tree.f})
	if err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	if root != since.Root {
		return fmt.Errorf("ledger: the first %d records are not those of the earlier backup; make a full backup", since.Size)
	}
	if first > since.Size+1 {
		return fmt.Errorf("ledger: records after %d, where the earlier backup ends, were removed by retention; make a full backup", since.Size)
	}
	return nil
}

// backupLeaves writes the hashes of the records before the first.
func (l *Ledger) backupLeaves(b *blockWriter, first uint64) error {
	r := bufio.NewReaderSize(io.NewSectionReader(l.evidence.tree.f, hashesHeader, 1<<62), 64<<10)
	for n := int64(0); n < int64(first)-1; n++ {
		var leaf tlog.Hash
		if _, err := io.ReadFull(r, leaf[:]); err != nil {
			return fmt.Errorf("ledger: the hashes of the removed records can't be read: %w", err)
		}
		inner := tlog.StoredHashIndex(0, n+1) - tlog.StoredHashIndex(0, n) - 1
		if _, err := r.Discard(int(inner) * tlog.HashSize); err != nil {
			return fmt.Errorf("ledger: the hashes of the removed records can't be read: %w", err)
		}
		if err := b.add(blockLeaves, leaf[:]); err != nil {
			return err
		}
	}
	return b.flush(blockLeaves)
}

// backupRecords writes the records from one on, and returns the checkpoint that
// covers them and every erasure that was seen to be done.
func (l *Ledger) backupRecords(b *blockWriter, next uint64, end Checkpoint) (Checkpoint, error) {
	var zeroed erasures
	var padding [align]byte
	retried := uint64(0)
	for {
		err := each(l.o.Dir, Place{Seq: next}, end.Size, func(r *Record) error {
			if r.Seq < next {
				return nil
			}
			if err := zeroed.see(r); err != nil {
				return err
			}
			next = r.Seq + 1
			return b.add(blockRecords, r.frame, padding[:-len(r.frame)&(align-1)])
		})
		var damage *DamageError
		if errors.As(err, &damage) && retried != next {
			// A payload that is being overwritten with zeros may be read half.
			retried = next
			l.untilErased()
			continue
		}
		if err != nil {
			return end, err
		}
		seq, place := zeroed.unnamed()
		if seq == 0 {
			return end, b.flush(blockRecords)
		}
		before := end
		if end, err = l.Seal(); err != nil {
			return end, err
		}
		if end.Size == before.Size {
			return end, &DamageError{File: "record " + fmt.Sprint(seq), Offset: place.Offset, Text: "its payload is zero, but no erasure names it"}
		}
	}
}

// untilErased waits for an erasure that is under way.
func (l *Ledger) untilErased() {
	l.erasing.Lock()
	defer l.erasing.Unlock()
}

// backupCheckpoints writes the checkpoints of more than after records, up to one.
func backupCheckpoints(b *blockWriter, dir string, after uint64, end Checkpoint) error {
	heads, err := openCheckpoints(dir, nil)
	if err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	defer heads.f.Close()
	for {
		signed, _, err := heads.cut()
		if err != nil {
			return fmt.Errorf("ledger: %s: the checkpoint of %d records is not there: %w", checkpointsFile, end.Size, err)
		}
		c, err := ReadCheckpoint(signed)
		if err != nil {
			return fmt.Errorf("ledger: %s: %w", checkpointsFile, err)
		}
		if c.Size > after {
			if err := b.add(blockCheckpoints, signed, []byte{'\n'}); err != nil {
				return err
			}
		}
		if c.Size >= end.Size {
			return b.flush(blockCheckpoints)
		}
	}
}

// A blockWriter writes the blocks of a backup.
type blockWriter struct {
	ctx   context.Context
	w     io.Writer
	sum   hash.Hash
	data  []byte
	pace  int64
	began time.Time
	sent  int64
}

func (b *blockWriter) magic() error { return b.send([]byte(backupMagic)) }

// add adds one thing to the block that is being filled.
func (b *blockWriter) add(kind byte, parts ...[]byte) error {
	if len(b.data) == 0 {
		b.data = append(b.data, make([]byte, blockHeader)...)
	}
	for _, part := range parts {
		b.data = append(b.data, part...)
	}
	if len(b.data) < fullBlock {
		return nil
	}
	return b.flush(kind)
}

// flush writes the block, if there is anything in it.
func (b *blockWriter) flush(kind byte) error {
	if len(b.data) == 0 {
		return nil
	}
	b.data[0] = kind
	binary.LittleEndian.PutUint32(b.data[4:], uint32(len(b.data)-blockHeader))
	binary.LittleEndian.PutUint32(b.data[8:], blockSum(b.data))
	err := b.send(b.data)
	b.data = b.data[:0]
	return err
}

// blockSum is the checksum of a block.
func blockSum(b []byte) uint32 {
	return crc32.Update(crc32.Checksum(b[:8], castagnoli), castagnoli, b[blockHeader:])
}

func (b *blockWriter) json(kind byte, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	if err := b.add(kind, text); err != nil {
		return err
	}
	return b.flush(kind)
}

// send writes, not faster than the pace.
func (b *blockWriter) send(data []byte) error {
	if err := b.ctx.Err(); err != nil {
		return err
	}
	b.sum.Write(data)
	if _, err := b.w.Write(data); err != nil {
		return err
	}
	b.sent += int64(len(data))
	if b.pace == 0 {
		return nil
	}
	ahead := time.Duration(float64(b.sent)/float64(b.pace)*float64(time.Second)) - time.Since(b.began)
	if ahead <= 0 {
		return nil
	}
	select {
	case <-b.ctx.Done():
		return b.ctx.Err()
	case <-time.After(ahead):
		return nil
	}
}
