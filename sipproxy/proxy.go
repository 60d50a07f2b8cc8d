package sipproxy

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"dialgate/sipproxy/dns"
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
	names  names
	dns    *dns.Client // nil: names are looked for elsewhere

	draining  atomic.Bool
	warned    atomic.Int64         // in which second it was last said that messages can't be sent
	open      map[uint64]*exchange // INVITE transactions that run, against merged requests
	over      *exchange            // in place of one that was answered
	asked     map[*exchange]bool   // requests in a dialog that are judged, until their final response
	inSetup   int                  // INVITEs without a final response
	emergency bucket
	guesses   guesses
	scratch   message.View // for building responses, under the layer's lock
	made      []byte       // where messages are made, under the lock: transactions keep copies of just their size
	lines     callLines

	closed chan struct{}
	wg     sync.WaitGroup
}

// New makes a Proxy of its options; Serve starts it.
func New(o Options) (*Proxy, error) {
	switch {
	case len(o.Listeners) == 0:
		return nil, errors.New("the proxy has no listener: add one under listen")
	case len(o.Key) < minKey:
		return nil, fmt.Errorf("the key for call tokens has %d octets, at least %d are needed", len(o.Key), minKey)
	}
	if o.MaxTransactions == 0 {
		o.MaxTransactions = defaultTransactions
	}
	if o.Timers == (transaction.Timers{}) {
		o.Timers = transaction.DefaultTimers()
	}
	if o.Random == nil {
		o.Random = rand.IntN
	}
	p := &Proxy{
		over: &exchange{ended: true}, o: o, tokens: newTokens(o.Key), ours: map[netip.AddrPort]bool{}, open: map[uint64]*exchange{}, asked: map[*exchange]bool{},
		closed: make(chan struct{}), seed: maphash.MakeSeed(), names: names{known: map[Name]*known{}, wake: make(chan struct{}, 1)},
	}
	p.lines = callLines{o.Log.Handler(), map[commonLine]slog.Handler{}}
	if o.Resolver == nil {
		p.dns = dns.NewClient(o.DNS)
		p.o.Resolver = p.dns
	}
	p.layer = transaction.New(o.Timers, o.MaxTransactions, p.sendFailed)
	p.layer.Made = func(by transaction.Path, method string) { p.metrics.request([]byte(method), sent, by.Conn.Kind()) }
	for i := range o.Listeners {
		l := &o.Listeners[i]
		p.ours[l.Advertised], p.ours[l.Conn.LocalAddr()] = true, true
		if s, ok := l.Conn.(*transport.Stream); ok {
			p.handle(l, s)
		}
	}
	p.metrics = newMetrics(o.Metrics, p)
	if err := p.Use(o.Config); err != nil {
		return nil, err
	}
	p.o.Config = Config{} // from here on, only the one in force counts
	return p, nil
}

// Serve reads from all listeners until Close, or until one of them fails; then
// it closes the proxy and says why.
func (p *Proxy) Serve() error {
	p.wg.Go(func() { p.layer.Run(p.closed) })
	p.wg.Go(p.runNames)
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
			defer p.layer.Turn()
			return p.receive(l, d, v)
		},
		Failed: func(d transport.Datagram, err error) {
			p.sendFailed(transaction.Path{Conn: s, Remote: d.Remote, Reliable: true}, d.Payload, err)
		},
		Ended: func(remote netip.AddrPort, why transport.End, err error) {
			if why.Common() {
				p.locked(func() { p.layer.Moved(s, remote) })
			}
			p.o.Log.Debug("a connection ended", "remote", remote, "transport", s.Kind().String(), "cause", why.String(), "error", err)
		},
		Known: func(a netip.Addr) bool {
			return p.config.Load().host(a) != nil
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
		p.layer.Turn()
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
	c := p.config.Load()
	defer func() {
		if r := recover(); r != nil {
			p.metrics.panics.Inc()
			p.o.Log.Error("a message could not be worked off; this is a fault in dialgate", "panic", fmt.Sprint(r), "stack", string(debug.Stack()))
			p.refusePanic(c, l, d, v)
		}
	}()
	if d.Broken == nil && message.IsKeepAlive(d.Payload) {
		return true
	}
	err := v.Parse(d.Payload)
	if d.Broken != nil {
		err = d.Broken
	}
	if err != nil {
		p.malformed(c, l, d, v, err)
		return c.origin(l, d) != nil
	}
	if v.IsRequest() {
		p.metrics.request(v.Method, in, l.kind())
		who := c.origin(l, d)
		if who == nil && !p.ofACall(d.Remote, v) {
			p.stranger(c, l, d.Remote, v)
			return false
		}
		p.alias(c, l, d, v)
		p.request(c, l, who, d.Remote, v)
		return true
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

// sendFailed is told of a message that the network did not take. Nothing is sent
// again over a stream, so a request has failed with it. Over UDP its transaction
// sends it again, but an INVITE has failed too: it may go to the next target.
func (p *Proxy) sendFailed(path transaction.Path, payload []byte, err error) {
	if errors.Is(err, net.ErrClosed) {
		return
	}
	p.metrics.sendErrors.Inc()
	if second := time.Now().Unix(); p.warned.Swap(second) != second { // a dead carrier makes one for every call
		p.o.Log.Warn("messages can't be sent", "to", path.Remote, "transport", path.Conn.Kind().String(), "error", err)
	}
	var v message.View
	if v.Parse(payload) == nil && v.IsRequest() && (path.Reliable || v.IsMethod("INVITE")) {
		p.locked(func() { p.layer.Undelivered(&v) })
	}
}

// Draining reports whether the proxy takes no new calls any more.
func (p *Proxy) Draining() bool { return p.draining.Load() }
