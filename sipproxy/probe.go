package sipproxy

import (
	"strconv"
	"time"

	"dialgate/sipproxy/message"
	"dialgate/sipproxy/transaction"
)

// betweenProbes keeps the first probes of many targets apart.
const betweenProbes = 10 * time.Millisecond

// watch brings the targets of a configuration that has just come in force
// under its probing, and lets go of those that it does not have. Each target
// has one timer and at most one probe on its way; both run in the layer's
// clock, so no message waits for them.
func (p *Proxy) watch(now, before *inForce) {
	p.locked(func() {
		first := time.Duration(0)
		for _, k := range now.carriers {
			for i := range k.to {
				t, by := k.to[i].target, k.to[i].kind
				if t.probing != k.Probing || t.by != by {
					t.probing, t.by = k.Probing, by
					p.endProbe(t)
					p.attend(t, first)
					first += betweenProbes
				}
			}
		}
		if before == nil {
			return
		}
		for key, t := range before.reach {
			if now.reach[key] == nil {
				t.probing = Probing{} // calls of the configuration before may still note answers
				p.endProbe(t)
				p.layer.Stop(&t.timer)
			}
		}
	})
}

// attend sets the target's timer: for the next probe within d, or for the end
// of a Retry-After.
func (p *Proxy) attend(t *target, d time.Duration) {
	switch {
	case t.probing.on():
		p.layer.Set(&t.timer, d, func() { p.tend(t) })
	case !t.rest.IsZero():
		p.layer.Set(&t.timer, time.Until(t.rest), func() { p.tend(t) })
	case t.state != targetUp:
		// Nothing else would bring it up again.
		p.turned(t, t.to(targetUp, time.Now(), "is not probed any more"))
		p.layer.Stop(&t.timer)
	default:
		p.layer.Stop(&t.timer)
	}
}

// tend is what the timer of a target does.
func (p *Proxy) tend(t *target) {
	now := time.Now()
	p.turned(t, t.rested(now, &t.probing))
	if !t.probing.on() {
		return
	}
	if t.probe != nil { // its time is over
		p.endProbe(t)
		p.mark(t, "no answer to OPTIONS")
		p.attend(t, max(0, t.probing.Every-t.probing.Timeout))
		return
	}
	if p.sendProbe(t) {
		p.attend(t, t.probing.Timeout)
		return
	}
	p.mark(t, "no listener reaches it")
	p.attend(t, t.probing.Every)
}

// sendProbe asks the target whether it is there (RFC 3261 section 11).
func (p *Proxy) sendProbe(t *target) bool {
	l := p.listenerFor(&p.o.Listeners[0], t.by, t.addr.Addr())
	if l == nil {
		return false
	}
	var buf [96]byte
	via, id := p.viaFor(buf[:0], l, 0)
	tag := strconv.FormatUint(id, 36)
	b := append(make([]byte, 0, 512), "OPTIONS sip:"...)
	b = append(appendTransport(t.addr.AppendTo(b), l), " SIP/2.0\r\nVia: "...)
	b = append(append(b, via...), "\r\nMax-Forwards: 70\r\nFrom: <sip:"...)
	b = append(append(append(l.Advertised.AppendTo(b), ">;tag="...), tag...), "\r\nTo: <sip:"...)
	b = append(t.addr.AppendTo(b), ">\r\nCall-ID: probe-"...)
	b = append(append(append(b, tag...), '@'), p.o.Name...)
	b = append(b, "\r\nCSeq: 1 OPTIONS\r\nAccept: application/sdp\r\nContent-Length: 0\r\n\r\n"...)
	p.metrics.request([]byte("OPTIONS"), sent, l.kind())
	t.probe = &probe{p: p, target: t, sent: time.Now()}
	t.probe.client = p.layer.NewClient(id, false, path(l, t.addr), b, t.probe)
	return true
}

// A probe is an OPTIONS on its way to a target.
type probe struct {
	p      *Proxy
	target *target
	client *transaction.Client
	sent   time.Time
}

// Response takes the target's answer.
func (o *probe) Response(v *message.View) {
	switch {
	case o.target.probe != o || v.Status < 200:
		return
	case v.Status == 503:
		o.p.mark(o.target, "503 to OPTIONS")
	default:
		o.p.heard(o.target) // whatever it says, it is there
	}
	o.over()
}

// Failed is told that the OPTIONS could not be sent. That nobody answers is
// noticed before the transaction's own time is over.
func (o *probe) Failed(transaction.End) {
	if o.target.probe == o {
		o.p.mark(o.target, "OPTIONS could not be sent")
		o.over()
	}
}

// over has the next probe follow.
func (o *probe) over() {
	o.target.probe = nil
	o.p.attend(o.target, max(0, o.target.probing.Every-time.Since(o.sent)))
}

// endProbe forgets the probe that is on its way.
func (p *Proxy) endProbe(t *target) {
	if t.probe != nil {
		t.probe.client.Drop()
		t.probe = nil
	}
}

// mark notes a failure of a target.
func (p *Proxy) mark(t *target, why string) {
	p.turned(t, t.failed(time.Now(), why, &t.probing))
}

// heard notes an answer of a target.
func (p *Proxy) heard(t *target) {
	p.turned(t, t.answered(time.Now(), &t.probing))
}

// rest notes that a target wants no calls for a while.
func (p *Proxy) rest(t *target, d time.Duration) {
	p.turned(t, t.resting(time.Now(), d))
	if !t.probing.on() {
		p.attend(t, 0)
	}
}

// turned tells of a change of state, if there was one.
func (p *Proxy) turned(t *target, changed bool) {
	if !changed {
		return
	}
	p.metrics.transitions.WithLabelValues(t.carrier, t.state.String()).Inc()
	log := p.o.Log.Info
	if t.state == targetDown {
		log = p.o.Log.Warn
	}
	log("a target of a carrier has changed its state", "carrier", t.carrier, "target", t.addr, "state", t.state.String(), "why", t.why)
}
