package console

import (
	"sync"
	"time"

	"dialgate/policy"
)

// A Meter counts decisions by second, by minute and by hour, for the page that
// shows what the gate does. It costs a call one lock and four additions; who
// reads it holds the lock for one count at a time.
type Meter struct {
	now func() time.Time

	mu      sync.Mutex
	seconds [meterSeconds]bucket
	minutes [meterMinutes]bucket
	hours   [meterHours]bucket
	total   [reasons]uint64
	since   time.Time // whole are the counts from then on
}

const (
	meterSeconds = 120
	meterMinutes = 180
	meterHours   = 7 * 24 // so that each hour of the week is there once

	reasons = 256 // as many as a policy.Reason can be
)

// A bucket counts what was judged in one second, minute or hour.
type bucket struct {
	at     int64 // seconds, minutes or hours since 1970
	counts [reasons]uint32
}

// byReason are the reasons that were counted.
func (b *bucket) byReason() map[policy.Reason]uint32 {
	counts := map[policy.Reason]uint32{}
	for reason, n := range b.counts {
		if n > 0 {
			counts[policy.Reason(reason)] = n
		}
	}
	return counts
}

func newMeter() *Meter { return &Meter{now: time.Now} }

// Observe counts one decision. at is the time that the call was judged by, which
// in a demo is not the clock's.
func (m *Meter) Observe(reason policy.Reason, at time.Time) {
	second := m.now().Unix()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.seconds[second%meterSeconds].add(second, reason)
	m.minutes[second/60%meterMinutes].add(second/60, reason)
	m.hours[mod(at.Unix()/3600, meterHours)].add(at.Unix()/3600, reason)
	m.total[reason]++
}

// Past counts a decision that was made before this process began.
func (m *Meter) Past(reason policy.Reason, at time.Time) {
	minute, hour := at.Unix()/60, at.Unix()/3600
	m.mu.Lock()
	defer m.mu.Unlock()
	m.minutes[mod(minute, meterMinutes)].add(minute, reason)
	m.hours[mod(hour, meterHours)].add(hour, reason)
	m.total[reason]++
}

func mod(at, size int64) int64 { return ((at % size) + size) % size }

// WholeSince says from when on the counts are whole; Since tells it.
func (m *Meter) WholeSince(t time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.since = t
}

// Since is from when on the counts are whole.
func (m *Meter) Since() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.since
}

// add counts; what is older than what is counted there is not counted any more.
func (b *bucket) add(at int64, reason policy.Reason) {
	if at < b.at {
		return
	}
	if at > b.at {
		*b = bucket{at: at}
	}
	b.counts[reason]++
}

// A Reading is what a Meter shows.
type Reading struct {
	Allowed, Refused float64 // a second, over the last ten
	Spans            []Span
	Total            map[policy.Reason]uint64 // of all that was counted
}

// A Span counts the decisions of one minute or hour by reason.
type Span struct {
	At     time.Time
	Counts map[policy.Reason]uint32
}

// Sum is how many were allowed and refused.
func (m *Span) Sum() (allowed, refused uint32) {
	for r, n := range m.Counts {
		if r.Allows() {
			allowed += n
		} else {
			refused += n
		}
	}
	return allowed, refused
}

const rateOver = 10

// Minutes reads the last minutes, the oldest first.
func (m *Meter) Minutes(count int) Reading {
	r := m.rates()
	r.Spans = m.spans(m.minutes[:], time.Minute, m.now(), count)
	return r
}

// Hours reads the hours up to a time, the oldest first.
func (m *Meter) Hours(until time.Time, count int) Reading {
	r := m.rates()
	r.Spans = m.spans(m.hours[:], time.Hour, until, count)
	return r
}

func (m *Meter) spans(buckets []bucket, length time.Duration, until time.Time, count int) (spans []Span) {
	size, seconds := int64(len(buckets)), int64(length/time.Second)
	last := until.Unix() / seconds
	for at := last - min(int64(count), size) + 1; at <= last; at++ {
		m.mu.Lock()
		b := buckets[mod(at, size)]
		m.mu.Unlock()
		one := Span{At: time.Unix(at*seconds, 0), Counts: map[policy.Reason]uint32{}}
		if b.at == at {
			one.Counts = b.byReason()
		}
		spans = append(spans, one)
	}
	return spans
}

func (m *Meter) rates() Reading {
	now := m.now()
	r := Reading{Total: map[policy.Reason]uint64{}}
	for _, one := range m.spans(m.seconds[:], time.Second, now.Add(-time.Second), rateOver) {
		allowed, refused := one.Sum()
		r.Allowed += float64(allowed) / rateOver
		r.Refused += float64(refused) / rateOver
	}
	m.mu.Lock()
	total := m.total
	m.mu.Unlock()
	for reason, n := range total {
		if n > 0 {
			r.Total[policy.Reason(reason)] = n
		}
	}
	return r
}
