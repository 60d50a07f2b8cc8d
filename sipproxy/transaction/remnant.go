package transaction

// A remnant is what stays of an INVITE that was answered with a 2xx. For half a
// minute it may come again, and more of the 2xx (RFC 6026 section 7): at a call
// centre's rates that is most of what is in memory, though seldom anything comes.
// When it does, the transactions and their user are made anew.
type remnant struct {
	layer *Layer
	key   serverKey
	id    uint64 // of the client transaction
	path  *Path  // where responses go
	end   timer  // L and M
	of    Remnant
}

// A Remnant is what its user keeps of such an INVITE.
type Remnant interface {
	// Again makes the user of both transactions anew.
	Again(s *Server, c *Client) User
	// Over is called when nothing comes again.
	Over()
}

// A User is that of a server and of a client transaction.
type User interface {
	ServerUser
	ClientUser
}

// Reduce keeps of two transactions, of which a 2xx has ended both, only what is
// needed when something comes again. False: they are not so far, or a CANCEL is
// still on its way.
func (l *Layer) Reduce(s *Server, c *Client, of Remnant) bool {
	if s.state != accepted || c.state != clientAccepted || c.cancelSender != nil {
		return false
	}
	s.remove()
	c.settle(clientGone)
	delete(l.clients, c.id)
	r := &remnant{layer: l, key: s.key, id: c.id, path: s.path, of: of}
	r.end.of = r
	l.remnants[r.key], l.accepted[r.id] = r, r
	l.set(&r.end, 64*l.timers.T1)
	return true
}

// again makes the transactions anew; they end with what came.
func (r *remnant) again() (*Server, *Client) {
	s := &Server{layer: r.layer, key: r.key, path: r.path, invite: true, state: accepted}
	c := &Client{layer: r.layer, id: r.id, path: r.path, invite: true, state: clientAccepted}
	u := r.of.Again(s, c)
	s.User, c.user = u, u
	return s, c
}

func (r *remnant) fired(*timer) {
	delete(r.layer.remnants, r.key)
	delete(r.layer.accepted, r.id)
	r.of.Over()
}
