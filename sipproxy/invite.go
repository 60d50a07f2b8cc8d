package sipproxy

import (
	"bytes"
	"net/netip"
	"sync/atomic"
	"time"

	"dialgate/policy"
	"dialgate/sipproxy/message"
	"dialgate/sipproxy/transaction"
)

// An exchange is one request on its way through: a server transaction towards
// who sent it, and, once it goes on, a client transaction towards who gets it.
// Its fields are used under the layer's lock, but for the attempt, which is
// its judge's until the ruling is there.
//
// Its transactions outlive the set-up of the call by half a minute, in which
// thousands of others come: so what only the set-up needs is let go at its end.
type exchange struct {
	p        *Proxy
	listener *Listener
	source   netip.AddrPort
	peer     *peer               // of a call that is judged
	server   *transaction.Server // nil before there is one
	client   *transaction.Client // the last
	merge    uint64              // key in the table of open INVITEs; 0: it sets nothing up
	*setUp                       // nil when ended and told

	// of its way to a carrier
	tries  []*try
	one    [1]*try // memory for tries
	by     *try    // the one whose answer counts, so far the last
	best   best
	closed bool // nobody else is asked: a 2xx or 6xx has come

	cancelled bool
	objected  bool // cancelled, since an objection was recorded
	ended     bool
	told      bool // nothing is left to be said of it but how it ends: it was judged and logged, or it is not
}

// A setUp is what an exchange needs until it has ended.
type setUp struct {
	raw     []byte        // the request as it came
	view    *message.View // of it, while it is worked off for the first time
	began   time.Time
	onward  func(v *message.View) // in a dialog: how the request goes on
	smaller func()                // sends it over UDP after all, if it went over TCP for its size

	// of a judged call
	config   *inForce
	attempt  policy.Attempt
	ruling   policy.Ruling
	rang     time.Time
	block    *policy.Block // who did not want the call, of its final response
	held     handOver
	judged   bool
	ruled    bool           // the ruling is there
	outcome  policy.Outcome // kept while it is not
	askAgain bool           // an objection was recorded while the ruling was on its way

	// of its way to a carrier
	at       *carrier // that it is counted at
	anyState bool     // every target was down when it began
	crowded  bool     // a limit has kept it from a carrier
}

// newExchange begins an exchange for a request that came by a listener.
func (p *Proxy) newExchange(l *Listener, from netip.AddrPort, v *message.View) *exchange {
	return &exchange{p: p, listener: l, source: from, setUp: &setUp{raw: bytes.Clone(v.Raw), began: time.Now()}}
}

// invite begins the set-up of a call.
func (p *Proxy) invite(c *inForce, l *Listener, from netip.AddrPort, who *source, v *message.View) {
	if who.peer == nil {
		p.inbound(c, l, from, v)
		return
	}
	if why := p.crowds(c, who.peer, v); why != roomy {
		p.refuseCrowded(l, from, who.peer, v, why)
		return
	}
	e := p.newExchange(l, from, v)
	e.config, e.peer, e.judged = c, who.peer, true
	c.Reader.Read(v, who.peer.Terms, &e.attempt)
	why := p.routed(v, who.peer.Terms)
	if why != "" {
		e.attempt.Malformed = why
	}
	emergency := e.attempt.Called.Emergency && why == ""
	e.attempt.Called.Emergency = emergency

	crowded, merged := roomy, false
	p.locked(func() {
		if emergency && !p.layer.Exhausted() && p.emergency.take(c.EmergencyRate, e.began) {
			p.begin(e, v)
			e.forward(v)
			return
		}
		e.merge = p.hashWith(v.CSeqNumber, v.Value(message.CallID), v.FromTag)
		if merged = p.open[e.merge] != nil; merged {
			return
		}
		if emergency {
			crowded = overEmergency
		} else {
			crowded = p.want(who.peer, e.began)
		}
		if crowded == roomy {
			who.peer.rate.take(who.peer.CallsPerSecond, e.began)
			p.begin(e, v)
		}
	})
	switch {
	case merged:
		p.reply(l, from, v, 482, nil) // the same request came by two ways, RFC 3261 section 8.2.2.2
	case crowded != roomy:
		p.refuseCrowded(l, from, who.peer, v, crowded)
	case emergency:
		// The call is on its way already; the record waits for nobody.
		c.Judge(&e.attempt, func(r policy.Ruling) {
			e.ruling = r
			p.locked(func() { e.know(); e.log(0); e.settle() })
		})
	default:
		e.ask(c.Judge, v)
	}
}

// crowds reports for what want of room another call of a peer is refused before
// anything is done for it: who sends more than it may costs others little.
// Calls for which there is room are counted later, under one lock with their begin.
func (p *Proxy) crowds(c *inForce, q *peer, v *message.View) (why overload) {
	now := time.Now()
	p.locked(func() {
		q.last = now
		why = p.want(q, now)
	})
	if why != roomy && c.Reader.called(v.URI, q.Terms).Emergency {
		return roomy // what becomes of it is for its own limit to say
	}
	return why
}

// want is what another call of a peer has no room for.
func (p *Proxy) want(q *peer, now time.Time) overload {
	switch {
	case p.draining.Load():
		return overDraining
	case p.layer.Full():
		return overTransactions
	case q.CallsInSetup > 0 && q.inSetup >= q.CallsInSetup:
		return overInSetup
	case !q.rate.has(q.CallsPerSecond, now):
		return overRate
	}
	return roomy
}

// refuseCrowded answers a call for which there is no room.
func (p *Proxy) refuseCrowded(l *Listener, from netip.AddrPort, q *peer, v *message.View, why overload) {
	p.metrics.overloaded(why)
	a := q.Answer(policy.ReasonOverloaded)
	p.reply(l, from, v, a.Code, a.Headers(p.o.Name, ""))
}

// begin makes the server transaction of a call.
func (p *Proxy) begin(e *exchange, v *message.View) {
	e.server = p.layer.NewServer(v, e.listener.path(e.source, v), e)
	e.server.TryingSoon()
	if e.merge == 0 {
		e.merge = p.hashWith(v.CSeqNumber, v.Value(message.CallID), v.FromTag)
	}
	p.open[e.merge] = e
	p.inSetup++
	if e.peer != nil {
		e.peer.inSetup++
	}
}

// Trying makes the 100 for a call that has no answer yet.
func (e *exchange) Trying() []byte { return e.build(100, "Trying", nil) }

// Over is called when the server transaction is, whatever happened before.
func (e *exchange) Over() {
	if e.p.open[e.merge] == e {
		delete(e.p.open, e.merge)
	}
	e.finish(0, policy.EndedByTimeout)
}

// A handOver decides who goes on with a call when its ruling is there: the
// reader if it came at once, else whoever brings it.
type handOver struct{ state atomic.Int32 }

const (
	ruled  = 1 // the ruling is there
	parked = 2 // the reader has gone on
)

// ask asks for the ruling. If it is not there at once the reader goes on,
// and the call waits parked for its record to be durable. Then the ledger's
// committer goes on with it, before it writes again: that takes less than to wake
// another goroutine for it, and nothing that is done then waits.
func (e *exchange) ask(judge Judge, v *message.View) {
	judge(&e.attempt, func(r policy.Ruling) {
		e.ruling = r
		if !e.held.state.CompareAndSwap(0, ruled) {
			e.p.locked(e.decided)
		}
	})
	if !e.held.state.CompareAndSwap(0, parked) {
		e.view = v
		e.p.locked(e.decided)
	}
}

// decided carries out the ruling.
func (e *exchange) decided() {
	d := &e.ruling.Decision
	code := 0
	e.know()
	switch {
	case e.ended:
		// The dialer has cancelled, and was told so, while the call was judged.
	case d.Verdict == policy.Allowed && e.refusesNow():
		code = e.refuseObjected()
	case d.Verdict == policy.Allowed && e.onward != nil:
		e.onward(e.read())
	case d.Verdict == policy.Allowed:
		e.forward(e.read())
	default:
		e.judged = true // also one that was only asked who calls
		code = e.refuse(d.Told())
	}
	e.log(code)
	e.view = nil
	e.settle()
}

// log writes the one line of a call.
func (e *exchange) log(code int) {
	c := commonLine{verdict: e.ruling.Decision.Verdict, reason: e.ruling.Decision.Reason, peer: e.peerID()}
	if e.attempt.Campaign != nil {
		c.campaign = e.attempt.Campaign.ID
	}
	e.p.lines.write(c, code, e.ruling.ID, e.began)
}

func (e *exchange) peerID() string {
	if e.peer == nil {
		return ""
	}
	return e.peer.Terms.ID
}

// cancel is the dialer's wish to end the set-up. An INVITE that has not gone
// on is answered here; else 487 comes from the next hop (RFC 3261 section 16.10).
func (e *exchange) cancel(reason []byte) {
	e.cancelled = true
	if e.client != nil {
		e.client.Cancel(reason)
		return
	}
	e.respond(487, phrases[487], nil)
	e.finish(487, policy.EndedByDialer)
}

// read is a view of the exchange's request. It is the proxy's own, valid until
// the next, but for whoever works the request off for the first time.
func (e *exchange) read() *message.View {
	if e.view != nil {
		return e.view
	}
	v := &e.p.scratch
	if err := v.Parse(e.raw); err != nil {
		panic("a message that was read once can't be read again: " + err.Error())
	}
	return v
}

// build makes a response of ours to the exchange's request.
func (e *exchange) build(status int, text string, extra []byte) []byte {
	v := e.read()
	e.p.made = v.AppendResponse(e.p.made[:0], &message.Response{Status: status, Phrase: text, ToTag: e.p.tag(v), Source: e.source, Extra: extra})
	return bytes.Clone(e.p.made)
}

// respond sends a response of ours.
func (e *exchange) respond(status int, text string, extra []byte) {
	e.p.metrics.response(status, sent)
	e.server.Respond(status, e.build(status, text, extra))
}

// finish notes once how the set-up of a call ended.
func (e *exchange) finish(code int, by policy.Party) {
	if e.ended {
		return
	}
	e.ended = true
	delete(e.p.asked, e)
	if e.merge != 0 { // a request in a dialog sets nothing up
		e.p.inSetup--
		if e.peer != nil {
			e.peer.inSetup--
		}
	}
	e.leaveCarrier()
	if !e.judged {
		e.letGo()
		return
	}
	o := policy.Outcome{At: time.Now(), Code: code, EndedBy: by, Tried: len(e.tries), Block: e.block}
	if e.by != nil {
		o.Carrier = e.by.target.carrier
	}
	if !e.rang.IsZero() {
		o.Ring = o.At.Sub(e.rang)
	}
	e.outcome = o
	if e.ruled {
		e.tell()
	}
	e.letGo()
}

// settle notes that only the end is left to be said.
func (e *exchange) settle() {
	e.told = true
	e.letGo()
}

// letGo lets go of what only the set-up needed, once that is over.
func (e *exchange) letGo() {
	if !e.ended || !e.told || e.setUp == nil {
		return
	}
	switch {
	case e.server == nil:
	case !e.isInvite():
		e.server.User = answered{} // which is left to answer again what comes again
	case e.merge != 0 && len(e.tries) == 1:
		if e.p.layer.Reduce(e.server, e.client, &remnant{p: e.p, listener: e.listener, source: e.source, peer: e.peer, merge: e.merge}) {
			e.p.open[e.merge] = e.p.over
		}
	}
	e.setUp, e.best.bytes = nil, nil
}

// A remnant is what stays of a call that a carrier has answered with a 2xx.
type remnant struct {
	p        *Proxy
	listener *Listener
	source   netip.AddrPort
	peer     *peer
	merge    uint64
}

// Again makes the exchange of the call anew.
func (r *remnant) Again(s *transaction.Server, c *transaction.Client) transaction.User {
	return &exchange{p: r.p, listener: r.listener, source: r.source, peer: r.peer, server: s, client: c, merge: r.merge, ended: true, told: true}
}

// Over is called when nothing comes again.
func (r *remnant) Over() { delete(r.p.open, r.merge) }

// know notes that the ruling is there; the set-up may have ended before.
func (e *exchange) know() {
	e.ruled = true
	if e.ended {
		e.tell()
	}
}

func (e *exchange) tell() {
	if e.ruling.Repeat {
		return // it is counted with the refusal that it repeats
	}
	e.outcome.ID, e.outcome.Late = e.ruling.ID, e.ruling.Late
	e.config.Outcome(e.outcome)
}
