package sipproxy

import (
	"errors"
	"slices"
	"strconv"
	"time"

	"dialgate/policy"
	"dialgate/sipproxy/message"
	"dialgate/sipproxy/transaction"
)

// A try is one target that a call was sent to (RFC 3261 section 16.7). There
// is one after another, each with a client transaction of its own. One that
// was given up is heard on: a 2xx from it is passed back all the same, since
// somebody has answered.
type try struct {
	e      *exchange
	target *target
	client *transaction.Client
	quiet  transaction.Timer // AnswerWithin
	heard  bool              // it has answered anything
	rang   bool              // 180: a phone rings
	over   bool              // it has its final response, failed, or was given up
}

// A cause is why a call goes on to the next target.
type cause uint8

const (
	causeSilence cause = iota // no answer in time
	causeSending              // the transport could not send it
	cause503
	causeListed // a status code that the operator lists
)

var causes = [...]string{causeSilence: "silence", causeSending: "transport", cause503: "503", causeListed: "code"}

// A best is the best final response so far (RFC 3261 section 16.7 step 6).
type best struct {
	status int    // 0: none
	bytes  []byte // as it is sent; nil: one of ours
	by     *try
}

// tryNext sends the call to the next target; false: there is none.
func (e *exchange) tryNext(v *message.View) bool {
	h, ok := e.next(time.Now())
	if !ok {
		return false
	}
	t := &try{e: e, target: h.target}
	if e.tries == nil {
		e.tries = e.one[:0]
	}
	e.tries, e.by = append(e.tries, t), t
	e.smaller = nil
	e.roomy(e.config, v, h.by, h.target.addr, 2*weAdd, func(v *message.View, l *Listener) { e.forwardBy(v, l, h.target.addr) })
	if e.config.hops > len(e.tries) && h.carrier.AnswerWithin > 0 {
		e.p.layer.Set(&t.quiet, h.carrier.AnswerWithin, t.silent)
	}
	return true
}

// current is the last try; nil before the first.
func (e *exchange) current() *try {
	if len(e.tries) == 0 {
		return nil
	}
	return e.tries[len(e.tries)-1]
}

// failover sends the call to the next target, if it may go to one: not when
// the dialer or an objection has cancelled it or somebody has answered it, not when a phone
// has rung, which must not ring again for one decision, and not so late that
// the dialer has given up.
func (t *try) failover(why cause) bool {
	e, now := t.e, time.Now()
	if t != e.current() || e.cancelled || e.objected || e.ended || e.closed || t.rang || now.Sub(e.began) > e.config.FailoverWithin {
		return false
	}
	from := e.at.ID
	if !e.tryNext(e.read()) {
		return false
	}
	t.end()
	e.p.metrics.failovers.WithLabelValues(from, causes[why]).Inc()
	return true
}

// end notes that nothing is expected of the try any more.
func (t *try) end() {
	t.over = true
	t.e.p.layer.Stop(&t.quiet)
}

// silent is called when the target has not answered within the carrier's time.
func (t *try) silent() {
	if t.heard || t.over || !t.failover(causeSilence) {
		return
	}
	t.e.p.mark(t.target, "no answer to an INVITE")
	t.client.Abandon([]byte(`SIP;cause=408;text="no answer in time"`))
}

// Response takes a response to the try's INVITE.
func (t *try) Response(v *message.View) {
	e := t.e
	t.heard = true
	e.p.layer.Stop(&t.quiet)
	t.judgeHealth(v)
	switch {
	case v.Status >= 200 && v.Status < 300:
		t.end()
		e.by = t
		e.Response(v) // also after another final response
		e.closed = true
		e.cancelOthers(t)
	case v.Status < 200:
		if !t.over {
			t.rang = t.rang || v.Status == 180
			e.Response(v)
		}
	case v.Status >= 600:
		// Nobody else is asked (RFC 3261 section 16.7 step 5); the answer waits
		// for what is still on its way.
		waits := t.over && !e.current().over
		t.end()
		e.closed = true
		t.keep(v)
		e.noteBlock(v)
		if waits {
			e.cancelOthers(t)
			return
		}
		e.answerBest()
	case t.over: // given up before; the call goes on elsewhere
	case e.ended: // another one was answered
		t.end()
	default:
		why := causeListed
		if v.Status == 503 {
			why = cause503
		}
		t.keep(v)
		listed := e.at != nil && slices.Contains(e.at.FailoverOn, v.Status)
		if (v.Status == 503 || listed) && t.failover(why) {
			return
		}
		t.end()
		e.answerBest()
	}
}

// Failed is told that the try has no final response.
func (t *try) Failed(why transaction.End) {
	e := t.e
	switch {
	case t.over || e.ended || e.cancelled || e.objected || why == transaction.Silent:
		if !t.over {
			t.end()
			e.Failed(why)
		}
		return
	case why == transaction.Unreachable && e.smaller != nil:
		again := e.smaller // the same target
		e.smaller = nil
		again()
		return
	case why == transaction.Unreachable:
		e.p.mark(t.target, "an INVITE could not be sent")
		e.consider(best{status: 503, by: t}) // RFC 3261 section 16.9
		if t.failover(causeSending) {
			return
		}
	default:
		e.p.mark(t.target, "no answer to an INVITE")
		e.consider(best{status: 408, by: t}) // RFC 3261 section 16.8
		if t.failover(causeSilence) {
			return
		}
	}
	t.end()
	e.answerBest()
}

// judgeHealth notes what a response tells about the target.
func (t *try) judgeHealth(v *message.View) {
	if v.Status != 503 {
		t.e.p.heard(t.target)
		return
	}
	if after, ok := retryAfter(v); ok {
		t.e.p.rest(t.target, after)
	}
}

// retryAfter reads a Retry-After: seconds, whatever follows them.
func retryAfter(v *message.View) (time.Duration, bool) {
	value := v.Value(message.RetryAfter)
	n := 0
	for n < len(value) && value[n] >= '0' && value[n] <= '9' {
		n++
	}
	s, err := strconv.ParseUint(string(value[:n]), 10, 32)
	if errors.Is(err, strconv.ErrRange) {
		return maxRest, true
	}
	return time.Duration(s) * time.Second, err == nil && s > 0
}

// keep holds a final response against the best so far.
func (t *try) keep(v *message.View) {
	b := best{status: v.Status, by: t}
	if v.Status != 503 && v.ViaCount() >= 2 {
		b.bytes = v.AppendForward(make([]byte, 0, len(v.Raw)), &message.Edits{PopVia: true, Add: t.e.listener.length(v)})
	}
	t.e.consider(b)
}

func (e *exchange) consider(b best) {
	if e.best.status == 0 || e.cancelled && !e.closed || b.rank() < e.best.rank() {
		e.best = b
	}
}

// rank orders final responses, the best lowest (RFC 3261 section 16.7 step 6):
// any 6xx, then the lowest class, in 4xx what tells the dialer how to go on,
// and what the carrier says before what we make up.
func (b *best) rank() int {
	class := b.status / 100 * 10
	switch {
	case b.status >= 600:
		return 0
	case b.bytes == nil:
		return class + 2
	case slices.Contains([]int{401, 407, 415, 420, 484}, b.status):
		return class
	}
	return class + 1
}

// answerBest ends the set-up with the best response.
func (e *exchange) answerBest() {
	if e.server.Final() {
		return
	}
	e.by = e.best.by
	switch {
	case e.objected && !e.cancelled:
		e.refuseObjected()
	case e.best.bytes != nil:
		e.pass(e.best.status, e.best.bytes)
	case e.cancelled:
		e.respond(487, phrases[487], nil)
		e.finish(487, policy.EndedByDialer)
	case e.best.status == 408:
		e.unreachable(408)
	default:
		// A proxy does not pass a 503 on (RFC 3261 section 16.7 step 6): the
		// next hop's overload is not ours.
		e.unreachable(500)
	}
}

// cancelOthers ends what else is on its way when a call is answered or refused
// for good (RFC 3261 section 16.7 step 10).
func (e *exchange) cancelOthers(but *try) {
	for _, t := range e.tries {
		if t != but {
			t.client.Cancel([]byte(`SIP;cause=200;text="answered elsewhere"`))
		}
	}
}
