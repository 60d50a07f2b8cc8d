package ledger

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// A Report is what verifying a ledger's directory has found.
type Report struct {
	Key         Key    // that the checkpoints were verified with
	KeyBeside   bool   // it was found beside the ledger, which proves little
	First, Last uint64 // the records that are there
	Removed     uint64 // records before First, removed by retention
	Erased      int    // records whose payload was erased
	Checkpoints int
	Signed      Checkpoint // the last one
	Keys        []KeyChanged
	Findings    []Finding // the first is the worst
}

// A Finding is something that is not as it was signed.
type Finding struct {
	Record uint64 // 0: it is about no record
	Place  string // file and octet
	Text   string
}

func (f Finding) String() string {
	if f.Place == "" {
		return f.Text
	}
	return f.Place + ": " + f.Text
}

// Unsigned is how many records the last checkpoint does not cover.
func (r *Report) Unsigned() uint64 { return r.Last - min(r.Last, r.Signed.Size) }

// maxFindings bounds a report.
const maxFindings = 100

// A verifier goes through a copy of a ledger's directory. It trusts nothing in
// it but what the key has signed.
type verifier struct {
	dir      string
	report   Report
	heads    *checkpointReader
	head     Checkpoint // the next one to hold the tree against
	more     bool
	tree     stack
	hashes   *hashChecker
	zeroed   erasures
	outside  []Checkpoint // that were kept elsewhere and were not reached yet
	retained uint64       // up to here, a record says, was removed
	since    uint64       // the tree fitted what was signed up to here
}

// Verify checks a copy of a ledger's directory with nothing but the public key:
// every record's checksums, its commitment and its place, the tree against
// every signed checkpoint, and that every erasure has its record. Without keys
// it takes the key that lies beside the ledger. outside are checkpoints that
// were kept elsewhere: they show also what whoever has the node's key has
// written anew. An error means that nothing could be checked.
func Verify(dir string, outside [][]byte, keys ...Key) (*Report, error) {
	v := &verifier{dir: dir}
	if len(keys) == 0 {
		text, err := os.ReadFile(filepath.Join(dir, publicKeyFile))
		if err != nil {
			return nil, fmt.Errorf("no key: give the node's public key with --key: %w", err)
		}
		key, err := ParseKey(string(text))
		if err != nil {
			v.find(0, publicKeyFile, "holds no public key")
			return &v.report, nil
		}
		keys, v.report.KeyBeside = []Key{key}, true
	}
	v.report.Key = keys[0]
	for _, signed := range outside {
		c, err := OpenCheckpoint(signed, keys...)
		if err != nil {
			v.find(0, "", "of those kept outside, %v", err)
			continue
		}
		v.outside = append(v.outside, c)
	}
	slices.SortFunc(v.outside, func(a, b Checkpoint) int { return cmp.Compare(a.Size, b.Size) })
	names, err := segments(dir)
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("there is no ledger in %s", dir)
	}
	heads, err := openCheckpoints(dir, keys)
	if err != nil {
		return nil, err
	}
	defer heads.f.Close()
	v.heads = heads
	if v.hashes, err = openHashChecker(dir); err != nil {
		return nil, err
	}
	defer v.hashes.close()
	v.nextHead()
	if err := v.records(names); err != nil {
		return nil, err
	}
	v.end()
	return &v.report, nil
}

func (v *verifier) find(record uint64, place, format string, args ...any) {
	if len(v.report.Findings) < maxFindings {
		v.report.Findings = append(v.report.Findings, Finding{record, place, fmt.Sprintf(format, args...)})
	}
}

// nextHead reads the next checkpoint that is signed as it should be.
func (v *verifier) nextHead() {
	for {
		c, place, err := v.heads.next()
		if errors.Is(err, io.EOF) {
			v.more = false
			return
		}
		v.report.Checkpoints++
		if err == nil && c.Size < v.head.Size {
			err = fmt.Errorf("it is of %d records, the one before it of %d", c.Size, v.head.Size)
		}
		if err != nil {
			v.find(0, place, "checkpoint %d: %v", v.report.Checkpoints, err)
			continue
		}
		v.head, v.more, v.report.Signed = c, true, c
		return
	}
}

// records goes through all segments.
func (v *verifier) records(names []string) error {
	v.report.First = firstOf(names[0])
	if v.report.First == 0 {
		v.find(0, names[0], "is no name of a segment")
		return nil
	}
	v.report.Removed = v.report.First - 1
	for seq := uint64(1); seq < v.report.First; seq++ {
		h, err := v.hashes.leaf(seq)
		if err != nil {
			v.find(seq, hashesFile, "record %d is not there and neither is its hash", seq)
			return nil
		}
		v.add(seq, h, "")
	}
	for i, name := range names {
		if firstOf(name) != v.tree.size+1 {
			v.find(v.tree.size+1, name, "it begins with record %d, and record %d is missing", firstOf(name), v.tree.size+1)
			return nil
		}
		whole, err := v.segment(name, i == len(names)-1)
		if err != nil || !whole {
			return err
		}
	}
	return nil
}

// segment reads one segment; it is not whole when what follows it can't be judged.
func (v *verifier) segment(name string, last bool) (whole bool, err error) {
	f, err := os.Open(filepath.Join(v.dir, name))
	if err != nil {
		return false, fmt.Errorf("ledger: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return false, fmt.Errorf("ledger: %w", err)
	}
	r := frameReader{f: f, size: info.Size()}
	for {
		at := r.at
		place := fmt.Sprintf("%s at octet %d", name, at)
		rec, err := r.next()
		if errors.Is(err, errNoFrame) {
			return v.rest(name, f, at, info.Size(), last)
		}
		if err != nil {
			return false, fmt.Errorf("ledger: %w", err)
		}
		if rec.Seq != v.tree.size+1 {
			v.find(v.tree.size+1, place, "record %d stands where %d belongs", rec.Seq, v.tree.size+1)
			return false, nil
		}
		v.record(&rec, place)
		if !isZero(r.padding()) {
			v.find(rec.Seq, place, "octets stand behind record %d that belong to nothing", rec.Seq)
		}
	}
}

func (v *verifier) record(r *Record, place string) {
	v.report.Last = r.Seq
	if r.Erased {
		v.report.Erased++
	} else if sha256.Sum256(r.Salted()) != r.Commitment {
		v.find(r.Seq, place, "the payload of record %d is not what the record commits to", r.Seq)
	}
	if r.Kind == KindRetention {
		removed, err := parseRetention(r.Public)
		if err != nil {
			v.find(r.Seq, place, "%v", err)
		}
		v.retained = max(v.retained, removed.Last)
	}
	if r.Kind == KindKey {
		v.keyChange(r, place)
	}
	if err := v.zeroed.see(r); err != nil {
		v.find(r.Seq, place, "%v", err)
	}
	v.add(r.Seq, tlog.RecordHash(r.Leaf()), place)
}

// add adds a leaf to the tree and holds it against the file of hashes and the
// checkpoints.
func (v *verifier) add(seq uint64, leaf tlog.Hash, place string) {
	v.hashes.check(seq, v.tree.add(leaf, v.hashes.scratch[:0]))
	for len(v.outside) > 0 && v.outside[0].Size == v.tree.size {
		if v.tree.root() != v.outside[0].Root {
			v.find(0, "", "the first %d records are not those of the checkpoint of %s that was kept outside", v.tree.size, stamp(v.outside[0].Time))
		}
		v.outside = v.outside[1:]
	}
	for v.more && v.head.Size == v.tree.size {
		if v.tree.root() == v.head.Root {
			v.since = v.tree.size
		} else {
			v.changed()
			// One change spoils every later root: the tree goes on from what
			// the hashes say when these are what was signed.
			if !v.hashes.fit(&v.head, &v.tree) {
				v.more = false
				return
			}
			v.since = v.tree.size
		}
		v.nextHead()
	}
}

// changed names the record that is not the one that was signed.
func (v *verifier) changed() {
	signed := stamp(v.head.Time)
	if seq := v.hashes.first; seq > v.since && v.hashes.signed(&v.head) {
		v.find(seq, "", "record %d is not the one that was signed at %s", seq, signed)
		return
	}
	v.find(v.since+1, "", "one of the records %d to %d is not the one that was signed at %s", v.since+1, v.head.Size, signed)
}

// rest looks at what follows the last whole frame of a segment.
func (v *verifier) rest(name string, f *os.File, at, size int64, last bool) (whole bool, err error) {
	r := bufio.NewReaderSize(io.NewSectionReader(f, at, size-at), 32<<10)
	for {
		c, err := r.ReadByte()
		if errors.Is(err, io.EOF) {
			return true, nil
		}
		if err != nil {
			return false, fmt.Errorf("ledger: %w", err)
		}
		if c == 0 {
			continue
		}
		next := v.tree.size + 1
		place := fmt.Sprintf("%s at octet %d", name, at)
		if last && next > v.report.Signed.Size && !v.more {
			v.find(next, place, "record %d is not whole; a crash may have torn it, and no checkpoint covers it", next)
		} else {
			v.find(next, place, "record %d can't be read: it was changed or damaged", next)
		}
		return false, nil
	}
}

// end judges what can be judged only when all records were seen.
func (v *verifier) end() {
	v.report.Last = v.tree.size
	if seq, _ := v.zeroed.unnamed(); seq != 0 {
		v.find(seq, "", "the payload of record %d was erased, and no erasure names it", seq)
	}
	if v.report.Removed > v.retained && len(v.report.Findings) == 0 {
		v.find(1, "", "the records 1 to %d are missing, and no record says that they were removed", v.report.Removed)
	}
	if v.more && len(v.report.Findings) == 0 {
		v.find(v.tree.size+1, "", "%d records were signed at %s, and only %d are there: the end was cut off", v.head.Size, stamp(v.head.Time), v.tree.size)
	}
	for _, c := range v.outside {
		v.find(v.tree.size+1, "", "the checkpoint of %s that was kept outside is of %d records, and only %d are there: the end was cut off", stamp(c.Time), c.Size, v.tree.size)
	}
	for v.more {
		v.nextHead() // their signatures are looked at too
	}
	if v.report.Signed.Size == 0 {
		v.find(0, checkpointsFile, "there is no signed checkpoint: nothing is proved")
	}
	if seq := v.hashes.first; seq != 0 && len(v.report.Findings) == 0 {
		v.find(seq, hashesFile, "the hashes from record %d on are not those of the records, which are as they were signed; start the node without the file and it is made anew", seq)
	}
}

// padding is what stands behind the frame that was just read.
func (r *frameReader) padding() []byte {
	b := r.buf[:r.at-r.from]
	return b[len(b)-r.pad:]
}

// A checkpointReader reads the file of checkpoints.
type checkpointReader struct {
	f    *os.File
	r    *bufio.Reader
	keys []Key
	at   int64
}

func openCheckpoints(dir string, keys []Key) (*checkpointReader, error) {
	f, err := os.Open(filepath.Join(dir, checkpointsFile))
	if err != nil {
		return nil, fmt.Errorf("nothing was signed: %w", err)
	}
	return &checkpointReader{f: f, r: bufio.NewReaderSize(f, 32<<10), keys: keys}, nil
}

// next reads one checkpoint, io.EOF after the last.
func (c *checkpointReader) next() (head Checkpoint, place string, err error) {
	signed, place, err := c.cut()
	if err != nil {
		return head, place, err
	}
	head, err = OpenCheckpoint(signed, c.keys...)
	return head, place, err
}

// cut reads the next note without looking at what is in it.
func (c *checkpointReader) cut() (signed []byte, place string, err error) {
	place = fmt.Sprintf("%s at octet %d", checkpointsFile, c.at)
	for empty := 0; empty < 2; {
		line, err := c.r.ReadBytes('\n')
		c.at += int64(len(line))
		if err != nil && (len(signed) > 0 || len(line) > 0) {
			return nil, place, errors.New("it is not whole; a crash may have torn it")
		}
		if err != nil {
			return nil, place, io.EOF
		}
		if len(line) == 1 {
			empty++
		}
		if signed = append(signed, line...); len(signed) > maxCheckpoint {
			return nil, place, errCheckpoint
		}
	}
	return bytes.TrimSuffix(signed, []byte("\n")), place, nil
}

// A hashChecker holds computed hashes against the file of hashes. The file
// proves nothing; it helps to tell which record was changed.
type hashChecker struct {
	f       *os.File // nil: there is none
	r       *bufio.Reader
	scratch []byte
	buf     []byte
	first   uint64 // the first record whose hashes differ
}

func openHashChecker(dir string) (*hashChecker, error) {
	h := &hashChecker{}
	f, err := os.Open(filepath.Join(dir, hashesFile))
	if errors.Is(err, os.ErrNotExist) {
		return h, nil
	}
	if err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	h.f, h.r = f, bufio.NewReaderSize(f, 32<<10)
	_, _ = h.r.Discard(hashesHeader) // a shorter file shows when it is read
	return h, nil
}

func (h *hashChecker) close() {
	if h.f != nil {
		h.f.Close()
	}
}

// check compares the hashes that a record has completed with those of the file.
// A file that is shorter was not written so far.
func (h *hashChecker) check(seq uint64, stored []byte) {
	h.scratch = stored
	if h.r == nil || h.first != 0 {
		return
	}
	h.buf = append(h.buf[:0], stored...)
	if _, err := io.ReadFull(h.r, h.buf); err != nil {
		h.r = nil
		return
	}
	if !bytes.Equal(h.buf, stored) {
		h.first = seq
	}
}

func (h *hashChecker) leaf(seq uint64) (tlog.Hash, error) {
	if h.f == nil {
		return tlog.Hash{}, os.ErrNotExist
	}
	hashes, err := hashReader{h.f}.ReadHashes([]int64{tlog.StoredHashIndex(0, int64(seq)-1)})
	if err != nil {
		return tlog.Hash{}, err
	}
	return hashes[0], nil
}

// signed reports whether the leaves of the file are those that were signed:
// its hashes up to a checkpoint are recomputed from the leaves.
func (h *hashChecker) signed(c *Checkpoint) bool {
	if h.f == nil {
		return false
	}
	var s stack
	r := bufio.NewReaderSize(io.NewSectionReader(h.f, hashesHeader, 1<<62), 32<<10)
	var scratch []byte
	for s.size < c.Size {
		var leaf tlog.Hash
		if _, err := io.ReadFull(r, leaf[:]); err != nil {
			return false
		}
		scratch = s.add(leaf, scratch[:0])
		if _, err := r.Discard(len(scratch) - tlog.HashSize); err != nil {
			return false
		}
	}
	return s.root() == c.Root
}

// fit sets a tree to what the file says at a checkpoint, if that was signed.
func (h *hashChecker) fit(c *Checkpoint, s *stack) bool {
	var other stack
	if h.f == nil || other.load(c.Size, hashReader{h.f}) != nil || other.root() != c.Root {
		return false
	}
	*s = other
	return true
}

func stamp(t time.Time) string { return t.Format("2006-01-02 15:04:05Z07:00") }

// String says in a few lines what was found.
func (r *Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "records %d to %d", r.First, r.Last)
	if r.Removed > 0 {
		fmt.Fprintf(&b, ", the %d before them removed by retention", r.Removed)
	}
	fmt.Fprintf(&b, "; %d erased; %d checkpoints", r.Erased, r.Checkpoints)
	if r.Signed.Size > 0 {
		fmt.Fprintf(&b, ", the last of %s over %d records", stamp(r.Signed.Time), r.Signed.Size)
	}
	for i := range r.Keys {
		fmt.Fprintf(&b, "\n%s", &r.Keys[i])
	}
	if n := r.Unsigned(); n > 0 {
		fmt.Fprintf(&b, "\n%d records at the end are not covered by a checkpoint yet", n)
	}
	return b.String()
}
