package ledger

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// A backup is one stream, a whole one of all records or one that goes on from
// an earlier one:
//
//	"dialgate backup 1\n"
//	sections: u8 type, u64 little-endian argument, u32 length, data
//	SHA-256 of all that
//
// It begins with a section of its head and ends with the checkpoint that it
// reaches, which proves every record in it. It holds no private key.
const (
	backupMagic = "dialgate backup 1\n"

	sectionHead        = 'H' // JSON
	sectionHashes      = 'T' // stored hashes of records that retention removed
	sectionRecords     = 'S' // whole frames; the argument is the first record of their segment
	sectionCheckpoints = 'C' // signed after the backup that this one goes on from
	sectionEnd         = 'E' // the checkpoint that was reached

	backupChunk = 1 << 20
	maxSection  = backupChunk + 2<<20 // a chunk and the greatest record
	// tailRecords is what may be left when erasures are held back to end a
	// backup; backupPasses bounds how often that is tried.
	tailRecords  = 4096
	backupPasses = 8
)

// A BackupHead is the first section of a backup.
type BackupHead struct {
	Key   string    `json:"key"`
	Made  time.Time `json:"made"`
	First uint64    `json:"first"`           // the first record that is there; of a whole backup, what retention has left
	After string    `json:"after,omitempty"` // the checkpoint of the backup that this one goes on from
}

// A backupWriter writes sections and hashes what it writes.
type backupWriter struct {
	w   io.Writer
	sum hash.Hash
}

func newBackupWriter(w io.Writer) (*backupWriter, error) {
	b := &backupWriter{sum: sha256.New()}
	b.w = io.MultiWriter(w, b.sum)
	_, err := io.WriteString(b.w, backupMagic)
	return b, err
}

func (b *backupWriter) section(kind byte, arg uint64, data []byte) error {
	h := binary.LittleEndian.AppendUint64([]byte{kind}, arg)
	if _, err := b.w.Write(binary.LittleEndian.AppendUint32(h, uint32(len(data)))); err != nil {
		return err
	}
	_, err := b.w.Write(data)
	return err
}

// Backup writes all records, or those after an earlier backup's checkpoint,
// while others are appended. All that was on disk when it began is in it, and
// every erasure that changed what it has copied.
func (l *Ledger) Backup(w io.Writer, after []byte) error {
	head := BackupHead{Key: l.PublicKey().String(), Made: time.Now().UTC().Truncate(time.Second), First: l.First(), After: string(after)}
	from := Place{Seq: head.First}
	if len(after) > 0 {
		c, err := l.since(after)
		if err != nil {
			return err
		}
		from, head.First = Place{Seq: c.Size + 1}, c.Size+1
	}
	signed, err := l.Seal()
	if err != nil {
		return err
	}
	if signed.Size == 0 {
		return errors.New("ledger: nothing is recorded yet, so there is nothing to back up")
	}
	b, err := newBackupWriter(w)
	if err != nil {
		return err
	}
	text, err := json.Marshal(head)
	if err == nil {
		err = b.section(sectionHead, 0, text)
	}
	if err == nil && len(after) == 0 {
		err = l.backupHashes(b, head.First)
	}
	for pass := 0; err == nil; pass++ {
		for err == nil && from.Seq <= signed.Size {
			l.erasing.Lock()
			var c chunk
			c, err = l.chunk(from, signed.Size)
			l.erasing.Unlock()
			if err == nil {
				from, err = c.next, c.write(b)
			}
		}
		if err != nil || l.Durable() < from.Seq+tailRecords || pass == backupPasses {
			break
		}
		signed, err = l.Seal()
	}
	if err != nil {
		return fmt.Errorf("ledger: the backup could not be made: %w", err)
	}
	return l.endBackup(b, from, head.After)
}

// since checks that an earlier backup is one of this ledger.
func (l *Ledger) since(after []byte) (Checkpoint, error) {
	c, err := OpenCheckpoint(after, l.PublicKey())
	if err != nil {
		return c, fmt.Errorf("ledger: the backup to go on from: %w", err)
	}
	root, err := tlog.TreeHash(int64(c.Size), hashReader{l.evidence.tree.f})
	if c.Size > l.Checkpoint().Size || err != nil || root != c.Root {
		return c, errors.New("ledger: the backup to go on from is not one of this ledger; make a whole one")
	}
	if c.Size+1 < l.First() {
		return c, errors.New("ledger: retention has removed records that the backup to go on from does not have; make a whole one")
	}
	return c, nil
}

// backupHashes writes the hashes of the records that retention removed.
func (l *Ledger) backupHashes(b *backupWriter, first uint64) error {
	left := tlog.StoredHashCount(int64(first)-1) * tlog.HashSize
	r := io.NewSectionReader(l.evidence.tree.f, hashesHeader, left)
	for buf := make([]byte, backupChunk); left > 0; {
		n := min(left, backupChunk)
		if _, err := io.ReadFull(r, buf[:n]); err != nil {
			return err
		}
		if err := b.section(sectionHashes, 0, buf[:n]); err != nil {
			return err
		}
		left -= n
	}
	return nil
}

// A chunk is some records as they lie on disk.
type chunk struct {
	parts []chunkPart
	next  Place
}

type chunkPart struct {
	segment uint64
	frames  []byte
}

// chunk copies records, about as many as make a section, up to record last.
// No erasure may be under way.
func (l *Ledger) chunk(from Place, last uint64) (c chunk, err error) {
	type copied struct {
		seq   uint64
		frame []byte
	}
	var all []copied
	size := 0
	for r, err := range l.From(from) {
		if err != nil {
			return c, err
		}
		if r.Seq > last {
			break
		}
		frame := append(bytes.Clone(r.frame), make([]byte, (align-len(r.frame)%align)%align)...)
		all = append(all, copied{r.Seq, frame})
		c.next = Place{r.Seq + 1, r.Place.Offset + int64(len(frame))}
		if size += len(frame); size >= backupChunk {
			break
		}
	}
	names, err := segments(l.o.Dir) // after the records, since their segments are there now
	if err != nil {
		return c, err
	}
	for _, r := range all {
		segment := firstOf(segmentOf(names, r.seq))
		if n := len(c.parts); n == 0 || c.parts[n-1].segment != segment {
			c.parts = append(c.parts, chunkPart{segment: segment})
		}
		p := &c.parts[len(c.parts)-1]
		p.frames = append(p.frames, r.frame...)
	}
	if c.next.Seq > last || segmentOf(names, c.next.Seq) != segmentOf(names, c.next.Seq-1) {
		c.next.Offset = 0 // it may lie in another segment
	}
	if len(all) == 0 {
		err = fmt.Errorf("record %d is not there any more: its segment was removed by retention meanwhile; make the backup again", from.Seq)
	}
	return c, err
}

func (c *chunk) write(b *backupWriter) error {
	for _, p := range c.parts {
		if err := b.section(sectionRecords, p.segment, p.frames); err != nil {
			return err
		}
	}
	return nil
}

// endBackup copies what came meanwhile, with no erasure under way: so every
// payload that an erasure has zeroed before it was copied is named too.
func (l *Ledger) endBackup(b *backupWriter, from Place, after string) error {
	l.erasing.Lock()
	signed, err := l.Seal()
	var tail []chunk
	for err == nil && from.Seq <= signed.Size {
		var c chunk
		if c, err = l.chunk(from, signed.Size); err == nil {
			from, tail = c.next, append(tail, c)
		}
	}
	l.erasing.Unlock()
	for i := 0; i < len(tail) && err == nil; i++ {
		err = tail[i].write(b)
	}
	if err == nil {
		err = l.backupCheckpoints(b, after, signed)
	}
	if err == nil {
		err = b.section(sectionEnd, signed.Size, signed.Note)
	}
	if err == nil {
		_, err = b.w.Write(b.sum.Sum(nil))
	}
	if err != nil {
		return fmt.Errorf("ledger: the backup could not be made: %w", err)
	}
	return nil
}

// backupCheckpoints writes the checkpoints from the last backup's to the last one.
func (l *Ledger) backupCheckpoints(b *backupWriter, after string, last Checkpoint) error {
	heads, err := openCheckpoints(l.o.Dir, nil)
	if err != nil {
		return err
	}
	defer heads.f.Close()
	begun := after == ""
	var notes []byte
	for {
		signed, err := heads.note()
		if errors.Is(err, io.EOF) {
			return errors.New("the last checkpoint is not in the file of checkpoints")
		}
		if err != nil {
			return err
		}
		if begun {
			notes = append(append(notes, signed...), '\n')
		}
		end := bytes.Equal(signed, last.Note)
		if end && !begun && string(signed) != after {
			notes = append(append(notes, signed...), '\n') // the file was made anew since
		}
		begun = begun || string(signed) == after
		if len(notes) >= backupChunk || end {
			if err := b.section(sectionCheckpoints, 0, notes); err != nil {
				return err
			}
			notes = notes[:0]
		}
		if end {
			return nil
		}
	}
}

// readBackup reads a backup and hands its sections on. Whatever it has handed
// on counts only when it returns no error.
func readBackup(r io.Reader, section func(kind byte, arg uint64, data []byte) error) error {
	sum := sha256.New()
	in := io.TeeReader(r, sum)
	magic := make([]byte, len(backupMagic))
	if _, err := io.ReadFull(in, magic); err != nil || string(magic) != backupMagic {
		return errors.New("this is no backup of dialgate; if it was encrypted, give --identity")
	}
	var data []byte
	for first := true; ; first = false {
		var h [13]byte
		if _, err := io.ReadFull(in, h[:]); err != nil {
			return cutBackup(err)
		}
		n := int(binary.LittleEndian.Uint32(h[9:]))
		if n > maxSection || first != (h[0] == sectionHead) {
			return errors.New("the backup is damaged; take another copy of it")
		}
		if cap(data) < n {
			data = make([]byte, n)
		}
		data = data[:n]
		if _, err := io.ReadFull(in, data); err != nil {
			return cutBackup(err)
		}
		if err := section(h[0], binary.LittleEndian.Uint64(h[1:]), data); err != nil {
			return err
		}
		if h[0] == sectionEnd {
			break
		}
	}
	want := sum.Sum(nil)
	got := make([]byte, len(want)+1)
	n, err := io.ReadFull(r, got)
	if errors.Is(err, io.ErrUnexpectedEOF) && n == len(want) && bytes.Equal(got[:n], want) {
		return nil
	}
	if err == nil || n == len(want) {
		return errors.New("the backup is damaged: its checksum is another; take another copy of it")
	}
	return cutBackup(err)
}

func cutBackup(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("the backup is cut off before its end; take another copy of it")
	}
	return fmt.Errorf("the backup can't be read: %w", err)
}

// CheckBackup reads a backup to its end and returns what it reaches.
func CheckBackup(r io.Reader) (head BackupHead, end Checkpoint, err error) {
	err = readBackup(r, func(kind byte, _ uint64, data []byte) error {
		switch kind {
		case sectionHead:
			head, err = parseBackupHead(data)
			return err
		case sectionEnd:
			end, err = openBackupEnd(data, &head, nil)
			return err
		}
		return nil
	})
	return head, end, err
}

func parseBackupHead(data []byte) (h BackupHead, err error) {
	if err := json.Unmarshal(data, &h); err != nil || h.First == 0 {
		return h, errors.New("the backup's head can't be read; take another copy of it")
	}
	return h, nil
}

// openBackupEnd reads the checkpoint of a backup with keys, or with its own.
func openBackupEnd(note []byte, h *BackupHead, keys []Key) (Checkpoint, error) {
	if len(keys) == 0 {
		key, err := ParseKey(h.Key)
		if err != nil {
			return Checkpoint{}, err
		}
		keys = []Key{key}
	}
	c, err := OpenCheckpoint(bytes.Clone(note), keys...)
	if err != nil {
		return c, fmt.Errorf("the backup's %w", err)
	}
	return c, nil
}

// A Restorer makes a ledger's directory of backups.
type Restorer struct {
	dir    string
	keys   []Key
	end    Checkpoint // of the last backup
	key    string
	next   uint64
	erased map[uint64]bool // named by erasures

	// of the backup that is being read
	head    BackupHead
	file    *os.File
	segment uint64
}

// NewRestorer begins a directory, which must not exist. Without keys it takes
// the backups' own word for whose they are.
func NewRestorer(dir string, keys ...Key) (*Restorer, error) {
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	return &Restorer{dir: dir, keys: keys, erased: map[uint64]bool{}}, nil
}

// Add reads the next backup.
func (r *Restorer) Add(in io.Reader) error {
	err := readBackup(in, r.take)
	if r.file != nil {
		err = errors.Join(err, r.file.Sync(), r.file.Close())
		r.file, r.segment = nil, 0
	}
	return err
}

func (r *Restorer) take(kind byte, arg uint64, data []byte) (err error) {
	switch kind {
	case sectionHead:
		if r.head, err = parseBackupHead(data); err == nil {
			err = r.follows()
		}
		return err
	case sectionHashes:
		return r.append(hashesFile, data)
	case sectionCheckpoints:
		return r.append(checkpointsFile, data)
	case sectionRecords:
		return r.records(arg, data)
	case sectionEnd:
		if r.end, err = openBackupEnd(data, &r.head, r.keys); err == nil && r.next != r.end.Size+1 {
			err = fmt.Errorf("the backup ends with record %d, and its checkpoint is of %d; take another copy of it", r.next-1, r.end.Size)
		}
		return err
	}
	return fmt.Errorf("the backup has a section of kind %q: it was made by a later version, restore it with that", kind)
}

// follows checks that a backup goes on where the last one ended.
func (r *Restorer) follows() error {
	h := &r.head
	if r.key == "" {
		if h.After != "" {
			return fmt.Errorf("the first backup goes on from another one, of %d records; give the whole one first, then those that go on from it in their order", h.First-1)
		}
		r.key, r.next = h.Key, h.First
		return r.beginHashes()
	}
	if h.Key != r.key {
		return errors.New("the backup is one of another ledger")
	}
	if h.After != string(r.end.Note) || h.First != r.end.Size+1 {
		return fmt.Errorf("the backup goes on from one that ends with record %d, and the one before it ends with record %d; give them in their order, without a gap", h.First-1, r.end.Size)
	}
	return nil
}

func (r *Restorer) beginHashes() error {
	header := binary.LittleEndian.AppendUint64([]byte(hashesMagic), r.head.First-1)
	return r.append(hashesFile, append(header, make([]byte, 8)...))
}

// append adds to one of the small files.
func (r *Restorer) append(name string, data []byte) error {
	f, err := os.OpenFile(filepath.Join(r.dir, name), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	return nil
}

func (r *Restorer) records(segment uint64, data []byte) error {
	if segment != r.segment {
		if segment > r.next || segment == 0 {
			return fmt.Errorf("the backup has records of a segment %d where record %d belongs; take another copy of it", segment, r.next)
		}
		if r.file != nil {
			if err := errors.Join(r.file.Sync(), r.file.Close()); err != nil {
				return fmt.Errorf("ledger: %w", err)
			}
			r.file = nil
		}
		f, err := os.OpenFile(filepath.Join(r.dir, segmentName(segment)), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
		if err != nil {
			return fmt.Errorf("ledger: %w", err)
		}
		r.file, r.segment = f, segment
	}
	for rest := data; len(rest) > 0; r.next++ {
		rec, size, err := parseFrame(rest)
		if err != nil || rec.Seq != r.next || size > len(rest) {
			return fmt.Errorf("record %d can't be read in the backup; take another copy of it", r.next)
		}
		if rec.Kind == KindErasure {
			e, err := ParseErasure(rec.Public)
			if err != nil {
				return fmt.Errorf("record %d: %w", rec.Seq, err)
			}
			for _, seq := range e.Erases {
				r.erased[seq] = true
			}
		}
		rest = rest[size:]
	}
	if _, err := r.file.Write(data); err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	return nil
}

// Finish erases what later backups name as erased, and verifies all of it.
func (r *Restorer) Finish() (*Report, error) {
	if r.key == "" {
		return nil, errors.New("no backup was given")
	}
	places, err := PlacesOf(r.dir, r.erased)
	if err == nil {
		err = zero(r.dir, places)
	}
	if err != nil {
		return nil, err
	}
	if err := r.append(publicKeyFile, []byte(r.key+"\n")); err != nil {
		return nil, err
	}
	report, err := Verify(r.dir, [][]byte{r.end.Note}, r.keys...)
	if err != nil {
		return nil, err
	}
	if len(report.Findings) > 0 {
		return nil, fmt.Errorf("the backup is not as it was signed: %s", report.Findings[0])
	}
	return report, syncDir(r.dir)
}

// PlacesOf finds where the records of a directory lie that have a payload still.
func PlacesOf(dir string, wanted map[uint64]bool) (places []Place, err error) {
	if len(wanted) == 0 {
		return nil, nil
	}
	err = eachReadable(dir, func(r *Record) error {
		if wanted[r.Seq] && !r.Erased {
			places = append(places, r.Place)
		}
		return nil
	})
	return places, err
}

// eachReadable walks what can be read of a directory, and goes on with the next
// segment where one is damaged.
func eachReadable(dir string, f func(*Record) error) error {
	names, err := segments(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		var stopped error
		w := walker{dir: dir, last: 1<<64 - 1}
		err := w.segment(name, 0, 0, func(r Record) bool {
			stopped = f(&r)
			return stopped == nil
		})
		var damage *DamageError
		if stopped != nil {
			return stopped
		}
		if err != nil && !errors.As(err, &damage) {
			return err
		}
	}
	return nil
}

// RemoveRetained removes from a closed ledger's directory the segments that its
// own records say retention had removed.
func RemoveRetained(dir string) error {
	var last uint64
	err := eachReadable(dir, func(r *Record) error {
		if r.Kind != KindRetention {
			return nil
		}
		removed, err := parseRetention(r.Public)
		last = max(last, removed.Last)
		return err
	})
	if err != nil {
		return err
	}
	names, err := segments(dir)
	if err != nil {
		return err
	}
	for i := 0; i+1 < len(names) && firstOf(names[i+1]) <= last+1; i++ {
		if err := os.Remove(filepath.Join(dir, names[i])); err != nil {
			return fmt.Errorf("ledger: %w", err)
		}
	}
	return syncDir(dir)
}

// A LaterErasure is an erasure's record that a restored ledger does not have.
type LaterErasure struct {
	Erasure
	Time    time.Time
	Payload []byte
}

// LaterErasures reads from a copy of a ledger's directory, which may be damaged,
// the erasures after record last of a restored one. It must be the same ledger.
func LaterErasures(dir, restored string, last uint64) (later []LaterErasure, err error) {
	names, err := segments(dir)
	if err != nil {
		return nil, err
	}
	begins := map[uint64]bool{}
	for _, name := range names {
		if first := firstOf(name); first <= last {
			begins[first] = true
		}
	}
	leaves := map[uint64]string{}
	err = eachReadable(restored, func(r *Record) error {
		if begins[r.Seq] {
			leaves[r.Seq] = string(r.Leaf())
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	same := false
	err = eachReadable(dir, func(r *Record) error {
		if leaf, ok := leaves[r.Seq]; ok {
			if leaf != string(r.Leaf()) {
				return fmt.Errorf("ledger: %s is the directory of another ledger than the backup's", dir)
			}
			same = true
		}
		if r.Seq <= last || r.Kind != KindErasure {
			return nil
		}
		e, err := ParseErasure(r.Public)
		if err != nil {
			return fmt.Errorf("ledger: record %d: %w", r.Seq, err)
		}
		if n := len(later); len(r.Payload) == 0 && n > 0 {
			later[n-1].Erases = append(later[n-1].Erases, e.Erases...) // it goes on from the record before it
			return nil
		}
		later = append(later, LaterErasure{e, r.Time, bytes.Clone(r.Payload)})
		return nil
	})
	if err == nil && !same {
		err = fmt.Errorf("ledger: nothing in %s can be held against the backup, so its erasures are not taken over", dir)
	}
	return later, err
}
