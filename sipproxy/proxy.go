package sipproxy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"net"
	"net/netip"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"dialgate/policy"
	"dialgate/sipproxy/message"
	"dialgate/sipproxy/transaction"
	"dialgate/sipproxy/transport"
)

// A Proxy carries calls from dialers to carriers when its judge allows them.
type Proxy struct {
	o       Options
	layer   *transaction.Layer
	tokens  *tokens
	sources []source           // dialers before carriers, the longest prefix first
	names   map[string]*source // by the certificate
	targets map[netip.AddrPort]*source
	ours    map[netip.AddrPort]bool
	metrics *metrics
	seed    maphash.Seed

	draining  atomic.Bool
	open      map[uint64]bool // INVITEs without a final response, against merged requests
	emergency bucket
	scratch   message.View // for building responses, under the layer's lock

	resume resumer
	closed chan struct{}
	wg     sync.WaitGroup
}

// A source is who may send from an address.
type source struct {
	prefix  netip.Prefix
	peer    *peer    // a dialer, or
	carrier *Carrier // a carrier
}

// A peer is a dialer with what its limits count, under the layer's lock.
type peer struct {
	Peer
	rate    bucket
	inSetup int
}

// New makes a Proxy of its options; Serve starts it.
func New(o Options) (*Proxy, error) {
	switch {
	case len(o.Listeners) == 0:
		return nil, errors.New("the proxy has no listener: add one under listen")
	case len(o.Carriers) == 0:
		return nil, errors.New("the proxy has no carrier: add one under carriers")
	case len(o.Key) < minKey:
		return nil, fmt.Errorf("the key for call tokens has %d octets, at least %d are needed", len(o.Key), minKey)
	}
	if o.MaxTransactions == 0 {
		o.MaxTransactions = defaultTransactions
	}
	if o.EmergencyRate == 0 {
		o.EmergencyRate = defaultEmergencyRate
	}
	if o.Timers == (transaction.Timers{}) {
		o.Timers = transaction.DefaultTimers()
	}
	if o.Outcome == nil {
		o.Outcome = func(policy.Outcome) {}
	}
	p := &Proxy{
		o: o, tokens: newTokens(o.Key), ours: map[netip.AddrPort]bool{}, names: map[string]*source{}, targets: map[netip.AddrPort]*source{}, open: map[uint64]bool{},
		emergency: newBucket(o.EmergencyRate), closed: make(chan struct{}), seed: maphash.MakeSeed(),
		resume: resumer{wake: make(chan struct{}, 1)},
	}
	p.layer = transaction.New(o.Timers, o.MaxTransactions, p.sendFailed)
	for i := range o.Listeners {
		l := &o.Listeners[i]
		p.ours[l.Advertised], p.ours[l.Conn.LocalAddr()] = true, true
		if s, ok := l.Conn.(*transport.Stream); ok {
			p.handle(l, s)
		}
	}
	slices.SortStableFunc(p.o.Carriers, func(a, b Carrier) int { return cmp.Compare(a.Priority, b.Priority) })
	for i := range p.o.Peers {
		of := &peer{Peer: p.o.Peers[i], rate: newBucket(p.o.Peers[i].CallsPerSecond)}
		for _, prefix := range of.Sources {
			p.sources = append(p.sources, source{prefix: prefix, peer: of})
		}
		for _, name := range of.Names {
			p.names[strings.ToLower(name)] = &source{peer: of}
		}
	}
	for i := range p.o.Carriers {
		c := &p.o.Carriers[i]
		for _, t := range c.Targets {
			p.sources = append(p.sources, source{prefix: netip.PrefixFrom(t.Addr(), t.Addr().BitLen()), carrier: c})
			p.targets[t] = &source{carrier: c}
		}
		for _, prefix := range c.Sources {
			p.sources = append(p.sources, source{prefix: prefix, carrier: c})
		}
	}
	slices.SortStableFunc(p.sources, func(a, b source) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(b.prefix.Bits(), a.prefix.Bits()))
	})
	p.metrics = newMetrics(o.Metrics, p)
	return p, nil
}

// Serve reads from all listeners until Close, or until one of them fails; then
// it closes the proxy and says why.
func (p *Proxy) Serve() error {
	p.wg.Go(func() { p.layer.Run(p.closed) })
	p.wg.Go(p.runResumed)
	failed := make(chan error, len(p.o.Listeners))
	for i := range p.o.Listeners {
		p.wg.Go(func() { failed <- p.read(&p.o.Listeners[i]) })
	}
	err := <-failed
	p.Close()
	p.wg.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return fmt.Errorf("a listener has failed: %w", err)
}

// Close stops at once. Drain first to let calls end.
func (p *Proxy) Close() {
	if p.layer == nil {
		return
	}
	p.layer.Lock()
	select {
	case <-p.closed:
	default:
		close(p.closed)
	}
	p.layer.Unlock()
	for i := range p.o.Listeners {
		_ = p.o.Listeners[i].Conn.Close() // closing twice is no fault
	}
}

// Drain takes no new calls but emergencies, and waits until every call set-up
// has its final response or ctx is done.
func (p *Proxy) Drain(ctx context.Context) error {
	p.draining.Store(true)
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for {
		p.layer.Lock()
		left := len(p.open)
		p.layer.Unlock()
		if left == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d calls were still being set up", left)
		case <-poll.C:
		}
	}
}

// read takes messages from one listener and works each off to completion.
func (p *Proxy) read(l *Listener) error {
	switch c := l.Conn.(type) {
	case transport.PacketConn:
		return p.readPackets(l, c)
	case *transport.Stream:
		return c.Serve()
	}
	return fmt.Errorf("nobody knows how to read from a %T", l.Conn)
}

// views are for the goroutines of connections, which are many and mostly idle.
var views = sync.Pool{New: func() any { return new(message.View) }}

// handle has each connection's goroutine work off what it receives.
func (p *Proxy) handle(l *Listener, s *transport.Stream) {
	s.Handle(transport.Handler{
		Receive: func(d *transport.Datagram) bool {
			v := views.Get().(*message.View)
			defer views.Put(v)
			return p.receive(l, d, v)
		},
		Failed: func(d transport.Datagram, err error) {
			p.sendFailed(transaction.Path{Conn: s, Remote: d.Remote, Reliable: true}, d.Payload, err)
		},
		Known: func(a netip.Addr) bool {
			return p.origin(&transport.Datagram{Remote: netip.AddrPortFrom(a, 0)}) != nil
		},
	})
}

func (p *Proxy) readPackets(l *Listener, c transport.PacketConn) error {
	ds := make([]transport.Datagram, transport.Batch)
	var v message.View
	for {
		n, err := c.ReadBatch(ds)
		if err != nil {
			return err
		}
		for i := range ds[:n] {
			p.receive(l, &ds[i], &v)
		}
	}
}

// locked runs f under the layer's lock; what f sends leaves after it.
func (p *Proxy) locked(f func()) {
	p.layer.Lock()
	defer p.layer.Unlock()
	f()
}

// receive works off one message. Whatever goes wrong in it, the next one is
// read: a panic is counted, and its call refused in the dialect. keep is false
// when a stranger has sent it, who has no business with a connection.
func (p *Proxy) receive(l *Listener, d *transport.Datagram, v *message.View) (keep bool) {
	defer func() {
		if r := recover(); r != nil {
			p.metrics.panics.Inc()
			p.o.Log.Error("a message could not be worked off; this is a fault in dialgate", "panic", fmt.Sprint(r), "stack", string(debug.Stack()))
			p.refusePanic(l, d, v)
		}
	}()
	if message.IsKeepAlive(d.Payload) {
		return true
	}
	who := p.origin(d)
	err := v.Parse(d.Payload)
	if d.Broken != nil {
		err = d.Broken
	}
	if err != nil {
		p.malformed(l, d, v, err)
		return who != nil
	}
	if v.IsRequest() {
		p.metrics.request(v.Method, in, l.kind())
		p.request(l, who, d.Remote, v)
		return who != nil
	}
	p.metrics.response(v.Status, in)
	p.response(v)
	return true
}

// response hands a response to the transaction it belongs to. One that belongs
// to none, or is not meant for us, is dropped (RFC 6026 section 8.9).
func (p *Proxy) response(v *message.View) {
	p.locked(func() {
		c := p.layer.FindClient(v)
		if c == nil {
			p.metrics.dropped(dropStray)
			return
		}
		c.Receive(v)
	})
}

// origin is who has sent a message, nil for strangers. A name that a
// certificate proves goes before an address. A carrier's own
// address and port is the carrier, also on a host that dialers send from;
// otherwise a dialer's network goes before a carrier's address, so that a
// dialer beside its carrier is judged.
func (p *Proxy) origin(d *transport.Datagram) *source {
	for _, name := range d.Names {
		if s := p.names[name]; s != nil {
			return s
		}
	}
	if s := p.targets[d.Remote]; s != nil {
		return s
	}
	for i := range p.sources {
		if p.sources[i].prefix.Contains(d.Remote.Addr()) {
			return &p.sources[i]
		}
	}
	return nil
}

func rank(s source) int {
	if s.peer != nil {
		return 0
	}
	return 1
}

// sendFailed is told of a message that the network did not take. Over UDP its
// transaction sends it again. Over a stream nothing is sent again, so a request
// has failed with it.
func (p *Proxy) sendFailed(path transaction.Path, payload []byte, err error) {
	if errors.Is(err, net.ErrClosed) {
		return
	}
	p.metrics.sendErrors.Inc()
	p.o.Log.Warn("a message could not be sent", "to", path.Remote, "transport", path.Conn.Kind(), "error", err)
	if !path.Reliable {
		return
	}
	var v message.View
	if v.Parse(payload) == nil && v.IsRequest() {
		p.locked(func() { p.layer.Undelivered(&v) })
	}
}

// Draining reports whether the proxy takes no new calls any more.
func (p *Proxy) Draining() bool { return p.draining.Load() }
