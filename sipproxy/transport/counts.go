package transport

import "sync/atomic"

// An End is why a connection ended or never came to be.
type End uint8

const (
	EndPeer        End = iota // the other side has closed it, or the network has
	EndIdle                   // nothing came for a long time
	EndSlowMessage            // a message was begun and not ended in time
	EndSlowReader             // the other side does not read what we send
	EndFraming                // what came could not be cut into messages
	EndRefused                // what came was not wanted: its sender is unknown
	EndHandshake              // TLS or the WebSocket upgrade failed or took too long
	EndDial                   // the other side could not be reached
	EndLimit                  // there were too many connections in all
	EndSourceLimit            // there were too many connections of its source
	EndStranger               // there were too many connections of unknown sources
	EndClosed                 // we are closing
	endCount
)

var endNames = [endCount]string{
	EndPeer: "peer", EndIdle: "idle", EndSlowMessage: "slow-message", EndSlowReader: "slow-reader", EndFraming: "framing",
	EndRefused: "unknown-source", EndHandshake: "handshake", EndDial: "dial", EndLimit: "limit", EndSourceLimit: "limit-source",
	EndStranger: "limit-unknown", EndClosed: "closing",
}

// String is the name in metrics.
func (e End) String() string { return endNames[e] }

// Common reports whether the connection ended as connections do, by nobody's
// fault. What was on its way over it goes over another one.
func (e End) Common() bool { return e == EndPeer || e == EndIdle }

// Ends are all of them.
func Ends() []End {
	all := make([]End, endCount)
	for i := range all {
		all[i] = End(i)
	}
	return all
}

// Counts are what a stream has counted.
type Counts struct {
	accepted, dialled atomic.Uint64
	ends              [endCount]atomic.Uint64
}

// Accepted is how many connections were accepted.
func (c *Counts) Accepted() uint64 { return c.accepted.Load() }

// Dialled is how many connections were dialled.
func (c *Counts) Dialled() uint64 { return c.dialled.Load() }

// Ended is how many connections ended for a reason.
func (c *Counts) Ended(e End) uint64 { return c.ends[e].Load() }
