package sipproxy

import (
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"dialgate/policy"
	"dialgate/sipproxy/dns"
	"dialgate/sipproxy/transaction"
)

// A Judge decides one attempt and calls ready exactly once: before it returns,
// or later from another goroutine when the decision is durable.
type Judge func(a *policy.Attempt, ready func(policy.Ruling))

// Options of a Proxy.
type Options struct {
	Listeners []Listener
	Config    // the first; Use puts another one in its place

	// Key signs the tokens in Record-Route, at least 16 octets. Nodes of a
	// pair share it.
	Key []byte
	// Name stands in the Warning header field: a host name or a pseudonym.
	Name string
	// MaxTransactions bounds the server transactions; requests of calls that are
	// up, and emergency calls, find a tenth more room.
	MaxTransactions int
	Timers          transaction.Timers
	// Random gives a number of [0, n) for the choice among carriers; nil: any.
	Random func(n int) int
	// Resolver finds the addresses of carriers given by name; nil: a client of
	// DNS by these options.
	Resolver Resolver
	DNS      dns.Options

	Log     *slog.Logger
	Metrics prometheus.Registerer
}

const (
	defaultTransactions  = 100_000
	defaultEmergencyRate = 10
	minKey               = 16

	defaultFailoverWithin = 20 * time.Second
)

// bucket is a token bucket. Its zero value is full.
type bucket struct {
	level float64
	last  time.Time
}

// take takes one token, if there is one, from a bucket that holds rate tokens
// at most and gets as many a second. Rate 0 bounds nothing.
func (b *bucket) take(rate int, now time.Time) bool {
	if !b.has(rate, now) {
		return false
	}
	if rate > 0 {
		b.level--
	}
	return true
}

// has reports whether take would take one.
func (b *bucket) has(rate int, now time.Time) bool {
	if rate == 0 {
		return true
	}
	most := float64(rate)
	if b.last.IsZero() {
		b.level = most
	} else {
		b.level = min(most, b.level+now.Sub(b.last).Seconds()*most)
	}
	b.last = now
	return b.level >= 1
}
