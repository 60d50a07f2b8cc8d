package store

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"dialgate/policy"
	"dialgate/store/ledger"
)

// PackFormat names the form of a proof pack; another form has another name.
const PackFormat = "dialgate proof pack 1"

// A Pack proves what the ledger holds about one number. Whoever has it and the
// node's public key can check it without the node.
//
// Records are the ledger's own octets, each with the proof that it is among
// those of the checkpoint. View says in words what they say, and is made of
// them alone. A pack proves that what is in it stands in the ledger unaltered
// and since when; that nothing was left out shows only the whole ledger.
type Pack struct {
	Format     string       `json:"format"`
	Number     string       `json:"number"`
	Advertiser string       `json:"advertiser,omitempty"` // whose facts and calls alone it holds
	Made       time.Time    `json:"made"`
	KnownAt    *time.Time   `json:"known_at,omitempty"` // records after it are left out
	Key        string       `json:"key"`                // the node's; take it from elsewhere to be sure
	Checkpoint string       `json:"checkpoint"`
	View       View         `json:"view"`
	Records    []PackRecord `json:"records"`
}

// A PackRecord is one record of the ledger with its proof.
type PackRecord struct {
	Seq     uint64          `json:"seq"`
	Leaf    []byte          `json:"leaf"`              // see [ledger.Record.Leaf]
	Payload []byte          `json:"payload,omitempty"` // with its salt; none when it was erased
	Proof   ledger.Proof    `json:"proof"`
	Shows   json.RawMessage `json:"shows,omitempty"` // in an export: the record, readable
}

// A View is what the records of a pack say.
type View struct {
	Consents      []FactView    `json:"consents"`
	Withdrawals   []FactView    `json:"withdrawals"`
	Objections    []FactView    `json:"objections"`
	Relationships []FactView    `json:"relationships"`
	Other         []FactView    `json:"other"`
	Calls         []CallView    `json:"calls"`
	Erasures      []ErasureView `json:"erasures,omitempty"`

	seen  map[string]bool // ids of the facts that are in it
	facts []viewed
}

// A FactView is one fact and the record that holds it.
type FactView struct {
	Record   uint64          `json:"record"`
	Recorded time.Time       `json:"recorded"`
	Fact     json.RawMessage `json:"fact"`
	// Undone is when it was made void, and UndoneBy the record that says so.
	Undone   *time.Time `json:"undone,omitempty"`
	UndoneBy uint64     `json:"undone_by,omitempty"`
}

// A CallView is one call that was judged.
type CallView struct {
	Record   uint64   `json:"record"`
	Decision Decision `json:"decision"`
	Basis    []string `json:"basis,omitempty"` // ids of the facts that the deciding rule rested on
	Outcome  *Outcome `json:"outcome,omitempty"`
}

// An ErasureView is an erasure that concerned the number.
type ErasureView struct {
	Record  uint64    `json:"record"`
	At      time.Time `json:"at"`
	Ground  string    `json:"ground"`
	Records int       `json:"records"` // how many payloads were erased
}

// An Outcome is how a call ended, as read back from the ledger.
type Outcome struct {
	Record  uint64    `json:"record,omitempty"`
	At      time.Time `json:"at,omitzero"`
	ID      string    `json:"id"`
	Code    int       `json:"code"`
	RingMS  int64     `json:"ring_ms"`
	EndedBy string    `json:"ended_by,omitempty"`
	Carrier string    `json:"carrier,omitempty"` // that it was sent to
	Tried   int       `json:"tried,omitempty"`   // addresses of carriers
	// Instead is the reason that the call was answered with, since its decision
	// was not on disk in time; "": the decision's own.
	Instead string `json:"instead,omitempty"`
}

func readOutcome(r *ledger.Record) (*Outcome, error) {
	var o Outcome
	if err := json.Unmarshal(r.Public, &o); err != nil {
		return nil, fmt.Errorf("record %d holds no outcome", r.Seq)
	}
	o.Record, o.At = r.Seq, r.Time
	return &o, nil
}

// Prove makes the proof pack of a number, from what had been recorded by
// knownAt unless that is zero.
func (s *Store) Prove(n policy.Number, knownAt time.Time) (*Pack, error) {
	return s.ProveTo("", n, knownAt)
}

// ProveTo is Prove for one advertiser: the pack holds nothing that is or tells
// of another's. "": all.
func (s *Store) ProveTo(advertiser string, n policy.Number, knownAt time.Time) (*Pack, error) {
	head, err := s.ledger.Seal()
	if err == nil && head.Size == 0 {
		err = errNothingRecorded
	}
	if err != nil {
		return nil, err
	}
	p := &Pack{Format: PackFormat, Number: n.E164(), Advertiser: advertiser, Made: s.o.Now().UTC().Truncate(time.Second),
		Key: s.ledger.PublicKey().String(), Checkpoint: string(head.Note), Records: []PackRecord{}}
	if !knownAt.IsZero() {
		at := knownAt.UTC()
		p.KnownAt = &at
	}
	calls := map[string]bool{}
	err = s.recordsOf(n, func(r *ledger.Record) error {
		if r.Seq > head.Size || !knownAt.IsZero() && r.Time.After(knownAt) || r.Kind == kindLookUp {
			return nil // who looked at the number proves nothing of it
		}
		if holds, err := p.holds(r, calls); err != nil || !holds {
			return err
		}
		return p.add(s, r, head)
	})
	if err != nil {
		return nil, err
	}
	if b := s.block(n); b != nil && advertiser == "" {
		if err := p.addErasures(s, b, head); err != nil {
			return nil, err
		}
	}
	p.View, err = p.view()
	return p, err
}

// addErasures adds the records of a number's erasures. The index is up to date.
func (p *Pack) addErasures(s *Store, b *Block, head ledger.Checkpoint) error {
	for _, seq := range b.Records {
		if seq < s.ledger.First() {
			continue // removed by retention, and written anew
		}
		place, err := s.placeAt(erasureRow(seq))
		if err != nil {
			return err
		}
		r, err := s.ledger.Read(place)
		if err != nil {
			return err
		}
		if p.KnownAt != nil && r.Time.After(*p.KnownAt) {
			continue
		}
		if err := p.add(s, &r, head); err != nil {
			return err
		}
	}
	slices.SortFunc(p.Records, func(a, b PackRecord) int { return cmp.Compare(a.Seq, b.Seq) })
	return nil
}

func (p *Pack) add(s *Store, r *ledger.Record, head ledger.Checkpoint) error {
	record, err := s.packRecord(r, head)
	if err == nil {
		p.Records = append(p.Records, record)
	}
	return err
}

func (s *Store) packRecord(r *ledger.Record, head ledger.Checkpoint) (PackRecord, error) {
	proof, err := s.ledger.Prove(r.Seq, head)
	return PackRecord{Seq: r.Seq, Leaf: r.Leaf(), Payload: bytes.Clone(r.Salted()), Proof: proof}, err
}

// open checks one record of a pack or an export and reads it back.
func (r *PackRecord) open(head ledger.Checkpoint) (ledger.Record, error) {
	rec, err := ledger.ParseLeaf(r.Leaf, r.Payload)
	if err != nil {
		return rec, fmt.Errorf("record %d: %w", r.Seq, err)
	}
	if rec.Seq != r.Seq {
		return rec, fmt.Errorf("record %d is given as %d", rec.Seq, r.Seq)
	}
	return rec, r.Proof.Check(head, rec.Seq, r.Leaf)
}

// view says what the records say. It fails on one that is not about the
// pack's number.
func (p *Pack) view() (v View, err error) {
	v = View{Consents: []FactView{}, Withdrawals: []FactView{}, Objections: []FactView{}, Relationships: []FactView{}, Other: []FactView{}, Calls: []CallView{}}
	calls, own := map[string]int{}, map[string]bool{}
	last := uint64(0)
	for i := range p.Records {
		r, err := ledger.ParseLeaf(p.Records[i].Leaf, p.Records[i].Payload)
		if err != nil {
			return v, err
		}
		if r.Seq <= last {
			return v, fmt.Errorf("record %d follows record %d", r.Seq, last)
		}
		if last = r.Seq; p.KnownAt != nil && r.Time.After(*p.KnownAt) {
			return v, fmt.Errorf("record %d was not known then", r.Seq)
		}
		if holds, err := p.holds(&r, own); err != nil || !holds {
			return v, errors.Join(err, fmt.Errorf("record %d has no place in a pack of %s", r.Seq, p.Advertiser))
		}
		if err := p.viewRecord(&v, &r, calls); err != nil {
			return v, err
		}
	}
	v.markUndone()
	return v, nil
}

// A viewed fact is one that is shown in a view.
type viewed struct {
	fact policy.Fact
	list *[]FactView
	at   int
}

// markUndone notes at each fact that was undone when and by which record.
func (v *View) markUndone() {
	byID := map[string]viewed{}
	for _, x := range v.facts {
		byID[x.fact.ID] = x
	}
	for _, u := range v.facts {
		x, ok := byID[u.fact.Undoes]
		if !ok || !u.fact.Voids(&x.fact) {
			continue
		}
		undo := &(*u.list)[u.at]
		if shown := &(*x.list)[x.at]; shown.Undone == nil {
			shown.Undone, shown.UndoneBy = &undo.Recorded, undo.Record
		}
	}
	v.facts = nil
}

func (p *Pack) viewRecord(v *View, r *ledger.Record, calls map[string]int) error {
	if r.Kind == ledger.KindErasure {
		e, err := ledger.ParseErasure(r.Public)
		v.Erasures = append(v.Erasures, ErasureView{r.Seq, r.Time, e.Ground, len(e.Erases)})
		return err
	}
	if r.Kind == kindOutcome {
		o, err := readOutcome(r)
		if err != nil {
			return err
		}
		i, ok := calls[o.ID]
		if !ok {
			return fmt.Errorf("record %d is the outcome of a call that is not in the pack", r.Seq)
		}
		v.Calls[i].Outcome = o
		return nil
	}
	if r.Erased {
		return fmt.Errorf("the payload of record %d is not there", r.Seq)
	}
	if n, err := numberOf(r); err != nil || n.E164() != p.Number {
		return fmt.Errorf("record %d is not about %s", r.Seq, p.Number)
	}
	if r.Kind == kindCarried {
		carried, err := readCarried(r)
		if err != nil {
			return err
		}
		for i := range carried.All {
			f := &carried.All[i]
			v.addFact(f, FactView{Record: r.Seq, Recorded: f.RecordedAt, Fact: f.AppendJSON(nil)})
		}
		return nil
	}
	if r.Kind == kindDecision {
		d, err := readDecision(*r)
		if err != nil {
			return err
		}
		calls[d.ID] = len(v.Calls)
		v.Calls = append(v.Calls, CallView{Record: r.Seq, Decision: d, Basis: d.Basis()})
		return nil
	}
	f, err := factForm.ParseJSON(r.Payload)
	if err != nil {
		return fmt.Errorf("record %d holds no fact: %w", r.Seq, err)
	}
	v.addFact(&f, FactView{Record: r.Seq, Recorded: r.Time, Fact: bytes.Clone(r.Payload)})
	return nil
}

// addFact adds a fact, unless an earlier record holds it: what was carried over
// when old records were removed may stand in two.
func (v *View) addFact(f *policy.Fact, shown FactView) {
	if v.seen == nil {
		v.seen = map[string]bool{}
	}
	if v.seen[f.ID] {
		return
	}
	v.seen[f.ID] = true
	list := &v.Other
	switch f.Kind {
	case policy.Consent:
		list = &v.Consents
	case policy.Withdrawal:
		list = &v.Withdrawals
	case policy.Objection:
		list = &v.Objections
	case policy.Relationship:
		list = &v.Relationships
	}
	v.facts = append(v.facts, viewed{*f, list, len(*list)})
	*list = append(*list, shown)
}

// Basis is the ids of the facts that the deciding rule rested on.
func (d *Decision) Basis() []string {
	for _, f := range d.Findings {
		if f.Rule == d.Rule {
			return f.Facts
		}
	}
	return nil
}

// AppendJSON appends the pack as it is written to a file.
func (p *Pack) AppendJSON(b []byte) ([]byte, error) {
	text, err := json.MarshalIndent(p, "", " ")
	return append(append(b, text...), '\n'), err
}

// MaxPack bounds what is read as a proof pack.
const MaxPack = 256 << 20

// ReadPack reads and verifies a proof pack, JSON or HTML, with the keys given
// or else with the one that it holds. The error says what is the first thing
// wrong with it.
func ReadPack(data []byte, keys ...ledger.Key) (*Pack, ledger.Checkpoint, error) {
	page := data
	if bytes.HasPrefix(data, []byte("<!doctype html>")) {
		_, after, ok := bytes.Cut(data, []byte(packOpens))
		inside, _, closed := bytes.Cut(after, []byte(packCloses))
		if !ok || !closed {
			return nil, ledger.Checkpoint{}, errors.New("the page holds no proof pack")
		}
		data = inside
	}
	var p Pack
	if err := json.Unmarshal(data, &p); err != nil {
		return nil, ledger.Checkpoint{}, fmt.Errorf("no proof pack: %w", err)
	}
	head, err := p.verify(keys)
	if err != nil {
		return &p, head, err
	}
	again, err := p.AppendJSON(nil)
	if err != nil || !bytes.Equal(again, data) {
		return &p, head, errors.New("the pack's text is not what its records say")
	}
	if len(page) != len(data) {
		if again, err = p.HTML(); err != nil || !bytes.Equal(again, page) {
			return &p, head, errors.New("the page's text is not what its records say; the records themselves are as they were signed")
		}
	}
	return &p, head, nil
}

// verify checks the checkpoint, every record, and that the view is theirs.
func (p *Pack) verify(keys []ledger.Key) (head ledger.Checkpoint, err error) {
	if p.Format != PackFormat {
		return head, fmt.Errorf("the pack is of the form %q; this program knows %q", p.Format, PackFormat)
	}
	if len(keys) == 0 {
		key, err := ledger.ParseKey(p.Key)
		if err != nil {
			return head, err
		}
		keys = []ledger.Key{key}
	}
	if head, err = ledger.OpenCheckpoint([]byte(p.Checkpoint), keys...); err != nil {
		return head, err
	}
	for i := range p.Records {
		if _, err := p.Records[i].open(head); err != nil {
			return head, err
		}
	}
	view, err := p.view()
	if err != nil {
		return head, err
	}
	want, err := json.Marshal(view)
	if err != nil {
		return head, err
	}
	got, err := json.Marshal(p.View)
	if err != nil || !bytes.Equal(got, want) {
		return head, errors.New("what the pack says of its records is not what they say")
	}
	return head, nil
}

// PublicKey is the key that the ledger's checkpoints are verified with.
func (s *Store) PublicKey() (ledger.Key, error) { return s.ledger.PublicKey(), nil }

// Checkpoint signs and returns a checkpoint of all that is recorded, nothing when nothing is.
func (s *Store) Checkpoint() ([]byte, error) {
	head, err := s.ledger.Seal()
	return head.Note, err
}

var errNothingRecorded = errors.New("store: nothing is recorded yet, so there is nothing to sign; the first fact or call makes a record")
