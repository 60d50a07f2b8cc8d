package store

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dgraph-io/badger/v4"

	"dialgate/policy"
	"dialgate/store/ledger"
)

// What stays of an erased number is a block: a keyed hash of it, and what had
// been objected. So an objection still binds, and a later import does not bring
// the person back. A billion numbers are quickly tried, so the hash is worth
// something only with a key that lies outside the data and its backups.
//
//	T hash32   the block
//	Merasing   an erasure is not gone from Badger's files yet
type blocks struct {
	mu     sync.Mutex // writers
	byHash atomic.Pointer[map[numberHash]*Block]
	key    []byte // nil until it is needed
}

type numberHash [sha256.Size]byte

// A Block is what is kept of an erased number. It is the payload of the
// erasure's record.
type Block struct {
	Hash     string    `json:"hash"`
	KeyCheck string    `json:"key_check"` // tells another key from this one
	At       time.Time `json:"at"`
	Ground   string    `json:"ground"`
	Records  []uint64  `json:"records,omitempty"` // earlier erasures of the number
	Kept     []Kept    `json:"kept,omitempty"`
}

// Kept is an objection, or an entry in a do-not-call register, without the number.
type Kept struct {
	Kind       string    `json:"kind"`
	Advertiser string    `json:"advertiser,omitempty"`
	Scope      string    `json:"scope,omitempty"`
	At         time.Time `json:"at"`
	RecordedAt time.Time `json:"recorded_at"`
	List       string    `json:"list,omitempty"`
	Until      time.Time `json:"until,omitzero"`
}

var erasingKey = []byte("Merasing")

func blockKey(h numberHash) []byte { return append([]byte{'T'}, h[:]...) }

// erasureKeyPath is where the key lies: beside the store's directory, so that
// it is not in a copy of that, unless the configuration says where.
func (o *Options) erasureKeyPath() string {
	if o.ErasureKey != "" {
		return o.ErasureKey
	}
	return filepath.Clean(o.Dir) + "-erasure.key"
}

// erasureKey reads the key, and makes it for the first erasure.
func (s *Store) erasureKey(first bool) ([]byte, error) {
	s.blocks.mu.Lock()
	defer s.blocks.mu.Unlock()
	if s.blocks.key != nil {
		return s.blocks.key, nil
	}
	path := s.o.erasureKeyPath()
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) && first {
		key := make([]byte, 32)
		_, _ = rand.Read(key) // never fails
		text = append(hex.AppendEncode(nil, key), '\n')
		if err = writeSynced(path, text); err == nil {
			s.o.Log.Warn("made the key that erased numbers are recognised by; keep a copy apart from the backups of the store, without it the store does not open", "file", path)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("store: numbers were erased, and the key they are recognised by can't be read; bring the file back, or name it under store.erasure_key: %w", err)
	}
	key, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(key) < 32 {
		return nil, fmt.Errorf("store: %s holds no key of 64 hexadecimal digits", path)
	}
	s.blocks.key = key
	return key, nil
}

func writeSynced(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func hashNumber(key []byte, n policy.Number) (h numberHash) {
	m := hmac.New(sha256.New, key)
	m.Write(binary.BigEndian.AppendUint64([]byte("number"), n.Key()))
	m.Sum(h[:0])
	return h
}

func keyCheck(key []byte) string {
	m := hmac.New(sha256.New, key)
	m.Write([]byte("key check"))
	return hex.EncodeToString(m.Sum(nil)[:8])
}

// block is what is kept of a number that was erased, nil if it was not.
func (s *Store) block(n policy.Number) *Block {
	all := s.blocks.byHash.Load()
	if all == nil {
		return nil
	}
	return (*all)[hashNumber(s.blocks.key, n)]
}

// setBlock puts a block in force for the next lookup.
func (s *Store) setBlock(h numberHash, b *Block) {
	s.blocks.mu.Lock()
	defer s.blocks.mu.Unlock()
	all := map[numberHash]*Block{}
	if have := s.blocks.byHash.Load(); have != nil {
		all = maps.Clone(*have)
	}
	all[h] = b
	s.blocks.byHash.Store(&all)
}

// facts are a block's objections and entries in registers as facts of a number.
func (b *Block) facts(n policy.Number) []policy.Fact {
	out := make([]policy.Fact, len(b.Kept))
	for i, k := range b.Kept {
		kind, _ := policy.ParseKind(k.Kind)
		scope, _ := policy.ParseScope(k.Scope)
		out[i] = policy.Fact{ID: fmt.Sprint("kept-", b.Hash[:8], "-", i+1), Kind: kind, Number: n, Advertiser: k.Advertiser, At: k.At, RecordedAt: k.RecordedAt,
			Scope: scope, List: k.List, Until: k.Until, Source: "kept when the number was erased"}
	}
	return out
}

// withMore calls f with a number's value, its parked facts, and what is kept of
// it if it was erased.
func (s *Store) withMore(n policy.Number, value []byte, parked []*policy.Fact, f func(value []byte) error) error {
	b := s.block(n)
	if (b == nil || len(b.Kept) == 0) && len(parked) == 0 {
		return f(value)
	}
	var facts policy.Facts
	if len(value) > 0 {
		if err := readValue(value, n, &facts); err != nil {
			return err
		}
	}
	addParked(&facts, parked)
	if b != nil {
		facts.All = append(facts.All, b.facts(n)...)
	}
	facts.Sort()
	return f(appendValue(nil, facts.All, facts.Calls))
}

// keep is what is kept of a number's facts.
func keep(facts []policy.Fact) (kept []Kept) {
	for _, f := range facts {
		k := Kept{Kind: f.Kind.String(), Advertiser: f.Advertiser, At: f.At, RecordedAt: f.RecordedAt}
		switch f.Kind {
		case policy.Objection:
			k.Scope = f.Scope.String()
		case policy.Listed:
			k.List, k.Until = f.List, f.Until
		default:
			continue
		}
		kept = append(kept, k)
	}
	return kept
}

// refuse tells why a fact of an erased number is not taken in, nil if it is.
// What happened after the erasure is the person's own doing. An objection is
// never refused, but one that is kept already is known.
func (b *Block) refuse(f *policy.Fact) (known bool, err error) {
	if f.Kind == policy.Objection {
		for _, k := range b.Kept {
			known = known || k.Kind == f.Kind.String() && k.Advertiser == f.Advertiser && k.Scope == f.Scope.String() && k.At.Equal(f.At)
		}
		return known, nil
	}
	if f.At.After(b.At) {
		return false, nil
	}
	return false, fmt.Errorf("the number was erased on %s and stays blocked: what happened before is not taken in again", b.At.Format(time.DateOnly))
}

// loadBlocks reads the blocks into memory, with the key that they need.
func (s *Store) loadBlocks() error {
	all := map[numberHash]*Block{}
	err := s.state.db.View(func(txn *badger.Txn) error {
		o := badger.DefaultIteratorOptions
		o.Prefix = []byte{'T'}
		it := txn.NewIterator(o)
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			var b Block
			if err := it.Item().Value(func(v []byte) error { return json.Unmarshal(v, &b) }); err != nil {
				return err
			}
			all[numberHash(it.Item().Key()[1:])] = &b
		}
		return nil
	})
	if err != nil {
		return &errRebuild{err.Error()}
	}
	s.blocks.byHash.Store(nil)
	if len(all) == 0 {
		return nil
	}
	key, err := s.erasureKey(false)
	if err != nil {
		return err
	}
	for _, b := range all {
		if b.KeyCheck != keyCheck(key) {
			return fmt.Errorf("store: %s holds another key than the one that numbers were erased with; bring that one back", s.o.erasureKeyPath())
		}
	}
	s.blocks.byHash.Store(&all)
	return nil
}

// ErrGround is the answer to an erasure whose ground won't do.
var ErrGround = errors.New("an erasure needs a ground")

// An Erased tells what an erasure did.
type Erased struct {
	Facts   int    `json:"facts"`
	Calls   int    `json:"calls"` // decisions
	Kept    int    `json:"kept"`  // objections and entries in registers that still bind
	Record  uint64 `json:"record"`
	GoneMS  int64  `json:"gone_ms"`  // how long it took until nothing was on disk any more
	KeyFile string `json:"key_file"` // where the key of erased numbers lies
}

// Erase erases all that the ledger and the projection hold of a number, but for
// its block. When it returns, the payloads in the ledger are zeros on disk, and
// the files of the projection hold the number no more. Calls are judged
// meanwhile; facts wait until the ledger is done.
func (s *Store) Erase(n policy.Number, ground string) (Erased, error) {
	start := time.Now()
	ground = strings.TrimSpace(ground)
	if err := checkGround(n, ground); err != nil {
		return Erased{}, err
	}
	if err := s.disk.lacks(noFacts); err != nil {
		return Erased{}, err // the projection is written anew for it
	}
	e, err := s.erase(n, ground)
	if err != nil {
		return e, err
	}
	if err := s.state.vanish(s.ledger.Durable()); err != nil {
		return e, fmt.Errorf("the number is erased, but is not gone from the projection's files yet; that is done at the next start: %w", err)
	}
	e.GoneMS, e.KeyFile = time.Since(start).Milliseconds(), s.o.erasureKeyPath()
	return e, nil
}

// checkGround tells why a text can't be the ground of an erasure.
func checkGround(n policy.Number, ground string) error {
	if ground == "" || len(ground) > 1000 {
		return fmt.Errorf("%w, in at most 1,000 octets: who asked for it, and where that is kept", ErrGround)
	}
	if tellsNumber(ground, n) {
		return fmt.Errorf("%w that stays on record, so it can't hold the number itself", ErrGround)
	}
	return nil
}

// tellsNumber reports whether a text holds a number in any spelling.
func tellsNumber(text string, n policy.Number) bool {
	digits := strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, text)
	own := n.Digits()
	return strings.Contains(digits, own[max(0, len(own)-8):])
}

func (s *Store) erase(n policy.Number, ground string) (e Erased, err error) {
	s.adding.Lock()
	defer s.adding.Unlock()
	key, err := s.erasureKey(true)
	if err != nil {
		return e, err
	}
	var places []ledger.Place
	err = s.recordsOf(n, func(r *ledger.Record) error {
		switch r.Kind {
		case kindFact:
			e.Facts++
		case kindDecision:
			e.Calls++
		case kindCarried: // copies of the facts
		case kindLookUp: // who looked stays, at whom goes
		case kindOutcome:
			if len(r.Payload) == 0 {
				return nil // it says nothing of the number
			}
		default:
			return nil
		}
		places = append(places, r.Place)
		return nil
	})
	if err != nil {
		return e, err
	}
	var facts policy.Facts
	if err := s.state.facts(n, &facts); err != nil {
		return e, err
	}
	h := hashNumber(key, n)
	b := &Block{Hash: hex.EncodeToString(h[:]), KeyCheck: keyCheck(key), At: s.o.Now().UTC(), Ground: ground, Kept: keep(facts.InForce().All)}
	if before := s.block(n); before != nil {
		b.Kept, b.Records = append(append([]Kept(nil), before.Kept...), b.Kept...), before.Records
	}
	payload, err := json.Marshal(b)
	if err != nil {
		return e, err
	}
	if e.Record, err = s.ledger.Erase(places, b.At, ground, payload); err != nil {
		return e, err
	}
	b.Records = append(b.Records[:len(b.Records):len(b.Records)], e.Record)
	s.setBlock(h, b)
	if err := s.forget(n, places, h, b); err != nil {
		return e, err
	}
	e.Kept = len(b.Kept)
	return e, nil
}

// An erasure is a change that takes away all that is known of a number.
type erasure struct {
	key, value []byte
	carried    bool // an old one, whose record is written anew
}

// forget takes a number out of the projection and the index, by the applier,
// since whatever it folds in before and after must not come back.
func (s *Store) forget(n policy.Number, places []ledger.Place, h numberHash, b *Block) error {
	value, err := json.Marshal(b)
	if err != nil {
		return err
	}
	done := make(chan error, 1)
	s.queue.put(change{seq: b.Records[len(b.Records)-1], to: n, erase: &erasure{key: blockKey(h), value: value}, done: func(err error) { done <- err }})
	if err := <-done; err != nil {
		return err
	}
	return s.state.forgetPlaces(n, places, b.Records[len(b.Records)-1])
}

// forgetPlaces deletes a number's rows in the index, as of an erasure's record.
func (p *projection) forgetPlaces(n policy.Number, places []ledger.Place, erasure uint64) error {
	for len(places) > 0 {
		some := places[:min(len(places), changesPerTxn)]
		err := p.update(erasure, func(txn *badger.Txn) error {
			for _, place := range some {
				if err := txn.Delete(indexKey(n, place.Seq)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("store: %w", err)
		}
		places = places[len(some):]
	}
	return nil
}

// write puts an erasure's block in its place, and notes that Badger's files
// still hold what was deleted.
func (e *erasure) write(txn *badger.Txn) error {
	if err := txn.Set(e.key, e.value); err != nil {
		return err
	}
	if e.carried {
		return nil
	}
	return txn.Set(erasingKey, nil)
}

// carryBlock writes the record of a block anew, since the old one goes.
func (s *Store) carryBlock(h numberHash, b *Block) error {
	payload, err := json.Marshal(b)
	if err != nil {
		return err
	}
	seq, err := s.ledger.Erase(nil, b.At, b.Ground, payload)
	if err != nil {
		return err
	}
	next := *b
	next.Records = append(slices.Clone(b.Records), seq)
	value, err := json.Marshal(&next)
	if err != nil {
		return err
	}
	s.setBlock(h, &next)
	done := make(chan error, 1)
	s.queue.put(change{seq: seq, erase: &erasure{key: blockKey(h), value: value, carried: true}, done: func(err error) { done <- err }})
	return <-done
}

// A recordedErasure is an erasure's record, read back from the ledger.
type recordedErasure struct {
	hash   numberHash
	block  Block
	value  []byte   // of the block's row
	erases []uint64 // the records that it zeroed; none: it is an old one, written anew
	key    []byte   // that numbers are recognised by
}

// readErasure reads an erasure's record, nil when it only goes on from the
// record before it.
func (s *Store) readErasure(r *ledger.Record) (*recordedErasure, error) {
	if len(r.Payload) == 0 {
		return nil, nil
	}
	var e recordedErasure
	if err := json.Unmarshal(r.Payload, &e.block); err != nil {
		return nil, fmt.Errorf("store: record %d of the ledger holds no erasure: %w", r.Seq, err)
	}
	raw, err := hex.DecodeString(e.block.Hash)
	if err != nil || len(raw) != sha256.Size {
		return nil, fmt.Errorf("store: record %d of the ledger holds no erasure", r.Seq)
	}
	if e.key, err = s.erasureKey(false); err != nil {
		return nil, err
	}
	if e.block.KeyCheck != keyCheck(e.key) {
		return nil, fmt.Errorf("store: %s holds another key than the one that numbers were erased with; bring that one back", s.o.erasureKeyPath())
	}
	named, err := ledger.ParseErasure(r.Public)
	if err != nil {
		return nil, err
	}
	e.hash, e.erases = numberHash(raw), named.Erases
	e.block.Records = append(e.block.Records, r.Seq)
	e.value, err = json.Marshal(&e.block)
	return &e, err
}

// foldErasure brings an erasure of the ledger into a projection that was not
// there when it was made. What the projection still holds of the number is
// found by its hash.
func (s *Store) foldErasure(r *ledger.Record) error {
	e, err := s.readErasure(r)
	if err != nil || e == nil {
		return err
	}
	s.setBlock(e.hash, &e.block)
	c := change{seq: r.Seq, erase: &erasure{key: blockKey(e.hash), value: e.value}}
	if c.to, err = s.state.numberOfHash(e.key, e.hash); err != nil {
		return err
	}
	if c.to.IsZero() || len(e.erases) == 0 {
		// Nothing is left of it; or the record was written anew, and what is
		// known of the number came after its erasure.
		return s.state.update(r.Seq, func(txn *badger.Txn) error { return txn.Set(c.erase.key, c.erase.value) })
	}
	places := make([]ledger.Place, len(e.erases))
	for i, seq := range e.erases {
		places[i].Seq = seq
	}
	return errors.Join(s.state.apply([]change{c}, r.Seq), s.state.forgetPlaces(c.to, places, r.Seq))
}

// numberOfHash finds the number in the projection that has a hash, zero if none has.
func (p *projection) numberOfHash(key []byte, h numberHash) (found policy.Number, err error) {
	err = p.db.View(func(txn *badger.Txn) error {
		o := badger.DefaultIteratorOptions
		o.PrefetchValues = false
		it := txn.NewIterator(o)
		defer it.Close()
		for _, prefix := range []string{"F", "I"} {
			var last policy.Number
			for it.Seek([]byte(prefix)); it.ValidForPrefix([]byte(prefix)); it.Next() {
				k := it.Item().Key()
				if len(k) < 9 {
					return errValue
				}
				n, ok := policy.NumberOfKey(binary.BigEndian.Uint64(k[1:]))
				if !ok || n == last {
					continue
				}
				if last = n; hashNumber(key, n) == h {
					found = n
					return nil
				}
			}
		}
		return nil
	})
	return found, err
}
