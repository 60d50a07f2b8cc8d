package dns

import (
	"cmp"
	"context"
	"errors"
	"net/netip"
	"sync/atomic"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// Options of a Client. A zero has its default.
type Options struct {
	// Servers are asked in turn; none: those of the host's resolv.conf.
	Servers []netip.AddrPort
	Timeout time.Duration // how long one server has for an answer; 1 s
	Tries   int           // how often each server is asked; 2

	// Least and Most bound the times to live that are believed; 5 s and 1 h.
	Least, Most time.Duration
}

// again is how soon a question is asked again that nobody answered.
const again = 5 * time.Second

// A Client asks DNS and remembers what it was answered. It may be used by many
// at one time.
type Client struct {
	o        Options
	servers  servers
	cache    cache
	answered atomic.Int64 // which server did last
	counts   Counts
}

// NewClient makes a client; it asks nobody yet.
func NewClient(o Options) *Client {
	o.Timeout, o.Tries = cmp.Or(o.Timeout, time.Second), cmp.Or(o.Tries, 2)
	o.Least, o.Most = cmp.Or(o.Least, 5*time.Second), cmp.Or(o.Most, time.Hour)
	return &Client{o: o, servers: servers{given: o.Servers, file: resolvConf}, cache: cache{entries: map[question]entry{}}}
}

// An Answer is what DNS has of a name. No records: it says that there are none.
type Answer[R any] struct {
	Records []R
	For     time.Duration // after so long it is worth while to ask again
	// Old: nobody answers, and this is what was answered last.
	Old bool
}

// NAPTR asks for NAPTR records.
func (c *Client) NAPTR(ctx context.Context, name string) (Answer[NAPTR], error) {
	r, err := c.look(ctx, name, typeNAPTR)
	return Answer[NAPTR]{r.naptrs, r.lasts, r.old}, err
}

// SRV asks for SRV records.
func (c *Client) SRV(ctx context.Context, name string) (Answer[SRV], error) {
	r, err := c.look(ctx, name, dnsmessage.TypeSRV)
	return Answer[SRV]{r.srvs, r.lasts, r.old}, err
}

// Addresses asks for A and AAAA records. Of one kind those that are known do
// when of the other nothing can be learnt.
func (c *Client) Addresses(ctx context.Context, name string) (Answer[netip.Addr], error) {
	var six result
	var sixErr error
	done := make(chan struct{})
	go func() {
		defer close(done)
		six, sixErr = c.look(ctx, name, dnsmessage.TypeAAAA)
	}()
	four, err := c.look(ctx, name, dnsmessage.TypeA)
	<-done
	a := Answer[netip.Addr]{append(four.addrs[:len(four.addrs):len(four.addrs)], six.addrs...), min(four.lasts, six.lasts), four.old || six.old}
	if err = errors.Join(err, sixErr); err != nil && len(a.Records) > 0 {
		return Answer[netip.Addr]{a.Records, again, a.Old}, nil
	}
	return a, err
}

// A result is what a look came to.
type result struct {
	records
	lasts time.Duration
	old   bool
}

// Remembered is how many answers are in memory.
func (c *Client) Remembered() int { return c.cache.size() }

// look finds the records of a name, or of the name that it stands for.
func (c *Client) look(ctx context.Context, name string, kind dnsmessage.Type) (r result, err error) {
	q := question{kind: kind}
	if q.name, err = newName(name); err != nil {
		return r, err
	}
	r.lasts = c.o.Most
	for range maxChain {
		e, lasts, err := c.one(ctx, q)
		if err != nil {
			c.counts.add(Failed)
			return r, &lookError{q, err}
		}
		r.lasts, r.old = min(r.lasts, lasts), r.old || e.old
		if e.alias == "" {
			r.records = e.records
			return r, nil
		}
		q.name = e.alias
	}
	c.counts.add(Failed)
	return r, &lookError{q, errChain}
}

// one answers a question from memory, or asks it. When nobody answers, what
// was answered before has to do.
func (c *Client) one(ctx context.Context, q question) (entry, time.Duration, error) {
	known, there := c.cache.get(q)
	if left := known.fresh() - time.Since(known.asked); there && left > 0 {
		c.counts.add(Cached)
		return known, left, nil
	}
	r, err := c.ask(ctx, q)
	switch {
	case err == nil:
		e := entry{reply: r, asked: time.Now(), holds: c.holds(&r)}
		c.cache.put(q, e)
		event := Found
		if r.empty() && r.alias == "" {
			event = None
		}
		c.counts.add(event)
		return e, e.fresh(), nil
	case there:
		c.counts.add(Kept)
		known.old = time.Since(known.asked) >= known.holds
		return known, again, nil
	}
	return entry{}, 0, err
}

// holds is how long an answer is believed.
func (c *Client) holds(r *reply) time.Duration {
	if !r.timed {
		return c.o.Least // without an SOA a negative answer says nothing (RFC 2308 section 5)
	}
	return min(max(r.ttl, c.o.Least), c.o.Most)
}

// A lookError names the question that has no answer.
type lookError struct {
	q   question
	err error
}

func (e *lookError) Error() string { return "no " + e.q.String() + ": " + e.err.Error() }
func (e *lookError) Unwrap() error { return e.err }
