package transport

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"
)

// A conn is one connection of a Stream. One goroutine reads from it; another
// lives while there is something that can't be written at once.
type conn struct {
	s        *Stream
	remote   netip.AddrPort
	accepted bool
	source   netip.Addr // what it is counted by, if it was accepted
	known    bool
	place    uint64   // the how manyth it is of those accepted
	names    []string // of the other side's certificate
	framer   framer
	aliases  []netip.AddrPort // further addresses of the other side, under the stream's lock
	direct   *direct          // nil where something stands between us and the kernel
	ends     sync.Once

	mu      sync.Mutex
	raw     net.Conn // nil while it is being dialled
	nc      net.Conn // raw, or TLS over it; nil until messages can be written
	queue   []outgoing
	queued  int // octets in queue and in what is being written
	writing bool
	ending  bool // takes nothing more, and ends
	closed  bool
}

// outgoing is a message to be packed, or octets that are so already.
type outgoing struct {
	Datagram
	packed []byte
}

var (
	errGone   = errors.New("the connection has ended")
	errUnread = errors.New("the other side does not read what it is sent, so its connection was closed")
)

// answer is the goroutine of an accepted connection.
func (c *conn) answer() {
	defer c.s.wg.Done()
	nc, err := c.handshake()
	if err != nil {
		c.close(EndHandshake, err)
		return
	}
	c.s.join(c)
	c.ready(nc)
	c.read(nc, nil)
}

// handshake makes an accepted connection what the transport wants.
func (c *conn) handshake() (net.Conn, error) {
	o := &c.s.o
	if o.Kind == TCP {
		return c.raw, nil
	}
	nc := c.raw
	if err := nc.SetDeadline(time.Now().Add(o.Limits.Handshake)); err != nil {
		return nil, err
	}
	if o.Kind.Secure() {
		t := tls.Server(nc, o.Credentials.ForServers())
		if err := t.Handshake(); err != nil {
			return nil, err
		}
		if s := t.ConnectionState(); len(s.VerifiedChains) > 0 {
			c.names = names(s.PeerCertificates[0])
		}
		nc = t
	}
	if o.Kind.Web() {
		if err := acceptWeb(nc, o.Origins); err != nil {
			return nil, err
		}
	}
	return nc, nc.SetDeadline(time.Time{})
}

// dial is the goroutine of a dialled connection.
func (c *conn) dial() {
	defer c.s.wg.Done()
	nc, rest, err := c.connect()
	c.s.mu.Lock()
	c.s.dialing.n--
	c.s.mu.Unlock()
	if err != nil {
		c.close(EndDial, fmt.Errorf("no connection: %w", err))
		return
	}
	c.s.Counts.dialled.Add(1)
	c.ready(nc)
	c.read(nc, rest)
}

// connect dials and makes the connection what the transport wants.
func (c *conn) connect() (nc net.Conn, rest []byte, err error) {
	raw, err := c.s.connect(c.remote)
	if err != nil {
		return nil, nil, err
	}
	c.mu.Lock()
	c.raw = raw
	closed := c.closed
	c.mu.Unlock()
	if closed {
		_ = raw.Close() // nobody wants it any more
		return nil, nil, net.ErrClosed
	}
	if err := raw.SetDeadline(time.Now().Add(c.s.o.Limits.Handshake)); err != nil {
		return nil, nil, err
	}
	if nc, rest, err = c.s.client(raw, c.remote); err != nil {
		return nil, nil, err
	}
	return nc, rest, nc.SetDeadline(time.Time{})
}

// ready lets what has waited for the connection leave.
func (c *conn) ready(nc net.Conn) {
	c.mu.Lock()
	c.nc = nc
	if nc == c.raw {
		c.direct = newDirect(nc)
	}
	start := c.startLocked()
	c.mu.Unlock()
	if start {
		c.flush()
	}
}

// startLocked reports whether a writer must be started, and notes that it was.
func (c *conn) startLocked() bool {
	if c.writing || c.closed || c.nc == nil || len(c.queue) == 0 {
		return false
	}
	c.writing = true
	c.s.wg.Add(1)
	return true
}

// write queues messages, or octets that are packed already.
func (c *conn) write(ds []Datagram, packed []byte) error {
	size := len(packed)
	for i := range ds {
		size += len(ds[i].Payload)
	}
	c.mu.Lock()
	if c.closed || c.ending {
		c.mu.Unlock()
		return errGone
	}
	if c.queued > 0 && c.queued+size > c.s.o.Limits.Queue {
		unborn := c.nc == nil
		c.mu.Unlock()
		if unborn {
			return errWaiting
		}
		c.close(EndSlowReader, errUnread)
		return errUnread
	}
	c.queued += size
	for i := range ds {
		c.queue = append(c.queue, outgoing{Datagram: ds[i]})
	}
	if packed != nil {
		c.queue = append(c.queue, outgoing{packed: packed})
	}
	start := c.startLocked()
	c.mu.Unlock()
	if start {
		c.flush()
	}
	return nil
}

// flush writes until the queue is empty. At first it only tries, if the kernel
// can be asked: what is not taken at once is left to a goroutine.
func (c *conn) flush() {
	batch, size := c.next(nil, 0)
	for ; batch != nil; batch, size = c.next(batch, size) {
		buf := c.single(batch)
		if buf == nil {
			buf = c.pack(nil, batch)
		}
		if n := c.direct.write(buf); n < len(buf) {
			go c.drain(batch, size, buf[n:])
			return
		}
	}
	c.s.wg.Done()
}

// drain is the goroutine that writes what must be waited for, beginning with
// what is left of a batch.
func (c *conn) drain(batch []outgoing, size int, rest []byte) {
	defer c.s.wg.Done()
	var buf []byte
	for batch != nil {
		err := c.nc.SetWriteDeadline(time.Now().Add(c.s.o.Limits.Write))
		if err == nil {
			_, err = c.nc.Write(rest)
		}
		if err != nil {
			end := EndPeer
			if errors.Is(err, os.ErrDeadlineExceeded) {
				end, err = EndSlowReader, errUnread
			}
			c.close(end, err)
			c.lose(batch, end, err)
			return
		}
		_ = c.nc.SetWriteDeadline(time.Time{}) // a past one would keep flush from trying, and TLS from answering a change of keys
		if batch, size = c.next(batch, size); batch != nil {
			buf = c.pack(buf[:0], batch)
			rest = buf
		}
	}
}

// next takes all that is queued, after a batch of a size was written; nil when
// there is nothing more, and whoever asked writes no longer.
func (c *conn) next(written []outgoing, size int) (batch []outgoing, taken int) {
	clear(written)
	c.mu.Lock()
	c.queued -= size
	if len(c.queue) > 0 && !c.closed {
		batch, c.queue = c.queue, written[:0]
		c.mu.Unlock()
		for i := range batch {
			taken += len(batch[i].Payload) + len(batch[i].packed)
		}
		return batch, taken
	}
	c.writing = false
	shut := c.ending && !c.closed
	c.mu.Unlock()
	if shut {
		c.shut()
	}
	return nil, 0
}

// single is the one message of a batch as it is, nil where there is more to do.
func (c *conn) single(batch []outgoing) []byte {
	if len(batch) > 1 || batch[0].packed != nil || c.s.o.Kind.Web() {
		return nil
	}
	return batch[0].Payload
}

// pack puts a batch into one piece, so that it is one write.
func (c *conn) pack(buf []byte, batch []outgoing) []byte {
	for i := range batch {
		if batch[i].packed != nil {
			buf = append(buf, batch[i].packed...)
		} else {
			buf = c.framer.pack(buf, batch[i].Payload)
		}
	}
	return buf
}

// lose tells of messages that were not sent, or perhaps not. When the
// connection has ended as connections do, a response (RFC 3261 section 18.2.2)
// or an ACK goes over another one, once. Of other requests those decide who wait
// for an answer.
func (c *conn) lose(lost []outgoing, end End, err error) {
	for i := range lost {
		if lost[i].packed != nil {
			continue
		}
		d, failed := lost[i].Datagram, err
		unanswered := bytes.HasPrefix(d.Payload, []byte("SIP/2.0 ")) || bytes.HasPrefix(d.Payload, []byte("ACK "))
		if end.Common() && unanswered && !d.again {
			d.again = true
			failed = c.s.write([]Datagram{d})
		}
		if failed != nil {
			c.s.handler.Failed(d, failed)
		}
	}
}

// finish ends the connection when what waits is written. What the other side
// still sends is read and forgotten: a connection that is closed over unread
// octets takes our last answer with it.
func (c *conn) finish(end End) {
	c.s.forget(c)
	c.mu.Lock()
	c.ending = true
	idle := !c.writing
	c.mu.Unlock()
	if idle {
		c.shut()
	}
	_ = c.nc.SetReadDeadline(time.Now().Add(linger)) // if it fails, so does the next Read
	_, _ = io.CopyN(io.Discard, c.nc, mostBuffer)    // how it ends does not matter
	c.close(end, errGone)
}

// linger is how long an ending connection is read from.
const linger = time.Second

// shut tells the other side that nothing more will come.
func (c *conn) shut() {
	if w, ok := c.nc.(interface{ CloseWrite() error }); ok {
		_ = w.CloseWrite() // the connection ends in any case
	}
}

// close ends the connection at once. The first reason given is the one counted.
// When it returns, whoever called it, the end has been told.
func (c *conn) close(end End, err error) {
	c.ends.Do(func() {
		c.mu.Lock()
		c.closed = true
		lost, raw := c.queue, c.raw
		c.queue = nil
		c.mu.Unlock()
		c.s.leave(c, end, err)
		if raw != nil {
			_ = raw.Close() // whatever it says, it is closed
		}
		if len(lost) > 0 {
			// Whoever is told may write elsewhere and find the next connection
			// full: that is not done on the way of the one who found this one so.
			go c.lose(lost, end, err)
		}
	})
}

// Sizes of the buffer that a connection reads into, in octets.
const (
	leastBuffer = 4 << 10
	restBuffer  = 16 << 10 // a larger one is not kept while nothing comes
	mostBuffer  = MaxDatagram + 16
)

// read takes messages from the connection until it ends.
func (c *conn) read(nc net.Conn, rest []byte) {
	r := reader{c: c, nc: nc, buf: make([]byte, max(leastBuffer, len(rest))), came: Datagram{Remote: c.remote, Names: c.names}}
	r.to = copy(r.buf, rest)
	r.wait()
	for {
		if r.to > r.from || len(rest) > 0 {
			rest = nil
			if !r.take() {
				return
			}
		}
		if err := r.fill(); err != nil {
			c.close(r.why(err), err)
			return
		}
	}
}

// A reader is what a connection's reading goroutine holds.
type reader struct {
	c        *conn
	nc       net.Conn
	buf      []byte
	from, to int       // what is in buf and not taken yet
	begun    time.Time // when the message that is not complete began, zero: none has
	patience time.Time // when the wait for more was begun
	came     Datagram  // as it is handed on
}

// take hands on every complete message in the buffer. false: the connection has ended.
func (r *reader) take() bool {
	c := r.c
	whole := false
	for r.from < r.to {
		used, msg, reply, err := c.framer.next(r.buf[r.from:r.to])
		if reply != nil {
			_ = c.write(nil, reply) // if it fails, the next Read tells
		}
		if err != nil {
			return r.broken(msg, err)
		}
		if msg != nil {
			whole = true
			r.came.Payload = msg
			if !c.s.handler.Receive(&r.came) {
				c.finish(EndRefused)
				return false
			}
		}
		if used == 0 {
			break
		}
		r.from += used
	}
	if r.from == r.to {
		r.from, r.to = 0, 0
		if len(r.buf) > restBuffer {
			r.buf = make([]byte, leastBuffer)
		}
	}
	if r.to > 0 || c.framer.within() {
		if r.begun.IsZero() || whole {
			r.begun = time.Now()
			_ = r.nc.SetReadDeadline(r.begun.Add(c.s.o.Limits.Message)) // if it fails, the next Read tells
		}
	} else {
		r.wait()
	}
	return true
}

// broken ends the connection after what came that is no message.
func (r *reader) broken(msg []byte, err error) bool {
	c := r.c
	if errors.Is(err, errClosed) {
		c.finish(EndPeer)
		return false
	}
	if msg != nil {
		r.came.Payload, r.came.Broken = msg, err
		c.s.handler.Receive(&r.came)
	}
	c.finish(EndFraming)
	return false
}

// wait begins to wait for the next message. The deadline is only moved when
// that makes a difference.
func (r *reader) wait() {
	idle := r.c.s.o.Limits.Idle
	now := time.Now()
	if r.begun.IsZero() && now.Sub(r.patience) < idle/16 {
		return
	}
	r.begun, r.patience = time.Time{}, now
	_ = r.nc.SetReadDeadline(now.Add(idle)) // if it fails, the next Read tells
}

// fill reads more into the buffer.
func (r *reader) fill() error {
	if r.from > 0 && r.to == len(r.buf) {
		r.to = copy(r.buf, r.buf[r.from:r.to])
		r.from = 0
	}
	if r.to == len(r.buf) {
		if r.to >= mostBuffer {
			return errors.New("a message larger than any may be") // its framer has said so before
		}
		r.buf = append(make([]byte, 0, min(mostBuffer, 2*len(r.buf))), r.buf...)
		r.buf = r.buf[:cap(r.buf)]
	}
	n, err := r.nc.Read(r.buf[r.to:])
	r.to += n
	if n > 0 {
		return nil // an error comes again
	}
	return err
}

// why tells what an error of reading means.
func (r *reader) why(err error) End {
	switch {
	case !errors.Is(err, os.ErrDeadlineExceeded):
		return EndPeer
	case r.begun.IsZero():
		return EndIdle
	}
	return EndSlowMessage
}
