package ledger

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"

	"golang.org/x/mod/sumdb/tlog"
)

// A block of a backup. Its data is valid until the next one is read.
type block struct {
	kind byte
	at   int64 // octet of the stream
	sum  []byte
	data []byte
}

// A blockReader reads the blocks of a backup, and trusts none whose checksum
// does not fit.
type blockReader struct {
	r   *bufio.Reader
	sum hash.Hash
	at  int64
	raw []byte // the last block as it stands in the stream
}

var errCut = errors.New("it is cut short: copy it again from where it was kept, or take another backup")

func errAt(at int64, text string) error {
	return fmt.Errorf("it is damaged at octet %d: %s; copy it again from where it was kept, or take another backup", at, text)
}

func openBlocks(in io.Reader) (*blockReader, error) {
	b := &blockReader{r: bufio.NewReaderSize(in, 64<<10), sum: sha256.New()}
	b.raw = make([]byte, len(backupMagic))
	if _, err := io.ReadFull(b.r, b.raw); err != nil {
		return nil, cutOr(err)
	}
	if string(b.raw) != backupMagic {
		return nil, errors.New("it is no backup made by `dialgate backup`, or its first octets are damaged")
	}
	b.sum.Write(b.raw)
	b.at = int64(len(b.raw))
	return b, nil
}

// cutOr is the error of a read that found the end too early.
func cutOr(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errCut
	}
	return err
}

// next reads a block. The end says itself what the sum of all before it is.
func (b *blockReader) next() (out block, err error) {
	b.raw = append(b.raw[:0], make([]byte, blockHeader)...)
	if _, err := io.ReadFull(b.r, b.raw); err != nil {
		return out, cutOr(err)
	}
	n := binary.LittleEndian.Uint32(b.raw[4:])
	if n == 0 || n > maxBlock {
		return out, errAt(b.at, "no block is of that length")
	}
	b.raw = append(b.raw, make([]byte, n)...)
	out = block{kind: b.raw[0], at: b.at, data: b.raw[blockHeader:]}
	if _, err := io.ReadFull(b.r, out.data); err != nil {
		return out, cutOr(err)
	}
	if blockSum(b.raw) != binary.LittleEndian.Uint32(b.raw[8:]) {
		return out, errAt(b.at, "a checksum does not fit")
	}
	if out.kind == blockEnd {
		out.sum = b.sum.Sum(nil)
	}
	b.sum.Write(b.raw)
	b.at += int64(len(b.raw))
	return out, nil
}

// end reads what an end block says, and that nothing follows.
func (b *blockReader) end(last *block) (end backupEnd, err error) {
	if err := strictJSON(last.data, &end); err != nil {
		return end, errAt(last.at, "the end can't be read")
	}
	if end.Sum != hex.EncodeToString(last.sum) {
		return end, errAt(last.at, "the end is of another backup")
	}
	if _, err := b.r.ReadByte(); !errors.Is(err, io.EOF) {
		if err != nil {
			return end, err
		}
		return end, errAt(b.at, "octets follow the end")
	}
	return end, nil
}

// strictJSON reads JSON that we have written: it has one form.
func strictJSON(text []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	again, err := json.Marshal(into)
	if err == nil && !bytes.Equal(again, text) {
		err = errors.New("another form")
	}
	return err
}

// CopyBackup copies a backup, and returns the checkpoint that it ends with. It
// fails when the backup is not whole; it looks at no record and no signature.
func CopyBackup(w io.Writer, in io.Reader) (Checkpoint, error) {
	b, err := openBlocks(in)
	if err != nil {
		return Checkpoint{}, err
	}
	for {
		if _, err := w.Write(b.raw); err != nil {
			return Checkpoint{}, err
		}
		k, err := b.next()
		if err != nil {
			return Checkpoint{}, err
		}
		if k.kind != blockEnd {
			continue
		}
		end, err := b.end(&k)
		if err != nil {
			return Checkpoint{}, err
		}
		_, err = w.Write(b.raw)
		return Checkpoint{Size: end.Last, Note: []byte(end.Checkpoint)}, err
	}
}

// A chain is a full backup and its increments, read one after another.
type chain struct {
	keys   []Key // that were given; else each backup's own is taken
	key    Key   // of the last backup
	tree   stack
	zeroed erasures
	to     *rebuild // what makes the ledger anew; nil when the chain is only checked

	end      Checkpoint      // of the last backup
	erased   map[uint64]bool // records that an erasure names
	retained uint64          // up to here, a record says, was removed
	seen     func(*Record) error

	scratch []byte
}

// read reads one backup, which follows those before it.
func (c *chain) read(in io.Reader) error {
	b, err := openBlocks(in)
	if err != nil {
		return err
	}
	first, err := c.head(b)
	if err != nil {
		return err
	}
	before, phase := c.end, byte(blockLeaves)
	for {
		k, err := b.next()
		if err != nil {
			return err
		}
		if k.kind < phase || k.kind > blockEnd {
			return errAt(k.at, "a block stands where it does not belong")
		}
		phase = k.kind
		switch k.kind {
		case blockLeaves:
			err = c.leaves(&k, first)
		case blockRecords:
			err = c.records(&k, first)
		case blockCheckpoints:
			err = c.checkpoints(&k)
		case blockEnd:
			return c.finish(b, &k, before)
		}
		if err != nil {
			return err
		}
	}
}

// head reads what a backup is of, and holds it against the one before it.
func (c *chain) head(b *blockReader) (first uint64, err error) {
	k, err := b.next()
	if err != nil {
		return 0, err
	}
	var head backupHead
	if k.kind != blockHead {
		return 0, errAt(k.at, "it does not begin with what it is of")
	}
	if err := strictJSON(k.data, &head); err != nil {
		return 0, errAt(k.at, "what it is of can't be read")
	}
	if head.Format != backupFormat {
		return 0, fmt.Errorf("it is of the form %.40q, and this program knows %q; restore it with the version that made it", head.Format, backupFormat)
	}
	if c.key, err = ParseKey(head.Key); err != nil {
		return 0, errAt(k.at, err.Error())
	}
	switch {
	case head.Since == "" && c.tree.size > 0:
		return 0, errors.New("it is a full backup, and stands behind another one; give one full backup, then its increments in their order")
	case head.Since != "" && c.tree.size == 0:
		return 0, errors.New("it is an increment; give the full backup that it belongs to before it")
	case head.Since == "":
		if head.First == 0 {
			return 0, errAt(k.at, "it has no first record")
		}
		return head.First, nil
	}
	since, err := ReadCheckpoint([]byte(head.Since)) // whose it is shows its root
	if err != nil {
		return 0, errAt(k.at, err.Error())
	}
	if since.Size != c.tree.size || head.First != since.Size+1 {
		return 0, fmt.Errorf("it follows a backup that ends with record %d, and the one before it ends with %d; give the increments in their order, without a gap", since.Size, c.tree.size)
	}
	if since.Root != c.tree.root() {
		return 0, fmt.Errorf("it follows a backup of another ledger, or of another history of this one; give the increments of one full backup")
	}
	return head.First, nil
}

// with are the keys given, or else the one found with the data.
func (c *chain) with(found Key) []Key {
	if len(c.keys) > 0 {
		return c.keys
	}
	return []Key{found}
}

func (c *chain) leaves(k *block, first uint64) error {
	if len(k.data)%tlog.HashSize != 0 || c.tree.size+uint64(len(k.data)/tlog.HashSize) >= first {
		return errAt(k.at, "there are not as many hashes as records were removed")
	}
	for data := k.data; len(data) > 0; data = data[tlog.HashSize:] {
		if err := c.leaf(tlog.Hash(data[:tlog.HashSize])); err != nil {
			return err
		}
	}
	return nil
}

// leaf adds a leaf to the tree.
func (c *chain) leaf(h tlog.Hash) error {
	c.scratch = c.tree.add(h, c.scratch[:0])
	if c.to == nil {
		return nil
	}
	return c.to.hashes(c.scratch)
}

func (c *chain) records(k *block, first uint64) error {
	if c.tree.size+1 < first {
		return errAt(k.at, "there are not as many hashes as records were removed")
	}
	for data := k.data; len(data) > 0; {
		at := k.at + int64(len(k.data)-len(data))
		r, size, err := parseFrame(data)
		if err != nil || size > len(data) {
			return errAt(at, fmt.Sprintf("record %d can't be read", c.tree.size+1))
		}
		if r.Seq != c.tree.size+1 {
			return errAt(at, fmt.Sprintf("record %d stands where %d belongs", r.Seq, c.tree.size+1))
		}
		if err := c.record(&r); err != nil {
			return errAt(at, err.Error())
		}
		if c.to != nil {
			if err := c.to.record(&r); err != nil {
				return err
			}
		}
		if err := c.leaf(tlog.RecordHash(r.Leaf())); err != nil {
			return err
		}
		data = data[size:]
	}
	return nil
}

// record judges one record and notes what it says of others.
func (c *chain) record(r *Record) error {
	if !r.Erased && sha256.Sum256(r.Salted()) != r.Commitment {
		return fmt.Errorf("the payload of record %d is not what the record commits to", r.Seq)
	}
	if err := c.zeroed.see(r); err != nil {
		return err
	}
	if c.to != nil {
		return nil // all that follows was noted before
	}
	switch r.Kind {
	case KindErasure:
		named, err := ParseErasure(r.Public)
		if err != nil {
			return err
		}
		for _, seq := range named.Erases {
			c.erased[seq] = true
		}
	case KindRetention:
		removed, err := parseRetention(r.Public)
		if err != nil {
			return err
		}
		if removed.Last >= r.Seq {
			return fmt.Errorf("record %d says that later ones were removed", r.Seq)
		}
		c.retained = max(c.retained, removed.Last)
	}
	if c.seen == nil {
		return nil
	}
	return c.seen(r)
}

// checkpoints reads a run of them. That their roots are those of the tree shows
// when the ledger was written.
func (c *chain) checkpoints(k *block) error {
	for data := k.data; len(data) > 0; {
		signed, rest, ok := cutCheckpoint(data)
		if !ok {
			return errAt(k.at, "a checkpoint is not whole")
		}
		head, err := ReadCheckpoint(signed)
		if err != nil || head.Size <= c.end.Size {
			return errAt(k.at, "a checkpoint can't be read, or stands where it does not belong")
		}
		c.end = head
		data = rest
	}
	if c.to == nil {
		return nil
	}
	return c.to.checkpoints(k.data)
}

// finish holds what was read against the signed checkpoint at the end.
func (c *chain) finish(b *blockReader, k *block, before Checkpoint) error {
	end, err := b.end(k)
	if err != nil {
		return err
	}
	signed, err := OpenCheckpoint([]byte(end.Checkpoint), c.with(c.key)...)
	if err != nil {
		return fmt.Errorf("its end: %w; give the key that it was signed with", err)
	}
	if end.Last != c.tree.size || signed.Size != c.tree.size {
		return errAt(k.at, fmt.Sprintf("it ends with record %d, and %d were signed", c.tree.size, signed.Size))
	}
	if signed.Root != c.tree.root() {
		return fmt.Errorf("its records are not those that were signed at %s: somebody has changed it, or it was put together of several; take another backup", stamp(signed.Time))
	}
	if c.end.Size != signed.Size || c.end.Size != before.Size && !bytes.Equal(c.end.Note, signed.Note) {
		return errAt(k.at, "the checkpoint of its end is missing")
	}
	return nil
}
