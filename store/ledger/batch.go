package ledger

import (
	"crypto/rand"
	"fmt"
	mathrand "math/rand/v2"
	"time"
)

// A Batch is records made ready to be appended together. To commit to a record
// and to checksum it takes most of the time that [Ledger.Append] takes, and
// needs nothing of the ledger: whoever has many records makes batches on all
// cores. A batch is of one goroutine until it is appended, and again after that.
type Batch struct {
	// Places are where its records lie, when they are on disk.
	Places []Place

	salts  *mathrand.ChaCha8
	octets []byte
	sizes  []int // of the frames in octets
}

// NewBatch makes an empty batch.
func NewBatch() *Batch {
	var seed [32]byte
	_, _ = rand.Read(seed[:]) // never fails
	return &Batch{salts: mathrand.NewChaCha8(seed)}
}

// Add adds a record, and takes what it needs of it before it returns.
func (b *Batch) Add(r Record) error {
	if len(r.Public) > maxPublic || len(r.Payload) > maxPayload {
		return tooLarge(&r)
	}
	var salt [saltSize]byte
	_, _ = b.salts.Read(salt[:]) // never fails
	before := len(b.octets)
	r.Seq = 0 // the ledger gives it
	b.octets = appendFrame(b.octets, &r, &salt)
	b.sizes = append(b.sizes, len(b.octets)-before)
	return nil
}

func tooLarge(r *Record) error {
	return fmt.Errorf("ledger: a record of %d and %d octets is too large", len(r.Public), len(r.Payload))
}

// Len is how many records are in the batch.
func (b *Batch) Len() int { return len(b.sizes) }

// Size is how many octets they take.
func (b *Batch) Size() int { return len(b.octets) }

// Reset empties the batch and keeps its memory.
func (b *Batch) Reset() { b.Places, b.octets, b.sizes = b.Places[:0], b.octets[:0], b.sizes[:0] }

// AppendBatches adds the records of batches, which hold one at least, in their
// order, and waits until all of them are written: on disk, or in memory mode on
// their way there. After an error none of them is.
func (l *Ledger) AppendBatches(batches ...*Batch) error {
	written := make(chan error, 1)
	l.mu.Lock()
	if err := l.takes(false); err != nil {
		l.mu.Unlock()
		return err
	}
	for _, b := range batches {
		b.Places = append(b.Places[:0], make([]Place, len(b.sizes))...)
		octets := len(l.pending)
		l.pending = append(l.pending, b.octets...)
		for i, size := range b.sizes {
			l.seq++
			number(l.pending[octets:], l.seq)
			octets += size
			b.Places[i].Seq = l.seq
			l.frames = append(l.frames, frame{size: size, seq: l.seq, place: &b.Places[i]})
		}
	}
	l.frames[len(l.frames)-1].done = func(_ uint64, err error) { written <- err }
	l.writeBy(time.Now())
	l.mu.Unlock()
	return <-written
}
