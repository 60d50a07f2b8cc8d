package store

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"dialgate/policy"
	"dialgate/store/ledger"
)

// Options of a Store.
type Options struct {
	Dir    string
	Node   string // who writes, for the record
	Ledger ledger.Options
	// ErasureKey is the file of the key that erased numbers are recognised by;
	// "": beside Dir, with the ending "-erasure.key". The first erasure makes it.
	ErasureKey string
	// Keep is how long records of calls are kept at least; whole files of the
	// ledger that are older go. 0: for ever.
	Keep time.Duration
	// ImportRate is how many facts of imports go in a second beside calls. 0: as
	// many as there are.
	ImportRate int
	// Floor is the free space of the disk, in octets, below which no call is
	// recorded; facts stop below twice that, imports below three times. 0: 256 MiB.
	Floor uint64
	// Memory is how many octets of memory the facts of all numbers may take, so
	// that none is looked up on disk. 0, or when they need more: all are.
	Memory int64
	Now    func() time.Time // when a fact is learnt; nil: the system's clock
	Log    *slog.Logger

	foldAtMost uint64                           // a test's foldedAtStart
	free       func(dir string) (uint64, error) // a test's disk
}

// ledgerKeyFile holds the key that the ledger's checkpoints are signed with.
const ledgerKeyFile = "ledger.key"

// A Store is open in one process. It is safe for use by many goroutines.
type Store struct {
	o           Options
	ledger      *ledger.Ledger
	state       *projection
	index       index
	blocks      blocks
	registers   atomic.Pointer[Registers]
	pace        pace
	onObjection atomic.Pointer[func(...policy.Number)]

	queue     *queue
	applied   chan struct{} // closed when the applier has ended
	retention retention
	retaining sync.Mutex   // one retention at a time
	adding    sync.RWMutex // many add facts at a time; who takes it for writing finds none on their way
	admitting sync.Mutex   // one at a time looks what is known of a fact and appends it
	coming    coming
	records   sync.Pool // *[2][]byte: memory for decisions

	flight inFlight
	disk   disk
	parked parked

	mu     sync.RWMutex
	broken error // why the projection no longer follows
}

// Open opens the store in a directory, makes it if there is none, and brings
// the projection up to the ledger.
func Open(o Options) (*Store, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	o.Ledger.Dir, o.Ledger.Log = filepath.Join(o.Dir, "ledger"), o.Log
	o.Ledger.Key = filepath.Join(o.Dir, ledgerKeyFile) // not beside the segments: who copies them does not get it
	died := !closedCleanly(filepath.Join(o.Dir, "state"))
	l, err := ledger.Open(o.Ledger)
	if err != nil {
		return nil, err
	}
	s := &Store{o: o, ledger: l, queue: newQueue(), applied: make(chan struct{})}
	s.records.New = func() any { return new([2][]byte) }
	if err := s.openRoom(); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	if err := s.openState(); err != nil {
		if s.state != nil {
			err = errors.Join(err, s.state.db.Close())
		}
		s.closeRoom()
		return nil, errors.Join(err, l.Close())
	}
	if o.Memory > 0 {
		if err := s.state.remember(o.Memory, o.Log); err != nil {
			s.closeRoom()
			return nil, errors.Join(err, l.Close(), s.state.db.Close())
		}
	}
	if err := s.openIndex(); err != nil {
		s.closeRoom()
		return nil, errors.Join(err, l.Close(), s.state.db.Close())
	}
	go s.follow(l.Durable())
	if died {
		if err := s.endOpenCalls(); err != nil {
			s.o.Log.Error("calls that a crash left without an outcome could not be given one, so they count as made", "error", err)
		}
	}
	s.openRetention()
	debug.FreeOSMemory() // opening reads a whole segment, and may sort all of the ledger: none of that is needed again
	return s, nil
}

// openState opens the projection, or makes it anew from the ledger when it
// can't be trusted.
func (s *Store) openState() error {
	dir := filepath.Join(s.o.Dir, "state")
	state, err := openProjection(dir, s.o.Log)
	if err == nil {
		s.state = state
		if err = s.ofThisLedger(); err == nil && !state.clean {
			err = state.countsRight()
		}
		if err == nil {
			err = s.catchUp()
		}
		if err == nil {
			return s.finishErasure()
		}
	}
	var rebuild *errRebuild
	if !errors.As(err, &rebuild) {
		return err
	}
	if s.state != nil {
		_ = s.state.db.Close() // it is thrown away
	}
	s.o.Log.Warn("rebuilding the facts from the ledger", "because", rebuild.why)
	return s.rebuild(nil)
}

// ofThisLedger tells why the projection can't be of the ledger that was found.
func (s *Store) ofThisLedger() error {
	cursor, err := s.state.cursor()
	if err != nil {
		return &errRebuild{err.Error()}
	}
	if end := s.ledger.Found(); cursor > end {
		return &errRebuild{fmt.Sprintf("it is at record %d, the ledger ends at %d", cursor, end)}
	}
	return nil
}

// rebuild puts a projection made anew in the place of the one there is, which
// is not open any more.
func (s *Store) rebuild(loaded *loadedRows) error {
	dir := filepath.Join(s.o.Dir, "state")
	if err := errors.Join(os.RemoveAll(dir), os.RemoveAll(filepath.Join(s.o.Dir, markerFile))); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	s.state = nil
	err := s.build(dir, loaded)
	if err != nil {
		return err
	}
	if s.state, err = openProjection(dir, s.o.Log); err != nil {
		return err
	}
	return s.catchUp()
}

// foldedAtStart is how many records are always folded in one by one: more than
// the projection has seen are sooner sorted and written at once.
const foldedAtStart = 20_000

// catchUp folds in what the ledger holds beyond the cursor, and counts.
func (s *Store) catchUp() error {
	if err := s.loadBlocks(); err != nil {
		return err
	}
	if err := s.loadRegisters(); err != nil {
		return &errRebuild{err.Error()}
	}
	cursor, err := s.state.cursor()
	if err != nil {
		return &errRebuild{err.Error()}
	}
	end := s.ledger.Durable()
	if behind := end - cursor; behind > 0 {
		s.o.Log.Info("the facts are behind the ledger and follow it", "records", behind, "of", end)
	}
	if behind := end - cursor; behind > cmp.Or(s.o.foldAtMost, foldedAtStart) && behind > cursor {
		return &errRebuild{fmt.Sprintf("it is %d records behind, of %d; that is quicker", behind, end)}
	}
	if err := s.state.dirty(); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	if err := s.state.loadCounts(); err != nil {
		return err
	}
	var changes []change
	flush := func(seq uint64) error {
		if err := s.state.apply(changes, seq); err != nil {
			return &errRebuild{err.Error()}
		}
		changes = changes[:0]
		return nil
	}
	for r, err := range s.ledger.All(cursor + 1) {
		if err != nil {
			return err
		}
		if r.Kind == ledger.KindErasure {
			if err := errors.Join(flush(r.Seq-1), s.foldErasure(&r)); err != nil {
				return err
			}
			continue
		}
		if r.Kind == kindRegister {
			if err := errors.Join(flush(r.Seq-1), s.foldRegister(&r)); err != nil {
				return err
			}
			continue
		}
		c, err := changeOf(r)
		if err != nil {
			return err
		}
		if c.fact == nil && c.call == nil && c.unmade == nil && c.unsure == nil && c.carried == nil {
			continue
		}
		if changes = append(changes, c); len(changes) == changesPerTxn {
			if err := flush(r.Seq); err != nil {
				return err
			}
		}
	}
	return flush(end)
}

// changeOf is what a ledger record changes in the projection.
func changeOf(r ledger.Record) (c change, err error) {
	c.seq = r.Seq
	if r.Erased {
		return c, nil
	}
	switch r.Kind {
	case kindCarried:
		carried, err := readCarried(&r)
		if err != nil {
			return c, err
		}
		c.to, c.carried = carried.Number, &carried
	case kindFact:
		f, err := factForm.ParseJSON(r.Payload)
		if err != nil {
			return c, fmt.Errorf("store: record %d of the ledger holds no fact: %w", r.Seq, err)
		}
		c.fact = &f
	case kindOutcome:
		if c.to, c.unmade, err = notMade(&r); err == nil && c.unmade == nil {
			c.to, c.unsure, err = unsureOf(&r)
		}
		return c, err
	case kindDecision:
		d, err := readDecision(r)
		if err != nil {
			return c, err
		}
		if to, call, ok := d.made(); ok {
			c.to, c.call = to, &call
		}
	}
	return c, nil
}

// Close writes what waits. Nothing may be added any more.
func (s *Store) Close() error {
	s.closeRetention()
	s.closeIndex()
	err := s.ledger.Close()
	s.queue.close()
	<-s.applied
	s.closeRoom()
	if s.disk.level.Load() == onlyInDanger {
		// Badger would write what it has in memory, and die. The ledger has it all.
		s.o.Log.Warn("the projection is left as it is, since the disk is full; the next start brings it up to the ledger")
		return err
	}
	if s.broken == nil {
		// Nothing is left to fold in, so the next start need not look.
		err = errors.Join(err, s.state.setCursor(s.ledger.Durable()))
	}
	return errors.Join(err, s.state.close())
}

// Facts reads all that is known of a number. A number of which nothing is
// known is no error; after any error nothing can be said of it.
func (s *Store) Facts(n policy.Number, into *policy.Facts) error {
	s.mu.RLock()
	err := s.broken
	s.mu.RUnlock()
	if err != nil {
		return err
	}
	parked := s.parked.of(n)
	if err := s.state.facts(n, into); err != nil {
		return err
	}
	addParked(into, parked)
	s.registers.Load().Tell(into)
	if b := s.block(n); b != nil && len(b.Kept) > 0 {
		into.All = append(into.All, b.facts(n)...)
		into.Sort()
	}
	return nil
}

// Ready tells why calls can't be judged or recorded at the moment, nil when
// they can.
func (s *Store) Ready() error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return errors.Join(s.broken, s.ledger.Failure(), s.disk.lacks(onlyInDanger))
}

// Counts is how many facts there are of each kind.
func (s *Store) Counts() map[policy.Kind]int64 {
	out := map[policy.Kind]int64{}
	for kind, n := range s.state.counts() {
		if kind != 0 && n != 0 {
			out[policy.Kind(kind)] = n
		}
	}
	return out
}

// LedgerEnd is the sequence number of the last record on disk.
func (s *Store) LedgerEnd() uint64 { return s.ledger.Durable() }

// Append records a decision; done is called once it is durable (see package
// gate). An allowed call to a number is noted for the rules that ask for
// earlier calls, if it stands; one that could not be recorded is forgotten.
func (s *Store) Append(r *policy.Record, done func(error) (stands bool)) {
	made := worthNoting(r)
	if err := s.disk.lacks(onlyInDanger); err != nil && made != nil { // of others only the ledger knows
		s.flight.drop(made.to, *made.call)
		done(err)
		return
	}
	bufs := s.records.Get().(*[2][]byte)
	bufs[0], bufs[1] = appendDecision(bufs[0][:0], bufs[1][:0], r)
	record := ledger.Record{Time: r.At, Kind: kindDecision, Public: bufs[0], Payload: bufs[1]}
	s.ledger.Append(record, func(seq uint64, err error) {
		if made == nil {
			done(err)
			return
		}
		if err != nil {
			s.flight.drop(made.to, *made.call)
			done(err)
			return
		}
		if !done(nil) {
			s.flight.drop(made.to, *made.call)
			return
		}
		made.seq = seq
		s.note(*made)
	})
	s.records.Put(bufs)
}

// worthNoting is the change that an allowed call makes, nil if it makes none.
func worthNoting(r *policy.Record) *change {
	if r.Decision.Verdict != policy.Allowed {
		return nil
	}
	call, ok := r.Attempt.Made()
	if !ok {
		return nil
	}
	return &change{to: r.Attempt.Called.Number, call: &call}
}

// AppendOutcome records how the set-up of a judged call ended. Nobody waits for
// it: it goes to the disk with the next decision, or after a moment.
func (s *Store) AppendOutcome(o *policy.Outcome, done func(error)) {
	r := outcomeRecord(o)
	r.Later = true
	s.ledger.Append(r, func(_ uint64, err error) { done(err) })
}

// Export writes every fact as JSON Lines, ordered by number and time.
func (s *Store) Export(w io.Writer) error {
	var line []byte
	return s.state.each(func(f *policy.Facts) error {
		for i := range f.All {
			line = append(f.All[i].AppendJSON(line[:0]), '\n')
			if _, err := w.Write(line); err != nil {
				return err
			}
		}
		return nil
	})
}

// Decisions walks the decisions on disk from a ledger record on.
func (s *Store) Decisions(from uint64) iter.Seq2[Decision, error] {
	return func(yield func(Decision, error) bool) {
		for r, err := range s.ledger.All(max(from, 1)) {
			if err != nil {
				yield(Decision{}, err)
				return
			}
			if r.Kind != kindDecision {
				continue
			}
			d, err := readDecision(r)
			if !yield(d, err) || err != nil {
				return
			}
		}
	}
}

// LedgerBytes is the size of the ledger's files in octets.
func (s *Store) LedgerBytes() int64 {
	var sum int64
	files, _ := filepath.Glob(filepath.Join(s.o.Dir, "ledger", "*.seg"))
	for _, f := range files {
		if info, err := os.Stat(f); err == nil {
			sum += info.Size()
		}
	}
	return sum
}

// Exists reports whether there is a store in a directory.
func Exists(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "ledger"))
	return err == nil
}
