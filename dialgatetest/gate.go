package dialgatetest

import (
	"fmt"
	"io"
	"iter"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"dialgate/configs"
	"dialgate/gate"
	"dialgate/policy"
	"dialgate/policy/nl"
	"dialgate/sipproxy"
	"dialgate/sipproxy/message"
	"dialgate/store"
	"dialgate/trace"
)

// A Gate judges calls under a configuration, on facts held in memory.
type Gate struct {
	cfg    *configs.Config
	domain *configs.Domain
	reader *sipproxy.Reader
	zone   *time.Location
	gate   *gate.Gate
	known  known

	mu  sync.Mutex
	now time.Time // of the call at hand
}

// A Judged is a call with what was decided about it.
type Judged struct {
	*trace.Call // of a trace; nil otherwise
	Attempt     *policy.Attempt
	Decision    policy.Decision
}

// String is the decision in one line, with masked numbers.
func (j *Judged) String() string {
	return fmt.Sprintf("%s %s -> %s %s %s", j.Attempt.CallID, j.Attempt.Caller.Shown, j.Attempt.Called.Number, j.Decision.Verdict, j.Decision.Reason)
}

// Open makes the gate of a configuration file.
func Open(t testing.TB, path string) *Gate {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return New(t, path, string(text))
}

// New makes the gate of a configuration's text. name stands in errors.
func New(t testing.TB, name, text string) *Gate {
	t.Helper()
	g, err := Parse(name, text)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// Parse is [New] outside of a test.
func Parse(name, text string) (*Gate, error) {
	cfg, err := configs.Parse(name, []byte(text))
	if err != nil {
		return nil, err
	}
	book := nl.Book()
	plans := policy.NewPlans(book.Plan)
	books, err := policy.NewBooks(cfg.Settings(), book)
	if err != nil {
		return nil, err
	}
	domain, err := cfg.Build(plans)
	if err != nil {
		return nil, err
	}
	g := &Gate{cfg: cfg, domain: domain, zone: book.Zone, reader: &sipproxy.Reader{
		Directory: domain.Directory, Plans: plans, Home: book.Plan, Emergency: map[string]bool{},
	}}
	for _, n := range cfg.Emergency.Numbers {
		g.reader.Emergency[n] = true
	}
	g.gate = gate.New(gate.Options{
		Rules: gate.Rules{Books: books, Config: cfg.ID()}, Facts: &g.known, Ledger: &g.known, Node: cfg.Node,
		Now: func() time.Time { g.mu.Lock(); defer g.mu.Unlock(); return g.now },
		Answer: func(p *policy.PeerTerms, r policy.Reason) int {
			peer := sipproxy.PeerOf(p)
			return peer.Answer(r).Code
		},
	})
	return g, nil
}

// At sets the time at which the calls that follow are made.
func (g *Gate) At(at time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.now = at
}

// Facts adds the facts of a file: JSON Lines as `dialgate facts export` writes
// them, or CSV.
func (g *Gate) Facts(t testing.TB, path string) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	g.readFacts(t, path, f)
}

// Know adds facts, one JSON object a line.
func (g *Gate) Know(t testing.TB, jsonLines string) {
	t.Helper()
	g.readFacts(t, "facts", strings.NewReader(jsonLines))
}

// Register says that a copy of a do-not-call register of the configuration was
// loaded, and of which date it is. Its entries are facts of kind listed. Without
// it every telemarketing call is refused facts-stale.
func (g *Gate) Register(t testing.TB, id string, asOf time.Time) {
	t.Helper()
	if !slices.ContainsFunc(g.cfg.Registers, func(r configs.Register) bool { return r.ID == id }) {
		t.Fatalf("the configuration has no register %q", id)
	}
	g.known.load(id, asOf)
}

func (g *Gate) readFacts(t testing.TB, name string, r io.Reader) {
	t.Helper()
	if err := g.ReadFacts(r); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// ReadFacts adds the facts of JSON Lines or CSV, all of them up to the first
// that is none.
func (g *Gate) ReadFacts(r io.Reader) error {
	intake := store.Intake{Form: policy.FactForm{Zone: g.zone, Attested: true}}
	for row, err := range intake.Rows(r) {
		if err == nil && row.Err != nil {
			err = fmt.Errorf("line %d: %w", row.Line, row.Err)
		}
		if err != nil {
			return err
		}
		g.known.add(row.Fact)
	}
	return nil
}

// Judge judges an INVITE that comes from an address, at the gate's time.
func (g *Gate) Judge(invite []byte, from netip.AddrPort) *Judged {
	var v message.View
	return g.judge(&v, v.Parse(invite), from)
}

func (g *Gate) judge(v *message.View, malformed error, from netip.AddrPort) *Judged {
	j := &Judged{Attempt: &policy.Attempt{Peer: g.peer(from), CallID: string(v.Value(message.CallID))}}
	if malformed != nil {
		j.Attempt.Malformed = malformed.Error()
	} else {
		g.reader.Read(v, j.Attempt.Peer, j.Attempt)
	}
	g.gate.Judge(j.Attempt, func(r policy.Ruling) { j.Decision = r.Decision })
	return j
}

// peer is the dialer that sends from an address: the longest prefix counts.
// An address that is not known means the only dialer there is.
func (g *Gate) peer(from netip.AddrPort) (best *policy.PeerTerms) {
	if !from.IsValid() && len(g.domain.Peers) == 1 {
		return g.domain.Peers[0].Terms
	}
	bits := -1
	for _, p := range g.domain.Peers {
		for _, prefix := range p.Sources {
			if prefix.Contains(from.Addr()) && prefix.Bits() > bits {
				best, bits = p.Terms, prefix.Bits()
			}
		}
	}
	return best
}

// Trace judges every call of a trace once, at the trace's own time. An error
// is a *[trace.Problem]: something in the trace that can't be read.
func (g *Gate) Trace(path string) iter.Seq2[*Judged, error] {
	return func(yield func(*Judged, error) bool) {
		var s trace.Selector
		for call, err := range s.Calls(trace.Open(path, trace.Options{Zone: g.zone})) {
			var j *Judged
			if err == nil {
				g.At(call.Time)
				j = g.judge(call.View, call.Malformed, call.Source)
				j.Call = call
			}
			if !yield(j, err) {
				return
			}
		}
	}
}

// known is what is known of numbers, and the calls allowed before.
type known struct {
	mu    sync.Mutex
	facts map[policy.Number]*policy.Facts
	asOf  map[string]time.Time // of the copies of registers
}

func (k *known) load(register string, asOf time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	next := map[string]time.Time{register: asOf}
	for id, at := range k.asOf {
		if id != register {
			next[id] = at
		}
	}
	k.asOf = next // whoever has read the one before keeps it
}

func (k *known) of(n policy.Number) *policy.Facts {
	if k.facts == nil {
		k.facts = map[policy.Number]*policy.Facts{}
	}
	f := k.facts[n]
	if f == nil {
		f = &policy.Facts{Number: n}
		k.facts[n] = f
	}
	return f
}

func (k *known) add(f policy.Fact) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if f.RecordedAt.IsZero() {
		f.RecordedAt = f.At
	}
	facts := k.of(f.Number)
	facts.All = append(facts.All, f)
	facts.Sort()
}

// Hold reads what is known of a number, and keeps others waiting until Release.
func (k *known) Hold(n policy.Number, into *policy.Facts) error {
	k.mu.Lock()
	*into = *k.of(n)
	into.AsOf = k.asOf
	return nil
}

// Release ends a Hold. The call that was made, if any, is an earlier one from
// then on.
func (k *known) Release(n policy.Number, made *policy.EarlierCall) {
	defer k.mu.Unlock()
	if made != nil {
		store.MergeCall(k.of(n), made)
	}
}

// TakeBack has nothing to do: no record is late.
func (k *known) TakeBack(policy.Number, policy.EarlierCall) {}

// Append has nothing to record.
func (k *known) Append(_ *policy.Record, done func(error) bool) { done(nil) }

// AppendOutcome has nothing to record.
func (k *known) AppendOutcome(_ *policy.Outcome, done func(error)) { done(nil) }
