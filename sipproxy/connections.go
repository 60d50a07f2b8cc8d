package sipproxy

import (
	"github.com/prometheus/client_golang/prometheus"

	"dialgate/sipproxy/transport"
)

// connections tell what the streams have counted; those of one transport
// together.
type connections struct {
	streams [][]*transport.Stream // by transport
}

func newConnections(ls []Listener) *connections {
	c := &connections{streams: make([][]*transport.Stream, len(transport.Kinds()))}
	for i := range ls {
		if s, ok := ls[i].Conn.(*transport.Stream); ok {
			c.streams[s.Kind()] = append(c.streams[s.Kind()], s)
		}
	}
	return c
}

var (
	connectionsDesc = prometheus.NewDesc("dialgate_connections", "Connections that are open.", []string{"transport"}, nil)
	openedDesc      = prometheus.NewDesc("dialgate_connections_opened_total", "Connections by who opened them: in, the other side; out, dialgate.", []string{"transport", "direction"}, nil)
	endedDesc       = prometheus.NewDesc("dialgate_connections_ended_total", "Connections that ended or were not let in, by cause.", []string{"transport", "cause"}, nil)
	expiresDesc     = prometheus.NewDesc("dialgate_tls_certificate_expires_seconds", "When the certificate that a transport's listeners show expires, the first of them.", []string{"transport"}, nil)
)

// Describe is prometheus.Collector's.
func (c *connections) Describe(out chan<- *prometheus.Desc) {
	out <- connectionsDesc
	out <- openedDesc
	out <- endedDesc
	out <- expiresDesc
}

// Collect is prometheus.Collector's.
func (c *connections) Collect(out chan<- prometheus.Metric) {
	for _, k := range transport.Kinds() {
		if len(c.streams[k]) == 0 {
			continue
		}
		open, accepted, dialled := 0, uint64(0), uint64(0)
		ended := make([]uint64, len(transport.Ends()))
		expires := 0.0
		for _, s := range c.streams[k] {
			open += s.Open()
			accepted += s.Counts.Accepted()
			dialled += s.Counts.Dialled()
			for _, e := range transport.Ends() {
				ended[e] += s.Counts.Ended(e)
			}
			if t := s.CertificateExpires(); !t.IsZero() && (expires == 0 || float64(t.Unix()) < expires) {
				expires = float64(t.Unix())
			}
		}
		out <- prometheus.MustNewConstMetric(connectionsDesc, prometheus.GaugeValue, float64(open), k.String())
		out <- prometheus.MustNewConstMetric(openedDesc, prometheus.CounterValue, float64(accepted), k.String(), directions[in])
		out <- prometheus.MustNewConstMetric(openedDesc, prometheus.CounterValue, float64(dialled), k.String(), directions[sent])
		for _, e := range transport.Ends() {
			out <- prometheus.MustNewConstMetric(endedDesc, prometheus.CounterValue, float64(ended[e]), k.String(), e.String())
		}
		if expires > 0 {
			out <- prometheus.MustNewConstMetric(expiresDesc, prometheus.GaugeValue, expires, k.String())
		}
	}
}
