package transaction

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"dialgate/sipproxy/message"
	"dialgate/sipproxy/transport"
)

// Cookie begins every branch of ours: RFC 3261's magic and two letters by
// which we know our own.
const Cookie = message.MagicCookie + "dg"

// A Path is how a message travels: from one of our sockets to an address.
type Path struct {
	Conn     transport.Conn
	Remote   netip.AddrPort
	Else     netip.AddrPort // see [transport.Datagram]
	Reliable bool           // the transport itself repeats what is lost
}

// mostShared bounds the paths that transactions share.
const mostShared = 1 << 10

// share is a path that all transactions of one way have in common: there are tens
// of thousands of these, and a few ways.
func (l *Layer) share(p Path) *Path {
	if s := l.paths[p]; s != nil {
		return s
	}
	if len(l.paths) == mostShared {
		clear(l.paths) // who has one keeps it
	}
	l.paths[p] = &p
	return &p
}

// A way is where requests go, and from which socket.
type way struct {
	conn   transport.Conn
	remote netip.AddrPort
}

func (p Path) way() way { return way{p.Conn, p.Remote} }

// A Layer holds all transactions.
type Layer struct {
	mu      sync.Mutex
	timers  Timers
	wheel   *wheel
	servers map[serverKey]*Server
	clients map[uint64]*Client
	// of INVITEs that were answered with a 2xx
	remnants map[serverKey]*remnant
	accepted map[uint64]*remnant // the same, by the client's number

	paths   map[Path]*Path
	calling map[way]int // requests over streams that were not answered yet
	nextID  uint64
	most    int

	// Made is told, under the lock, of each ACK and CANCEL that a transaction
	// makes itself, when it is first sent.
	Made func(p Path, method string)

	out    []outgoing
	spare  []outgoing
	turned atomic.Int64  // up to which tick somebody has turned the wheel between messages
	wake   chan struct{} // tells the sleeping clock that a timer was set
	asleep bool
	failed func(Path, []byte, error)
}

type outgoing struct {
	path    Path
	payload []byte
}

// New makes a Layer of at most this many transactions. failed is told, without
// the lock, of each message that the network did not take.
func New(t Timers, most int, failed func(p Path, payload []byte, err error)) *Layer {
	return &Layer{
		timers: t, wheel: newWheel(time.Now()), most: most, failed: failed,
		servers: map[serverKey]*Server{}, clients: map[uint64]*Client{}, remnants: map[serverKey]*remnant{}, accepted: map[uint64]*remnant{}, paths: map[Path]*Path{}, calling: map[way]int{}, wake: make(chan struct{}, 1),
		Made: func(Path, string) {},
	}
}

// Lock takes the layer's lock.
func (l *Layer) Lock() { l.mu.Lock() }

// Unlock gives the lock back and then sends what was collected under it.
func (l *Layer) Unlock() {
	if l.asleep && l.wheel.count > 0 {
		l.asleep = false
		l.wake <- struct{}{} // its buffer is empty while the clock sleeps
	}
	if len(l.out) == 0 {
		l.mu.Unlock()
		return
	}
	out := l.out
	l.out, l.spare = l.spare, nil
	l.mu.Unlock()
	l.flush(out)
	clear(out)
	l.mu.Lock()
	if cap(out) <= 4096 {
		l.spare = out[:0] // for the next round
	}
	l.mu.Unlock()
}

// batches is memory for what goes to a socket at once: a stack's would not stay
// there, since it is handed to an interface.
var batches = sync.Pool{New: func() any { return new([transport.Batch]transport.Datagram) }}

// flush writes the datagrams of each socket in batches and in order.
func (l *Layer) flush(out []outgoing) {
	batch := batches.Get().(*[transport.Batch]transport.Datagram)
	defer batches.Put(batch)
	for i := 0; i < len(out); {
		conn, n := out[i].path.Conn, 0
		for i+n < len(out) && n < len(batch) && out[i+n].path.Conn == conn {
			batch[n] = transport.Datagram{Payload: out[i+n].payload, Remote: out[i+n].path.Remote, Else: out[i+n].path.Else}
			n++
		}
		for done := 0; done < n; {
			k, err := conn.WriteBatch(batch[done:n])
			done += k
			if err != nil {
				l.failed(out[i+done].path, out[i+done].payload, err)
				done++ // what the network refused once is not tried again here: timers do that
			}
		}
		clear(batch[:n])
		i += n
	}
}

// Send collects a message to be sent when the lock is given back. The octets
// must not change any more.
func (l *Layer) Send(p Path, payload []byte) {
	l.out = append(l.out, outgoing{p, payload})
}

// Turn fires the timers that are due. Who reads messages calls it between them,
// without the lock: while they come often, nobody need wake up for the timers.
func (l *Layer) Turn() {
	if now := time.Now(); l.wheel.tickOf(now) != l.turned.Load() {
		l.turn(now)
	}
}

func (l *Layer) turn(now time.Time) {
	l.Lock()
	defer l.Unlock()
	l.turned.Store(l.wheel.tickOf(now))
	l.wheel.advance(now)
}

// The clock sleeps longer once it has found several times in a row that others
// turn the wheel. So late may timers fire when messages suddenly cease.
const (
	lull = 5 * tick
	sure = 3
)

// Run drives the timers until done is closed. It is called without the lock,
// in a goroutine of its own; it sleeps while there are no timers.
func (l *Layer) Run(done <-chan struct{}) {
	clock := time.NewTimer(tick)
	defer clock.Stop()
	for others, last := 0, int64(0); ; {
		now := time.Now()
		if others++; l.turned.Load() == last {
			others = 0
		}
		last = l.turned.Load()
		l.Lock()
		l.wheel.advance(now)
		idle := l.wheel.count == 0
		l.asleep = idle
		l.Unlock()
		if idle {
			select {
			case <-done:
				return
			case <-l.wake:
			}
		}
		if clock.Reset(tick); others > sure {
			clock.Reset(lull)
		}
		select {
		case <-done:
			return
		case <-clock.C:
		}
	}
}

// Full reports whether there is no room for another call.
func (l *Layer) Full() bool { return l.count() >= l.most }

func (l *Layer) count() int { return len(l.servers) + len(l.remnants) }

// Exhausted reports whether there is no room for any transaction: what ends a
// call that is up, or must not be refused, finds a tenth more room than a new call.
func (l *Layer) Exhausted() bool { return l.count() >= l.most+max(8, l.most/10) }

// Count is how many server and client transactions there are. It takes the lock itself.
func (l *Layer) Count() (servers, clients int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.count(), len(l.clients) + len(l.accepted)
}

// A Timer is one of the layer's user: its function runs under the lock, at most
// once each time it is set.
type Timer struct {
	timer
	do func()
}

// Set has a timer fire no earlier than d from now, whether or not it was set.
func (l *Layer) Set(t *Timer, d time.Duration, fire func()) {
	t.of, t.do = t, fire
	l.set(&t.timer, d)
}

func (t *Timer) fired(*timer) { t.do() }

// Stop keeps a timer from firing.
func (l *Layer) Stop(t *Timer) { l.wheel.stop(&t.timer) }

func (l *Layer) set(t *timer, d time.Duration) { l.wheel.set(t, time.Now(), d) }
