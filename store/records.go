package store

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"dialgate/policy"
	"dialgate/store/ledger"
)

// Kinds of ledger records.
const (
	kindFact     ledger.Kind = 1
	kindDecision ledger.Kind = 2
	kindOutcome  ledger.Kind = 3
	kindRepeats  ledger.Kind = 4
	kindCarried  ledger.Kind = 5 // see retention
	kindRegister ledger.Kind = 6 // see registers
	kindLookUp   ledger.Kind = 8 // see LookUp
)

// A fact's payload is its JSON, with recorded_at. Its public part names the
// kind and who wrote it.
func factRecord(f *policy.Fact, node string) ledger.Record {
	public, payload := appendFactRecord(nil, nil, f, node)
	return ledger.Record{Time: f.RecordedAt, Kind: kindFact, Public: public, Payload: payload}
}

func appendFactRecord(public, payload []byte, f *policy.Fact, node string) ([]byte, []byte) {
	public = append(public, `{"fact":"`...)
	public = append(public, f.Kind.String()...)
	public = append(public, `","node":`...)
	public = append(appendQuoted(public, node), '}')
	return public, f.AppendJSON(payload)
}

// factForm reads facts back from the ledger: they were checked when they came in.
var factForm = policy.FactForm{Zone: time.UTC}

// appendDecision appends the public and the personal part of a decision. Both
// are JSON, made without reflection since every call makes one.
func appendDecision(public, payload []byte, r *policy.Record) ([]byte, []byte) {
	d := r.Decision
	public = append(public, `{"id":"`...)
	public = r.ID.AppendTo(public)
	public = append(public, `","verdict":"`...)
	public = append(public, d.Verdict.String()...)
	public = append(public, `","reason":"`...)
	public = append(public, d.Reason.String()...)
	public = append(public, '"')
	public = appendField(public, "rule", d.Rule())
	if w := d.Waived(); w.Reason != policy.NoReason {
		public = appendField(public, "would", w.Reason.String())
		public = appendField(public, "by", w.By)
	}
	public = appendField(public, "book", d.Book)
	public = appendField(public, "config", r.Config)
	public = appendField(public, "node", r.Node)
	public = append(public, `,"answer":`...)
	public = strconv.AppendInt(public, int64(r.Answer), 10)
	public = append(public, `,"us":`...)
	public = strconv.AppendInt(public, r.Took.Microseconds(), 10)
	public = append(public, '}')
	return public, appendAttempt(payload, r)
}

func appendField(b []byte, name, value string) []byte {
	if value == "" {
		return b
	}
	b = append(append(append(b, ',', '"'), name...), '"', ':')
	return appendQuoted(b, value)
}

// appendClass appends a class that no number tells.
func appendClass(b []byte, name string, c policy.Class) []byte {
	if c == policy.Unassigned {
		return b
	}
	return appendField(b, name, c.String())
}

// appendQuoted appends a JSON string. Most need no escape.
func appendQuoted(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= 0x7f {
			text, err := json.Marshal(s)
			if err != nil {
				panic(err) // a string has a JSON form
			}
			return append(b, text...)
		}
	}
	return append(append(append(b, '"'), s...), '"')
}

// recordVersion tells which fields a decision has: since 1 all that it takes
// to judge the attempt again, since 2 its mode.
const recordVersion = 2

func appendAttempt(b []byte, r *policy.Record) []byte {
	a := r.Attempt
	b = append(b, `{"v":`...)
	b = strconv.AppendInt(b, recordVersion, 10)
	b = append(b, `,"at":"`...)
	b = r.At.AppendFormat(b, time.RFC3339Nano)
	b = append(b, '"')
	if !a.Caller.Shown.IsZero() {
		b = append(b, `,"from":"`...)
		b = append(a.Caller.Shown.AppendE164(b), '"')
	} else {
		b = appendField(b, "from_text", a.Caller.Text)
		b = appendClass(b, "from_class", a.Caller.Class)
	}
	if !a.Called.Number.IsZero() {
		b = append(b, `,"to":"`...)
		b = append(a.Called.Number.AppendE164(b), '"')
	} else {
		b = appendField(b, "to_text", a.Called.Text)
		b = appendField(b, "to_short", a.Called.Short)
		b = appendClass(b, "to_class", a.Called.Class)
	}
	if a.Called.Emergency {
		b = append(b, `,"emergency":true`...)
	}
	b = appendField(b, "hides", a.Called.Hides)
	b = appendField(b, "malformed", a.Malformed)
	if a.Peer != nil {
		b = appendField(b, "peer", a.Peer.ID)
	}
	if a.Campaign != nil {
		b = appendField(b, "campaign", a.Campaign.ID)
		b = appendField(b, "advertiser", a.Campaign.Advertiser.ID)
		b = appendField(b, "purpose", a.Campaign.Effective().String())
	}
	if m := a.Mode(); m != policy.Live {
		b = appendField(b, "mode", m.String())
	}
	b = appendField(b, "named", a.Named)
	b = appendField(b, "call_id", a.CallID)
	if a.Fax {
		b = append(b, `,"fax":true`...)
	}
	b = appendMedia(b, a.Media)
	b = append(b, `,"findings":[`...)
	for i := range r.Decision.Findings {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendFinding(b, &r.Decision.Findings[i])
	}
	b = append(b, ']')
	if len(a.Caller.Marks) > 0 {
		b = append(b, `,"marks":[`...)
		for i, m := range a.Caller.Marks {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendQuoted(b, m.Kind.String()+": "+m.Sentence())
		}
		b = append(b, ']')
	}
	if len(a.Raw) > 0 {
		b = append(b, `,"raw":"`...)
		b = append(base64.StdEncoding.AppendEncode(b, a.Raw), '"')
	}
	return append(b, '}')
}

func appendMedia(b []byte, media []policy.Media) []byte {
	if len(media) == 0 {
		return b
	}
	b = append(b, `,"media":[`...)
	for i, m := range media {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendQuoted(append(b, `{"kind":`...), m.Kind)
		b = append(b, `,"codecs":[`...)
		for j, codec := range m.Codecs {
			if j > 0 {
				b = append(b, ',')
			}
			b = appendQuoted(b, codec)
		}
		b = append(b, `]}`...)
	}
	return append(b, ']')
}

func appendFinding(b []byte, f *policy.Finding) []byte {
	b = append(b, `{"rule":"`...)
	b = append(b, f.Rule.ID...)
	b = append(b, `","result":"`...)
	b = append(b, f.Result.String()...)
	b = append(b, '"')
	if f.Result == policy.Deny || f.Result == policy.Allow {
		b = appendField(b, "reason", f.Reason.String())
	}
	if f.Mode != policy.Enforce {
		b = appendField(b, "mode", f.Mode.String())
	}
	if f.Rests[0] != nil {
		b = append(b, `,"facts":[`...)
		for i, fact := range f.Rests {
			if fact == nil {
				break
			}
			if i > 0 {
				b = append(b, ',')
			}
			b = appendQuoted(b, fact.ID)
		}
		b = append(b, ']')
	}
	return append(b, '}')
}

func outcomeRecord(o *policy.Outcome) ledger.Record {
	b := append(make([]byte, 0, 128), `{"id":"`...)
	b = o.ID.AppendTo(b)
	b = append(b, `","code":`...)
	b = strconv.AppendInt(b, int64(o.Code), 10)
	b = append(b, `,"ring_ms":`...)
	b = strconv.AppendInt(b, o.Ring.Milliseconds(), 10)
	b = appendField(b, "ended_by", o.EndedBy.String())
	if o.Carrier != "" {
		b = appendField(b, "carrier", o.Carrier)
		b = append(b, `,"tried":`...)
		b = strconv.AppendInt(b, int64(o.Tried), 10)
	}
	var payload []byte
	if o.Late != nil {
		b = appendField(b, "instead", o.Late.Reason.String())
		payload = appendNotMade(nil, o.Late)
	}
	if o.Block != nil {
		b = appendField(b, "blocked", o.Block.Kind.String())
		b = appendField(b, "card", o.Block.Card.String())
		payload = appendBlock(nil, o.Block)
	}
	return ledger.Record{Time: o.At, Kind: kindOutcome, Public: append(b, '}'), Payload: payload}
}

// A Decision is a decision as read back from the ledger.
type Decision struct {
	Seq        uint64    `json:"seq"`
	At         time.Time `json:"at"`
	Erased     bool      `json:"erased,omitempty"` // with its number; what follows is all that is left
	ID         string    `json:"id"`
	Verdict    string    `json:"verdict"`
	Reason     string    `json:"reason"`
	Rule       string    `json:"rule,omitempty"`
	Would      string    `json:"would,omitempty"` // of not-enforced: the reason of the refusal that was not made
	By         string    `json:"by,omitempty"`    // and why it was not: shadow, off or permit
	Book       string    `json:"book,omitempty"`
	Config     string    `json:"config,omitempty"`
	Node       string    `json:"node,omitempty"`
	Answer     int       `json:"answer,omitempty"`
	Us         int64     `json:"us"`
	Version    int       `json:"v,omitempty"`
	From       string    `json:"from,omitempty"`
	FromText   string    `json:"from_text,omitempty"`
	FromClass  string    `json:"from_class,omitempty"` // of a short code in place of a number
	To         string    `json:"to,omitempty"`
	ToText     string    `json:"to_text,omitempty"`
	ToShort    string    `json:"to_short,omitempty"`
	ToClass    string    `json:"to_class,omitempty"` // of a short code
	Emergency  bool      `json:"emergency,omitempty"`
	Hides      string    `json:"hides,omitempty"` // the dialled prefix that hides the caller
	Malformed  string    `json:"malformed,omitempty"`
	Named      string    `json:"named,omitempty"` // the campaign that the message names
	Peer       string    `json:"peer,omitempty"`
	Campaign   string    `json:"campaign,omitempty"`
	Advertiser string    `json:"advertiser,omitempty"`
	Purpose    string    `json:"purpose,omitempty"` // that it was judged by
	Mode       string    `json:"mode,omitempty"`    // live or robocall; none in records of before version 2
	CallID     string    `json:"call_id,omitempty"`
	Fax        bool      `json:"fax,omitempty"`
	Media      []Media   `json:"media,omitempty"`
	Findings   []Finding `json:"findings,omitempty"`
	Marks      []string  `json:"marks,omitempty"`
	Raw        []byte    `json:"raw,omitempty"` // the INVITE where it was kept, without credentials
}

// A Media is one stream of the call's offer as read back from the ledger.
type Media struct {
	Kind   string   `json:"kind"`
	Codecs []string `json:"codecs"`
}

// made is the call as later decisions see it, false when it counts for nothing.
func (d *Decision) made() (to policy.Number, call policy.EarlierCall, ok bool) {
	to, err := policy.ParseNumber(d.To)
	if err != nil || d.Verdict != policy.Allowed.String() || d.Advertiser == "" {
		return to, call, false
	}
	purpose, _ := policy.ParsePurpose(d.Purpose) // older records don't tell it
	id := (&policy.Attempt{CallID: d.CallID}).ID()
	return to, policy.EarlierCall{At: d.At, Advertiser: d.Advertiser, Allowed: true, Purpose: purpose, Attempt: id}, true
}

// A Finding is a rule's finding as read back from the ledger.
type Finding struct {
	Rule   string   `json:"rule"`
	Result string   `json:"result"`
	Reason string   `json:"reason,omitempty"`
	Mode   string   `json:"mode,omitempty"`
	Facts  []string `json:"facts,omitempty"`
}

func readDecision(r ledger.Record) (d Decision, err error) {
	parts := [][]byte{r.Public, r.Payload}
	if r.Erased {
		parts, d.At, d.Erased = parts[:1], r.Time, true
	}
	for _, part := range parts {
		if err := json.Unmarshal(part, &d); err != nil {
			return d, fmt.Errorf("store: record %d of the ledger holds no decision: %w", r.Seq, err)
		}
	}
	if d.Mode == "" && d.Version >= 2 {
		d.Mode = policy.Live.String()
	}
	d.Seq = r.Seq
	return d, nil
}
