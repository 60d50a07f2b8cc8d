package console

import (
	"sync"
	"time"

	"dialgate/policy"
)

// A Meter counts decisions by second, by minute and by hour, for the page that
// shows what the gate does. It costs a call one lock and four additions.
type Meter struct {
	now func() time.Time

	mu      sync.Mutex
	seconds [meterSeconds]bucket
	minutes [meterMinutes]bucket
	hours   [meterHours]hourCount
	total   [reasons]uint64
}

const (
	meterSeconds = 120
	meterMinutes = 180
	meterHours   = 7 * 24 // so that each hour of the week is there once

	reasons = 256 // as many as a policy.Reason can be
)

// A bucket counts what was judged in one second or minute.
type bucket struct {
	at     int64
	counts [reasons]uint32
}

// An hourCount counts what was judged in one hour.
type hourCount struct {
	at           int64 // hours since 1970
	all, refused uint64
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
	hour := at.Unix() / 3600
	second := m.now().Unix()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.seconds[second%meterSeconds].add(second, reason)
	m.minutes[second/60%meterMinutes].add(second/60, reason)
	m.total[reason]++
	h := &m.hours[uint64(hour)%meterHours]
	if h.at != hour {
		*h = hourCount{at: hour}
	}
	h.all++
	if !reason.Allows() {
		h.refused++
	}
}

// Hours are the counts of the last week's hours in which calls were judged.
func (m *Meter) Hours() (hours []hourCount) {
	m.mu.Lock()
	defer m.mu.Unlock()
	newest := int64(0)
	for i := range m.hours {
		newest = max(newest, m.hours[i].at)
	}
	for _, h := range m.hours {
		if h.all > 0 && h.at > newest-meterHours {
			hours = append(hours, h)
		}
	}
	return hours
}

func (b *bucket) add(at int64, reason policy.Reason) {
	if b.at != at {
		*b = bucket{at: at}
	}
	b.counts[reason]++
}

// A Reading is what a Meter shows.
type Reading struct {
	Allowed, Refused float64 // a second, over the last ten
	Minutes          []Minute
	Total            map[policy.Reason]uint64 // since the start
}

// A Minute counts decisions by reason.
type Minute struct {
	At     time.Time
	Counts map[policy.Reason]uint32
}

// Sum is how many were allowed and refused.
func (m *Minute) Sum() (allowed, refused uint32) {
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

// Read reads the meter: the last minutes, the oldest first.
func (m *Meter) Read(minutes int) Reading {
	now := m.now().Unix()
	m.mu.Lock()
	defer m.mu.Unlock()
	r := Reading{Total: map[policy.Reason]uint64{}}
	for at := now - rateOver; at < now; at++ {
		if b := &m.seconds[at%meterSeconds]; b.at == at {
			one := Minute{Counts: b.byReason()}
			allowed, refused := one.Sum()
			r.Allowed += float64(allowed) / rateOver
			r.Refused += float64(refused) / rateOver
		}
	}
	for at := now/60 - int64(min(minutes, meterMinutes)) + 1; at <= now/60; at++ {
		one := Minute{At: time.Unix(at*60, 0), Counts: map[policy.Reason]uint32{}}
		if b := &m.minutes[at%meterMinutes]; b.at == at {
			one.Counts = b.byReason()
		}
		r.Minutes = append(r.Minutes, one)
	}
	for reason, n := range m.total {
		if n > 0 {
			r.Total[policy.Reason(reason)] = n
		}
	}
	return r
}
