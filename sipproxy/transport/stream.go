package transport

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"time"
)

// StreamOptions of a listener for TCP, TLS, WS or WSS.
type StreamOptions struct {
	Kind Kind
	// Credentials are what a TLS or WSS listener shows.
	Credentials *Credentials
	// Check tells how a TLS server at an address is met. nil: none is dialled.
	Check func(remote netip.AddrPort) *ServerCheck
	// Origins are the web pages from which a browser may ask for a WebSocket;
	// "*" is any.
	Origins []string
	Limits  Limits
}

// Limits of a stream. A zero has its default.
type Limits struct {
	Connections int // in all; 10,000
	PerSource   int // of one address, or of one /64 of IPv6; 1,000
	Dials       int // being dialled at one time; 256
	Queue       int // octets that wait to be written to one connection; 512 KiB

	Handshake time.Duration // for TLS and the WebSocket upgrade; 5 s
	Dial      time.Duration // for TCP to be connected; 4 s
	Message   time.Duration // from the first octet of a message to its last; 10 s
	Idle      time.Duration // with no octet received; 10 minutes
	Write     time.Duration // for the other side to take some octets; 10 s
}

func (l Limits) orDefault() Limits {
	return Limits{
		Connections: cmp.Or(l.Connections, 10_000), PerSource: cmp.Or(l.PerSource, 1000), Dials: cmp.Or(l.Dials, 256), Queue: cmp.Or(l.Queue, 512<<10),
		Handshake: cmp.Or(l.Handshake, 5*time.Second), Dial: cmp.Or(l.Dial, 4*time.Second), Message: cmp.Or(l.Message, 10*time.Second),
		Idle: cmp.Or(l.Idle, 10*time.Minute), Write: cmp.Or(l.Write, 10*time.Second),
	}
}

// A Handler is told what happens on a stream. Its functions are called from
// many goroutines, but for one connection from one at a time.
type Handler struct {
	// Receive takes a message. false: the connection is not wanted any longer;
	// it ends when what is to be sent on it was.
	Receive func(d *Datagram) (keep bool)
	// Failed is told of a message that was taken by WriteBatch and not sent.
	Failed func(d Datagram, err error)
	// Ended is told why a connection ended, or was not let in.
	Ended func(remote netip.AddrPort, why End, err error)
	// Known reports whether SIP is expected from an address; others share a
	// quarter of the connections, so that they can't keep out who is known.
	Known func(netip.Addr) bool
}

// A Stream is a listener for connections, and the connections: those accepted
// and those dialled, by the address of the other side. What is written to an
// address goes over the connection that there is (RFC 3261 section 18, and
// what RFC 5923 is after); where there is none, one is dialled.
type Stream struct {
	o        StreamOptions
	listener net.Listener
	local    netip.AddrPort
	Counts   Counts

	mu      sync.Mutex
	handler Handler
	handled bool
	closed  bool
	conns   map[netip.AddrPort]*conn // by whom they reach, and by their aliases
	all     map[*conn]bool           // those being set up too
	sources map[netip.Addr]int       // accepted connections
	foreign int                      // accepted connections of unknown sources
	dialing struct {
		n    int
		ctx  context.Context // ends with the stream
		stop context.CancelFunc
	}
	wg sync.WaitGroup
}

// ListenStream opens a listener on an address of this host.
func ListenStream(ctx context.Context, addr netip.AddrPort, o StreamOptions) (*Stream, error) {
	o.Limits = o.Limits.orDefault()
	if o.Kind.Secure() && o.Credentials == nil {
		return nil, fmt.Errorf("can't listen on %s %s: it has no certificate", o.Kind, addr)
	}
	network := "tcp4"
	if addr.Addr().Unmap().Is6() {
		network = "tcp6" // and IPv6 only: IPv4 has listeners of its own
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, network, netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port()).String())
	if err != nil {
		if errors.Is(err, syscall.EADDRINUSE) {
			return nil, fmt.Errorf("can't listen on %s %s: another program holds that port; stop it or choose another under listen.%s", o.Kind, addr, o.Kind)
		}
		return nil, fmt.Errorf("can't listen on %s %s: %w", o.Kind, addr, err)
	}
	s := &Stream{
		o: o, listener: l, local: addrPort(l.Addr()),
		conns: map[netip.AddrPort]*conn{}, all: map[*conn]bool{}, sources: map[netip.Addr]int{},
	}
	s.dialing.ctx, s.dialing.stop = context.WithCancel(context.Background())
	return s, nil
}

// addrPort is the address of one end of a connection.
func addrPort(a net.Addr) netip.AddrPort {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	at := t.AddrPort()
	return netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
}

// LocalAddr is where the stream listens.
func (s *Stream) LocalAddr() netip.AddrPort { return s.local }

// Kind is the stream's transport.
func (s *Stream) Kind() Kind { return s.o.Kind }

// CertificateExpires is when what a TLS or WSS listener shows does.
func (s *Stream) CertificateExpires() time.Time {
	if !s.o.Kind.Secure() {
		return time.Time{}
	}
	return s.o.Credentials.Expires()
}

// Open is how many connections there are.
func (s *Stream) Open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.all)
}

// Accepted reports whether there is a connection from an address, to which
// none could be dialled.
func (s *Stream) Accepted(remote netip.AddrPort) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.conns[remote]
	return c != nil && c.accepted
}

// maxAliases bounds the further addresses of one connection.
const maxAliases = 4

// Alias has what is written to another address of its other side go over the
// accepted connection from remote (RFC 5923), until that ends. An address that
// there is a connection of keeps it.
func (s *Stream) Alias(remote, at netip.AddrPort) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.conns[remote]
	if c == nil || !c.accepted || s.conns[at] != nil || len(c.aliases) >= maxAliases {
		return
	}
	c.aliases = append(c.aliases, at)
	s.conns[at] = c
}

// unlink takes a connection out of all addresses under which it is found.
func (s *Stream) unlink(c *conn) {
	for _, at := range slices.Concat(c.aliases, []netip.AddrPort{c.remote}) {
		if s.conns[at] == c {
			delete(s.conns, at)
		}
	}
}

// From is the address of the connection that a host has opened last.
func (s *Stream) From(host netip.Addr) (remote netip.AddrPort, there bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := uint64(0)
	for _, c := range s.conns {
		if c.accepted && c.remote.Addr() == host && c.place > last {
			last, remote = c.place, c.remote
		}
	}
	return remote, last > 0
}

// Handle says who is told what happens. It comes before Serve and before the
// first WriteBatch.
func (s *Stream) Handle(h Handler) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handler, s.handled = h, true
}

// Serve accepts connections and reads from them until Close. It returns
// net.ErrClosed then; any other error is the listener's end.
func (s *Stream) Serve() error {
	for pause := time.Duration(0); ; {
		nc, err := s.listener.Accept()
		switch {
		case err == nil:
			pause = 0
			s.accept(nc)
		case errors.Is(err, net.ErrClosed):
			_ = s.Close() // somebody has called it
			return net.ErrClosed
		case isShortage(err):
			// There are no descriptors or no memory: who is connected goes on.
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			time.Sleep(pause)
		default:
			_ = s.Close() // the other error is told
			return err
		}
	}
}

// isShortage reports whether accepting may work again later.
func isShortage(err error) bool {
	for _, e := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.ENOBUFS, syscall.ECONNABORTED, syscall.EINTR} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// accept takes a connection that there is room for.
func (s *Stream) accept(nc net.Conn) {
	c := &conn{s: s, raw: nc, remote: addrPort(nc.RemoteAddr()), accepted: true, framer: s.framer(false)}
	c.source = sourceOf(c.remote.Addr())
	c.known = s.handler.Known(c.remote.Addr())
	s.mu.Lock()
	end := EndClosed
	switch {
	case s.closed:
	case len(s.all) >= s.o.Limits.Connections:
		end = EndLimit
	case s.sources[c.source] >= s.o.Limits.PerSource:
		end = EndSourceLimit
	case !c.known && s.foreign >= max(1, s.o.Limits.Connections/4):
		end = EndStranger
	default:
		s.all[c] = true
		s.sources[c.source]++
		if !c.known {
			s.foreign++
		}
		s.wg.Add(1)
		s.mu.Unlock()
		c.place = s.Counts.accepted.Add(1)
		go c.answer()
		return
	}
	s.mu.Unlock()
	s.Counts.ends[end].Add(1)
	s.handler.Ended(c.remote, end, errNoRoom)
	_ = nc.Close() // nothing was said on it
}

// sourceOf is what connections are counted by.
func sourceOf(a netip.Addr) netip.Addr {
	if a.Is4() {
		return a
	}
	p, _ := a.Prefix(64) // an IPv6 address has one
	return p.Addr()
}

func (s *Stream) framer(client bool) framer {
	if s.o.Kind.Web() {
		return newFrames(client)
	}
	return &octets{}
}

// join makes a connection reachable under its address.
func (s *Stream) join(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all[c] {
		s.conns[c.remote] = c
	}
}

// leave forgets a connection.
func (s *Stream) leave(c *conn, end End, err error) {
	s.mu.Lock()
	if s.closed {
		end = EndClosed
	}
	delete(s.all, c)
	s.unlink(c)
	if c.accepted {
		if s.sources[c.source]--; s.sources[c.source] == 0 {
			delete(s.sources, c.source)
		}
		if !c.known {
			s.foreign--
		}
	}
	s.mu.Unlock()
	s.Counts.ends[end].Add(1)
	s.handler.Ended(c.remote, end, err)
}

var (
	errUnhandled = errors.New("nobody has said who handles what comes over the stream")
	errNoRoom    = errors.New("there are too many connections already")
	errWaiting   = errors.New("too much is waiting for its connection to be set up")
	errDials     = errors.New("too many connections are being set up already")
)

// WriteBatch puts the messages into the queues of their connections.
func (s *Stream) WriteBatch(ds []Datagram) (int, error) {
	for done := 0; done < len(ds); {
		n := 1
		for done+n < len(ds) && ds[done+n].Remote == ds[done].Remote && ds[done+n].Else == ds[done].Else {
			n++
		}
		if err := s.write(ds[done : done+n]); err != nil {
			return done, err
		}
		done += n
	}
	return len(ds), nil
}

// write queues messages to one address. A connection that is just ending is
// forgotten, and another one looked for.
func (s *Stream) write(ds []Datagram) error {
	for {
		c, err := s.reach(&ds[0])
		if err != nil {
			return err
		}
		if err = c.write(ds, nil); !errors.Is(err, errGone) {
			return err
		}
		s.forget(c)
	}
}

// forget has a connection found by nobody any more.
func (s *Stream) forget(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unlink(c)
}

// reach finds the connection for a message, or has one dialled.
func (s *Stream) reach(d *Datagram) (*conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.conns[d.Remote]; c != nil {
		return c, nil
	}
	to := d.Remote
	if d.Else.IsValid() {
		if to = d.Else; s.conns[to] != nil {
			return s.conns[to], nil
		}
	}
	switch {
	case s.closed:
		return nil, net.ErrClosed
	case !s.handled:
		return nil, errUnhandled
	case to.Port() == 0 || s.o.Kind.Secure() && s.o.Check == nil:
		return nil, fmt.Errorf("the connection to %s is gone and none can be opened", to)
	case len(s.all) >= s.o.Limits.Connections:
		return nil, errNoRoom
	case s.dialing.n >= s.o.Limits.Dials:
		return nil, errDials
	}
	c := &conn{s: s, remote: to, framer: s.framer(true)}
	s.all[c], s.conns[to] = true, c
	s.dialing.n++
	s.wg.Add(1)
	go c.dial()
	return c, nil
}

// connect dials from the address that the stream listens on.
func (s *Stream) connect(to netip.AddrPort) (net.Conn, error) {
	d := net.Dialer{Timeout: s.o.Limits.Dial}
	if a := s.local.Addr(); !a.IsUnspecified() {
		d.LocalAddr = &net.TCPAddr{IP: a.AsSlice()}
	}
	return d.DialContext(s.dialing.ctx, "tcp", to.String())
}

// client makes a dialled connection what the transport wants.
func (s *Stream) client(nc net.Conn, to netip.AddrPort) (_ net.Conn, rest []byte, err error) {
	host := to.String()
	if s.o.Kind.Secure() {
		check := s.o.Check(to)
		if check == nil {
			return nil, nil, fmt.Errorf("nothing says how the certificate of %s is checked", to)
		}
		if check.Name != "" {
			host = check.Name
		}
		config, err := check.Config(to)
		if err != nil {
			return nil, nil, err
		}
		t := tls.Client(nc, config)
		if err := t.Handshake(); err != nil {
			return nil, nil, err
		}
		nc = t
	}
	if s.o.Kind.Web() {
		rest, err = dialWeb(nc, s.o.Kind, host, s.o.Limits.Handshake)
	}
	return nc, rest, err
}

// Close ends the listener and all connections, and waits for their goroutines.
func (s *Stream) Close() error {
	s.mu.Lock()
	again := s.closed
	s.closed = true
	var all []*conn
	for c := range s.all {
		all = append(all, c)
	}
	s.mu.Unlock()
	s.dialing.stop()
	var err error
	if !again {
		err = s.listener.Close()
	}
	for _, c := range all {
		c.close(EndClosed, net.ErrClosed)
	}
	s.wg.Wait()
	return err
}
