package transaction

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"net/netip"
	"strconv"
	"time"

	"dialgate/sipproxy/message"
	"dialgate/sipproxy/transport"
)

// A clientState is a state of the machines of RFC 3261 figures 5 and 6 with
// RFC 6026's Accepted.
type clientState uint8

const (
	clientCalling    clientState = iota // sent, no response yet
	clientProceeding                    // a provisional response came
	clientCompleted                     // a final response came, for INVITE none of 2xx
	clientAccepted                      // INVITE: a 2xx came
	clientGone
)

// An End is why a client transaction has no answer.
type End uint8

const (
	TimedOut    End = iota // timer B or F: nobody answered
	Silent                 // timer C: it rang for too long
	Unreachable            // the transport could not deliver the request
)

// A Client is one client transaction.
type Client struct {
	layer   *Layer
	id      uint64
	path    *Path
	invite  bool
	state   clientState
	request []byte // nil once it is answered for good
	ack     []byte // for a non-2xx final response, to send again
	again   timer  // A, E
	end     timer  // B, C, D, F, K, M, by the state
	every   time.Duration

	cancel       []byte // the CANCEL to send once a provisional response came
	cancelled    bool
	cancelSender *Client
	moved        bool // it was sent again, since its connection had ended
	user         ClientUser
}

// A ClientUser is told what comes back in a client transaction.
type ClientUser interface {
	// Response is called with each response that is not a repetition, and with
	// each 2xx to an INVITE.
	Response(v *message.View)
	// Failed is called when there is no answer.
	Failed(why End)
}

// NextBranch makes the branch of a new client transaction: our cookie, the
// transaction's number, and a hash of what decides where a request goes, by
// which a loop is told from a spiral (RFC 5393 section 4.2).
func (l *Layer) NextBranch(b []byte, loop uint32) (branch []byte, id uint64) {
	if l.nextID == 0 {
		// Numbers of an earlier run must not be found by late responses.
		var seed [6]byte
		_, _ = rand.Read(seed[:]) // never fails
		l.nextID = uint64(binary.BigEndian.Uint32(seed[:4]))<<16 | 1
	}
	id = l.nextID
	l.nextID++
	b = append(b, Cookie...)
	b = strconv.AppendUint(b, id, 36)
	b = append(b, '.')
	return strconv.AppendUint(b, uint64(loop), 36), id
}

// BranchID takes the number out of a branch of ours.
func BranchID(branch []byte) (id uint64, loop uint32, ok bool) {
	if len(branch) <= len(Cookie) || string(branch[:len(Cookie)]) != Cookie {
		return 0, 0, false
	}
	rest := branch[len(Cookie):]
	for i, c := range rest {
		if c == '.' {
			l, err := strconv.ParseUint(string(rest[i+1:]), 36, 32)
			return id, uint32(l), err == nil && i > 0
		}
		d := uint64(36)
		switch {
		case c >= '0' && c <= '9':
			d = uint64(c - '0')
		case c >= 'a' && c <= 'z':
			d = uint64(c-'a') + 10
		}
		if d == 36 || i > 12 {
			return 0, 0, false
		}
		id = id*36 + d
	}
	return 0, 0, false
}

// NewClient sends a request in a transaction with the number that its branch
// was made with.
func (l *Layer) NewClient(id uint64, invite bool, path Path, request []byte, user ClientUser) *Client {
	c := &Client{layer: l, id: id, path: l.share(path), invite: invite, request: request, user: user}
	l.clients[id] = c
	c.begin()
	return c
}

// begin sends the request and sets the timers that wait for an answer.
func (c *Client) begin() {
	l := c.layer
	c.again.of, c.end.of = c, c
	if c.path.Reliable {
		l.calling[c.path.way()]++
	} else {
		c.every = l.timers.T1
		l.set(&c.again, c.every) // A, E
	}
	l.set(&c.end, 64*l.timers.T1) // B, F
	l.Send(*c.path, c.request)
}

// fired is the end of one of the transaction's timers.
func (c *Client) fired(t *timer) {
	switch {
	case t == &c.again:
		c.sendAgain()
	case c.invite && c.state == clientProceeding:
		c.silent()
	default:
		c.expire()
	}
}

// FindClient finds the transaction that a response belongs to (RFC 3261
// section 17.1.3): the branch and the method of CSeq are those of our request.
func (l *Layer) FindClient(v *message.View) *Client {
	id, _, ok := BranchID(v.Top.Branch)
	if !ok {
		return nil
	}
	c := l.clients[id]
	if r := l.accepted[id]; c == nil && r != nil {
		_, c = r.again()
	}
	if c == nil {
		return nil
	}
	if string(v.CSeqMethod) == "CANCEL" {
		return c.cancelSender
	}
	if c.invite != (string(v.CSeqMethod) == "INVITE") {
		return nil
	}
	return c
}

// Receive takes a response.
func (c *Client) Receive(v *message.View) {
	l := c.layer
	switch {
	case c.state == clientGone:
	case v.Status < 200:
		c.provisional(v)
	case c.invite && v.Status < 300:
		// Also after another final response: a proxy behind us passes on a 2xx
		// that came too late, and somebody is on the line.
		if c.state != clientAccepted {
			c.settle(clientAccepted)
			c.request = nil
			l.set(&c.end, 64*l.timers.T1) // M
		}
		c.user.Response(v)
	case c.state == clientCompleted:
		if c.ack != nil {
			l.Send(*c.path, c.ack) // the response came again: the ACK was lost
		}
	case c.state == clientAccepted:
		// a non-2xx after a 2xx is nobody's
	case c.invite:
		c.settle(clientCompleted)
		var sent message.View
		if err := sent.Parse(c.request); err == nil {
			c.ack = sent.AppendACK(nil, v.Value(message.To))
			l.Made(*c.path, "ACK")
			l.Send(*c.path, c.ack)
		}
		c.request = nil
		c.over(l.timers.D)
		c.user.Response(v)
	default:
		c.settle(clientCompleted)
		c.request = nil
		c.over(l.timers.T4) // K
		c.user.Response(v)
	}
}

func (c *Client) provisional(v *message.View) {
	l := c.layer
	if c.state > clientProceeding {
		return
	}
	if c.state == clientCalling {
		c.heard()
		c.state = clientProceeding
		if c.invite {
			l.wheel.stop(&c.again)
			l.set(&c.end, l.timers.C) // no longer B
		}
	}
	if c.invite && v.Status > 100 && !c.cancelled { // who was cancelled gets no more time by ringing on
		l.set(&c.end, l.timers.C)
	}
	if c.cancel != nil {
		c.sendCancel()
	}
	c.user.Response(v)
}

// settle stops the timers that wait for an answer.
func (c *Client) settle(s clientState) {
	c.heard()
	c.state = s
	c.layer.wheel.stop(&c.again)
	c.layer.wheel.stop(&c.end)
}

func (c *Client) over(d time.Duration) {
	if c.path.Reliable {
		d = 0
	}
	c.layer.set(&c.end, d)
}

// Cancel asks the next hop to end the INVITE (RFC 3261 section 9.1): at once
// if it has answered provisionally, else as soon as it does. reason is the
// value of a Reason header field, or nil.
func (c *Client) Cancel(reason []byte) {
	if !c.invite || c.cancelled || c.state > clientProceeding {
		return
	}
	c.cancelled = true
	var sent message.View
	if err := sent.Parse(c.request); err != nil {
		return
	}
	c.cancel = sent.AppendCANCEL(nil, reason)
	if c.state == clientProceeding {
		c.sendCancel()
	}
}

// sendCancel sends the CANCEL in a transaction of its own, which shares the
// branch of the INVITE. When 64*T1 later there still is no final response, the
// INVITE counts as cancelled (RFC 3261 section 9.1).
func (c *Client) sendCancel() {
	l := c.layer
	s := &Client{layer: l, id: c.id, path: c.path, request: c.cancel, user: nobody{}}
	c.cancel, c.cancelSender = nil, s
	l.set(&c.end, 64*l.timers.T1)
	l.Made(*s.path, "CANCEL")
	s.begin()
}

// nobody waits for the answer to a CANCEL.
type nobody struct{}

func (nobody) Response(*message.View) {}
func (nobody) Failed(End)             {}

// Abandon gives an INVITE up before its answer: it is not sent again, and is
// cancelled as soon as it is answered provisionally after all.
func (c *Client) Abandon(reason []byte) {
	c.layer.wheel.stop(&c.again)
	c.Cancel(reason)
}

// Drop ends a transaction whose answer nobody waits for any more.
func (c *Client) Drop() { c.terminate() }

// Undelivered ends the transaction of a request that the transport could not
// deliver (RFC 3261 section 17.1.4), unless it was sent once more since.
func (l *Layer) Undelivered(v *message.View) {
	id, _, ok := BranchID(v.Top.Branch)
	if c := l.clients[id]; ok && c != nil && c.state == clientCalling && c.invite == v.IsMethod("INVITE") && !v.IsMethod("CANCEL") && !v.IsMethod("ACK") &&
		&c.request[0] == &v.Raw[0] {
		c.terminate()
		c.user.Failed(Unreachable)
	}
}

// Moved sends the requests again that went to an address over a connection
// which has ended, when nothing was answered: whether they have arrived nobody
// knows. Once a request: another connection is made for it, and who has it
// already takes it for a repetition.
func (l *Layer) Moved(conn transport.Conn, remote netip.AddrPort) {
	w := way{conn, remote}
	if l.calling[w] == 0 {
		return // as with most connections: they are many, and the transactions more
	}
	for _, c := range l.clients {
		c.move(w)
		if c.cancelSender != nil {
			c.cancelSender.move(w)
		}
	}
}

// heard notes that the request is no longer one that met silence.
func (c *Client) heard() {
	if c.state != clientCalling || !c.path.Reliable {
		return
	}
	l, w := c.layer, c.path.way()
	if l.calling[w]--; l.calling[w] == 0 {
		delete(l.calling, w)
	}
}

func (c *Client) move(w way) {
	if c.state == clientCalling && !c.moved && c.path.Reliable && c.path.way() == w {
		c.moved = true
		c.request = bytes.Clone(c.request) // by which the failure of one is told from that of the other
		c.layer.Send(*c.path, c.request)
	}
}

// sendAgain is timers A and E.
func (c *Client) sendAgain() {
	l := c.layer
	l.Send(*c.path, c.request)
	c.every *= 2
	if !c.invite {
		c.every = min(c.every, l.timers.T2)
		if c.state == clientProceeding {
			c.every = l.timers.T2
		}
	}
	l.set(&c.again, c.every)
}

// expire is every timer that ends a transaction.
func (c *Client) expire() {
	unanswered := c.state == clientCalling || c.state == clientProceeding
	c.terminate()
	if unanswered {
		c.user.Failed(TimedOut)
	}
}

// silent is timer C. Whoever is told cancels the call; if that brings no final
// response either, the transaction ends.
func (c *Client) silent() {
	if c.cancelled {
		c.terminate()
	}
	c.user.Failed(Silent)
}

func (c *Client) terminate() {
	if c.state == clientGone {
		return
	}
	c.settle(clientGone)
	if c.cancelSender != nil {
		c.cancelSender.terminate()
	}
	if c.layer.clients[c.id] == c {
		delete(c.layer.clients, c.id)
	}
}
