package policy

import (
	"fmt"
	"slices"
)

// A Purpose is what a campaign calls for.
type Purpose uint8

const (
	NoPurpose    Purpose = iota
	Commercial           // telemarketing, Tw art. 11.7
	Ideal                // telemarketing, Tw art. 11.7
	Charitable           // telemarketing, Tw art. 11.7
	Service              // informs a customer, offers nothing
	Research             // historical, statistical or scientific research (GDPR art. 89), offers nothing
	Requested            // a call that the called person asked for
	OtherPurpose         // anything else, offers nothing
)

var purposeNames = [...]string{Commercial: "commercial", Ideal: "ideal", Charitable: "charitable",
	Service: "service", Research: "research", Requested: "requested", OtherPurpose: "other"}

func (p Purpose) String() string { return nameOf(purposeNames[:], int(p)) }

// Telemarketing reports whether the purpose is one that Tw art. 11.7 names.
func (p Purpose) Telemarketing() bool { return p == Commercial || p == Ideal || p == Charitable }

// ParsePurpose finds a purpose by its name.
func ParsePurpose(s string) (Purpose, bool) {
	i, ok := parseName(purposeNames[:], s)
	return Purpose(i), ok
}

// A Sector decides which relationship the law accepts of an advertiser.
type Sector uint8

const (
	General   Sector = iota
	Charity          // charity or other ideal organisation, Tw art. 11.7(5)
	Publisher        // Tw art. 11.7(6)
	Lottery          // Tw art. 11.7(6)
)

var sectorNames = [...]string{General: "general", Charity: "charity", Publisher: "publisher", Lottery: "lottery"}

func (s Sector) String() string { return nameOf(sectorNames[:], int(s)) }

// ParseSector finds a sector by its name.
func ParseSector(s string) (Sector, bool) {
	i, ok := parseName(sectorNames[:], s)
	return Sector(i), ok
}

// An Advertiser is the legal entity on whose behalf is called.
type Advertiser struct {
	ID             string
	Name           string
	RegisterNumber string // of the trade register
	Sector         Sector
	IssuesPerYear  int    // publishers: how often the publication appears
	LicenceArticle string // lotteries: the article of the Wet op de kansspelen, "3", "9" or "27b"
	// RelationshipYears replaces the three years that a relationship may count
	// after its end (a longer term needs the Commissie Balanstoets
	// Telemarketing's advice). 0: the rule's own term.
	RelationshipYears int
}

// A CallMode is how a campaign calls: a person speaks, or a machine does.
type CallMode uint8

const (
	Live     CallMode = iota // a person speaks
	Robocall                 // without human intervention, Tw art. 11.7(1); fax counts as one
)

var callModeNames = [...]string{Live: "live", Robocall: "robocall"}

func (m CallMode) String() string { return nameOf(callModeNames[:], int(m)) }

// ParseCallMode finds a mode by its name.
func ParseCallMode(s string) (CallMode, bool) {
	i, ok := parseName(callModeNames[:], s)
	return CallMode(i), ok
}

// A Campaign is a series of calls for one purpose of one advertiser.
type Campaign struct {
	ID               string
	Advertiser       *Advertiser
	Purpose          Purpose
	Products         []string
	Mode             CallMode
	ObjectionOffered bool // the script offers the right of objection in every call
	NoOffer          bool // the script holds no offer; asked of service, research and other
}

// Effective is the purpose the campaign is judged by: service, research and
// other calls that do not attest that they offer nothing are commercial.
func (c *Campaign) Effective() Purpose {
	switch c.Purpose {
	case Service, Research, OtherPurpose:
		if !c.NoOffer {
			return Commercial
		}
	}
	return c.Purpose
}

// A CallerNumber is an entry of the inventory of numbers that may be shown.
type CallerNumber struct {
	Number           Number
	Holder           string
	ValidFrom        Date // zero: no beginning
	ValidTo          Date // the last day, zero: no end
	CallbackTestedAt Date // when somebody last called it back, zero: never
	PublishedAt      string
	Campaigns        []*Campaign // for which it is registered
}

// Registered reports whether the number may be shown on date d for a
// campaign, or, when the campaign is nil, for any.
func (n *CallerNumber) Registered(c *Campaign, d Date) bool {
	if n == nil || n.ValidFrom != 0 && d < n.ValidFrom || n.ValidTo != 0 && d > n.ValidTo {
		return false
	}
	return c == nil || slices.Contains(n.Campaigns, c)
}

// PeerTerms is what was agreed with one dialer about who it says it is.
type PeerTerms struct {
	ID string
	// Campaigns the peer may call for; AllCampaigns means every one.
	Campaigns    []string
	AllCampaigns bool
	// Names lists the campaigns the peer may name by X-Campaign. Empty: the
	// header is not read.
	Names []string
	// DisplayFrom is the header whose number the called person sees on this trunk.
	DisplayFrom IdentityHeader
	// TrustIdentity: an asserted identity (P-Asserted-Identity and its like)
	// counts. Marks that hide the caller count from any peer.
	TrustIdentity bool
	// NoScreening: the carrier does not compare the shown number with the
	// trunk's ("CLIP no screening"), so an asserted number may be another one.
	NoScreening bool
	// MayForward: calls with Diversion or History-Info are part of the trunk's use.
	MayForward bool
	// MayRoute: the peer may send preloaded routes and number-portability
	// parameters that change where the call goes.
	MayRoute bool
	// StrictSDP: an offer that is no SDP makes the call malformed; else it is noted.
	StrictSDP bool
	// Dialect names the table by which calls of this peer are refused.
	Dialect string
	// Go and Stop are the codes agreed with a switch that only asks whether a
	// call may be made; 0: those of the dialect.
	Go, Stop int
	// LeavesPath: the proxy leaves the call when it is set up.
	LeavesPath bool
	// Plan reads national forms of numbers.
	Plan *Plan
	// StripPrefixes are dial-plan prefixes that are removed before a called
	// number is judged, the longest first.
	StripPrefixes []string
}

// An IdentityHeader names the header that carries the caller's number.
type IdentityHeader uint8

const (
	HeaderFrom IdentityHeader = iota
	HeaderPAI                 // P-Asserted-Identity, RFC 3325
	HeaderRPID                // Remote-Party-ID, draft-ietf-sip-privacy-04
	HeaderPPI                 // P-Preferred-Identity, RFC 3325
)

var identityHeaderNames = [...]string{HeaderFrom: "from", HeaderPAI: "pai", HeaderRPID: "rpid", HeaderPPI: "ppi"}

func (h IdentityHeader) String() string { return nameOf(identityHeaderNames[:], int(h)) }

// Header is the header's name as RFCs spell it.
func (h IdentityHeader) Header() string {
	return [...]string{HeaderFrom: "From", HeaderPAI: "P-Asserted-Identity", HeaderRPID: "Remote-Party-ID", HeaderPPI: "P-Preferred-Identity"}[h]
}

// ParseIdentityHeader finds a header by its short name.
func ParseIdentityHeader(s string) (IdentityHeader, bool) {
	i, ok := parseName(identityHeaderNames[:], s)
	return IdentityHeader(i), ok
}

// A Directory knows the campaigns and the numbers they may show. It never
// changes; a new configuration makes a new one.
type Directory struct {
	campaigns map[string]*Campaign
	callers   map[Number]*CallerNumber
	registers []Register
}

// A Register is a do-not-call register that must be consulted before a call.
type Register struct {
	ID     string
	MaxAge int // days; a copy older than this denies. 0: any age
}

// NewDirectory makes a Directory. Campaign ids and caller numbers must be
// unique; the caller holds the values no longer.
func NewDirectory(campaigns []*Campaign, callers []*CallerNumber, registers []Register) (*Directory, error) {
	d := &Directory{
		campaigns: make(map[string]*Campaign, len(campaigns)),
		callers:   make(map[Number]*CallerNumber, len(callers)),
		registers: registers,
	}
	for _, c := range campaigns {
		if d.campaigns[c.ID] != nil {
			return nil, fmt.Errorf("campaign %q is there twice", c.ID)
		}
		d.campaigns[c.ID] = c
	}
	for _, n := range callers {
		if d.callers[n.Number] != nil {
			return nil, fmt.Errorf("caller number %s is there twice", n.Number.E164())
		}
		d.callers[n.Number] = n
	}
	return d, nil
}

// Campaign finds a campaign by its id, nil if there is none.
func (d *Directory) Campaign(id string) *Campaign { return d.campaigns[id] }

// Caller finds the inventory's entry of a number, nil if there is none.
func (d *Directory) Caller(n Number) *CallerNumber { return d.callers[n] }

// Registers are the do-not-call registers that must be consulted.
func (d *Directory) Registers() []Register { return d.registers }

// may reports whether the peer may call for a campaign at all.
func (p *PeerTerms) may(c *Campaign) bool {
	return p.AllCampaigns || slices.Contains(p.Campaigns, c.ID)
}

// RegisteredFor reports whether a number is in the inventory for any campaign
// of the peer.
func (d *Directory) RegisteredFor(p *PeerTerms, n Number) bool {
	entry := d.callers[n]
	return entry != nil && entry.usableBy(p)
}

// usableBy reports whether the number is registered for any campaign of the peer.
func (n *CallerNumber) usableBy(p *PeerTerms) bool { return slices.ContainsFunc(n.Campaigns, p.may) }

// TellCampaign finds the campaign of a call: the one the peer names if it may
// name it, else the peer's only one, else the only one of the peer's for which
// the caller number is registered. The campaign is nil when it can't be told,
// and why then says why. named is "" when the message names none.
func (d *Directory) TellCampaign(p *PeerTerms, caller Number, named string) (c *Campaign, why string) {
	if named != "" && len(p.Names) > 0 {
		c := d.campaigns[named]
		switch {
		case c == nil:
			return nil, "X-Campaign names a campaign that is not configured"
		case !slices.Contains(p.Names, named) || !p.may(c):
			return nil, "X-Campaign names a campaign that this peer may not name"
		}
		return c, ""
	}
	if !p.AllCampaigns && len(p.Campaigns) == 1 {
		if c := d.campaigns[p.Campaigns[0]]; c != nil {
			return c, ""
		}
	}
	if p.AllCampaigns && len(d.campaigns) == 1 {
		for _, c := range d.campaigns {
			return c, ""
		}
	}
	none := " and the message names none"
	if named != "" {
		none = " and X-Campaign is not read from this peer"
	}
	entry := d.callers[caller]
	if entry == nil {
		return nil, "the caller number belongs to no campaign" + none
	}
	for _, of := range entry.Campaigns {
		if !p.may(of) {
			continue
		}
		if c != nil {
			return nil, "the caller number belongs to more than one campaign of this peer" + none
		}
		c = of
	}
	if c == nil {
		return nil, "the caller number belongs to no campaign of this peer"
	}
	return c, ""
}
