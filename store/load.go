package store

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

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

	rows   loadedRows
	shares []*loadShare // memory for Add
}

const (
	loadNumbers = 1 << 20
	// maxLoaded bounds the table of what was loaded: 16 octets each.
	maxLoaded = 1 << 24
	// LoadBatch is how many facts Add takes best at a time; no more than that,
	// and than loadOctets, wait for the ledger.
	LoadBatch  = 1 << 12
	loadOctets = 4 << 20
	// shareFacts is how many facts one core makes ready at a time.
	shareFacts = 512
)

// Load begins a load. Until it is closed the store does nothing else.
func (s *Store) Load() *Load {
	s.adding.Lock()
	s.pause()
	l := &Load{s: s, octets: make([]uint32, loadNumbers)}
	_, _ = rand.Read(l.secret[:]) // never fails
	l.fresh = s.ledger.Durable() == 0
	l.rows.begin(s.newStateDir(), s.ledger.Durable())
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
	l.ended, l.loaded, l.octets, l.shares = true, hashTable{}, nil, nil
	defer l.s.adding.Unlock()
	err := l.s.follows(&l.rows)
	if err != nil {
		l.s.fail(err)
	}
	return errors.Join(err, l.rows.close(), l.s.resume())
}

// follows brings the projection up to the ledger: in its place, or by a new one
// when most of the ledger is not in it.
func (s *Store) follows(loaded *loadedRows) error {
	err := s.catchUp()
	var rebuild *errRebuild
	if !errors.As(err, &rebuild) {
		return err
	}
	s.o.Log.Info("making the projection of facts anew", "because", rebuild.why)
	if err := s.state.db.Close(); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	return s.rebuild(loaded)
}

// Add is [Store.Add], but that the facts bind calls when the load is closed.
// They are looked at and made ready on all cores; only what became of those
// before them is asked one after another.
func (l *Load) Add(ctx context.Context, facts ...policy.Fact) ([]Result, error) {
	results := make([]Result, len(facts))
	if !l.ended {
		_, _, err := l.s.disk.look() // nobody else does meanwhile
		if err = errors.Join(err, l.s.disk.lacks(noImports)); err != nil {
			return results, err
		}
	}
	for at := 0; at < len(facts); {
		if l.ended {
			rest, err := l.s.Add(ctx, facts[at:]...)
			copy(results[at:], rest)
			return results, err
		}
		some := min(len(facts)-at, LoadBatch)
		n, err := l.addSome(facts[at:at+some], results[at:at+some])
		if err = errors.Join(err, ctx.Err()); err != nil {
			return results, err
		}
		at += n
	}
	return results, nil
}

// addSome adds the first n facts of some, and ends the load after them when it
// can't tell what becomes of the next.
func (l *Load) addSome(facts []policy.Fact, results []Result) (n int, err error) {
	now := l.s.o.Now().UTC()
	shares := l.divide(facts, results)
	onAllCores(shares, func(s *loadShare) { s.look(l, now) })
	for sure := true; sure && n < len(facts) && err == nil; {
		octets := 0
		for _, s := range shares {
			for s.judged < len(s.facts) && sure && octets < loadOctets {
				if sure = l.judge(s, s.judged); sure {
					octets += s.seen[s.judged].size
					s.judged++
					n++
				}
			}
		}
		onAllCores(shares, func(s *loadShare) { s.makeReady(l.s.o.Node, now) })
		if err = l.write(shares); err != nil || !sure {
			err = errors.Join(err, l.Close()) // what was not written would be taken for known
		}
	}
	return n, err
}

// write puts what was made ready in the ledger, and keeps it for the projection.
func (l *Load) write(shares []*loadShare) (err error) {
	var batches []*ledger.Batch
	for _, s := range shares {
		err = errors.Join(err, s.err)
		if s.batch.Len() > 0 {
			batches = append(batches, s.batch)
		}
	}
	if err != nil || len(batches) == 0 {
		return err
	}
	if err := l.s.ledger.AppendBatches(batches...); err != nil {
		return err
	}
	for _, s := range shares {
		l.rows.add(s)
	}
	return nil
}

// judge decides what becomes of a fact, and reports false when it can't be sure.
func (l *Load) judge(s *loadShare, i int) (sure bool) {
	seen, r := &s.seen[i], &s.results[i]
	if !seen.open {
		return !seen.unsure
	}
	f := &s.facts[i]
	have, there := l.loaded.get(seen.id)
	if there {
		r.Known = true
		return have == seen.says && !l.undoes
	}
	if !l.room(f.Number, seen.kept, seen.size) || l.loaded.size == maxLoaded {
		return false
	}
	l.loaded.put(seen.id, seen.says)
	l.undoes = l.undoes || f.Kind == policy.Undo
	seen.taken = true
	return true
}

// room counts what is loaded of a number, and reports false when that and what
// was known may be more than is kept of one. Numbers that share a counter are
// taken for one.
func (l *Load) room(n policy.Number, kept int64, size int) bool {
	at := &l.octets[n.Key()*0x9e3779b97f4a7c15>>44] // the top 20 bits
	if kept+int64(*at)+int64(size) > maxOctets {
		return false
	}
	*at += uint32(size)
	return true
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
