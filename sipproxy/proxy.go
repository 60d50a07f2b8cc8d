package sipproxy

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"net"
	"net/netip"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"dialgate/sipproxy/message"
	"dialgate/sipproxy/transaction"
	"dialgate/sipproxy/transport"
)

// A Proxy carries calls from dialers to carriers when its judge allows them.
type Proxy struct {
	o       Options
	layer   *transaction.Layer
	tokens  *tokens
	ours    map[netip.AddrPort]bool
	metrics *metrics
	seed    maphash.Seed

	config atomic.Pointer[inForce]
	using  sync.Mutex // one configuration at a time follows another

	draining  atomic.Bool
	open      map[uint64]bool // INVITE transactions that run, against merged requests
	inSetup   int             // INVITEs without a final response
	emergency bucket
	scratch   message.View // for building responses, under the layer's lock

	resume resumer
	closed chan struct{}
	wg     sync.WaitGroup
}

// New makes a Proxy of its options; Serve starts it.
func New(o Options) (*Proxy, error) {
	switch {
	case len(o.Listeners) == 0:
		return nil, errors.New("the proxy has no listener: add one under listen.udp")
	case len(o.Key) < minKey:
		return nil, fmt.Errorf("the key for call tokens has %d octets, at least %d are needed", len(o.Key), minKey)
	}
	if o.MaxTransactions == 0 {
		o.MaxTransactions = defaultTransactions
	}
	if o.Timers == (transaction.Timers{}) {
		o.Timers = transaction.DefaultTimers()
	}
	p := &Proxy{
		o: o, tokens: newTokens(o.Key), ours: map[netip.AddrPort]bool{}, open: map[uint64]bool{},
		closed: make(chan struct{}), seed: maphash.MakeSeed(), resume: resumer{wake: make(chan struct{}, 1)},
	}
	if err := p.Use(o.Config); err != nil {
		return nil, err
	}
	p.o.Config = Config{} // from here on, only the one in force counts
	p.layer = transaction.New(o.Timers, o.MaxTransactions, p.sendFailed)
	for _, l := range o.Listeners {
		p.ours[l.Advertised], p.ours[l.Conn.LocalAddr()] = true, true
	}
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
		left := p.inSetup
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

// read takes datagrams from one listener and works each off to completion.
func (p *Proxy) read(l *Listener) error {
	ds := make([]transport.Datagram, transport.Batch)
	var v message.View
	for {
		n, err := l.Conn.ReadBatch(ds)
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

// receive works off one datagram. Whatever goes wrong in it, the next one is
// read: a panic is counted, and its call refused in the dialect.
func (p *Proxy) receive(l *Listener, d *transport.Datagram, v *message.View) {
	c := p.config.Load()
	defer func() {
		if r := recover(); r != nil {
			p.metrics.panics.Inc()
			p.o.Log.Error("a message could not be worked off; this is a fault in dialgate", "panic", fmt.Sprint(r), "stack", string(debug.Stack()))
			p.refusePanic(c, l, d, v)
		}
	}()
	if message.IsKeepAlive(d.Payload) {
		return
	}
	err := v.Parse(d.Payload)
	if err != nil {
		p.malformed(c, l, d, v, err)
		return
	}
	if v.IsRequest() {
		p.metrics.request(v.Method, in)
		p.request(c, l, d.Remote, v)
		return
	}
	p.metrics.response(v.Status, in)
	p.response(v)
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

// isOurs reports whether a URI is one of our own addresses.
func (p *Proxy) isOurs(u *message.URI) bool {
	a, ok := hostAddr(u)
	return ok && p.ours[a]
}

// hostAddr is the address of a URI whose host is an IP address.
func hostAddr(u *message.URI) (netip.AddrPort, bool) {
	if len(u.Host) == 0 {
		return netip.AddrPort{}, false
	}
	a, err := netip.ParseAddr(string(u.Host))
	if err != nil {
		return netip.AddrPort{}, false
	}
	port := u.Port
	if port == 0 {
		port = 5060
	}
	return netip.AddrPortFrom(a.Unmap(), port), true
}

// listenerFor is the listener from which an address can be reached: this one
// when the address family fits, else the first that does.
func (p *Proxy) listenerFor(l *Listener, to netip.Addr) *Listener {
	if l.Conn.LocalAddr().Addr().Is4() == to.Is4() {
		return l
	}
	for i := range p.o.Listeners {
		if p.o.Listeners[i].Conn.LocalAddr().Addr().Is4() == to.Is4() {
			return &p.o.Listeners[i]
		}
	}
	return nil
}

func (p *Proxy) sendFailed(path transaction.Path, err error) {
	if errors.Is(err, net.ErrClosed) {
		return
	}
	p.metrics.sendErrors.Inc()
	p.o.Log.Warn("a message could not be sent; it is sent again if its transaction says so", "to", path.Remote, "error", err)
}

// Draining reports whether the proxy takes no new calls any more.
func (p *Proxy) Draining() bool { return p.draining.Load() }
