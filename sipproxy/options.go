package sipproxy

import (
	"log/slog"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"dialgate/policy"
	"dialgate/sipproxy/transaction"
	"dialgate/sipproxy/transport"
)

// A Judge decides one attempt and calls ready exactly once: before it returns,
// or later from another goroutine when the decision is durable.
type Judge func(a *policy.Attempt, ready func(policy.Ruling))

// Options of a Proxy.
type Options struct {
	Listeners []Listener
	Peers     []Peer
	Carriers  []Carrier
	// Inbound names the peer that a call from a carrier to a number goes to.
	Inbound map[policy.Number]Target

	Reader  *Reader
	Judge   Judge
	Outcome func(policy.Outcome)

	// Key signs the tokens in Record-Route, at least 16 octets. Nodes of a
	// pair share it.
	Key []byte
	// Name stands in the Warning header field: a host name or a pseudonym.
	Name string
	// AnswerStrangers: a request from an unknown source gets 403; else silence.
	AnswerStrangers bool
	// EmergencyRate bounds emergency calls a second, a burst of as many allowed.
	EmergencyRate int
	// MaxTransactions bounds the server transactions.
	MaxTransactions int
	Timers          transaction.Timers

	Log     *slog.Logger
	Metrics prometheus.Registerer
}

// A Peer is a dialer.
type Peer struct {
	Terms   *policy.PeerTerms
	Sources []netip.Prefix
	// Names are those in certificates by which it is known, whatever its address.
	Names   []string
	Dialect Dialect
	// CallsPerSecond bounds new calls, a burst of as many allowed; 0: no bound.
	CallsPerSecond int
	// CallsInSetup bounds calls without a final response; 0: no bound.
	CallsInSetup int
}

// A Carrier is where allowed calls go.
type Carrier struct {
	ID      string
	Targets []netip.AddrPort
	// Transport is how it is reached.
	Transport transport.Kind
	// LargeOverTCP: requests near the MTU go over TCP, by the same targets.
	LargeOverTCP bool
	// Sources are further addresses that the carrier sends from.
	Sources  []netip.Prefix
	Weight   int
	Priority int // the lowest goes first
}

// A Target is where calls from a carrier go.
type Target struct {
	Addr      netip.AddrPort
	Transport transport.Kind
}

const (
	defaultTransactions  = 100_000
	defaultEmergencyRate = 10
	minKey               = 16
)

// bucket is a token bucket. Its zero value, with rate 0, bounds nothing.
type bucket struct {
	rate  float64 // tokens a second, and the most it holds
	level float64
	last  time.Time
}

func newBucket(rate int) bucket { return bucket{rate: float64(rate), level: float64(rate)} }

// take takes one token if there is one.
func (b *bucket) take(now time.Time) bool {
	if b.rate == 0 {
		return true
	}
	if !b.last.IsZero() {
		b.level = min(b.rate, b.level+now.Sub(b.last).Seconds()*b.rate)
	}
	b.last = now
	if b.level < 1 {
		return false
	}
	b.level--
	return true
}
