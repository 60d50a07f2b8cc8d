package main

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"dialgate/console"
	"dialgate/policy"
	"dialgate/store"
)

// maxCampaigns bounds the label values for campaigns; the rest is "other".
const maxCampaigns = 100

// nodeMetrics count what is judged.
type nodeMetrics struct {
	calls   *prometheus.CounterVec
	shadow  *prometheus.CounterVec
	late    *prometheus.CounterVec
	seconds prometheus.Histogram

	reloadWorked prometheus.Gauge
	reloadedAt   prometheus.Gauge

	mu    sync.RWMutex
	known map[callLabels]prometheus.Counter // found once: a look-up by labels costs allocations
	names map[string]bool
}

type callLabels struct {
	peer, campaign string
	verdict        policy.Verdict
	reason         policy.Reason
}

func newNodeMetrics(r prometheus.Registerer, s *store.Store, w *world) *nodeMetrics {
	m := &nodeMetrics{
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "dialgate_calls_total",
			Help: "Calls judged, by peer, campaign, verdict and reason."}, []string{"peer", "campaign", "verdict", "reason"}),
		shadow: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "dialgate_not_enforced_total",
			Help: "Findings that would have refused a call that went on, by rule, its reason and why it did not: shadow, off, or permit where the system itself could not judge."},
			[]string{"rule", "reason", "mode"}),
		late: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "dialgate_unrecorded_calls_total",
			Help: "Calls that were answered without their record being on disk, by the cause, late or failed, and the verdict that they were answered by."},
			[]string{"cause", "verdict"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "dialgate_decision_seconds",
			Help:    "Time to look up and decide, without the wait for the record.",
			Buckets: []float64{2e-6, 5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 5e-3, 2e-2, 0.1}}),
		reloadWorked: prometheus.NewGauge(prometheus.GaugeOpts{Name: "dialgate_config_last_reload_successful",
			Help: "1 when the last reload put the configuration file in force, 0 when it found a fault in it."}),
		reloadedAt: prometheus.NewGauge(prometheus.GaugeOpts{Name: "dialgate_config_last_reload_success_timestamp_seconds",
			Help: "When a configuration was last put in force, seconds since 1970."}),
		known: map[callLabels]prometheus.Counter{}, names: map[string]bool{},
	}
	m.reload(w)
	r.MustRegister(m.calls, m.shadow, m.late, m.seconds, m.reloadWorked, m.reloadedAt, factCounts{s}, registerDates{s},
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "dialgate_ledger_records", Help: "Records in the ledger."}, func() float64 { return float64(s.LedgerEnd()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "dialgate_ledger_bytes", Help: "Size of the ledger's files in octets."}, func() float64 { return float64(s.LedgerBytes()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "dialgate_disk_free_bytes", Help: "Free octets of the store's disk."}, func() float64 { return float64(s.DiskFree()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "dialgate_ready", Help: "1 when calls can be judged and recorded."}, func() float64 {
			if s.Ready() != nil {
				return 0
			}
			return 1
		}))
	for _, cause := range []string{"late", "failed"} { // from 0, so that an alert sees the first one
		for _, verdict := range []policy.Verdict{policy.Allowed, policy.Denied} {
			m.late.WithLabelValues(cause, verdict.String())
		}
	}
	return m
}

// reload notes that the configuration of a world was put in force; nil: that
// none was. Campaigns keep their label values as long as the node runs.
func (m *nodeMetrics) reload(w *world) {
	if w == nil {
		m.reloadWorked.Set(0)
		return
	}
	m.reloadWorked.Set(1)
	m.reloadedAt.SetToCurrentTime()
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range w.cfg.Campaigns {
		if len(m.names) < maxCampaigns {
			m.names[w.cfg.Campaigns[i].ID] = true
		}
	}
}

// observe counts one decision.
func (m *nodeMetrics) observe(a *policy.Attempt, d *policy.Decision, took time.Duration) {
	m.seconds.Observe(took.Seconds())
	l := callLabels{peer: "unknown", campaign: "none", verdict: d.Verdict, reason: d.Reason}
	if a.Peer != nil {
		l.peer = a.Peer.ID
	}
	if a.Campaign != nil {
		l.campaign = a.Campaign.ID
	}
	m.mu.RLock()
	if a.Campaign != nil && !m.names[l.campaign] {
		l.campaign = "other"
	}
	c := m.known[l]
	m.mu.RUnlock()
	if c == nil {
		c = m.calls.WithLabelValues(l.peer, l.campaign, l.verdict.String(), l.reason.String())
		m.mu.Lock()
		m.known[l] = c
		m.mu.Unlock()
	}
	c.Inc()
	if d.Reason == policy.ReasonNotEnforced {
		m.notEnforced(d)
	}
}

// unrecorded counts a call that was answered without its record being on disk.
func (m *nodeMetrics) unrecorded(d *policy.Decision, why error) {
	cause := "late"
	if why != nil {
		cause = "failed"
	}
	m.late.WithLabelValues(cause, d.Verdict.String()).Inc()
}

// notEnforced counts every finding that would have refused the call.
func (m *nodeMetrics) notEnforced(d *policy.Decision) {
	if w := d.Waived(); w.By == "permit" {
		m.shadow.WithLabelValues("none", w.Reason.String(), w.By).Inc()
		return
	}
	for _, f := range d.NotEnforced() {
		m.shadow.WithLabelValues(f.Rule.ID, f.Reason.String(), f.Mode.String()).Inc()
	}
}

// factCounts is dialgate_facts{kind}.
type factCounts struct{ store *store.Store }

var factCountsDesc = prometheus.NewDesc("dialgate_facts", "Facts held, by kind.", []string{"kind"}, nil)

// Describe is prometheus.Collector's.
func (f factCounts) Describe(c chan<- *prometheus.Desc) { c <- factCountsDesc }

// Collect is prometheus.Collector's.
func (f factCounts) Collect(c chan<- prometheus.Metric) {
	counts := f.store.Counts()
	for _, k := range policy.Kinds() {
		c <- prometheus.MustNewConstMetric(factCountsDesc, prometheus.GaugeValue, float64(counts[k]), k.String())
	}
}

// webhookStates is dialgate_webhooks{state} and how far the last of them is behind.
type webhookStates struct{ console *console.Server }

var (
	webhooksDesc       = prometheus.NewDesc("dialgate_webhooks", "Webhooks, by state: working, failing (tried again) or disabled (given up).", []string{"state"}, nil)
	webhooksBehindDesc = prometheus.NewDesc("dialgate_webhooks_behind_records", "Records of the ledger that the webhook furthest behind was not told of yet.", nil, nil)
)

// Describe is prometheus.Collector's.
func (w webhookStates) Describe(c chan<- *prometheus.Desc) {
	c <- webhooksDesc
	c <- webhooksBehindDesc
}

// Collect is prometheus.Collector's.
func (w webhookStates) Collect(c chan<- prometheus.Metric) {
	states, behind := w.console.Webhooks()
	for state, n := range states {
		c <- prometheus.MustNewConstMetric(webhooksDesc, prometheus.GaugeValue, float64(n), state)
	}
	c <- prometheus.MustNewConstMetric(webhooksBehindDesc, prometheus.GaugeValue, float64(behind))
}

// registerDates is dialgate_register_as_of_timestamp_seconds{register}.
type registerDates struct{ store *store.Store }

var registerDatesDesc = prometheus.NewDesc("dialgate_register_as_of_timestamp_seconds", "Date of the copy of a do-not-call register that counts.", []string{"register"}, nil)

// Describe is prometheus.Collector's.
func (r registerDates) Describe(c chan<- *prometheus.Desc) { c <- registerDatesDesc }

// Collect is prometheus.Collector's.
func (r registerDates) Collect(c chan<- prometheus.Metric) {
	loaded, err := r.store.Registers()
	if err != nil {
		return
	}
	for id, t := range loaded.AsOf() {
		c <- prometheus.MustNewConstMetric(registerDatesDesc, prometheus.GaugeValue, float64(t.Unix()), id)
	}
}
