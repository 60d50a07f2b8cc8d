package policy

// A Block is what the networks behind the carrier say when they refuse a call
// as unwanted. Nothing in it is verified.
type Block struct {
	Kind BlockKind
	Card CardState
	// Contact is whom the caller may ask why, as the response told it.
	Contact Contact

	// The call that was blocked. Called is zero when it has no number: then
	// nobody's wish can be noted.
	Caller, Called             Number
	Peer, Campaign, Advertiser string
}

// A Contact is who blocked a call, for redress. Each text is bounded.
type Contact struct{ Name, URL, Tel, Email string }

// A BlockKind tells who did not want a call.
type BlockKind uint8

const (
	NotBlocked BlockKind = iota
	Unwanted             // 607: the called person (RFC 8197)
	Rejected             // 608: an intermediary (RFC 8688)
	Analytics            // 603 with v=analytics1 (ATIS-1000099, "603+")
)

var blockNames = [...]string{NotBlocked: "none", Unwanted: "unwanted", Rejected: "rejected", Analytics: "analytics"}

func (k BlockKind) String() string { return nameOf(blockNames[:], int(k)) }

// BlockKinds are the kinds of blocks.
func BlockKinds() []BlockKind { return []BlockKind{Unwanted, Rejected, Analytics} }

// A CardState tells what became of the contact that a block should have.
type CardState uint8

const (
	NoCard        CardState = iota // there is none
	CardRead                       // it is in Contact
	CardElsewhere                  // it is at an address, which is in Contact and was not asked
	CardStale                      // it was issued more than a minute ago, or will be: not kept
	CardMalformed
)

var cardNames = [...]string{NoCard: "none", CardRead: "read", CardElsewhere: "elsewhere", CardStale: "stale", CardMalformed: "malformed"}

func (c CardState) String() string { return nameOf(cardNames[:], int(c)) }

// Objector is whose objection a block may be: the number that was called and
// the advertiser it was called for. Only a 607 is of the called person, and
// only a call with both numbers is somebody's word about somebody.
func (b *Block) Objector() (n Number, advertiser string, ok bool) {
	ok = b != nil && b.Kind == Unwanted && !b.Called.IsZero() && !b.Caller.IsZero() && b.Advertiser != ""
	if !ok {
		return Number{}, "", false
	}
	return b.Called, b.Advertiser, true
}
