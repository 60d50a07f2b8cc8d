package store

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"dialgate/policy"
	"dialgate/store/ledger"
)

// A Load takes in many facts of a store that judges no calls meanwhile. They go
// to the ledger only, and are durable when Add returns; the projection gets
// them when the load is closed, all at once if there are many. After a crash
// the next start does that.
//
// What was known before is looked up in the projection. What was loaded since
// is told by a table of hashes, which never takes a new fact for a known one
// (two hashes of 64 bits with a secret would have to be the same); where it
// can't tell, the load ends by itself, and facts are added in the usual way.
type Load struct {
	s      *Store
	ended  bool
	fresh  bool // nothing was known before
	undoes bool // facts were loaded that make others void

	secret [16]byte
	loaded hashTable
	octets []uint32 // by a hash of the number: no less than what was loaded of it

	public, payload, scratch []byte
}

const (
	loadNumbers = 1 << 20
	// maxLoaded bounds the table of what was loaded: 16 octets each.
	maxLoaded = 1 << 24
	// What may wait for the ledger at a time.
	loadFacts  = maxAdding
	loadOctets = 8 << 20
)

// Load begins a load. Until it is closed the store does nothing else.
func (s *Store) Load() *Load {
	s.adding.Lock()
	s.pause()
	l := &Load{s: s, octets: make([]uint32, loadNumbers)}
	_, _ = rand.Read(l.secret[:]) // never fails
	l.fresh = s.ledger.Durable() == 0
	return l
}

// pause ends all that follows the ledger; resume begins it again.
func (s *Store) pause() {
	s.closeRoom()
	s.closeRetention()
	s.closeIndex()
	s.queue.close()
	<-s.applied
}

func (s *Store) resume() error {
	s.queue, s.applied = newQueue(), make(chan struct{})
	err := s.openIndex()
	if err != nil {
		close(s.index.ended) // nothing follows
	}
	go s.follow(s.ledger.Durable())
	s.openRetention()
	s.watchRoom()
	return err
}

// Close puts what was loaded in force.
func (l *Load) Close() error {
	if l.ended {
		return nil
	}
	l.ended, l.loaded, l.octets = true, hashTable{}, nil
	defer l.s.adding.Unlock()
	err := l.s.follows()
	if err != nil {
		l.s.fail(err)
	}
	return errors.Join(err, l.s.resume())
}

// follows brings the projection up to the ledger: in its place, or by a new one
// when most of the ledger is not in it.
func (s *Store) follows() error {
	err := s.catchUp()
	var rebuild *errRebuild
	if !errors.As(err, &rebuild) {
		return err
	}
	s.o.Log.Info("making the projection of facts anew", "because", rebuild.why)
	if err := s.state.db.Close(); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	return s.rebuild()
}

// Add is [Store.Add], but that the facts bind calls when the load is closed.
func (l *Load) Add(ctx context.Context, facts ...policy.Fact) ([]Result, error) {
	if l.ended {
		return l.s.Add(ctx, facts...)
	}
	results := make([]Result, len(facts))
	_, _, err := l.s.disk.look() // nobody else does meanwhile
	if err = errors.Join(err, l.s.disk.lacks(noImports)); err != nil {
		return results, err
	}
	var w written
	octets := 0
	for i := range facts {
		f := &facts[i]
		r, sure := l.admit(f)
		if !sure {
			if err := errors.Join(w.wait(), l.Close()); err != nil {
				return results, err
			}
			rest, err := l.s.Add(ctx, facts[i:]...)
			copy(results[i:], rest)
			return results, err
		}
		if results[i] = r; r.Err != nil || r.Known {
			continue
		}
		l.public, l.payload = appendFactRecord(l.public[:0], l.payload[:0], f, l.s.o.Node)
		w.add()
		l.s.ledger.Append(ledger.Record{Time: f.RecordedAt, Kind: kindFact, Public: l.public, Payload: l.payload}, w.done)
		if octets += len(l.payload); octets >= loadOctets || (i+1)%loadFacts == 0 {
			if err := errors.Join(w.wait(), ctx.Err()); err != nil {
				return results, err
			}
			octets = 0
		}
	}
	return results, w.wait()
}

// written waits for records to be on disk.
type written struct {
	left sync.WaitGroup
	mu   sync.Mutex
	err  error
}

func (w *written) add() { w.left.Add(1) }

func (w *written) done(_ uint64, err error) {
	if err != nil {
		w.mu.Lock()
		w.err = err
		w.mu.Unlock()
	}
	w.left.Done()
}

func (w *written) wait() error {
	w.left.Wait()
	return w.err
}

// admit decides what becomes of a fact, and reports false when it can't be sure.
func (l *Load) admit(f *policy.Fact) (r Result, sure bool) {
	now := l.s.o.Now().UTC()
	r, decided := l.s.receive(f, now)
	if decided {
		return r, true
	}
	if !l.fresh {
		var none batch
		known, undo, err := l.s.find(f, &none)
		if err != nil || known != nil {
			if err == nil && (undo != nil || !same(known, f)) {
				return r, false
			}
			return Result{ID: f.ID, Known: known != nil, Err: err}, true
		}
	}
	id, says := l.hash(f)
	have, there := l.loaded.get(id)
	if there {
		return Result{ID: f.ID, Known: true}, have == says && !l.undoes
	}
	room, err := l.room(f.Number, len(l.scratch))
	if err != nil {
		return Result{ID: f.ID, Err: err}, true
	}
	if !room || l.loaded.size == maxLoaded {
		return r, false
	}
	l.loaded.put(id, says)
	l.undoes = l.undoes || f.Kind == policy.Undo
	f.RecordedAt = now
	return r, true
}

// hash is of which fact it is, and of what it says. The fact's octets are in
// scratch after that.
func (l *Load) hash(f *policy.Fact) (id, says uint64) {
	x := *f
	x.RecordedAt, x.Batch = time.Time{}, "" // as [same] compares
	l.scratch = append(l.scratch[:0], l.secret[:]...)
	l.scratch = binary.BigEndian.AppendUint64(l.scratch, f.Number.Key())
	l.scratch = append(l.scratch, f.ID...)
	sum := sha256.Sum256(l.scratch)
	id = max(binary.BigEndian.Uint64(sum[:]), 1) // 0 is an empty slot
	l.scratch = appendFact(l.scratch[:len(l.secret)], &x)
	sum = sha256.Sum256(l.scratch)
	return id, binary.BigEndian.Uint64(sum[:])
}

// room counts what is loaded of a number, and reports false when that and what
// was known may be more than is kept of one. Numbers that share a counter are
// taken for one.
func (l *Load) room(n policy.Number, size int) (is bool, err error) {
	kept := int64(0)
	if !l.fresh {
		if kept, err = l.s.state.size(n); err != nil {
			return false, err
		}
	}
	at := &l.octets[n.Key()*0x9e3779b97f4a7c15>>44] // the top 20 bits
	if kept+int64(*at)+int64(size) > maxOctets {
		return false, nil
	}
	*at += uint32(size)
	return true, nil
}

// A hashTable maps hashes to hashes, by open addressing.
type hashTable struct {
	slots [][2]uint64
	size  int
}

func (t *hashTable) slot(id uint64) *[2]uint64 {
	mask := uint64(len(t.slots) - 1)
	for at := id & mask; ; at = (at + 1) & mask {
		if s := &t.slots[at]; s[0] == id || s[0] == 0 {
			return s
		}
	}
}

func (t *hashTable) get(id uint64) (says uint64, ok bool) {
	if t.size == 0 {
		return 0, false
	}
	s := t.slot(id)
	return s[1], s[0] == id
}

func (t *hashTable) put(id, says uint64) {
	if 4*t.size >= 3*len(t.slots) {
		old := t.slots
		t.slots = make([][2]uint64, max(1024, 2*len(old)))
		for _, s := range old {
			if s[0] != 0 {
				*t.slot(s[0]) = s
			}
		}
	}
	*t.slot(id) = [2]uint64{id, says}
	t.size++
}
