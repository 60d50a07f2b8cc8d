package main

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"dialgate/gate"
	"dialgate/policy"
	"dialgate/store"
	"dialgate/trace"
)

// timeOfCall is how the time of a call is printed: RFC 3339, which package
// time is quick at, and always six digits of the second.
func timeOfCall(at time.Time) string {
	b := at.AppendFormat(make([]byte, 0, len("2006-01-02T15:04:05.000000+01:00")), time.RFC3339)
	zone := len("+01:00")
	if b[len(b)-1] == 'Z' {
		zone = len("Z")
	}
	fraction := [7]byte{'.'}
	for i, n := 6, at.Nanosecond()/1000; i > 0; i, n = i-1, n/10 {
		fraction[i] = '0' + byte(n%10)
	}
	return string(slices.Insert(b, len(b)-zone, fraction[:]...))
}

// A judge judges the calls of traces in one world, as its gate would have.
type judge struct {
	world    *world
	gate     *gate.Gate
	known    *replayed
	peer     *policy.PeerTerms // of all calls; nil: told by the source
	carriers carriers
	at       time.Time // of all calls; zero: the trace's
	zone     *time.Location

	// of the call at hand, in memory that the next one has again
	now      time.Time
	attempt  policy.Attempt
	decision policy.Decision
	out      judgement
}

// A judgement is a judged call as it is printed, valid until its judge judges
// the next one. The keys are relied upon.
type judgement struct {
	File     string `json:"file"`
	Packet   int    `json:"packet"`
	At       string `json:"at"`
	CallID   string `json:"call_id"`
	From     string `json:"from,omitempty"`
	To       string `json:"to,omitempty"`
	Peer     string `json:"peer,omitempty"`
	Campaign string `json:"campaign,omitempty"`
	Verdict  string `json:"verdict"`
	Reason   string `json:"reason"`
	Rule     string `json:"rule,omitempty"`

	attempt *policy.Attempt
	why     string
}

// newJudge makes the judge of a world. peer is the id of the dialer of all
// calls, "" when the source tells.
func newJudge(w *world, facts lookup, peer string, at time.Time) (*judge, error) {
	w.reader.SkipMedia = true // a replay keeps no record
	j := &judge{world: w, carriers: carriersOf(w), at: at, known: &replayed{lookup: facts}, zone: calledZone()}
	if peer != "" {
		var err error
		if j.peer, err = w.peer(peer); err != nil {
			return nil, err
		}
	}
	j.gate = gate.New(gate.Options{
		Rules: gate.Rules{Books: w.books, Config: w.cfg.ID()}, Facts: j.known, Ledger: j.known, Node: w.cfg.Node,
		Now: func() time.Time { return j.now }, Permit: w.permit(),
		Answer: func(*policy.PeerTerms, policy.Reason) int { return 0 }, // of a record that nobody keeps
	})
	return j, nil
}

// judge judges one call. A *trace.Problem says why it can't.
func (j *judge) judge(file string, c *trace.Call) (*judgement, error) {
	if j.now = j.at; j.now.IsZero() {
		j.now = c.Time
	}
	if j.now.IsZero() {
		return nil, &trace.Problem{Packet: c.Packet, Cause: "holds a call without a time; say when with --at", Call: true}
	}
	peer, err := j.dialer(c)
	if err != nil {
		return nil, &trace.Problem{Packet: c.Packet, Cause: err.Error(), Call: err != errCarrier}
	}
	j.world.read(c.View, c.Malformed, peer, &j.attempt)
	j.gate.Judge(&j.attempt, j.ready)
	if j.decision.Reason == policy.ReasonFactsUnavailable && j.known.err != nil {
		return nil, fmt.Errorf("the facts can't be read: %w", j.known.err)
	}
	return j.judgement(file, c.Packet, &j.attempt, &j.decision), nil
}

// ready keeps the decision; a replay has it before the gate returns.
func (j *judge) ready(r policy.Ruling) { j.decision = r.Decision }

// again judges a call that a node has recorded. A *trace.Problem says why it can't.
func (j *judge) again(dir string, d *store.Decision, known lookup) (*judgement, error) {
	past := *d
	if !j.at.IsZero() {
		past.At = j.at
	}
	decision, err := j.world.rejudge(&past, known, 0)
	var unjudgeable *errUnjudgeable
	if errors.As(err, &unjudgeable) {
		return nil, &trace.Problem{Packet: int(d.Seq), Cause: "holds a call that can't be judged again: " + unjudgeable.why, Call: true}
	}
	if err != nil {
		return nil, err
	}
	a, err := j.world.attemptOf(&past)
	if err != nil {
		return nil, err
	}
	return j.judgement(dir, int(d.Seq), a, &decision), nil
}

// judgement is a judged call as it is printed.
func (j *judge) judgement(file string, packet int, a *policy.Attempt, d *policy.Decision) *judgement {
	j.out = judgement{File: file, Packet: packet, At: timeOfCall(a.At.In(j.zone)), CallID: a.CallID,
		From: a.Caller.Shown.E164(), To: a.Called.Number.E164(), Verdict: d.Verdict.String(), Reason: d.Reason.String(), Rule: d.Rule(),
		attempt: a, why: d.Reason.Text()}
	out := &j.out
	if a.Malformed != "" {
		out.why = a.Malformed
	}
	if out.To == "" {
		out.To = a.Called.Text
	}
	if a.Peer != nil {
		out.Peer = a.Peer.ID
	}
	if a.Campaign != nil {
		out.Campaign = a.Campaign.ID
	}
	return out
}

// parties are who called whom, masked, for people.
func (c *judgement) parties() (caller, called string) {
	a := c.attempt
	if a.Called.Number.IsZero() {
		return a.Caller.Shown.String(), orNone(a.Called.Text)
	}
	return a.Caller.Shown.String(), a.Called.Number.String()
}

var errCarrier = errors.New("holds a call that comes from a carrier; such calls go to a dialer and are not judged")

// dialer tells who sent a call, as the proxy does: a carrier's own address is
// the carrier, then the longest matching prefix of a dialer counts. nil: a
// stranger.
func (j *judge) dialer(c *trace.Call) (*policy.PeerTerms, error) {
	if j.peer != nil {
		return j.peer, nil
	}
	if !c.Source.IsValid() {
		p, err := j.world.peer("")
		if err != nil {
			return nil, fmt.Errorf("holds a call whose source the trace does not tell; say who sent it with --peer: %w", err)
		}
		return p, nil
	}
	source := c.Source.Addr()
	if slices.Contains(j.carriers.targets, c.Source) {
		return nil, errCarrier
	}
	var best *policy.PeerTerms
	bits := -1
	for _, p := range j.world.domain.Peers {
		for _, prefix := range p.Sources {
			if prefix.Contains(source) && prefix.Bits() > bits {
				best, bits = p.Terms, prefix.Bits()
			}
		}
	}
	if best != nil {
		return best, nil
	}
	if j.carriers.holds(source) {
		return nil, errCarrier
	}
	return nil, nil
}

// carriers are the addresses of the configuration's carriers.
type carriers struct {
	targets []netip.AddrPort
	sources []netip.Prefix
}

func carriersOf(w *world) (all carriers) {
	for _, carrier := range w.cfg.Carriers {
		for _, t := range carrier.Targets {
			if a, err := netip.ParseAddrPort(t); err == nil { // what DNS says of a name now is not what it said then
				all.targets = append(all.targets, a)
			}
		}
		for _, s := range carrier.Sources {
			if p, err := netip.ParsePrefix(s); err == nil {
				all.sources = append(all.sources, p)
			} else if a, err := netip.ParseAddr(s); err == nil {
				all.sources = append(all.sources, netip.PrefixFrom(a, a.BitLen()))
			}
		}
	}
	return all
}

// holds reports whether an address is a carrier's, whatever the port.
func (c *carriers) holds(source netip.Addr) bool {
	return slices.ContainsFunc(c.targets, func(t netip.AddrPort) bool { return t.Addr() == source }) ||
		slices.ContainsFunc(c.sources, func(p netip.Prefix) bool { return p.Contains(source) })
}

// replayFacts is where a replay's facts come from: a file, else the store of
// the configuration, through the running node if one holds it; else nothing is
// known. done closes it.
func replayFacts(w *world, file string, registers []string) (look lookup, done func(), err error) {
	switch {
	case file != "":
		look, err = w.factsOf(file, registers)
		return look, func() {}, err
	case !store.Exists(w.cfg.Store.Path):
		return noFacts, func() {}, nil
	}
	k, err := openKeeper(w.cfg.Store.Path, storeOptions(w.cfg))
	if err != nil {
		return nil, nil, err
	}
	return k.History, func() { _ = k.Close() }, nil // nothing was written
}

// noFacts knows nothing of any number.
func noFacts(n policy.Number) (policy.Facts, error) { return policy.Facts{Number: n}, nil }

// factsOf reads a file of facts. registers are the dates of the copies of
// registers that it holds the entries of.
func (w *world) factsOf(name string, registers []string) (lookup, error) {
	copies, err := w.registerDates(registers)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, usageError("the facts can't be read: %v", err)
	}
	defer f.Close()
	return readFacts(name, f, copies)
}

func readFacts(name string, r io.Reader, copies map[string]time.Time) (lookup, error) {
	known := map[policy.Number]*policy.Facts{}
	intake := store.Intake{Form: policy.FactForm{Zone: calledZone(), Number: localNumber, Attested: true}}
	for row, err := range intake.Rows(r) {
		if err != nil {
			return nil, usageError("%s: %v", name, err)
		}
		if row.Err != nil {
			return nil, usageError("%s:%d: %s", name, row.Line, oneLine(row.Err))
		}
		fact := row.Fact
		if fact.RecordedAt.IsZero() {
			fact.RecordedAt = fact.At
		}
		facts := known[fact.Number]
		if facts == nil {
			facts = &policy.Facts{Number: fact.Number, AsOf: copies}
			known[fact.Number] = facts
		}
		facts.All = append(facts.All, fact)
	}
	for _, facts := range known {
		facts.Sort()
	}
	return func(n policy.Number) (policy.Facts, error) {
		if facts := known[n]; facts != nil {
			return *facts, nil
		}
		return policy.Facts{Number: n, AsOf: copies}, nil
	}, nil
}

// registerDates reads ID=DATE of registers, as --register gives them.
func (w *world) registerDates(texts []string) (map[string]time.Time, error) {
	copies := map[string]time.Time{}
	for _, text := range texts {
		id, date, ok := strings.Cut(text, "=")
		if !ok {
			return nil, usageError("--register %s: want ID=DATE, such as nobellen=2026-11-20", text)
		}
		if registerOf(w.cfg, id) == nil {
			return nil, usageError("--register %s: the configuration has no register %q; under registers it has: %s", text, id, registerIDs(w.cfg))
		}
		at, err := copyDate(date)
		if err != nil {
			return nil, usageError("--register %s: %v", text, err)
		}
		copies[id] = at
	}
	return copies, nil
}

// replayed is what a replay knows: facts, and the calls it allowed itself,
// which count as earlier calls as they do in a running node.
type replayed struct {
	lookup lookup
	err    error
	calls  [2]map[policy.Number][]policy.EarlierCall // this generation and the one before
}

// numbersReplayed bounds the numbers of a generation.
const numbersReplayed = 256 << 10

// Hold is what was known of a number, with this replay's calls to it.
func (k *replayed) Hold(n policy.Number, into *policy.Facts) error {
	*into, k.err = k.lookup(n)
	into.Calls = slices.Clone(k.earlier(n))
	return k.err
}

// Release notes the call that was made, if any.
func (k *replayed) Release(n policy.Number, made *policy.EarlierCall) {
	if made == nil {
		return
	}
	facts := policy.Facts{Calls: slices.Clone(k.earlier(n))}
	store.MergeCall(&facts, made)
	if len(k.calls[0]) >= numbersReplayed {
		k.calls[1], k.calls[0] = k.calls[0], nil
	}
	if k.calls[0] == nil {
		k.calls[0] = map[policy.Number][]policy.EarlierCall{}
	}
	k.calls[0][n] = facts.Calls
}

func (k *replayed) earlier(n policy.Number) []policy.EarlierCall {
	if calls, ok := k.calls[0][n]; ok {
		return calls
	}
	return k.calls[1][n]
}

// TakeBack has nothing to do: no record is late.
func (k *replayed) TakeBack(policy.Number, policy.EarlierCall) {}

// Append has nothing to record.
func (k *replayed) Append(_ *policy.Record, done func(error) bool) { done(nil) }

// AppendOutcome has nothing to record.
func (k *replayed) AppendOutcome(_ *policy.Outcome, done func(error)) { done(nil) }
