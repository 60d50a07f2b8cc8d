package dns

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

const (
	// udpSize is what we take in one datagram (RFC 6891); more than this may
	// be cut into fragments on the way.
	udpSize = 1232
	// maxStrange bounds the datagrams that are read past for one question.
	maxStrange = 32
)

// ask asks the servers in turn, beginning with the one that answered last.
func (c *Client) ask(ctx context.Context, q question) (reply, error) {
	servers := c.servers.now()
	first := int(c.answered.Load())
	var last error
	for range c.o.Tries {
		for i := range servers {
			n := (first + i) % len(servers)
			r, err := c.askServer(ctx, servers[n], q)
			if err == nil {
				c.answered.Store(int64(n))
				return r, nil
			}
			last = fmt.Errorf("%s: %w", servers[n], err)
			if ctx.Err() != nil {
				return reply{}, last
			}
		}
	}
	return reply{}, last
}

// askServer asks one server: over UDP, again without EDNS when it does not
// know that (RFC 6891 section 7), and over TCP when there is more than a
// datagram holds.
func (c *Client) askServer(ctx context.Context, server netip.AddrPort, q question) (reply, error) {
	r, err := c.exchange(ctx, server, q, overUDP, true)
	edns := true
	if err == nil && (r.code == dnsmessage.RCodeFormatError || r.code == dnsmessage.RCodeNotImplemented) {
		edns = false
		r, err = c.exchange(ctx, server, q, overUDP, edns)
	}
	if err == nil && r.truncated {
		c.counts.add(Truncated)
		r, err = c.exchange(ctx, server, q, overTCP, edns)
		if err == nil && r.truncated {
			err = errMalformed // nothing is too long for TCP
		}
	}
	switch {
	case errors.Is(err, errLame) || errors.Is(err, errChain):
		c.counts.add(Refused)
	case err != nil:
		c.counts.add(Silent)
	case r.code != dnsmessage.RCodeSuccess && r.code != dnsmessage.RCodeNameError:
		c.counts.add(Refused)
		err = fmt.Errorf("it answers with the code %d", r.code)
	}
	return r, err
}

const (
	overUDP = "udp"
	overTCP = "tcp"
)

// exchange sends a question by a socket of its own, so that its port is as
// random as its id, and waits for the answer to it. Whatever else comes is
// read past: somebody may guess.
func (c *Client) exchange(ctx context.Context, server netip.AddrPort, q question, network string, edns bool) (r reply, err error) {
	var random [2]byte
	_, _ = rand.Read(random[:]) // never fails
	id := binary.BigEndian.Uint16(random[:])
	msg, err := appendQuestion(make([]byte, 2, 512), id, q, edns)
	if err != nil {
		return r, err
	}
	ctx, stop := context.WithTimeout(ctx, c.o.Timeout)
	defer stop()
	conn, err := (&net.Dialer{}).DialContext(ctx, network, server.String())
	if err != nil {
		return r, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })() // what fails then has failed before
	if network == overTCP {
		binary.BigEndian.PutUint16(msg, uint16(len(msg)-2))
	} else {
		msg = msg[2:]
	}
	if _, err := conn.Write(msg); err != nil {
		return r, err
	}
	if network == overTCP {
		b, err := readTCP(conn)
		if err != nil {
			return r, err
		}
		return c.read(b, id, q)
	}
	b := make([]byte, 4*udpSize)
	for range maxStrange {
		n, err := conn.Read(b)
		if err != nil {
			return r, timedOut(err)
		}
		if r, err = c.read(b[:n], id, q); !errors.Is(err, errNotOurs) && !errors.Is(err, errMalformed) {
			return r, err
		}
	}
	return r, errStrange
}

// read reads what came, and counts what is no answer.
func (c *Client) read(msg []byte, id uint16, q question) (reply, error) {
	r, err := read(msg, id, q)
	switch {
	case errors.Is(err, errNotOurs):
		c.counts.add(Strange)
	case errors.Is(err, errMalformed):
		c.counts.add(Malformed)
	}
	return r, err
}

var (
	errSilent  = errors.New("no answer in time")
	errStrange = errors.New("too much came that is no answer")
)

// timedOut says in words what the error of a deadline means.
func timedOut(err error) error {
	var e net.Error
	if errors.As(err, &e) && e.Timeout() {
		return errSilent
	}
	return err
}

// readTCP reads one message (RFC 1035 section 4.2.2).
func readTCP(conn net.Conn) ([]byte, error) {
	var size [2]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		return nil, timedOut(err)
	}
	b := make([]byte, binary.BigEndian.Uint16(size[:]))
	_, err := io.ReadFull(conn, b)
	return b, timedOut(err)
}

// appendQuestion appends a query to b.
func appendQuestion(b []byte, id uint16, q question, edns bool) ([]byte, error) {
	name, err := dnsmessage.NewName(q.name)
	if err != nil {
		return nil, err
	}
	m := dnsmessage.NewBuilder(b, dnsmessage.Header{ID: id, RecursionDesired: true})
	err = errors.Join(m.StartQuestions(), m.Question(dnsmessage.Question{Name: name, Type: q.kind, Class: dnsmessage.ClassINET}))
	if edns {
		var h dnsmessage.ResourceHeader
		err = errors.Join(err, h.SetEDNS0(udpSize, dnsmessage.RCodeSuccess, false), m.StartAdditionals(), m.OPTResource(h, dnsmessage.OPTResource{}))
	}
	if err != nil {
		return nil, err
	}
	return m.Finish()
}
