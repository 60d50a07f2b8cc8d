package transaction

import (
	"encoding/binary"
	"hash/maphash"
	"time"

	"dialgate/sipproxy/message"
)

// serverKey identifies a server transaction (RFC 3261 section 17.2.3) as a
// keyed hash of what identifies it: 128 bits, so that nobody can make two collide.
type serverKey [2]uint64

var seeds = [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}

// keyOf is the key of the transaction that a request belongs to. An ACK and a
// CANCEL belong to that of their INVITE when method says so. A request
// without the magic cookie is matched as RFC 2543 did.
func keyOf(v *message.View, method string) serverKey {
	var room [256]byte
	b := append(append(room[:0], method...), 0)
	b = append(append(b, v.Top.Branch...), 0)
	for _, c := range v.Top.Host {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		b = append(b, c)
	}
	b = binary.BigEndian.AppendUint16(append(b, 0), v.Top.Port)
	if len(v.Top.Branch) <= len(message.MagicCookie) || string(v.Top.Branch[:len(message.MagicCookie)]) != message.MagicCookie {
		for _, text := range [...][]byte{v.URI, v.FromTag, v.Value(message.CallID)} {
			b = append(append(b, text...), 0)
		}
		b = binary.BigEndian.AppendUint32(b, v.CSeqNumber)
	}
	return serverKey{maphash.Bytes(seeds[0], b), maphash.Bytes(seeds[1], b)}
}

// A serverState is a state of the machines of RFC 3261 figures 7 and 8 with
// RFC 6026's Accepted.
type serverState uint8

const (
	trying     serverState = iota // a request that has no response yet
	proceeding                    // a provisional response was sent
	completed                     // a final response was sent, for INVITE none of 2xx
	confirmed                     // INVITE: the ACK came
	accepted                      // INVITE: a 2xx was sent
	gone
)

// A Server is one server transaction.
type Server struct {
	layer  *Layer
	key    serverKey
	path   *Path // where responses go
	invite bool
	state  serverState
	last   []byte // the response to send again
	again  timer  // G; while trying: 100 within 200 ms (section 17.2.1)
	end    timer  // H, I, J, L
	every  time.Duration

	// User is who made the transaction.
	User ServerUser
}

// A ServerUser is told what becomes of a server transaction.
type ServerUser interface {
	// Trying makes the 100 that [Server.TryingSoon] sends.
	Trying() []byte
	// Over is called when the transaction is, whatever happened before.
	Over()
}

// tryingAfter is within what time an INVITE gets an answer, so that it is not
// sent again (RFC 3261 section 17.2.1).
const tryingAfter = 200 * time.Millisecond

// TryingSoon has a 100 sent when nothing else was by 200 ms.
func (s *Server) TryingSoon() { s.layer.set(&s.again, tryingAfter) }

// fired is the end of one of the transaction's timers.
func (s *Server) fired(t *timer) {
	switch {
	case t == &s.end:
		s.terminate()
	case s.state == trying:
		s.Respond(100, s.User.Trying())
	default:
		s.sendAgain()
	}
}

// FindServer finds the transaction of a request; for an ACK that of its INVITE.
func (l *Layer) FindServer(v *message.View) *Server {
	method := string(v.Method)
	if method == "ACK" {
		method = "INVITE"
	}
	return l.find(keyOf(v, method))
}

func (l *Layer) find(key serverKey) *Server {
	if s := l.servers[key]; s != nil {
		return s
	}
	if r := l.remnants[key]; r != nil {
		s, _ := r.again()
		return s
	}
	return nil
}

// FindInvite finds the INVITE transaction that a CANCEL is about.
func (l *Layer) FindInvite(v *message.View) *Server { return l.find(keyOf(v, "INVITE")) }

// NewServer begins a transaction for a request whose responses go by path.
func (l *Layer) NewServer(v *message.View, path Path, user ServerUser) *Server {
	s := &Server{layer: l, key: keyOf(v, string(v.Method)), path: l.share(path), invite: v.IsMethod("INVITE"), User: user}
	s.again.of, s.end.of = s, s
	l.servers[s.key] = s
	return s
}

// Final reports whether a final response was sent.
func (s *Server) Final() bool { return s.state >= completed }

// Path is where the transaction's responses go.
func (s *Server) Path() Path { return *s.path }

// Again answers a request that came again: with the last response, or with
// silence while there is none.
func (s *Server) Again() {
	if s.last != nil && s.state != confirmed && s.state != accepted {
		s.layer.Send(*s.path, s.last)
	}
}

// Ack takes the ACK for a final response of ours. It reports whether the ACK
// belongs here; one for a 2xx does not.
func (s *Server) Ack() bool {
	switch s.state {
	case completed:
		s.layer.wheel.stop(&s.again)
		s.state, s.last = confirmed, nil
		s.over(s.layer.timers.T4) // I
		return true
	case confirmed:
		return true
	}
	return false
}

// Respond sends a response. A provisional response after a final one, and a
// second final response, are not sent. A 2xx to an INVITE always is, also after
// another final response: somebody has answered (RFC 3261 section 16.7 step 5).
func (s *Server) Respond(status int, response []byte) {
	l := s.layer
	if s.state == trying {
		l.wheel.stop(&s.again)
	}
	switch {
	case s.state == gone:
		return
	case status < 200:
		if s.state >= completed {
			return
		}
		s.state, s.last = proceeding, response
	case s.invite && status < 300:
		if s.state != accepted {
			s.state, s.last = accepted, nil // another final response is not sent again
			l.wheel.stop(&s.again)
			l.set(&s.end, 64*l.timers.T1) // L
		}
	case s.state >= completed:
		return
	case s.invite:
		s.state, s.last = completed, response
		if !s.path.Reliable {
			s.every = l.timers.T1
			l.set(&s.again, s.every) // G
		}
		l.set(&s.end, 64*l.timers.T1) // H
	default:
		s.state, s.last = completed, response
		s.over(64 * l.timers.T1) // J
	}
	l.Send(*s.path, response)
}

// over ends the transaction after d, at once where nothing can come again.
func (s *Server) over(d time.Duration) {
	if s.path.Reliable {
		d = 0
	}
	s.layer.set(&s.end, d)
}

// sendAgain is timer G: the response may have been lost, or the ACK.
func (s *Server) sendAgain() {
	s.layer.Send(*s.path, s.last)
	s.every = min(2*s.every, s.layer.timers.T2)
	s.layer.set(&s.again, s.every)
}

func (s *Server) terminate() {
	if s.state == gone {
		return
	}
	s.remove()
	s.User.Over()
}

func (s *Server) remove() {
	s.state = gone
	s.layer.wheel.stop(&s.again)
	s.layer.wheel.stop(&s.end)
	delete(s.layer.servers, s.key)
}

// Drop ends a transaction that was never answered and never will be.
func (s *Server) Drop() { s.terminate() }
