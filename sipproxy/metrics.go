package sipproxy

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"dialgate/sipproxy/transport"
)

// direction is a metric label.
type direction int

const (
	in direction = iota
	sent
)

var directions = [...]string{in: "in", sent: "out"}

// A drop is why a message went no further.
type drop int

const (
	dropMalformed drop = iota
	dropTooLarge
	dropTooManyHeaders
	dropStranger
	dropStray
	dropStrayACK
)

var drops = [...]string{dropMalformed: "malformed", dropTooLarge: "too-large", dropTooManyHeaders: "too-many-headers", dropStranger: "unknown-source", dropStray: "stray-response", dropStrayACK: "stray-ack"}

// An overload is for what want of room a call is refused.
type overload int

const (
	roomy overload = iota // there is room
	overDraining
	overTransactions
	overRate
	overInSetup
	overEmergency
	overCarrier
)

var overloads = [...]string{overDraining: "draining", overTransactions: "transactions", overRate: "calls-per-second", overInSetup: "calls-in-setup", overEmergency: "emergency", overCarrier: "carrier"}

// methods are the label values; any other method is "other", so that nobody
// can make up new ones.
var methods = [...]string{"INVITE", "ACK", "BYE", "CANCEL", "OPTIONS", "REGISTER", "UPDATE", "INFO", "PRACK", "REFER", "NOTIFY", "other"}

// metrics are counters found once, so that counting is one atomic addition.
type metrics struct {
	requests  [2][len(methods)][]prometheus.Counter // by transport
	responses [2][700]prometheus.Counter

	drops      [len(drops)]prometheus.Counter
	repeated   prometheus.Counter
	overloads  [len(overloads)]prometheus.Counter
	proofs     [proofCount]prometheus.Counter
	panics     prometheus.Counter
	sendErrors prometheus.Counter

	failovers   *prometheus.CounterVec // by carrier that was left, and cause
	passedOver  *prometheus.CounterVec // by carrier
	transitions *prometheus.CounterVec // by carrier and new state
}

func newMetrics(r prometheus.Registerer, p *Proxy) *metrics {
	m := &metrics{}
	messages := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "dialgate_sip_messages_total",
		Help: "SIP requests by method, direction and transport. Of those sent, one that is sent again counts once."}, []string{"method", "direction", "transport"})
	codes := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "dialgate_responses_total",
		Help: "SIP responses sent, by status code."}, []string{"code"})
	received := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "dialgate_responses_received_total",
		Help: "SIP responses received, by status code."}, []string{"code"})
	dropped := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "dialgate_sip_dropped_total",
		Help: "SIP messages that went no further, by cause."}, []string{"cause"})
	for d, name := range directions {
		for i, method := range methods {
			m.requests[d][i] = make([]prometheus.Counter, len(transport.Kinds()))
			for l := range p.o.Listeners {
				k := p.o.Listeners[l].kind()
				m.requests[d][i][k] = messages.WithLabelValues(method, name, k.String())
			}
		}
	}
	for code := 100; code < 700; code++ {
		// A code's series begins when the code is first used: WithLabelValues
		// would show 600 zeros.
		m.responses[in][code] = &lazyCounter{vec: received, label: strconv.Itoa(code)}
		m.responses[sent][code] = &lazyCounter{vec: codes, label: strconv.Itoa(code)}
	}
	for i, cause := range drops {
		m.drops[i] = dropped.WithLabelValues(cause)
	}
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
		r.MustRegister(c)
		return c
	}
	m.repeated = counter("dialgate_sip_retransmissions_received_total", "Requests that came again and were answered from memory.")
	overloaded := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "dialgate_overloaded_total",
		Help: "Calls, and requests in them, refused for want of room, by the limit."}, []string{"cause"})
	r.MustRegister(overloaded)
	for i := overDraining; int(i) < len(overloads); i++ {
		m.overloads[i] = overloaded.WithLabelValues(overloads[i])
	}
	proven := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "dialgate_digest_total",
		Help: "Requests of peers that prove by digest who they are, by what came of it."}, []string{"result"})
	r.MustRegister(proven)
	for i, what := range proofs {
		m.proofs[i] = proven.WithLabelValues(what)
	}
	m.panics = counter("dialgate_panics_total", "Messages that a fault in dialgate kept from being worked off.")
	m.sendErrors = counter("dialgate_sip_send_errors_total", "Messages that the network did not take.")
	m.failovers = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "dialgate_failovers_total",
		Help: "Calls that went on to the next target, by the carrier they left and why."}, []string{"carrier", "cause"})
	m.passedOver = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "dialgate_carrier_passed_over_total",
		Help: "Times that a carrier was left out because its limits had no room."}, []string{"carrier"})
	m.transitions = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "dialgate_carrier_transitions_total",
		Help: "Changes of a target's state, by carrier and the new state."}, []string{"carrier", "state"})
	r.MustRegister(m.failovers, m.passedOver, m.transitions, newCarrierMetrics(p), lookups{p})
	r.MustRegister(messages, codes, received, dropped, newConnections(p.o.Listeners),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "dialgate_transactions", Help: "SIP transactions in memory, both sides."}, func() float64 {
			servers, clients := p.layer.Count()
			return float64(servers + clients)
		}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "dialgate_calls_in_setup", Help: "Calls without a final response."}, func() float64 {
			p.layer.Lock()
			defer p.layer.Unlock()
			return float64(p.inSetup)
		}))
	return m
}

func (m *metrics) request(method []byte, d direction, k transport.Kind) {
	i := len(methods) - 1
	for k := range methods[:i] {
		if string(method) == methods[k] {
			i = k
			break
		}
	}
	m.requests[d][i][k].Inc()
}

func (m *metrics) response(status int, d direction) { m.responses[d][status].Inc() }
func (m *metrics) dropped(why drop)                 { m.drops[why].Inc() }
func (m *metrics) overloaded(why overload)          { m.overloads[why].Inc() }
