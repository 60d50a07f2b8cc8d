// Package ledger is an append-only log of records that nobody can change
// unnoticed. It is the truth of dialgate: a fact or a decision is acknowledged
// when it is here, on disk.
//
// A record has a public part and a payload. The payload holds the personal
// data behind a salt of 16 octets; the record carries its commitment,
// SHA-256(salt || data). So a payload can be erased and the log still be
// proved, and nobody can guess a telephone number from its hash.
//
// Records lie in segments: files of a fixed size, filled with zeros when they
// are made, so that a full disk shows then and not in the middle of a call.
// One goroutine commits: what has come in while it was writing is written and
// synced together.
//
//	segment  NNNNNNNNNNNNNNNNNNNN.seg, named by its first sequence number
//	frame    header (72 octets), public part, payload, zeros to a multiple of 8
//
// Over the records stands a Merkle tree (RFC 6962). Record n is leaf n-1, and
// a leaf is
//
//	SHA-256(0x00 || octets 8 to 63 of the header || public part)
//
// so that it covers the lengths, the kind, the version, the sequence number,
// the time and, by the commitment, the payload, but still stands when the
// payload is erased. The checksums and the batch are not evidence and are not
// covered. The tree's hashes lie in the file "hashes": 32 octets of header,
// then the stored hashes of [tlog.StoredHashIndex] in their order. It can be
// made anew from the segments.
//
//	hashes       "dialgate/hashes1", u64 little-endian: how many records it
//	             surely covers, 8 zeros, then 32 octets for each hash
//	checkpoints  signed tree heads, one after another, each a note
//	             (golang.org/x/mod/sumdb/note) and an empty line
//	erasing      an erasure that was begun; see Erase
//	first        the number of the first record, when older ones were removed
//
// A payload is erased by writing zeros over it. That is damage, unless a later
// record of kind [KindErasure] names the sequence number.
package ledger

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"time"
)

// A Kind says what a record is about. Kinds belong to whoever writes them.
type Kind uint8

// A Record is one entry of the log.
type Record struct {
	Seq        uint64 // given by the ledger, from 1 without gaps
	Time       time.Time
	Kind       Kind
	Public     []byte
	Payload    []byte // the data without its salt; nil when it was erased
	Commitment [sha256.Size]byte
	Erased     bool
	Place      Place // where it lies, of a record that was read
	Vital      bool  // of one to append: it is taken also while there is no room for another segment
	Later      bool  // of one to append: nobody waits for it, and it goes with those that somebody waits for

	batch uint64
	frame []byte
}

// A Place is where a record lies. Its segment follows from its number.
type Place struct {
	Seq    uint64
	Offset int64
}

// Errors of Append.
var (
	ErrFull   = errors.New("ledger: too many records wait to be written; try again when the disk has caught up")
	ErrClosed = errors.New("ledger: closed")
)

// A DamageError says where the ledger can't be read. Nothing after that place
// is trusted, and nothing is repaired silently.
type DamageError struct {
	File   string
	Offset int64
	Text   string
}

func (e *DamageError) Error() string {
	return fmt.Sprintf("ledger: %s is damaged at octet %d: %s; restore it from a backup (`dialgate restore`)", e.File, e.Offset, e.Text)
}

// The header of a frame, little-endian:
//
//	 0 u32 CRC-32C of octets 4.. up to the end of the public part
//	 4 u32 CRC-32C of the payload with its salt
//	 8 u16 length of the public part
//	10 u8  kind
//	11 u8  version of the format
//	12 u32 length of the payload with its salt
//	16 u64 sequence number
//	24 i64 time, nanoseconds since 1970
//	32 commitment
//	64 u64 first sequence number of the batch that the record was synced with
const (
	headerSize = 72
	saltSize   = 16
	version    = 1
	align      = 8

	maxPublic  = 1<<16 - 1
	maxPayload = 1 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// frameSize is how many octets a record takes.
func frameSize(public, payload int) int {
	return (headerSize + public + saltSize + payload + align - 1) &^ (align - 1)
}

// appendFrame appends a record's frame to b; seal finishes it when its batch is known.
func appendFrame(b []byte, r *Record, salt *[saltSize]byte) []byte {
	start := len(b)
	b = append(b, make([]byte, headerSize)...)
	b = append(b, r.Public...)
	payload := len(b)
	b = append(append(b, salt[:]...), r.Payload...)
	sum := sha256.Sum256(b[payload:])
	h := b[start : start+headerSize]
	binary.LittleEndian.PutUint32(h[4:], crc32.Checksum(b[payload:], castagnoli))
	binary.LittleEndian.PutUint16(h[8:], uint16(len(r.Public)))
	h[10], h[11] = byte(r.Kind), version
	binary.LittleEndian.PutUint32(h[12:], uint32(len(b)-payload))
	binary.LittleEndian.PutUint64(h[16:], r.Seq)
	binary.LittleEndian.PutUint64(h[24:], uint64(r.Time.UnixNano()))
	copy(h[32:], sum[:])
	for (len(b)-start)%align != 0 {
		b = append(b, 0)
	}
	return b
}

// number notes the sequence number in a frame.
func number(b []byte, seq uint64) { binary.LittleEndian.PutUint64(b[16:], seq) }

// seal notes the batch in a frame and computes its checksum.
func seal(b []byte, batch uint64) {
	binary.LittleEndian.PutUint64(b[64:], batch)
	end := headerSize + int(binary.LittleEndian.Uint16(b[8:]))
	binary.LittleEndian.PutUint32(b, crc32.Checksum(b[4:end], castagnoli))
}

// errNoFrame: there is no frame here, or none that is whole.
var errNoFrame = errors.New("no whole frame")

// parseFrame reads the frame that b begins with. The record points into b.
func parseFrame(b []byte) (r Record, size int, err error) {
	if len(b) < headerSize || b[11] != version {
		return r, 0, errNoFrame
	}
	public := int(binary.LittleEndian.Uint16(b[8:]))
	payload := int(binary.LittleEndian.Uint32(b[12:]))
	if payload < saltSize || payload > maxPayload+saltSize || headerSize+public+payload > len(b) {
		return r, 0, errNoFrame
	}
	end := headerSize + public
	if crc32.Checksum(b[4:end], castagnoli) != binary.LittleEndian.Uint32(b) {
		return r, 0, errNoFrame
	}
	r = Record{
		Seq: binary.LittleEndian.Uint64(b[16:]), Time: time.Unix(0, int64(binary.LittleEndian.Uint64(b[24:]))).UTC(),
		Kind: Kind(b[10]), Public: b[headerSize:end], Payload: b[end+saltSize : end+payload], frame: b[:end+payload],
	}
	if crc32.Checksum(b[end:end+payload], castagnoli) != binary.LittleEndian.Uint32(b[4:]) {
		if !isZero(b[end : end+payload]) {
			return r, 0, errNoFrame
		}
		r.Erased, r.Payload = true, nil
	}
	copy(r.Commitment[:], b[32:64])
	r.batch = binary.LittleEndian.Uint64(b[64:])
	return r, frameSize(public, payload-saltSize), nil
}
