package console

import (
	"context"
	"errors"
	"io"
	"time"

	"dialgate/policy"
)

// Node is a running node as the console knows it.
type Node interface {
	Facts
	Calls
	Evidence
	Judging
	Operation
}

// Facts are entered and looked up.
type Facts interface {
	Add(ctx context.Context, facts ...policy.Fact) ([]Added, error)
	History(n policy.Number) (policy.Facts, error)
	Import(ctx context.Context, o ImportOptions, in io.Reader) (ImportReport, error)
	// Form is how facts are read from text.
	Form() policy.FactForm
}

// Calls are the decisions in the ledger.
type Calls interface {
	Search(s Search) (Page, error)
	// Call is one decision by its record, [ErrNoCall] when there is none.
	Call(seq uint64) (*Call, *Outcome, error)
	// LedgerEnd is the last record.
	LedgerEnd() uint64
}

// Evidence is what stands in the ledger, and what is taken out of it.
type Evidence interface {
	LookedUp(l LookUp) error
	LookUps(before uint64, most int) (found []Look, next uint64, err error)
	Prove(n policy.Number, knownAt time.Time) (Proof, error)
	Checkpoint() ([]byte, error)
	PublicKey() (string, error)
	Erase(n policy.Number, ground string) (Erased, error)
}

// Judging is done by the rules in force, as of a live call.
type Judging interface {
	Judge(q Question) (*Judged, error)
	// Standings tell of a number for each campaign whether it may be called now.
	Standings(n policy.Number) ([]Standing, error)
	Scrub(o ScrubOptions, in io.Reader, out io.Writer) (ScrubReport, error)
	Rules() []*policy.Bound
	// Now is the time by which calls are judged, Zone where the called live.
	Now() time.Time
	Zone() *time.Location
}

// Operation is how the node does.
type Operation interface {
	State() State
	Reload() (Reloaded, error)
}

// ErrNoRoom is why something can't be taken in while the disk is nearly full; what
// wraps it says more.
var ErrNoRoom = errors.New("there is no room on the disk")

// ErrNoCall is the answer when a record is not there or is no decision.
var ErrNoCall = errors.New("there is no such call in the ledger")

// An Invalid is one thing wrong with what was asked.
type Invalid struct {
	Path string `json:"path,omitempty" jsonschema:"where, such as evidence.sha256 or campaigns[0].advertiser"`
	Text string `json:"detail" jsonschema:"what is wrong, and what is allowed"`
}

func (e *Invalid) Error() string {
	if e.Path == "" {
		return e.Text
	}
	return e.Path + ": " + e.Text
}

// An Added is what became of one fact.
type Added struct {
	ID    string
	Known bool
	Err   error // why it was refused
}

// A Search asks for decisions, the newest first.
type Search struct {
	Before                                      uint64
	From, To                                    time.Time
	Verdict, Reason, Peer, Campaign, Advertiser string
	Number                                      policy.Number
	Most                                        int
}

// A Page is what was found, and where to go on from: 0 at the end.
type Page struct {
	Calls []Call
	Next  uint64
}

// A Call is a decision as it stands in the ledger.
type Call struct {
	Seq        uint64    `json:"seq" jsonschema:"its record in the ledger"`
	At         time.Time `json:"at"`
	ID         string    `json:"id"`
	Erased     bool      `json:"erased,omitempty"`
	Verdict    string    `json:"verdict"`
	Reason     string    `json:"reason"`
	Means      string    `json:"means,omitempty" jsonschema:"the reason in words"`
	Rule       string    `json:"rule,omitempty"`
	Would      string    `json:"would,omitempty" jsonschema:"of not-enforced: the reason of the refusal that was not made"`
	By         string    `json:"by,omitempty" jsonschema:"and why it was not: shadow, off or permit"`
	Book       string    `json:"book,omitempty"`
	Config     string    `json:"config,omitempty"`
	Node       string    `json:"node,omitempty"`
	Answer     int       `json:"answer,omitempty" jsonschema:"the SIP status code of a refusal"`
	Micros     int64     `json:"us" jsonschema:"how long the decision took"`
	From       string    `json:"from,omitempty"`
	FromText   string    `json:"from_text,omitempty"`
	To         string    `json:"to,omitempty"`
	ToText     string    `json:"to_text,omitempty"`
	Masked     bool      `json:"masked" jsonschema:"the numbers are not in full"`
	Emergency  bool      `json:"emergency,omitempty"`
	Hides      string    `json:"hides,omitempty"`
	Malformed  string    `json:"malformed,omitempty"`
	Named      string    `json:"named,omitempty"`
	Peer       string    `json:"peer,omitempty"`
	Campaign   string    `json:"campaign,omitempty"`
	Advertiser string    `json:"advertiser,omitempty"`
	Purpose    string    `json:"purpose,omitempty"`
	CallID     string    `json:"call_id,omitempty"`
	Fax        bool      `json:"fax,omitempty"`
	Offers     []string  `json:"offers,omitempty"`
	Findings   []Finding `json:"findings,omitempty"`
	Marks      []string  `json:"marks,omitempty"`
	Outcome    *Outcome  `json:"outcome,omitempty"`
}

// A Finding is what one rule found.
type Finding struct {
	Rule   string   `json:"rule"`
	Result string   `json:"result"`
	Reason string   `json:"reason,omitempty"`
	Mode   string   `json:"mode,omitempty"`
	Facts  []string `json:"facts,omitempty"`
}

// An Outcome is how the set-up of a call ended.
type Outcome struct {
	At      time.Time `json:"at"`
	Code    int       `json:"code"`
	RingMS  int64     `json:"ring_ms"`
	EndedBy string    `json:"ended_by,omitempty"`
	Instead string    `json:"instead,omitempty" jsonschema:"the reason it was answered with, since the decision was not on disk in time"`
}

// A LookUp is one look of somebody at a number in full.
type LookUp struct {
	By, Token, Role, What string
	Number                policy.Number // zero: many
	Count                 int
}

// A Look is a look-up as it stands in the ledger.
type Look struct {
	Seq    uint64    `json:"seq" jsonschema:"its record in the ledger"`
	At     time.Time `json:"at"`
	By     string    `json:"by"`
	Token  string    `json:"token,omitempty" jsonschema:"the id of the token; none: a person"`
	Role   string    `json:"role"`
	What   string    `json:"what"`
	Count  int       `json:"count"`
	Number string    `json:"number,omitempty" jsonschema:"masked; none: many, or it was erased"`
}

// A Proof is a proof pack for machines and for people.
type Proof struct{ JSON, HTML []byte }

// An Erased tells what an erasure did.
type Erased struct {
	Facts   int    `json:"facts"`
	Calls   int    `json:"calls"`
	Kept    int    `json:"kept" jsonschema:"objections and entries in registers that still bind"`
	Record  uint64 `json:"record"`
	GoneMS  int64  `json:"gone_ms"`
	KeyFile string `json:"key_file"`
}

// A Question is one hypothetical call.
type Question struct {
	From     string    `json:"from" jsonschema:"the caller number"`
	To       string    `json:"to" jsonschema:"the called number"`
	At       time.Time `json:"at,omitzero" jsonschema:"when; default: now"`
	KnownAt  time.Time `json:"known_at,omitzero" jsonschema:"judge by what had been recorded then; default: by all that is known"`
	Campaign string    `json:"campaign,omitempty" jsonschema:"default: told as for a live call"`
	Peer     string    `json:"peer,omitempty" jsonschema:"the dialer; default: the only one"`
	Headers  []string  `json:"headers,omitempty" jsonschema:"further header lines of the INVITE, 'Name: value'"`
}

// A Judged is a hypothetical call that was judged.
type Judged struct {
	Attempt  *policy.Attempt
	Facts    policy.Facts
	Decision policy.Decision
	Code     int // of the SIP answer of a refusal
	Phrase   string
	Headers  []string
	Explains any // all of it, as `dialgate explain --json` prints it
}

// A Standing tells whether a number may be called for a campaign now.
type Standing struct {
	Campaign   string    `json:"campaign"`
	Advertiser string    `json:"advertiser"`
	Purpose    string    `json:"purpose"`
	Verdict    string    `json:"verdict"`
	Reason     string    `json:"reason"`
	Until      time.Time `json:"until,omitzero" jsonschema:"of an allowed call: when it would be refused if nothing new is learnt"`
}

// ImportOptions say how a file of facts is read.
type ImportOptions struct {
	Name      string            // of the file
	Constants map[string]string // fields that every row has
	Columns   map[string]string // column to field, nil: they are called so
	Ignore    []string          // columns; "*": all others
	Dutch     bool              // dates are day-month-year
	DryRun    bool
	Rejects   string // file for the rows that are refused
	Progress  func(octets int64)
}

// An ImportReport tells what became of a file's rows.
type ImportReport struct {
	Rows     int `json:"rows"`
	Added    int `json:"added" jsonschema:"or of a dry run: that would be"`
	Known    int `json:"known"`
	Rejected int `json:"rejected"`
}

// ScrubOptions say how a list is judged.
type ScrubOptions struct {
	Campaign string
	Column   string    // that holds the number; "": found
	At       time.Time // zero: now, without hours and holidays
}

// A ScrubReport counts a list's rows.
type ScrubReport struct{ Allowed, Refused int }

// A State is how the node does.
type State struct {
	Node      string            `json:"node"`
	Version   string            `json:"version"`
	Ready     bool              `json:"ready"`
	Why       string            `json:"why,omitempty" jsonschema:"why it is not ready"`
	Since     time.Time         `json:"since"`
	Config    Config            `json:"config"`
	Peers     []Peer            `json:"peers"`
	Carriers  []Carrier         `json:"carriers"`
	Campaigns []CampaignState   `json:"campaigns"`
	Facts     map[string]int64  `json:"facts" jsonschema:"how many there are of each kind"`
	Ledger    LedgerState       `json:"ledger"`
	Names     map[string]string `json:"-"` // of advertisers by their id
}

// A Config tells which configuration is in force.
type Config struct {
	File     string    `json:"file"`
	ID       string    `json:"id"`
	Loaded   time.Time `json:"loaded"`
	Cases    int       `json:"cases" jsonschema:"acceptance cases that came out as expected"`
	Warnings []string  `json:"warnings"`
	Failed   string    `json:"failed,omitempty" jsonschema:"what was wrong at the last reload, if it was refused"`
}

// A Peer is a dialer.
type Peer struct {
	ID        string   `json:"id"`
	Sources   []string `json:"sources"`
	Campaigns []string `json:"campaigns"`
	Dialect   string   `json:"dialect"`
}

// A Carrier is where calls go.
type Carrier struct {
	ID        string   `json:"id"`
	Targets   []string `json:"targets"`
	Transport string   `json:"transport"`
	Priority  int      `json:"priority"`
	Weight    int      `json:"weight"`
}

// A CampaignState is a campaign as it is configured.
type CampaignState struct {
	ID         string   `json:"id"`
	Advertiser string   `json:"advertiser"`
	Purpose    string   `json:"purpose"`
	Products   []string `json:"products,omitempty"`
	Callers    []string `json:"callers,omitempty"`
}

// A LedgerState is the size of the ledger.
type LedgerState struct {
	Records uint64 `json:"records"`
	Octets  int64  `json:"octets"`
	Mode    string `json:"mode"`
}

// A Reloaded tells what a reload changed.
type Reloaded struct {
	File     string   `json:"file"`
	Before   string   `json:"before"`
	Config   string   `json:"config"`
	Cases    int      `json:"cases"`
	Changed  []string `json:"changed,omitempty"`
	Restart  []string `json:"restart,omitempty" jsonschema:"keys that wait for a restart"`
	Warnings []string `json:"warnings,omitempty"`
}
