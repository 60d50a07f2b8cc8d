package sipproxy

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"dialgate/sipproxy/transaction"
	"dialgate/sipproxy/transport"
)

// A Carrier is where allowed calls go.
type Carrier struct {
	ID      string
	Targets []netip.AddrPort // tried in this order
	Names   []Name           // and then what DNS knows under these
	// Transport is how its Targets are reached.
	Transport transport.Kind
	// TLS is how its certificate is checked, where the transport has one.
	TLS *transport.ServerCheck
	// LargeOverTCP: requests near the MTU go over TCP, by the same targets.
	LargeOverTCP bool
	// Sources are further addresses that the carrier sends from.
	Sources  []netip.Prefix
	Weight   int // share among the carriers of one priority
	Priority int // the lowest goes first

	// AnswerWithin is how long a target may be silent before the next one is
	// tried; 0: 32 seconds (timer B). The last one is always given so long.
	AnswerWithin time.Duration
	// FailoverOn are status codes, beside 503, on which the next target is tried.
	FailoverOn []int
	// CallsPerSecond bounds new calls, a burst of as many allowed; 0: no bound.
	CallsPerSecond int
	// CallsInSetup bounds calls without a final response; 0: no bound.
	CallsInSetup int
	Probing      Probing

	targets []ranked // Targets, and what is known of Names
}

// A carrier is a Carrier with what its limits count and what is known of its
// targets. Both outlive a configuration, by the carrier's id and the address.
type carrier struct {
	Carrier
	*counts
	to []place
}

// A place is a target with its place among those of its carrier.
type place struct {
	*target
	kind             transport.Kind
	priority, weight int
}

// A target is one address of a carrier. Its fields are used under the layer's lock.
type target struct {
	carrier string // its id
	addr    netip.AddrPort
	health
	by      transport.Kind // this and probing are those of the configuration in force
	probing Probing
	timer   transaction.Timer
	probe   *probe // on its way; nil: none
}

type targetKey struct {
	carrier string
	addr    netip.AddrPort
}

// carry makes the carriers of a configuration, with the counts and targets of
// the one before.
func (f *inForce) carry(before *inForce, now time.Time) {
	f.reach = map[targetKey]*target{}
	for i := range f.Carriers {
		k := &carrier{Carrier: f.Carriers[i], counts: &counts{}}
		if before != nil {
			if j := slices.IndexFunc(before.carriers, func(b *carrier) bool { return b.ID == k.ID }); j >= 0 {
				k.counts = before.carriers[j].counts
			}
		}
		for _, r := range k.targets {
			key := targetKey{k.ID, r.addr}
			if before != nil {
				f.reach[key] = before.reach[key]
			}
			if f.reach[key] == nil {
				f.reach[key] = &target{carrier: k.ID, addr: r.addr, health: health{since: now, why: "in the configuration"}}
			}
			k.to = append(k.to, place{f.reach[key], r.kind, r.priority, r.weight})
		}
		slices.SortStableFunc(k.to, func(a, b place) int { return cmp.Compare(a.priority, b.priority) })
		f.carriers = append(f.carriers, k)
		f.hops += len(k.to)
	}
}

// room reports whether the carrier's limits leave room for a call, and counts
// it against the rate.
func (k *carrier) room(now time.Time) bool {
	if k.CallsInSetup > 0 && k.inSetup >= k.CallsInSetup {
		return false
	}
	return k.rate.take(k.CallsPerSecond, now)
}

// A hop is where a call can go next.
type hop struct {
	carrier *carrier
	target  *target
	by      *Listener
	weight  int
}

// next chooses the next target of a call: further targets of the carrier that
// it is at, then another carrier of the lowest priority that has room, in
// proportion to its weight as RFC 2782 means it. Targets that are down are
// left out, unless all were when the call began: no probe refuses a call.
func (e *exchange) next(now time.Time) (hop, bool) {
	if e.at != nil {
		if h, ok := e.hopTo(e.at); ok {
			return h, true
		}
	}
	h, ok := e.choose(now)
	if !ok && len(e.tries) == 0 && !e.crowded {
		e.anyState = true
		h, ok = e.choose(now)
	}
	if ok {
		e.leaveCarrier()
		e.at = h.carrier
		e.at.inSetup++
	}
	return h, ok
}

// choose finds a carrier with a target that was not tried. Emergency calls
// pass its limits.
func (e *exchange) choose(now time.Time) (hop, bool) {
	var some [8]hop
	all := e.config.carriers
	for i := 0; i < len(all); {
		same, priority := some[:0], all[i].Priority
		for ; i < len(all) && all[i].Priority == priority; i++ {
			if h, ok := e.hopTo(all[i]); ok {
				same = append(same, h)
			}
		}
		for len(same) > 0 {
			n := e.p.weigh(same)
			if e.attempt.Called.Emergency || same[n].carrier.room(now) {
				return same[n], true
			}
			e.crowded = true
			e.p.metrics.passedOver.WithLabelValues(same[n].carrier.ID).Inc()
			same = slices.Delete(same, n, n+1)
		}
	}
	return hop{}, false
}

// hopTo is a target of the carrier that takes calls, can be reached, and was
// not tried: of the lowest priority, one by its weight.
func (e *exchange) hopTo(k *carrier) (hop, bool) {
	var some [8]hop
	for i := 0; i < len(k.to); {
		same, priority := some[:0], k.to[i].priority
		for ; i < len(k.to) && k.to[i].priority == priority; i++ {
			t := &k.to[i]
			if t.state != targetUp && !e.anyState || e.tried(t.target) {
				continue
			}
			if l := e.p.listenerFor(e.listener, t.kind, t.addr.Addr()); l != nil {
				same = append(same, hop{k, t.target, l, t.weight})
			}
		}
		if len(same) > 0 {
			h := same[e.p.weigh(same)]
			h.weight = k.Weight // from here on it stands for its carrier
			return h, true
		}
	}
	return hop{}, false
}

func (e *exchange) tried(t *target) bool {
	return slices.ContainsFunc(e.tries, func(y *try) bool { return y.target == t })
}

// leaveCarrier takes the call off the count of the carrier that it is at.
func (e *exchange) leaveCarrier() {
	if e.at != nil {
		e.at.inSetup--
	}
	e.at = nil
}

// weigh picks one of several in proportion to their weights; one of
// weight 0 only when there is no other.
func (p *Proxy) weigh(some []hop) int {
	if len(some) == 1 {
		return 0
	}
	sum := 0
	for i := range some {
		sum += some[i].weight
	}
	if sum == 0 {
		return 0
	}
	n := p.o.Random(sum)
	for i := range some {
		if n -= some[i].weight; n < 0 {
			return i
		}
	}
	panic("the random source gave a number that it was not asked for")
}

// carrierMetrics shows the carriers of the configuration in force, so that one
// that was taken out is not shown any more.
type carrierMetrics struct {
	p                 *Proxy
	up, targets, busy *prometheus.Desc
}

func newCarrierMetrics(p *Proxy) *carrierMetrics {
	return &carrierMetrics{p: p,
		up:      prometheus.NewDesc("dialgate_carrier_up", "1 when at least one target of the carrier takes calls.", []string{"carrier"}, nil),
		targets: prometheus.NewDesc("dialgate_carrier_targets", "Targets of the carrier, by state.", []string{"carrier", "state"}, nil),
		busy:    prometheus.NewDesc("dialgate_carrier_calls_in_setup", "Calls at the carrier without a final response.", []string{"carrier"}, nil),
	}
}

// Describe is part of prometheus.Collector.
func (m *carrierMetrics) Describe(to chan<- *prometheus.Desc) {
	to <- m.up
	to <- m.targets
	to <- m.busy
}

// Collect is part of prometheus.Collector.
func (m *carrierMetrics) Collect(to chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	type row struct {
		id     string
		states [len(targetStates)]int
		busy   int
	}
	var rows []row
	m.p.locked(func() {
		for _, k := range m.p.config.Load().carriers {
			r := row{id: k.ID, busy: k.inSetup}
			for _, t := range k.to {
				r.states[t.state]++
			}
			rows = append(rows, r)
		}
	})
	for _, r := range rows {
		up := 0.0
		if r.states[targetUp] > 0 {
			up = 1
		}
		gauge(m.up, up, r.id)
		gauge(m.busy, float64(r.busy), r.id)
		for s, n := range r.states {
			gauge(m.targets, float64(n), r.id, targetState(s).String())
		}
	}
}
