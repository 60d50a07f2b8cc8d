package sipproxy

import (
	"github.com/prometheus/client_golang/prometheus"

	"dialgate/sipproxy/dns"
)

// lookups tell what the client of DNS has counted, and of which carriers names
// could not be looked for.
type lookups struct{ p *Proxy }

var (
	questionsDesc   = prometheus.NewDesc("dialgate_dns_questions_total", "Questions to DNS by what came of them: found, none (there is nothing), cached, kept (nobody answers, the last answer stays), failed.", []string{"result"}, nil)
	serversDesc     = prometheus.NewDesc("dialgate_dns_server_events_total", "What DNS servers did: silent, refused, strange (it answers another question), malformed, truncated (asked again over TCP).", []string{"event"}, nil)
	rememberedDesc  = prometheus.NewDesc("dialgate_dns_answers", "Answers of DNS in memory.", nil, nil)
	namesFailedDesc = prometheus.NewDesc("dialgate_carrier_names_failed", "Names of the carrier that can't be looked up; their last addresses stay in use.", []string{"carrier"}, nil)
)

// Describe is part of prometheus.Collector.
func (l lookups) Describe(to chan<- *prometheus.Desc) {
	to <- questionsDesc
	to <- serversDesc
	to <- rememberedDesc
	to <- namesFailedDesc
}

// Collect is part of prometheus.Collector.
func (l lookups) Collect(to chan<- prometheus.Metric) {
	if c := l.p.dns; c != nil {
		for _, e := range dns.Events() {
			desc := questionsDesc
			if e > dns.Failed {
				desc = serversDesc
			}
			to <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(c.Count(e)), e.String())
		}
		to <- prometheus.MustNewConstMetric(rememberedDesc, prometheus.GaugeValue, float64(c.Remembered()))
	}
	now := l.p.config.Load()
	if now == nil {
		return // it is being made
	}
	l.p.names.mu.Lock()
	defer l.p.names.mu.Unlock()
	for i := range now.Carriers {
		k, failed := &now.Carriers[i], 0
		for _, n := range k.Names {
			if known := l.p.names.known[n]; known == nil || known.failed {
				failed++
			}
		}
		to <- prometheus.MustNewConstMetric(namesFailedDesc, prometheus.GaugeValue, float64(failed), k.ID)
	}
}
