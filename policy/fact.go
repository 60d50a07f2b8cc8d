package policy

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// A Kind tells what a fact is about.
type Kind uint8

const (
	NoKind Kind = iota
	Consent
	Withdrawal
	Objection
	Relationship
	Subscriber
	Callback
	Listed
	Undo
)

var kindNames = [...]string{Consent: "consent", Withdrawal: "withdrawal", Objection: "objection", Relationship: "relationship",
	Subscriber: "subscriber", Callback: "callback", Listed: "listed", Undo: "undo"}

func (k Kind) String() string { return nameOf(kindNames[:], int(k)) }

// ParseKind finds a kind by its name.
func ParseKind(s string) (Kind, bool) {
	i, ok := parseName(kindNames[:], s)
	return Kind(i), ok
}

// Kinds is every kind of fact, in order.
func Kinds() []Kind {
	return []Kind{Consent, Withdrawal, Objection, Relationship, Subscriber, Callback, Listed, Undo}
}

// rank orders facts of one instant so that the protective one comes last and
// wins: an objection outweighs a consent of the same second.
func (k Kind) rank() int {
	switch k {
	case Objection:
		return 3
	case Withdrawal:
		return 2
	case Listed:
		return 1
	}
	return 0
}

// A Fact is one dated statement about a number. It is never altered; a later
// fact outweighs it. Which fields mean something depends on the kind; the
// others are zero.
type Fact struct {
	ID         string
	Kind       Kind
	Number     Number
	Advertiser string    // a legal entity's id; "*" in an objection: all
	At         time.Time // when it happened
	RecordedAt time.Time // when it was learnt
	Source     string
	Batch      string // the import that brought it in
	Evidence   Evidence

	// consent
	Purposes       []Purpose
	Products       []string // also of a relationship
	Channels       []CallMode
	Method         string
	Preticked      bool
	Bundled        bool
	VerifiedAt     time.Time
	VerifiedBy     string
	ValidUntil     time.Time // also of a callback
	FirstCallBy    time.Time
	AfterObjection bool

	// withdrawal
	Consent string // the consent's id; "": all of this advertiser

	// objection
	Scope Scope
	Via   string

	// relationship
	Type             RelationshipType
	Started          Date
	Ended            Date // zero: it runs (see Fact.Runs)
	CollectedInSale  bool
	ObjectionOffered bool
	Objected         bool

	// subscriber
	Subscriber   SubscriberKind
	LegalForm    string
	PublishedFor []string // codes of purposes and products

	// callback
	Topic string

	// listed
	List  string
	Until time.Time

	// undo
	Undoes string // the id of the fact that is void
	Lifts  bool   // also one that protects the called person
}

// Evidence is what proves a fact.
type Evidence struct {
	URI         string // where the artefact is kept
	SHA256      string // of the artefact, hexadecimal
	TextVersion string // of the wording that was agreed to
	TextSHA256  string
	Person      string // who gave it: a reference, not a number
	IP          string
	Note        string
}

// A Scope is how far an objection reaches.
type Scope uint8

const (
	ScopeTelemarketing Scope = iota // commercial, ideal and charitable calls
	ScopeAll                        // every call
)

var scopeNames = [...]string{ScopeTelemarketing: "telemarketing", ScopeAll: "all"}

func (s Scope) String() string { return nameOf(scopeNames[:], int(s)) }

// ParseScope finds a scope by its name.
func ParseScope(s string) (Scope, bool) {
	i, ok := parseName(scopeNames[:], s)
	return Scope(i), ok
}

// A RelationshipType is how a person is related to an advertiser.
type RelationshipType uint8

const (
	NoRelationship RelationshipType = iota
	Sale
	Subscription
	Gift
	Donorship
	Volunteer
	Event
	Participant
	Petition
)

var relationshipNames = [...]string{Sale: "sale", Subscription: "subscription", Gift: "gift", Donorship: "donorship",
	Volunteer: "volunteer", Event: "event", Participant: "participant", Petition: "petition"}

func (t RelationshipType) String() string { return nameOf(relationshipNames[:], int(t)) }

// ParseRelationshipType finds a type by its name.
func ParseRelationshipType(s string) (RelationshipType, bool) {
	i, ok := parseName(relationshipNames[:], s)
	return RelationshipType(i), ok
}

// Lasting reports whether a relationship of this type runs until it is ended;
// the others are over on the day they began.
func (t RelationshipType) Lasting() bool {
	return t == Subscription || t == Participant || t == Donorship
}

// A SubscriberKind is who holds a number.
type SubscriberKind uint8

const (
	UnknownSubscriber SubscriberKind = iota
	Natural                          // a natural person
	NaturalBusiness                  // a natural person in business: sole trader, vof, cv, maatschap
	Legal                            // a legal person: bv, nv, stichting, vereniging, cooperatie, government
)

var subscriberNames = [...]string{UnknownSubscriber: "unknown", Natural: "natural", NaturalBusiness: "natural-business", Legal: "legal"}

func (s SubscriberKind) String() string { return nameOf(subscriberNames[:], int(s)) }

// ParseSubscriberKind finds a kind of subscriber by its name.
func ParseSubscriberKind(s string) (SubscriberKind, bool) {
	i, ok := parseName(subscriberNames[:], s)
	return SubscriberKind(i), ok
}

// EndDate is the last day of a relationship, zero while it runs.
func (f *Fact) EndDate() Date {
	if f.Ended == 0 && !f.Type.Lasting() {
		return f.Started
	}
	return f.Ended
}

// Binds is the instant from which an objection binds: when it was made or
// when it was recorded, whichever came first.
func (f *Fact) Binds() time.Time {
	if f.RecordedAt.IsZero() || f.At.Before(f.RecordedAt) {
		return f.At
	}
	return f.RecordedAt
}

// Compare orders facts by when they happened, at one instant the protective
// one last, then by id, so that any order of arrival gives one order here.
func (f *Fact) Compare(g *Fact) int {
	return cmp.Or(f.At.Compare(g.At), cmp.Compare(f.Kind.rank(), g.Kind.rank()), protective(f, g), strings.Compare(f.ID, g.ID))
}

// protective orders two subscriber facts of one instant: who is protected more comes last.
func protective(f, g *Fact) int {
	if f.Kind != Subscriber || g.Kind != Subscriber {
		return 0
	}
	return -cmp.Compare(f.Subscriber, g.Subscriber)
}

// Facts is all that is known of one number when a call is judged.
type Facts struct {
	Number Number
	All    []Fact        // in the order of Fact.Compare
	Calls  []EarlierCall // earlier calls to this number, oldest first
	// AsOf tells for each do-not-call register the date of the copy that was
	// loaded; a register that is not there was never loaded.
	AsOf map[string]time.Time
	// Copies are those that AsOf was made of, in the order in which they were
	// recorded; they tell what it was at an earlier time. nil: that is not known.
	Copies []RegisterCopy
}

// An EarlierCall is a call to the number that was judged before. It is
// comparable.
type EarlierCall struct {
	At         time.Time
	Advertiser string
	Allowed    bool
	Purpose    Purpose   // that it was judged by, NoPurpose: not known
	Attempt    AttemptID // 0: not known
	// Unsure: the node died before it was known whether the call went out. It
	// counts where calls are too many, and not where one had to be made.
	Unsure bool
}

// SameRecord reports whether two calls are of one decision.
func (e *EarlierCall) SameRecord(f *EarlierCall) bool {
	return e.At.Equal(f.At) && e.Advertiser == f.Advertiser && e.Attempt == f.Attempt
}

// Telemarketing reports whether it was a telemarketing call; one of which the
// purpose is not known counts as one.
func (e *EarlierCall) Telemarketing() bool {
	return e.Purpose == NoPurpose || e.Purpose.Telemarketing()
}

// SameAttempt reports whether two INVITEs belong to one attempt.
func (e *EarlierCall) SameAttempt(f *EarlierCall) bool {
	return e.Attempt != 0 && e.Attempt == f.Attempt && e.Advertiser == f.Advertiser && e.Purpose == f.Purpose &&
		e.At.Sub(f.At).Abs() <= AttemptSpan
}

// CallsKept is how many calls of one advertiser to one number are remembered
// at least, and so how many a rule can count.
const CallsKept = 32

// Sort puts the facts into their order.
func (f *Facts) Sort() {
	slices.SortFunc(f.All, func(a, b Fact) int { return a.Compare(&b) })
}

// KnownAt is what had been recorded by t.
func (f *Facts) KnownAt(t time.Time) Facts {
	known := *f
	known.All = slices.DeleteFunc(slices.Clone(f.All), func(x Fact) bool { return x.RecordedAt.After(t) })
	known.Calls = slices.DeleteFunc(slices.Clone(f.Calls), func(c EarlierCall) bool { return c.At.After(t) })
	later := slices.IndexFunc(f.Copies, func(c RegisterCopy) bool { return c.RecordedAt.After(t) })
	if later >= 0 {
		known.Copies = f.Copies[:later]
		known.AsOf = RegistersAsOf(known.Copies)
	}
	return known
}
