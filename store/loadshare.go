package store

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"dialgate/policy"
	"dialgate/store/ledger"
)

// A loadShare is some facts of a load that one core looks at and makes ready.
type loadShare struct {
	facts   []policy.Fact
	results []Result
	seen    []seenFact
	judged  int // how many of them
	ready   int // and how many of those were made ready
	err     error

	batch   *ledger.Batch
	rows    []byte // of the facts in batch
	changes []loadedChange

	scratch, public, payload []byte
}

// A seenFact is what was found of a fact before those before it were judged.
type seenFact struct {
	open   bool   // what becomes of it is not decided yet
	unsure bool   // it must be added in the usual way
	taken  bool   // it goes to the ledger
	id     uint64 // a hash of which fact it is
	says   uint64 // a hash of what it says
	size   int    // octets of that
	kept   int64  // octets that are kept of its number
}

// A loadedChange is what one fact in a share's batch changes in the projection.
type loadedChange struct {
	number uint64
	size   int // of its row
}

// divide gives the facts out to as many shares as it takes.
func (l *Load) divide(facts []policy.Fact, results []Result) []*loadShare {
	n := 0
	for some := range slices.Chunk(facts, shareFacts) {
		if n == len(l.shares) {
			l.shares = append(l.shares, &loadShare{batch: ledger.NewBatch()})
		}
		s := l.shares[n]
		s.facts, s.results, s.seen = some, results[n*shareFacts:][:len(some)], s.seen[:0]
		s.judged, s.ready, s.err = 0, 0, nil
		n++
	}
	return l.shares[:n]
}

// onAllCores calls f with every share.
func onAllCores(shares []*loadShare, f func(*loadShare)) {
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(len(shares), runtime.GOMAXPROCS(0)) {
		workers.Go(func() {
			for i := next.Add(1); i <= int64(len(shares)); i = next.Add(1) {
				f(shares[i-1])
			}
		})
	}
	workers.Wait()
}

// look finds out what can be told of each fact by itself.
func (s *loadShare) look(l *Load, now time.Time) {
	for i := range s.facts {
		f := &s.facts[i]
		var seen seenFact
		var decided bool
		if s.results[i], decided = l.s.receive(f, now); !decided {
			seen, s.results[i] = l.seek(f)
		}
		if seen.open {
			s.hash(l.secret[:], f, &seen)
		}
		s.seen = append(s.seen, seen)
	}
}

// seek looks for a fact among those that were known before.
func (l *Load) seek(f *policy.Fact) (seen seenFact, r Result) {
	r = Result{ID: f.ID}
	if l.fresh {
		seen.open = true
		return seen, r
	}
	known, undo, err := l.s.find(f, &l.s.coming) // nothing is
	if err == nil && known == nil {
		seen.open = true
		seen.kept, err = l.s.state.size(f.Number)
	}
	switch {
	case err != nil:
		seen.open, r.Err = false, err
	case known != nil:
		r.Known, seen.unsure = true, undo != nil || !same(known, f)
	}
	return seen, r
}

// hash is of which fact it is, and of what it says.
func (s *loadShare) hash(secret []byte, f *policy.Fact, seen *seenFact) {
	s.scratch = append(s.scratch[:0], secret...)
	s.scratch = binary.BigEndian.AppendUint64(s.scratch, f.Number.Key())
	s.scratch = append(s.scratch, f.ID...)
	sum := sha256.Sum256(s.scratch)
	seen.id = max(binary.BigEndian.Uint64(sum[:]), 1) // 0 is an empty slot
	x := *f
	x.RecordedAt, x.Batch = time.Time{}, "" // as [same] compares
	s.scratch = appendFact(s.scratch[:len(secret)], &x)
	sum = sha256.Sum256(s.scratch)
	seen.says, seen.size = binary.BigEndian.Uint64(sum[:]), len(s.scratch)-len(secret)
}

// makeReady makes records and rows of the facts that were taken since.
func (s *loadShare) makeReady(node string, now time.Time) {
	s.batch.Reset()
	s.rows, s.changes = s.rows[:0], s.changes[:0]
	for ; s.ready < s.judged; s.ready++ {
		if !s.seen[s.ready].taken {
			continue
		}
		f := &s.facts[s.ready]
		f.RecordedAt = now
		s.public, s.payload = appendFactRecord(s.public[:0], s.payload[:0], f, node)
		if err := s.batch.Add(ledger.Record{Time: now, Kind: kindFact, Public: s.public, Payload: s.payload}); err != nil {
			s.err = err
			return
		}
		before := len(s.rows)
		s.rows = appendFact(append(s.rows, rowFact), f)
		s.changes = append(s.changes, loadedChange{f.Number.Key(), len(s.rows) - before})
	}
}

// loadedRows are the changes of a load, sorted, so that a new projection need
// not read back from the ledger what was just written there. They are given up
// when there is no room for them, or another record came between.
type loadedRows struct {
	dir     string
	from    uint64 // the record of the ledger that the load began after
	last    ledger.Place
	changes sorter
	row     []byte
	gone    bool
}

func (r *loadedRows) begin(dir string, from uint64) {
	*r = loadedRows{dir: dir, from: from, last: ledger.Place{Seq: from}, changes: sorter{dir: dir}}
	r.gone = os.MkdirAll(dir, 0o700) != nil
}

// add keeps what a share has put in the ledger.
func (r *loadedRows) add(s *loadShare) {
	rows := s.rows
	for i, c := range s.changes {
		place := s.batch.Places[i]
		if r.gone || place.Seq != r.last.Seq+1 {
			r.giveUp()
			return
		}
		r.last = place
		r.row = append(binary.AppendUvarint(r.row[:0], uint64(place.Offset)), rows[:c.size]...)
		rows = rows[c.size:]
		if r.changes.add(c.number, place.Seq, r.row) != nil {
			r.giveUp()
		}
	}
}

// giveUp leaves the rows to whoever reads the ledger, and their room to others.
func (r *loadedRows) giveUp() {
	r.gone = true
	_ = r.changes.close() // files without names, of which nothing is wanted
	r.changes = sorter{}
}

// whole reports whether they are all that the ledger holds beyond their beginning.
func (r *loadedRows) whole(end uint64) bool {
	return r != nil && !r.gone && r.last.Seq == end && end > r.from
}

func (r *loadedRows) close() error { return errors.Join(r.changes.close(), os.RemoveAll(r.dir)) }
