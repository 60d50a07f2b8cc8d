package store

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"

	"github.com/dgraph-io/badger/v4"

	"dialgate/policy"
	"dialgate/store/ledger"
)

// A builder makes a projection and its index from the ledger in one go: the
// changes are sorted by number, and Badger gets finished tables. That takes a
// quarter of the time of folding them in one by one, which writes every number
// several times.
type builder struct {
	s         *Store
	mu        sync.Mutex // of the sorters, while records are read
	changes   sorter     // by number and record: an offset, then a change
	outcomes  sorter     // by id: a place
	erased    map[numberHash]*recordedErasure
	erasedAt  map[numberHash]uint64 // the last erasure that took what was known
	erasures  []ledger.Place
	registers *Registers
	end       uint64       // the last record that is read
	last      ledger.Place // the last record of all
	tally     tally

	rows  *rowStream
	value []byte
}

// What a change is, in its row.
const (
	rowIndexed = iota // it changes nothing, but its record is about the number
	rowFact
	rowCall
	rowCarried
	rowLooked // nothing either: somebody looked at the number. It stands in the index on disk
	rowUnmade // by an outcome, which the index has no row of
	rowUnsure // likewise
)

// The streams that Badger gets: each has its keys in order, and none shares a
// range with another.
const (
	streamFacts = iota + 1
	streamIndex
	streamOutcomes
)

// newStateDir is where a projection is made.
func (s *Store) newStateDir() string { return filepath.Join(s.o.Dir, "state.new") }

// build makes the projection of all that is in the ledger in a directory, which
// is not there before. Until it is whole it has another name. What was loaded a
// moment ago, if anything, is not read back.
func (s *Store) build(dir string, loaded *loadedRows) (err error) {
	tmp := s.newStateDir()
	if err := os.RemoveAll(tmp); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	if err := os.MkdirAll(tmp, 0o700); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	b := &builder{s: s, changes: sorter{dir: tmp}, outcomes: sorter{dir: tmp}, erased: map[numberHash]*recordedErasure{}, erasedAt: map[numberHash]uint64{}}
	b.end = s.ledger.Durable()
	if loaded.whole(b.end) {
		b.changes, loaded.changes = loaded.changes, sorter{}
		b.end, b.last = loaded.from, loaded.last
	}
	err = b.collect()
	if err == nil {
		err = b.write(tmp)
	}
	if err = errors.Join(err, b.changes.close(), b.outcomes.close()); err != nil {
		return errors.Join(err, os.RemoveAll(tmp))
	}
	if err := os.Rename(tmp, dir); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	return nil
}

// collect reads the ledger. To read a record takes longer than to find it, so
// that is done by several at once; rows are sorted afterwards anyway.
func (b *builder) collect() error {
	chunks := make(chan *recordChunk, 2)
	failed := make(chan error, 1)
	var readers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		readers.Go(func() {
			for c := range chunks {
				if err := b.read(c); err != nil {
					select {
					case failed <- err:
					default:
					}
				}
			}
		})
	}
	err := b.walk(chunks, failed)
	close(chunks)
	readers.Wait()
	select {
	case also := <-failed:
		err = cmp.Or(err, also)
	default:
	}
	return err
}

func (b *builder) walk(chunks chan<- *recordChunk, failed <-chan error) error {
	var c recordChunk
	send := func() error {
		full := c
		c = recordChunk{}
		select {
		case chunks <- &full:
			return nil
		case err := <-failed:
			return err
		}
	}
	for r, err := range b.s.ledger.Until(b.end) {
		if err != nil {
			return err
		}
		if r.Seq > b.last.Seq {
			b.last = r.Place
		}
		switch {
		case r.Kind == ledger.KindErasure:
			if err := b.erasure(&r); err != nil {
				return err
			}
		case r.Kind == kindRegister:
			if b.registers, err = b.registers.after(&r); err != nil {
				return err
			}
		case !r.Erased:
			if c.add(r); len(c.records) == chunkRecords {
				if err := send(); err != nil {
					return err
				}
			}
		}
	}
	return send()
}

// A recordChunk is some records with memory of their own.
type recordChunk struct {
	records []ledger.Record
	octets  []byte
}

const chunkRecords = 512

func (c *recordChunk) add(r ledger.Record) {
	own := func(b []byte) []byte {
		from := len(c.octets)
		c.octets = append(c.octets, b...)
		return c.octets[from:len(c.octets):len(c.octets)]
	}
	r.Public, r.Payload = own(r.Public), own(r.Payload)
	c.records = append(c.records, r)
}

// read makes the rows of some records.
func (b *builder) read(c *recordChunk) error {
	type row struct {
		into   *sorter
		hi, lo uint64
		size   int
	}
	var rows []row
	var octets []byte
	for i := range c.records {
		r := &c.records[i]
		from := len(octets)
		add := row{into: &b.changes, lo: r.Seq}
		var err error
		if r.Kind == kindOutcome {
			outcome := row{into: &b.outcomes}
			if outcome.hi, outcome.lo, octets, err = appendOutcomeRow(octets, r); err != nil {
				return err
			}
			outcome.size = len(octets) - from
			rows, from = append(rows, outcome), len(octets)
		}
		if r.Kind != kindOutcome || tellsNotMade(r) || tellsUnsure(r) {
			add.hi, octets, err = appendChangeRow(octets, r)
		}
		if err != nil {
			return err
		}
		if add.size = len(octets) - from; add.size > 0 {
			rows = append(rows, add)
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range rows {
		if err := r.into.add(r.hi, r.lo, octets[:r.size]); err != nil {
			return err
		}
		octets = octets[r.size:]
	}
	return nil
}

// appendChangeRow appends what a record tells of a number, nothing when it
// tells nothing.
func appendChangeRow(row []byte, r *ledger.Record) (number uint64, _ []byte, err error) {
	c, err := changeOf(*r)
	if err != nil {
		return 0, row, err
	}
	n := c.number()
	kind := byte(rowIndexed)
	switch {
	case c.fact != nil:
		kind = rowFact
	case c.call != nil:
		kind = rowCall
	case c.unmade != nil:
		kind = rowUnmade
	case c.unsure != nil:
		kind = rowUnsure
	case c.carried != nil:
		kind = rowCarried
	default:
		if n, err = numberOf(r); err != nil || n.IsZero() {
			return 0, row, err
		}
		if r.Kind == kindLookUp {
			kind = rowLooked
		}
	}
	row = append(binary.AppendUvarint(row, uint64(r.Place.Offset)), kind)
	switch kind {
	case rowFact:
		row = appendFact(row, c.fact)
	case rowCall:
		row = appendCall(row, c.call)
	case rowUnmade:
		row = appendCall(row, c.unmade)
	case rowUnsure:
		row = appendCall(row, c.unsure)
	case rowCarried:
		row = append(row, r.Payload[8:]...)
	}
	return n.Key(), row, nil
}

func appendOutcomeRow(row []byte, r *ledger.Record) (hi, lo uint64, _ []byte, err error) {
	entry, err := indexRow(r)
	if err != nil {
		return 0, 0, row, err
	}
	id := entry.Key[1:]
	return binary.BigEndian.Uint64(id), binary.BigEndian.Uint64(id[8:]), append(row, entry.Value...), nil
}

func (b *builder) erasure(r *ledger.Record) error {
	b.erasures = append(b.erasures, r.Place)
	e, err := b.s.readErasure(r)
	if err != nil || e == nil {
		return err
	}
	b.erased[e.hash] = e
	if len(e.erases) > 0 {
		b.erasedAt[e.hash] = r.Seq
	}
	return nil
}

// write makes the database.
func (b *builder) write(dir string) error {
	// Tables at the lowest level have 32 times the base size, and each stream gets
	// the memory of two: no larger ones than there is something for.
	size := min(max(int64(b.last.Seq)*4, 64<<10), 1<<20)
	db, err := badger.OpenManaged(badgerOptions(dir, b.s.o.Log).WithBaseTableSize(size))
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	p := &projection{db: db, dir: dir}
	err = b.stream(db)
	if err == nil {
		err = b.rest(p)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("store: %w", err), db.Close())
	}
	return p.close()
}

func (b *builder) stream(db *badger.DB) (err error) {
	if b.rows, err = newRowStream(db); err != nil {
		return err
	}
	number := b.group()
	err = b.changes.each(number.add)
	if err == nil {
		err = number.end()
	}
	if err == nil {
		err = b.streamOutcomes()
	}
	return b.rows.end(err)
}

// streamOutcomes writes the place of each decision's outcome, the last one
// where there are several.
func (b *builder) streamOutcomes() error {
	var key, place []byte
	put := func() error {
		if key == nil {
			return nil
		}
		return b.rows.put(streamOutcomes, key, place, binary.BigEndian.Uint64(place))
	}
	err := b.outcomes.each(func(hi, lo uint64, value []byte) error {
		next := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64([]byte{'O'}, hi), lo)
		if !bytes.Equal(next, key) {
			if err := put(); err != nil {
				return err
			}
			key, place = next, bytes.Clone(value)
		} else if bytes.Compare(value, place) > 0 { // it begins with the record's number
			place = bytes.Clone(value)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return put()
}

// rest writes the few rows that are no number's.
func (b *builder) rest(p *projection) error {
	if b.last.Seq == 0 {
		return nil
	}
	var rows []*badger.Entry
	for hash, e := range b.erased {
		rows = append(rows, badger.NewEntry(blockKey(hash), e.value))
	}
	for _, place := range b.erasures {
		rows = append(rows, badger.NewEntry(erasureRow(place.Seq), appendPlace(nil, place)))
	}
	if b.registers != nil {
		value, err := b.registers.value()
		if err != nil {
			return err
		}
		rows = append(rows, badger.NewEntry(registersKey, value))
	}
	rows = append(rows, badger.NewEntry(countsKey, b.tally.append(nil)), badger.NewEntry(indexCursor, appendPlace(nil, b.last)))
	for len(rows) > 0 {
		some := rows[:min(len(rows), indexBatch)]
		err := p.update(b.last.Seq, func(txn *badger.Txn) error {
			for _, row := range some {
				if err := txn.SetEntry(row); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		rows = rows[len(some):]
	}
	return p.setCursor(b.last.Seq)
}

// A group gathers the changes of one number.
type group struct {
	b       *builder
	number  policy.Number
	facts   policy.Facts
	only    []byte // the value of a number with one fact, the usual case
	changes int
	version uint64
	erased  uint64 // changes of records before it are forgotten
	key     []byte
}

func (b *builder) group() *group { return &group{b: b} }

func (g *group) add(hi, seq uint64, row []byte) error {
	if hi != g.number.Key() {
		if err := g.begin(hi); err != nil {
			return err
		}
	}
	_, size := binary.Uvarint(row)
	if size <= 0 || len(row) == size {
		return errValue
	}
	kind := row[size]
	if kind != rowUnmade && kind != rowUnsure {
		g.key = append(g.key[:0], 'I')
		g.key = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(g.key, hi), seq)
		place := row[:size]
		if kind == rowLooked {
			place = row[:size+1]
		}
		if err := g.b.rows.put(streamIndex, g.key, place, seq); err != nil {
			return err
		}
	}
	row = row[size+1:]
	g.version = seq
	if kind == rowIndexed || kind == rowLooked || seq < g.erased {
		return nil
	}
	g.changes++
	if g.changes == 1 && kind == rowFact {
		g.only = append(g.only[:0], row...)
		return nil
	}
	if g.changes == 2 && len(g.only) > 0 {
		if err := g.merge(rowFact, g.only); err != nil {
			return err
		}
		g.only = g.only[:0]
	}
	return g.merge(kind, row)
}

func (g *group) begin(hi uint64) error {
	if err := g.end(); err != nil {
		return err
	}
	n, ok := policy.NumberOfKey(hi)
	if !ok {
		return errValue
	}
	*g = group{b: g.b, number: n, facts: policy.Facts{Number: n, All: g.facts.All[:0], Calls: g.facts.Calls[:0]}, only: g.only[:0], key: g.key}
	if len(g.b.erasedAt) > 0 {
		key, err := g.b.s.erasureKey(false)
		if err != nil {
			return err
		}
		g.erased = g.b.erasedAt[hashNumber(key, n)]
	}
	return nil
}

func (g *group) merge(kind byte, row []byte) error {
	c := change{to: g.number}
	switch kind {
	case rowFact:
		r := valueReader{s: string(row)}
		c.fact = &policy.Fact{Number: g.number}
		if r.fact(c.fact); r.bad || r.s != "" {
			return errValue
		}
	case rowCall, rowUnmade, rowUnsure:
		r := valueReader{s: string(row)}
		call := r.call(valueVersion)
		if r.bad || r.s != "" {
			return errValue
		}
		switch kind {
		case rowCall:
			c.call = &call
		case rowUnmade:
			c.unmade = &call
		case rowUnsure:
			c.unsure = &call
		}
	case rowCarried:
		c.carried = &policy.Facts{}
		if err := readValue(row, g.number, c.carried); err != nil {
			return err
		}
	default:
		return errValue
	}
	merge(&g.facts, &c)
	return nil
}

// end writes the number's value.
func (g *group) end() error {
	if g.changes == 0 {
		return nil
	}
	b := g.b
	if len(g.only) > 0 {
		b.value = append(append(append(b.value[:0], valueVersion, 1), g.only...), 0)
		b.tally[0]++
		b.tally[g.only[0]]++
	} else {
		b.value = appendValue(b.value[:0], g.facts.All, g.facts.Calls)
		b.tally.add(&g.facts, 1)
	}
	key := factKey(g.number)
	return b.rows.put(streamFacts, key[:], b.value, g.version)
}
