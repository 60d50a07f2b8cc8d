package policy

import "time"

// A Verdict is whether a call may be made. The zero Verdict refuses it.
type Verdict uint8

const (
	Denied Verdict = iota
	Allowed
)

var verdictNames = [...]string{Denied: "deny", Allowed: "allow"}

func (v Verdict) String() string { return nameOf(verdictNames[:], int(v)) }

// ParseVerdict finds a verdict by its name.
func ParseVerdict(s string) (Verdict, bool) {
	i, ok := parseName(verdictNames[:], s)
	return Verdict(i), ok
}

// A Decision is what the books say of one call.
type Decision struct {
	Verdict  Verdict
	Reason   Reason
	Book     string    // the book judged by, such as "nl 2026-07-01"; "" if none
	Findings []Finding // every rule that had something to say, in the order of the steps
	decided  int       // index of the finding that gave the reason, -1: none did
	permit   Reason    // of Permitted
	mode     CallMode  // of the call
}

// Told is the reason as the dialer is told it.
func (d *Decision) Told() Reason { return d.Reason.Public(d.mode) }

// Operational is the decision when the system itself can't judge or record a
// call: reason is one of the operation reasons.
func Operational(reason Reason) Decision { return Decision{Reason: reason, decided: -1} }

// Permitted is the decision when the system can't judge or record a call and
// the operator chose to let such calls pass. d is what could be judged.
func Permitted(why Reason, d Decision) Decision {
	return Decision{Verdict: Allowed, Reason: ReasonNotEnforced, Book: d.Book, Findings: d.Findings, decided: -1, permit: why}
}

// A Waiver is what a not-enforced decision let pass.
type Waiver struct {
	Reason Reason // that the refusal would have had; NoReason: the rule that gives a basis was left out
	Rule   string // that would have refused the call, "" when the system itself would have
	By     string // why it did not: shadow, off or permit; "" with NoReason
}

// Waived tells what a not-enforced decision let pass; it is zero for any other.
func (d *Decision) Waived() Waiver {
	if d.Reason != ReasonNotEnforced {
		return Waiver{}
	}
	if d.permit != NoReason {
		return Waiver{Reason: d.permit, By: "permit"}
	}
	f := d.Deciding()
	if f == nil {
		return Waiver{}
	}
	return Waiver{Reason: f.Reason, Rule: f.Rule.ID, By: f.Mode.String()}
}

// Deciding is the finding that gave the decision its reason, nil if no rule did.
func (d *Decision) Deciding() *Finding {
	if d.decided < 0 || d.decided >= len(d.Findings) {
		return nil
	}
	return &d.Findings[d.decided]
}

// Rule is the id of the rule that gave the reason, "" if none did.
func (d *Decision) Rule() string {
	if f := d.Deciding(); f != nil {
		return f.Rule.ID
	}
	return ""
}

// Basis is the ids of the facts that the deciding finding rests on.
func (d *Decision) Basis() []string {
	if f := d.Deciding(); f != nil {
		return f.Facts()
	}
	return nil
}

// NotEnforced are the findings that would have refused the call had their
// rule been enforced.
func (d *Decision) NotEnforced() []Finding {
	var out []Finding
	for _, f := range d.Findings {
		if f.Result == Deny && f.Mode != Enforce {
			out = append(out, f)
		}
	}
	return out
}

// A RulingID identifies one decision: 16 octets, a UUID version 7.
type RulingID [16]byte

const hexDigits = "0123456789abcdef"

// String is the usual text form of a UUID.
func (id RulingID) String() string { return string(id.AppendTo(make([]byte, 0, 36))) }

// AppendTo appends what String gives.
func (id RulingID) AppendTo(b []byte) []byte {
	for i, o := range id {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			b = append(b, '-')
		}
		b = append(b, hexDigits[o>>4], hexDigits[o&15])
	}
	return b
}

// A Ruling is a decision with its id, as the proxy carries it out.
type Ruling struct {
	ID       RulingID
	Repeat   bool // one more of the refusal that ID has the record of; it has none of its own
	Decision Decision
	Late     *Late // nil: the decision is the one that the record holds
}

// A Late tells what was done with an allowed call whose record was not on disk
// in time. The record still says that it was allowed; its outcome says this.
type Late struct {
	Verdict Verdict
	Reason  Reason
	// Of a refused call: the call that its record makes it look as if it was
	// made. Called is zero when it would not count.
	Called Number
	Made   EarlierCall
}

// A Record is a decision as the ledger keeps it.
type Record struct {
	ID       RulingID
	At       time.Time // of the attempt
	Took     time.Duration
	Node     string
	Config   string // id of the configuration in force
	Attempt  *Attempt
	Decision *Decision
	Answer   int // the SIP status code of a refusal, 0 for an allowed call
}

// An Outcome tells how the set-up of a judged call ended.
type Outcome struct {
	ID      RulingID
	At      time.Time
	Code    int           // the final status code sent to the dialer
	Ring    time.Duration // from the first 180 or 183 to the end of the set-up; 0: it never rang
	EndedBy Party
	Carrier string // the carrier that it was sent to, of several the one whose answer counted; "": none
	Tried   int    // how many addresses of carriers were tried
	Block   *Block // nil: nobody blocked it
	Late    *Late  // nil: the call was answered as its decision says
}

// A Party is who ended the set-up of a call.
type Party uint8

const (
	EndedByCallee    Party = iota // the carrier's side answered with a final response
	EndedByDialer                 // the dialer sent CANCEL
	EndedByGate                   // refused here
	EndedByTimeout                // a timer ran out
	EndedByObjection              // an objection was recorded while the phone rang
	EndedUnknown                  // the node died before
)

var partyNames = [...]string{EndedByCallee: "callee", EndedByDialer: "dialer", EndedByGate: "gate", EndedByTimeout: "timeout", EndedByObjection: "objection", EndedUnknown: "unknown"}

func (p Party) String() string { return nameOf(partyNames[:], int(p)) }
