package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/dgraph-io/badger/v4"

	"dialgate/policy"
	"dialgate/store/ledger"
)

// Do-not-call registers are copied from time to time. The entries are facts of
// their numbers; that a copy was loaded, and of which date it is, is a record
// of its own, since it says something of all numbers: that those without an
// entry were not on it.
//
//	Mregisters   the copies that were loaded, as JSON

// A RegisterLoaded is one copy of a register, or that the copy of a batch
// counts no more. It is the public part of a ledger record.
type RegisterLoaded struct {
	Register   string    `json:"register"`
	AsOf       time.Time `json:"as_of"`
	Batch      string    `json:"batch,omitempty"`
	Entries    int       `json:"entries"`
	Undone     bool      `json:"undone,omitempty"`
	RecordedAt time.Time `json:"recorded_at"`
	Node       string    `json:"node,omitempty"`

	Seq uint64 `json:"seq,omitempty"` // of its record, not in it
}

// maxCopies bounds what is kept of each register. Of an older time than the
// oldest one it is not known what had been loaded.
const maxCopies = 1000

var registersKey = []byte("Mregisters")

// Registers are the copies that were loaded. They never change; nil is none.
type Registers struct {
	loaded []RegisterLoaded
	copies []policy.RegisterCopy
	asOf   map[string]time.Time
}

// with are the copies after one more.
func (r *Registers) with(c RegisterLoaded) *Registers {
	next := &Registers{loaded: slices.Clone(r.Loaded())}
	have := func(x RegisterLoaded) bool {
		return x.Register == c.Register && x.Batch == c.Batch && x.Undone == c.Undone && x.AsOf.Equal(c.AsOf) && x.RecordedAt.Equal(c.RecordedAt)
	}
	if i := slices.IndexFunc(next.loaded, have); i >= 0 {
		next.loaded[i].Seq = max(next.loaded[i].Seq, c.Seq) // it was carried over, or is folded in again
	} else {
		next.loaded = append(next.loaded, c)
	}
	slices.SortStableFunc(next.loaded, func(a, b RegisterLoaded) int { return a.RecordedAt.Compare(b.RecordedAt) })
	of := func(x RegisterLoaded) bool { return x.Register == c.Register }
	count := 0
	for _, x := range next.loaded {
		if of(x) {
			count++
		}
	}
	if count > maxCopies {
		i := slices.IndexFunc(next.loaded, of)
		next.loaded = slices.Delete(next.loaded, i, i+1)
	}
	return next.finish()
}

func (r *Registers) finish() *Registers {
	for _, c := range r.loaded {
		r.copies = append(r.copies, policy.RegisterCopy{Register: c.Register, AsOf: c.AsOf, RecordedAt: c.RecordedAt, Batch: c.Batch, Undone: c.Undone})
	}
	r.asOf = policy.RegistersAsOf(r.copies)
	return r
}

// Registers are the copies of registers that were loaded.
func (s *Store) Registers() (*Registers, error) { return s.registers.Load(), nil }

// Loaded is every copy, the oldest first.
func (r *Registers) Loaded() []RegisterLoaded {
	if r == nil {
		return nil
	}
	return r.loaded
}

// Version tells whether anything was loaded since: it is the last record's number.
func (r *Registers) Version() (last uint64) {
	for _, c := range r.Loaded() {
		last = max(last, c.Seq)
	}
	return last
}

// AsOf is the date of the copy of each register that counts.
func (r *Registers) AsOf() map[string]time.Time {
	if r == nil {
		return nil
	}
	return r.asOf
}

// Tell puts the dates of registers into what is known of a number.
func (r *Registers) Tell(into *policy.Facts) {
	if r != nil {
		into.AsOf, into.Copies = r.asOf, r.copies
	}
}

// RegistersOf are the copies that another process tells of.
func RegistersOf(loaded []RegisterLoaded) *Registers {
	if len(loaded) == 0 {
		return nil
	}
	return (&Registers{loaded: loaded}).finish()
}

// LoadRegister records that the copy of a register is in the store. Its date
// counts for the next call when LoadRegister returns.
func (s *Store) LoadRegister(c RegisterLoaded) error {
	if c.Register == "" || c.AsOf.IsZero() && !c.Undone {
		return errors.New("a copy of a register has a name and a date")
	}
	now := s.o.Now().UTC()
	if c.AsOf.After(now) {
		return fmt.Errorf("the copy of register %s is of %s, which has not come yet", c.Register, c.AsOf.Format(time.DateOnly))
	}
	s.adding.Lock()
	defer s.adding.Unlock()
	if err := s.disk.lacks(noFacts); err != nil {
		return err
	}
	c.RecordedAt, c.Node = now, s.o.Node
	if before := s.registers.Load().Loaded(); len(before) > 0 && before[len(before)-1].RecordedAt.After(now) {
		c.RecordedAt = before[len(before)-1].RecordedAt // the clock was set back; the order of the ledger holds
	}
	return s.recordCopy(c)
}

// recordCopy appends a copy's record and waits until it is in force.
func (s *Store) recordCopy(c RegisterLoaded) error {
	c.Seq = 0
	public, err := json.Marshal(c)
	if err != nil {
		return err
	}
	c.Seq, err = s.ledger.AppendSync(ledger.Record{Time: s.o.Now().UTC(), Kind: kindRegister, Public: public})
	if err != nil {
		return err
	}
	done := make(chan error, 1)
	s.queue.put(change{seq: c.Seq, registers: s.registers.Load().with(c), done: func(err error) { done <- err }})
	if err := <-done; err != nil {
		return err
	}
	s.registers.Store(s.registers.Load().with(c))
	return nil
}

// write puts the copies into the projection.
func (r *Registers) write(txn *badger.Txn) error {
	value, err := r.value()
	if err != nil {
		return err
	}
	return txn.Set(registersKey, value)
}

// value is what stands under registersKey.
func (r *Registers) value() ([]byte, error) { return json.Marshal(r.loaded) }

// loadRegisters reads the copies into memory.
func (s *Store) loadRegisters() error {
	return s.state.db.View(func(txn *badger.Txn) error {
		item, err := txn.Get(registersKey)
		if errors.Is(err, badger.ErrKeyNotFound) {
			s.registers.Store(nil)
			return nil
		}
		if err != nil {
			return err
		}
		return item.Value(func(v []byte) error {
			var loaded []RegisterLoaded
			if err := json.Unmarshal(v, &loaded); err != nil {
				return err
			}
			s.registers.Store(RegistersOf(loaded))
			return nil
		})
	})
}

// after are the copies after a record of the ledger.
func (r *Registers) after(record *ledger.Record) (*Registers, error) {
	var c RegisterLoaded
	if err := json.Unmarshal(record.Public, &c); err != nil {
		return nil, fmt.Errorf("store: record %d of the ledger holds no register: %w", record.Seq, err)
	}
	c.Seq = record.Seq
	return r.with(c), nil
}

// foldRegister brings a copy of the ledger into a projection that was not there
// when it was loaded.
func (s *Store) foldRegister(r *ledger.Record) error {
	next, err := s.registers.Load().after(r)
	if err != nil {
		return err
	}
	s.registers.Store(next)
	return s.state.update(r.Seq, next.write)
}

// carryCopies writes the records of copies anew that are about to go.
func (s *Store) carryCopies(last uint64) error {
	s.adding.Lock()
	defer s.adding.Unlock()
	for _, c := range s.registers.Load().Loaded() {
		if c.Seq > last {
			continue
		}
		if err := s.recordCopy(c); err != nil {
			return err
		}
	}
	return nil
}

// undoCopies makes a batch's copies of registers count no more, when its
// entries are lifted: else a number that was on it would pass as one that was not.
func (s *Store) undoCopies(u *Undone, o UndoOptions) error {
	loaded := s.registers.Load().Loaded()
	in := map[string]bool{}
	for _, c := range loaded {
		if c.Batch != u.Batch {
			continue
		}
		if !c.Undone {
			u.came(c.RecordedAt, 0)
		}
		// The last one counts. To undo one copy of a name undoes all: entries are
		// missing then, and a register that is missing lets nothing through.
		in[c.Register] = !c.Undone && (in[c.Register] || o.within(c.RecordedAt))
	}
	for _, c := range loaded {
		if !in[c.Register] {
			continue
		}
		in[c.Register] = false
		if !o.Lift {
			u.Stay["copy of register "+c.Register]++
			continue
		}
		u.Registers = append(u.Registers, c.Register)
		if o.DryRun {
			continue
		}
		if err := s.LoadRegister(RegisterLoaded{Register: c.Register, Batch: u.Batch, Undone: true}); err != nil {
			return err
		}
	}
	return nil
}
