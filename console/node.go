package console

import (
	"context"
	"encoding/json"
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
	// Preview reads the first rows of a file as an import would.
	Preview(ctx context.Context, o ImportOptions, in io.Reader, rows int) (Preview, error)
	// Undo makes what an import brought in void, or tells what that would do.
	Undo(ctx context.Context, o UndoOptions) (Undone, error)
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
	// Events are the decisions and objections behind a record, in the ledger's
	// order. It looks at so many records at most: last is the one that it came
	// to, missed how many are not there any more.
	Events(after uint64, most int) (events []Event, last, missed uint64, err error)
}

// Evidence is what stands in the ledger, and what is taken out of it.
type Evidence interface {
	LookedUp(l LookUp) error
	LookUps(before uint64, most int) (found []Look, next uint64, err error)
	// Prove makes the proof pack of a number; of one advertiser's own facts and
	// calls alone unless that is "".
	Prove(n policy.Number, knownAt time.Time, advertiser string) (Proof, error)
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
	// Cases are the acceptance cases that the configuration in force was held to.
	Cases() []CaseResult
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
	Rule                                        string // that decided, or would have refused
	Number                                      policy.Number
	Most                                        int
	// Public compares reasons as one advertiser is told them, so that none
	// learns of another by what a filter leaves out.
	Public bool
}

// A Page is what was found, and where to go on from: 0 at the end.
type Page struct {
	Calls []Call
	Next  uint64
}

// An Event is a decision or an objection as it stands in the ledger.
type Event struct {
	Seq       uint64
	Key       string    // of the record, the same for ever
	At        time.Time // when it was recorded
	Call      *Call
	Objection *policy.Fact
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
	Mode       string    `json:"mode,omitempty" jsonschema:"live or robocall"`
	CallID     string    `json:"call_id,omitempty"`
	Fax        bool      `json:"fax,omitempty"`
	Offers     []string  `json:"offers,omitempty"`
	Findings   []Finding `json:"findings,omitempty"`
	Marks      []string  `json:"marks,omitempty"`
	Outcome    *Outcome  `json:"outcome,omitempty"`
	Invite     string    `json:"invite,omitempty" jsonschema:"the message, where sip.keep_invite keeps it; with full=true only"`
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
	Carrier string    `json:"carrier,omitempty" jsonschema:"that it was sent to; of several the one whose answer counted"`
	Tried   int       `json:"tried,omitempty" jsonschema:"how many addresses of carriers were tried"`
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

// A CaseResult is an acceptance case and what came of it.
type CaseResult struct {
	File       string    `json:"file"`
	Line       int       `json:"line"`
	Name       string    `json:"name"`
	At         time.Time `json:"at" jsonschema:"when its call is made"`
	Verdict    string    `json:"verdict" jsonschema:"expected"`
	Reason     string    `json:"reason,omitempty" jsonschema:"expected; none: any"`
	GotVerdict string    `json:"got_verdict"`
	GotReason  string    `json:"got_reason"`
	AsExpected bool      `json:"as_expected"`
}

// A Standing tells whether a number may be called for a campaign now.
type Standing struct {
	Campaign   string    `json:"campaign"`
	Advertiser string    `json:"advertiser"`
	Purpose    string    `json:"purpose"`
	Mode       string    `json:"mode"`
	Verdict    string    `json:"verdict"`
	Reason     string    `json:"reason"`
	Until      time.Time `json:"until,omitzero" jsonschema:"of an allowed call: when it would be refused if nothing new is learnt, hours and holidays apart"`
}

// ImportOptions say how a file of facts is read.
type ImportOptions struct {
	Name      string                       // of the file
	Constants map[string]string            // fields that every row has
	Columns   map[string]string            // column to field, nil: they are called so
	Ignore    []string                     // columns; "*": all others
	Values    map[string]map[string]string // field to text in the file to text of the field
	Dutch     bool                         // dates are day-month-year
	Guess     bool                         // columns that are not named are read as what they seem to be, or not
	DryRun    bool
	Rejects   string // file for the rows that are refused
	Progress  func(octets int64)
}

// A Preview is how a file would be read.
type Preview struct {
	Columns []PreviewColumn `json:"columns" jsonschema:"none of a file of JSON Lines"`
	Rows    []PreviewRow    `json:"rows"`
}

// A PreviewColumn is a column and the field that it is read as.
type PreviewColumn struct {
	Name    string   `json:"name"`
	Field   string   `json:"field,omitempty" jsonschema:"none: it is not read"`
	Guessed bool     `json:"guessed,omitempty" jsonschema:"nobody said so; it seems to be"`
	Texts   []string `json:"texts,omitempty" jsonschema:"of a field that has few words: what stands in the first rows, each text once whatever its case, at most 20"`
	Words   []string `json:"words,omitempty" jsonschema:"and the words that it can have"`
}

// A PreviewRow is a row as it would be read.
type PreviewRow struct {
	Line   int             `json:"line"`
	Text   string          `json:"text" jsonschema:"as it stands in the file"`
	Fact   json.RawMessage `json:"fact,omitempty"`
	Errors []*Invalid      `json:"errors,omitempty" jsonschema:"why it would be rejected"`
	Fault  error           `json:"-"` // of which errors is made
}

// UndoOptions say which import is undone, and how. Of a name that was imported
// more than once only one import is undone, or all with All.
type UndoOptions struct {
	Import string    `json:"import,omitempty" jsonschema:"id of an import that is told of: what it brought in, and nothing else of its name"`
	Batch  string    `json:"batch,omitempty" jsonschema:"without import: name of the import, which is what the file was called"`
	From   time.Time `json:"from,omitzero" jsonschema:"only what came in at this instant or later"`
	To     time.Time `json:"to,omitzero" jsonschema:"only what came in until this instant"`
	All    bool      `json:"all,omitempty" jsonschema:"true: however often the name was imported; without it, and without from, to or import, such an undo is refused"`
	DryRun bool      `json:"dry_run,omitempty" jsonschema:"true: say what would be undone, change nothing"`
	Lift   bool      `json:"lift,omitempty" jsonschema:"true: undo also what protects the called person, objections among it; for administrators"`
	Ground string    `json:"ground,omitempty" jsonschema:"why; asked for by lift"`
}

// An Undone tells what an undo did or would do. Facts are counted by kind.
type Undone struct {
	Batch     string         `json:"batch"`
	Undone    map[string]int `json:"undone"`
	Before    map[string]int `json:"before" jsonschema:"were undone already"`
	Stay      map[string]int `json:"stay" jsonschema:"protect the called person, and stay in force"`
	Numbers   int            `json:"numbers"`
	Freed     int            `json:"freed" jsonschema:"numbers that lose their last objection, withdrawal or entry in a register while a fact that can allow a call stays"`
	Registers []string       `json:"registers,omitempty" jsonschema:"whose copy counts no more"`
	Batches   []string       `json:"batches,omitempty" jsonschema:"the first that there are, when there is none of this name"`
	Runs      []ImportRun    `json:"runs,omitempty" jsonschema:"the times that the name was imported, the newest first"`
	Several   bool           `json:"several,omitempty" jsonschema:"it was imported more than once and nobody said which is meant: nothing was undone"`
}

// An ImportRun is one time that a name was imported.
type ImportRun struct {
	From  time.Time `json:"from"`
	To    time.Time `json:"to"`
	Facts int       `json:"facts" jsonschema:"that it brought in"`
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
	ID        string    `json:"id"`
	Sources   []string  `json:"sources"`
	Campaigns []string  `json:"campaigns"`
	Dialect   string    `json:"dialect"`
	InSetup   int       `json:"calls_in_setup" jsonschema:"calls without a final response"`
	LastCall  time.Time `json:"last_call,omitzero" jsonschema:"when its last INVITE came; none: none since the node began"`
}

// A Carrier is where calls go.
type Carrier struct {
	ID        string   `json:"id"`
	Targets   []string `json:"targets"`
	Transport string   `json:"transport"`
	Priority  int      `json:"priority"`
	Weight    int      `json:"weight"`
	State     string   `json:"state" jsonschema:"up: a target takes calls; probing: one answers again, and has to go on doing so; down: none does"`
	Probed    bool     `json:"probed" jsonschema:"false: nothing but a 503 with Retry-After takes a target down"`
	InSetup   int      `json:"calls_in_setup" jsonschema:"calls without a final response"`
	Reach     []Target `json:"reach" jsonschema:"each address with its state"`
}

// A Target is one address of a carrier.
type Target struct {
	Address string    `json:"address"`
	State   string    `json:"state"`
	Since   time.Time `json:"since"`
	Why     string    `json:"why"`
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
