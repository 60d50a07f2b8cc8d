package ledger

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// Where the part of a header begins and ends that a leaf covers.
const (
	leafFrom   = 8
	leafTo     = 64
	leafHeader = leafTo - leafFrom
)

// appendLeaf appends what the leaf of a frame is the hash of.
func appendLeaf(b, frame []byte) []byte {
	public := int(binary.LittleEndian.Uint16(frame[8:]))
	b = append(b, frame[leafFrom:leafTo]...)
	return append(b, frame[headerSize:headerSize+public]...)
}

// leafHash hashes a frame's leaf; scratch is memory for it.
func leafHash(scratch, frame []byte) (tlog.Hash, []byte) {
	scratch = appendLeaf(append(scratch[:0], 0), frame) // RFC 6962 section 2.1: a leaf begins with 0
	return sha256.Sum256(scratch), scratch
}

// Leaf is what a record's leaf in the tree is the hash of: part of its header
// and its public part (see the package's description). With it, an inclusion
// proof and a checkpoint anybody can check the record.
func (r *Record) Leaf() []byte { return appendLeaf(nil, r.frame) }

// Salted is the payload with its salt before it, nil when it was erased. Its
// SHA-256 is the record's commitment.
func (r *Record) Salted() []byte {
	if r.Erased {
		return nil
	}
	public := int(binary.LittleEndian.Uint16(r.frame[8:]))
	return r.frame[headerSize+public:]
}

// ParseLeaf reads a record back from its leaf and its salted payload, which is
// nil when it was erased, and checks that the one is committed to by the other.
func ParseLeaf(leaf, salted []byte) (r Record, err error) {
	if len(leaf) < leafHeader {
		return r, errors.New("a leaf is cut short")
	}
	if leaf[3] != version {
		return r, fmt.Errorf("a leaf is of version %d, which this program does not know", leaf[3])
	}
	if int(binary.LittleEndian.Uint16(leaf)) != len(leaf)-leafHeader {
		return r, errors.New("the length of a leaf's public part does not fit")
	}
	r = Record{
		Seq: binary.LittleEndian.Uint64(leaf[8:]), Time: time.Unix(0, int64(binary.LittleEndian.Uint64(leaf[16:]))).UTC(),
		Kind: Kind(leaf[2]), Public: leaf[leafHeader:], Erased: salted == nil,
	}
	copy(r.Commitment[:], leaf[24:])
	if salted == nil {
		return r, nil
	}
	if len(salted) < saltSize || uint64(len(salted)) != uint64(binary.LittleEndian.Uint32(leaf[4:])) {
		return r, fmt.Errorf("the payload of record %d has not the length that the record says", r.Seq)
	}
	if sha256.Sum256(salted) != r.Commitment {
		return r, fmt.Errorf("the payload of record %d is not what the record commits to", r.Seq)
	}
	r.Payload = salted[saltSize:]
	return r, nil
}
