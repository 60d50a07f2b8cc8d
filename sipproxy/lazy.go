package sipproxy

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// A lazyCounter is a counter of a vector that appears when it is first used.
type lazyCounter struct {
	prometheus.Counter
	vec   *prometheus.CounterVec
	label string
	once  sync.Once
}

// Inc adds one.
func (c *lazyCounter) Inc() {
	c.once.Do(func() { c.Counter = c.vec.WithLabelValues(c.label) })
	c.Counter.Inc()
}
