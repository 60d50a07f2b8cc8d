package sipproxy

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"dialgate/policy"
	"dialgate/sipproxy/transport"
)

// A Config is everything that a configuration decides about calls. [Proxy.Use]
// puts another one in force in one step; nothing in it may change after that.
type Config struct {
	Peers    []Peer
	Carriers []Carrier
	// Inbound names the peer that a call from a carrier to a number goes to.
	Inbound map[policy.Number]Target

	// Reader reads attempts, Judge decides them by rules of the same
	// configuration, and Outcome is told how their set-up ended.
	Reader  *Reader
	Judge   Judge
	Outcome func(policy.Outcome)
	// JudgeCaller decides whether a call may go on when its caller identity
	// changes, by the rules about the caller alone; nil: Judge does.
	JudgeCaller Judge
	// Objected reports whether an objection refuses, by what is known now, a
	// call that was allowed; nil: none does.
	Objected func(*policy.Attempt) bool

	// Realm is what peers with a Digest are asked to prove themselves for.
	Realm string
	// AnswerStrangers: a request from an unknown source gets 403; else silence.
	AnswerStrangers bool
	// OutOfDialog are methods that go from a dialer to its carrier outside a
	// call, unjudged.
	OutOfDialog []string
	// EmergencyRate bounds emergency calls a second, a burst of as many allowed.
	EmergencyRate int
	// FailoverWithin is how long after its INVITE a call may still go on to
	// another target; 0: 20 seconds.
	FailoverWithin time.Duration
}

// A Peer is a dialer.
type Peer struct {
	Terms   *policy.PeerTerms
	Sources []netip.Prefix
	// Listeners are the local addresses by which it is known; none: all.
	Listeners []netip.AddrPort
	// Names are those in certificates by which it is known, whatever its address.
	Names []string
	// Digest is how it proves who it is, beside coming from where it does; nil:
	// that is enough.
	Digest  *Digest
	Dialect Dialect
	// Go and Stop are the codes agreed with a switch that only asks; 0: those
	// of the dialect.
	Go, Stop int
	// LeavesPath: no Record-Route, so that what follows the set-up of a call
	// does not come by here.
	LeavesPath bool
	// CallsPerSecond bounds new calls, a burst of as many allowed; 0: no bound.
	CallsPerSecond int
	// CallsInSetup bounds calls without a final response; 0: no bound.
	CallsInSetup int
}

// A Target is where calls from a carrier go.
type Target struct {
	Addr      netip.AddrPort
	Transport transport.Kind
	// TLS is how its certificate is checked, where the transport has one; nil:
	// as that of anybody else.
	TLS *transport.ServerCheck
}

// inForce is a configuration as messages are worked off by it. Each message
// takes the one in force when it arrives, once, and a call keeps that of its
// INVITE: none is read by one configuration and judged or answered by another.
type inForce struct {
	Config
	sources []source           // dialers before carriers, the longest prefix first
	names   map[string]*source // by the certificate
	targets map[end]*source
	checks  map[end]*transport.ServerCheck // of carriers and of dialers that are called
	peers   map[string]*peer

	carriers []*carrier // as Carriers
	reach    map[targetKey]*target
	hops     int // targets in all
}

// An end is an address with the transport by which it is there: another
// program on its host may have the same port of another transport.
type end struct {
	addr netip.AddrPort
	kind transport.Kind
}

// A source is who may send from an address.
type source struct {
	prefix  netip.Prefix
	peer    *peer    // a dialer, or
	carrier *Carrier // a carrier
}

// A peer is a dialer with what its limits count. The counts outlive a
// configuration: they are those of the peer of this id in the one before.
type peer struct {
	Peer
	*counts
}

// counts are used under the layer's lock.
type counts struct {
	rate    bucket
	inSetup int
	last    time.Time // when a peer's last INVITE came
}

// Use puts another configuration in force for every message that arrives from
// now on. Calls in set-up stay with the one that they were judged by.
func (p *Proxy) Use(c Config) error {
	p.using.Lock()
	defer p.using.Unlock()
	p.ask(firstLookup, p.unknown(&c))
	return p.use(c)
}

// use puts a configuration in force with what is known of its names.
func (p *Proxy) use(c Config) error {
	p.expand(&c)
	next, err := newInForce(c, p.config.Load())
	if err != nil {
		return err
	}
	for i := range next.Carriers {
		if err := p.reachable(&next.Carriers[i]); err != nil {
			return err
		}
	}
	before := p.config.Swap(next)
	p.watch(next, before)
	p.forgetNames(&next.Config)
	return nil
}

// reachable tells why a carrier could never be called.
func (p *Proxy) reachable(c *Carrier) error {
	if len(c.targets) == 0 && len(c.Names) > 0 {
		return nil // nothing is known of its name yet
	}
	for _, t := range c.targets {
		if p.listenerFor(&p.o.Listeners[0], t.kind, t.addr.Addr()) != nil {
			return nil
		}
	}
	return fmt.Errorf("carrier %s can't be reached: no listener of this node is for %s in the address family of its targets; add one under listen.%s, which takes a restart", c.ID, c.Transport, c.Transport)
}

// newInForce prepares a configuration that follows another, nil for the first.
func newInForce(c Config, before *inForce) (*inForce, error) {
	if len(c.Carriers) == 0 {
		return nil, errors.New("the proxy has no carrier: add one under carriers")
	}
	if c.EmergencyRate == 0 {
		c.EmergencyRate = defaultEmergencyRate
	}
	if c.FailoverWithin == 0 {
		c.FailoverWithin = defaultFailoverWithin
	}
	if c.Outcome == nil {
		c.Outcome = func(policy.Outcome) {}
	}
	if c.JudgeCaller == nil {
		c.JudgeCaller = c.Judge
	}
	f := &inForce{Config: c, names: map[string]*source{}, targets: map[end]*source{}, checks: map[end]*transport.ServerCheck{}, peers: map[string]*peer{}}
	f.Carriers = slices.SortedStableFunc(slices.Values(c.Carriers), func(a, b Carrier) int { return cmp.Compare(a.Priority, b.Priority) })
	if !slices.ContainsFunc(c.Peers, func(q Peer) bool { return q.Digest != nil }) {
		f.Realm = "" // credentials for it are for somebody else
	}
	for i := range c.Peers {
		of := &peer{Peer: c.Peers[i], counts: &counts{}}
		if before != nil && before.peers[of.Terms.ID] != nil {
			of.counts = before.peers[of.Terms.ID].counts
		}
		f.peers[of.Terms.ID] = of
		for _, prefix := range of.Sources {
			f.sources = append(f.sources, source{prefix: prefix, peer: of})
		}
		for _, name := range of.Names {
			f.names[strings.ToLower(name)] = &source{peer: of}
		}
	}
	for _, to := range c.Inbound {
		if to.TLS != nil {
			f.checks[end{to.Addr, to.Transport}] = to.TLS
		}
	}
	f.carry(before, time.Now())
	for i := range f.Carriers {
		k := &f.Carriers[i]
		for _, t := range k.targets {
			f.sources = append(f.sources, source{prefix: netip.PrefixFrom(t.addr.Addr(), t.addr.Addr().BitLen()), carrier: k})
			f.targets[end{t.addr, t.kind}] = &source{carrier: k}
			if k.TLS != nil {
				f.checks[end{t.addr, t.kind}] = k.TLS
			}
			if k.LargeOverTCP {
				f.targets[end{t.addr, transport.TCP}] = &source{carrier: k}
			}
		}
		for _, prefix := range k.Sources {
			f.sources = append(f.sources, source{prefix: prefix, carrier: k})
		}
	}
	slices.SortStableFunc(f.sources, func(a, b source) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(b.prefix.Bits(), a.prefix.Bits()))
	})
	return f, nil
}

// ServerCheck tells how a TLS server at an address is met by the configuration
// in force. One that it does not name, such as a Contact within a call, must
// have a certificate for its address, of an authority of the system.
func (p *Proxy) ServerCheck(a netip.AddrPort) *transport.ServerCheck {
	for _, k := range [...]transport.Kind{transport.TLS, transport.WSS} {
		if check := p.config.Load().checks[end{a, k}]; check != nil {
			return check
		}
	}
	return &transport.ServerCheck{}
}

func rank(s source) int {
	if s.peer != nil {
		return 0
	}
	return 1
}

// origin is who has sent a message by a listener, nil for strangers. A name that a
// certificate proves goes before an address. A carrier's own address and port
// is the carrier, also on a host that dialers send from; otherwise a dialer's
// network goes before a carrier's address, so that a dialer beside its carrier
// is judged.
func (f *inForce) origin(l *Listener, d *transport.Datagram) *source {
	for _, name := range d.Names {
		if s := f.names[name]; s != nil && s.uses(l) {
			return s
		}
	}
	if s := f.targets[end{d.Remote, l.kind()}]; s != nil {
		return s
	}
	for i := range f.sources {
		if s := &f.sources[i]; s.prefix.Contains(d.Remote.Addr()) && s.uses(l) {
			return s
		}
	}
	return nil
}

// uses reports whether who it is may come by a listener.
func (s *source) uses(l *Listener) bool {
	return s.peer == nil || len(s.peer.Listeners) == 0 || slices.Contains(s.peer.Listeners, l.Conn.LocalAddr())
}

// at is who an address is of, whatever its transport, nil when it is nobody's.
func (f *inForce) at(a netip.AddrPort) *source {
	for _, k := range transport.Kinds() {
		if s := f.targets[end{a, k}]; s != nil {
			return s
		}
	}
	return f.host(a.Addr())
}

// host is who a host is of, nil when it is nobody's.
func (f *inForce) host(a netip.Addr) *source {
	for i := range f.sources {
		if f.sources[i].prefix.Contains(a) {
			return &f.sources[i]
		}
	}
	return nil
}
