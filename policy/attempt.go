package policy

import "time"

// An Attempt is what the wire tells of one call, and when. It holds
// observations; what they mean is for the rules.
type Attempt struct {
	At     time.Time  // when the INVITE arrived
	Peer   *PeerTerms // nil: the source is no configured peer
	CallID string     // the SIP Call-ID, for the record and to tell a retry from another attempt

	Caller Caller
	Called Called

	Campaign   *Campaign     // nil: can't be told
	NoCampaign string        // why it can't be told, a sentence part
	Named      string        // the campaign that the message names, as it stands there; "" if none
	Entry      *CallerNumber // the inventory's entry of the number shown, nil if there is none
	Registers  []Register    // the do-not-call registers in force

	// Fax: the offer holds T.38 or image media. A fax counts as a robocall.
	Fax bool
	// Media are the streams offered, as far as the offer could be read; none
	// when the INVITE holds no offer.
	Media []Media

	// Malformed says what in the message can't be judged, such as two
	// X-Campaign headers; "" when all can.
	Malformed string

	// Raw is the message where the record keeps it; nil: it does not.
	Raw []byte
}

// Mode is how the call is made; a fax is a robocall whatever its campaign says.
func (a *Attempt) Mode() CallMode {
	if a.Fax {
		return Robocall
	}
	if a.Campaign != nil {
		return a.Campaign.Mode
	}
	return Live
}

// An AttemptID stands for the Call-ID of an attempt: a short hash of it that
// is the same in every process.
type AttemptID uint64

// AttemptSpan is how long after the first INVITE of an attempt another one
// with its Call-ID belongs to it. A dialer keeps the Call-ID when it answers a
// challenge or tries another route (RFC 3261 sections 8.1.3.4 and 8.1.3.5),
// which takes it no longer than a call may ring.
const AttemptSpan = 5 * time.Minute

// ID is the attempt's id, 0 without a Call-ID. It is FNV-1a.
func (a *Attempt) ID() AttemptID {
	if a.CallID == "" {
		return 0
	}
	h := AttemptID(14695981039346656037)
	for i := range len(a.CallID) {
		h = (h ^ AttemptID(a.CallID[i])) * 1099511628211
	}
	return h
}

// Made is the attempt as later calls to the number see it once it is allowed.
// It is false for one that counts for nothing: without a called number, as an
// emergency call is, or without a campaign.
func (a *Attempt) Made() (EarlierCall, bool) {
	if a.Campaign == nil || a.Called.Number.IsZero() || a.Called.Emergency {
		return EarlierCall{}, false
	}
	return EarlierCall{At: a.At, Advertiser: a.Campaign.Advertiser.ID, Allowed: true, Purpose: a.Campaign.Effective(), Attempt: a.ID()}, true
}

// Called is the number that the Request-URI asks for.
type Called struct {
	Number Number // zero: not an E.164 number
	Short  string // digits of a short code such as "112", or "" when Number is set
	Class  Class  // under the plan of its country
	// Emergency: the call is to an emergency number in the narrow sense in
	// which nothing may hinder it.
	Emergency bool
	// Hides is the dialled prefix that hides the caller (131, *31*, #31#), "" if none.
	Hides string
	// Text says what stood there when it is no number.
	Text string
}

// Caller is what a message says about who calls.
type Caller struct {
	Shown Number         // the number the called person will see; zero: none could be read
	From  IdentityHeader // the header it was read from
	Class Class          // of Shown under the plan of its country, or of a short code in its place
	Text  string         // what stood there when it is no number, "" when nothing did
	Marks []Mark         // all that was noticed, in the order of the headers
}

// A Mark is one thing in a message that hides the caller, contradicts the
// number shown, or is worth recording.
type Mark struct {
	Kind   MarkKind
	Header string // the header's name as RFCs spell it, or "Request-URI"
	Saw    string // what was seen there, short and without a full number
	Means  string // what it means, the rest of a sentence: "asks to hide the caller"
}

// Sentence puts the mark into one sentence.
func (m Mark) Sentence() string {
	if m.Saw == "" {
		return m.Header + " " + m.Means
	}
	return m.Header + " " + m.Saw + " " + m.Means
}

// A MarkKind says what a mark does to a call.
type MarkKind uint8

const (
	MarkNote        MarkKind = iota // recorded, refuses nothing
	MarkHidden                      // the caller is hidden: caller-anonymous
	MarkContradicts                 // the message contradicts itself: caller-contradictory
)

var markKindNames = [...]string{MarkNote: "note", MarkHidden: "hidden", MarkContradicts: "contradicts"}

func (k MarkKind) String() string { return nameOf(markKindNames[:], int(k)) }

// ParseMarkKind finds a kind by its name.
func ParseMarkKind(s string) (MarkKind, bool) {
	i, ok := parseName(markKindNames[:], s)
	return MarkKind(i), ok
}

// Mark finds the first mark of a kind, nil if there is none.
func (c *Caller) Mark(k MarkKind) *Mark {
	for i := range c.Marks {
		if c.Marks[i].Kind == k {
			return &c.Marks[i]
		}
	}
	return nil
}
