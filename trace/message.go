package trace

import (
	"fmt"
	"iter"
	"net/netip"
	"time"
)

// A Message is one SIP message of a trace.
type Message struct {
	Time        time.Time      // zero: the trace does not say
	Source      netip.AddrPort // invalid: the trace does not say
	Destination netip.AddrPort
	Transport   Transport
	Packet      int    // the packet that completed it, counted from 1; in a text the line it begins in
	Bytes       []byte // valid until the next message is asked for
	// Cut says why the message is not whole, "" when it is. What it holds
	// then is the beginning.
	Cut string
}

// A Transport is what carried a message.
type Transport uint8

const (
	UnknownTransport Transport = iota
	UDP
	TCP
	TLS
	WS
	SCTP
)

var transportNames = [...]string{"", "UDP", "TCP", "TLS", "WS", "SCTP"}

func (t Transport) String() string { return transportNames[t] }

// A Problem is something in a trace that can't be read.
type Problem struct {
	Packet int // as in Message; 0: the trace as a whole
	Cause  string
	// Ends: nothing after this can be read.
	Ends bool
	// Call: a call stands there that can't be judged for it.
	Call bool
}

func (p *Problem) Error() string {
	if p.Packet == 0 {
		return p.Cause
	}
	return fmt.Sprintf("packet %d: %s", p.Packet, p.Cause)
}

// Options of reading.
type Options struct {
	// Zone is where times were written that name none, as in text logs. nil: UTC.
	Zone *time.Location
}

// Bounds of what is held in memory for one trace.
const (
	maxHeader    = 64 << 10  // octets of a message's header
	maxMessage   = 256 << 10 // octets of a whole message
	maxFragments = 16 << 20  // octets of IP fragments that wait for others
	maxStreams   = 4096      // TCP connections
	maxStreamed  = 32 << 20  // octets of messages begun in all TCP streams
	maxTunnels   = 16        // layers of one packet
	maxBlock     = 16 << 20  // octets of a pcapng block
	maxPacket    = 256 << 10 // octets of a captured packet
	maxLine      = 64 << 10  // octets of a line of text
)

// ageOfFragments and ageOfStreams are how long, by the trace's own clock, a
// fragment or a gap waits for what is missing, and a silent connection is kept.
const (
	ageOfFragments = 30 * time.Second
	ageOfGaps      = 30 * time.Second
	ageOfStreams   = 10 * time.Minute
)

// A sink takes what readers find. After stop is set they have to end.
type sink struct {
	yield func(Message, error) bool
	stop  bool
}

func (s *sink) message(m Message) {
	if !s.stop && !s.yield(m, nil) {
		s.stop = true
	}
}

func (s *sink) problem(packet int, format string, args ...any) {
	s.fail(&Problem{Packet: packet, Cause: fmt.Sprintf(format, args...)})
}

func (s *sink) ends(packet int, format string, args ...any) {
	s.fail(&Problem{Packet: packet, Cause: fmt.Sprintf(format, args...), Ends: true})
}

func (s *sink) fail(p *Problem) {
	if !s.stop && !s.yield(Message{}, p) {
		s.stop = true
	}
}

// Messages is what [Read] reads as an iterator. An error is always a
// *[Problem]; the messages after it follow, unless it ends the trace.
type Messages = iter.Seq2[Message, error]
