package ledger

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"time"
)

// Kinds of the ledger's own records.
const (
	KindErasure   Kind = 255 // names records whose payload was erased
	KindRetention Kind = 254 // names the records whose segments were removed
)

// An Erasure is the public part of a record of [KindErasure].
type Erasure struct {
	Erases []uint64 `json:"erases"` // sequence numbers
	Ground string   `json:"ground"`
}

// ParseErasure reads the public part of an erasure's record.
func ParseErasure(public []byte) (e Erasure, err error) {
	if err := json.Unmarshal(public, &e); err != nil {
		return e, errors.New("an erasure's record can't be read")
	}
	return e, nil
}

// erasures are the zeroed payloads of a walk that no erasure has named yet.
type erasures struct {
	begun map[uint64]bool // by an erasure whose record is still to be written
	open  map[uint64]Place
}

func (e *erasures) see(r *Record) error {
	if r.Erased && !e.begun[r.Seq] {
		if e.open == nil {
			e.open = map[uint64]Place{}
		}
		e.open[r.Seq] = r.Place
	}
	if r.Kind != KindErasure {
		return nil
	}
	named, err := ParseErasure(r.Public)
	if err != nil {
		return fmt.Errorf("ledger: record %d: %w", r.Seq, err)
	}
	for _, seq := range named.Erases {
		delete(e.open, seq)
	}
	return nil
}

// unnamed is the first record whose payload is zero without a reason, 0 if there is none.
func (e *erasures) unnamed() (first uint64, place Place) {
	for seq, p := range e.open {
		if first == 0 || seq < first {
			first, place = seq, p
		}
	}
	return first, place
}

// erasingFile holds an erasure from before its first zero is written until its
// last one is on disk, so that the next start can finish it.
const erasingFile = "erasing"

// maxErased bounds the records that one erasure's record names.
const maxErased = 2000

type erasing struct {
	Places  []Place
	Ground  string
	Time    time.Time
	Payload []byte
}

// Erase overwrites the payloads of records with zeros, on disk when it returns,
// and appends records of [KindErasure] that name them and the ground. payload
// is the payload of the first of these. The tree still stands: it holds only
// commitments. It returns the sequence number of the first.
func (l *Ledger) Erase(places []Place, now time.Time, ground string, payload []byte) (seq uint64, err error) {
	l.erasing.Lock()
	defer l.erasing.Unlock()
	for _, p := range places {
		r, err := l.Read(p)
		if err != nil {
			return 0, err
		}
		if r.Kind == KindErasure || r.Kind == KindRetention || r.Kind == KindKey {
			return 0, fmt.Errorf("ledger: record %d is an erasure's own record and is kept", p.Seq)
		}
	}
	e := erasing{places, ground, now, payload}
	text, err := json.Marshal(e)
	if err != nil {
		return 0, fmt.Errorf("ledger: %w", err)
	}
	if err := writeNew(filepath.Join(l.o.Dir, erasingFile), text); err != nil {
		return 0, fmt.Errorf("ledger: %w", err)
	}
	if seq, err = l.nameErased(&e); err != nil {
		return 0, err
	}
	if err := zero(l.o.Dir, e.Places); err != nil {
		return 0, err
	}
	return seq, l.erased()
}

// nameErased appends the records of an erasure.
func (l *Ledger) nameErased(e *erasing) (first uint64, err error) {
	left, payload := e.Places, e.Payload
	for first == 0 || len(left) > 0 {
		n := min(len(left), maxErased)
		named := Erasure{Erases: make([]uint64, n), Ground: e.Ground}
		for i, p := range left[:n] {
			named.Erases[i] = p.Seq
		}
		public, err := json.Marshal(named)
		if err != nil {
			return 0, fmt.Errorf("ledger: %w", err)
		}
		seq, err := l.AppendSync(Record{Time: e.Time, Kind: KindErasure, Public: public, Payload: payload})
		if err != nil {
			return 0, err
		}
		if first == 0 {
			first = seq
		}
		left, payload = left[n:], nil
	}
	_, err = l.Seal() // in memory mode it is on disk only now
	return first, err
}

func (l *Ledger) erased() error {
	if err := os.Remove(filepath.Join(l.o.Dir, erasingFile)); err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	return syncDir(l.o.Dir)
}

// zero overwrites the payloads of records and syncs. It believes a place only
// when the header there is whole and of the record that is meant.
func zero(dir string, places []Place) error {
	names, err := segments(dir)
	if err != nil {
		return err
	}
	bySegment := map[string][]Place{}
	for _, p := range places {
		if name := segmentOf(names, p.Seq); name != "" {
			bySegment[name] = append(bySegment[name], p)
		}
	}
	for name, places := range bySegment {
		if err := zeroSegment(filepath.Join(dir, name), places); err != nil {
			return fmt.Errorf("ledger: a payload can't be erased: %w", err)
		}
	}
	return nil
}

func zeroSegment(path string, places []Place) (err error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	for _, p := range places {
		var h [headerSize + maxPublic]byte
		n, _ := f.ReadAt(h[:], p.Offset) // fewer are fine at the end of a segment
		end := headerSize + int(binary.LittleEndian.Uint16(h[8:]))
		if end > n || crc32.Checksum(h[4:end], castagnoli) != binary.LittleEndian.Uint32(h[:]) || binary.LittleEndian.Uint64(h[16:]) != p.Seq {
			return fmt.Errorf("record %d does not lie at octet %d of %s", p.Seq, p.Offset, path)
		}
		payload := make([]byte, binary.LittleEndian.Uint32(h[12:]))
		if _, err := f.WriteAt(payload, p.Offset+int64(end)); err != nil {
			return err
		}
	}
	return f.Sync()
}

// finishErasure writes the zeros of an erasure that a crash has interrupted. It
// comes before anything is read, since a payload may be half zero.
func (l *Ledger) finishErasure() (*erasing, error) {
	text, err := os.ReadFile(filepath.Join(l.o.Dir, erasingFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	var e erasing
	if err == nil {
		err = json.Unmarshal(text, &e)
	}
	if err != nil {
		return nil, fmt.Errorf("ledger: an interrupted erasure can't be read: %w", err)
	}
	if err := zero(l.o.Dir, e.Places); err != nil {
		return nil, err
	}
	l.begun = map[uint64]bool{}
	for _, p := range e.Places {
		l.begun[p.Seq] = true
	}
	l.o.Log.Warn("an erasure that was interrupted is finished", "records", len(e.Places))
	return &e, nil
}
