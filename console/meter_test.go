package console

import (
	"testing"
	"time"

	"dialgate/policy"
)

// TestMeter counts by second and by minute, and forgets what is long ago.
func TestMeter(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 0, 30, 0, time.UTC)
	m := newMeter()
	m.now = func() time.Time { return now }
	for range 20 {
		m.Observe(policy.ReasonConsent, now)
		m.Observe(policy.ReasonObjected, now)
		m.Observe(policy.ReasonObjected, now)
	}
	if r := m.Read(3); r.Allowed != 0 {
		t.Errorf("the second that runs is counted: %v", r.Allowed)
	}
	now = now.Add(time.Second)
	r := m.Read(3)
	if r.Allowed != 2 || r.Refused != 4 || len(r.Minutes) != 3 || r.Total[policy.ReasonObjected] != 40 {
		t.Errorf("%+v", r)
	}
	if a, d := r.Minutes[2].Sum(); a != 20 || d != 40 {
		t.Error(a, d)
	}
	now = now.Add(2 * time.Minute)
	m.Observe(policy.ReasonConsent, now)
	r = m.Read(3)
	if a, d := r.Minutes[0].Sum(); a != 20 || d != 40 || r.Allowed != 0 || !r.Minutes[0].At.Equal(time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)) {
		t.Errorf("%+v", r)
	}
	now = now.Add(meterMinutes * time.Minute)
	r = m.Read(meterMinutes + 10)
	for _, one := range r.Minutes {
		if a, d := one.Sum(); a+d > 1 || len(r.Minutes) != meterMinutes {
			t.Errorf("%+v", one)
		}
	}
}

// BenchmarkObserve is what it costs a call.
func BenchmarkObserve(b *testing.B) {
	m, now := newMeter(), time.Now()
	for b.Loop() {
		m.Observe(policy.ReasonObjected, now)
	}
}

// TestMeterHours: one count for each hour of the last week.
func TestMeterHours(t *testing.T) {
	m := newMeter()
	at := time.Date(2026, 11, 24, 12, 30, 0, 0, time.UTC)
	m.Observe(policy.ReasonConsent, at)
	m.Observe(policy.ReasonObjected, at.Add(-time.Hour))
	m.Observe(policy.ReasonObjected, at.Add(-time.Hour))
	if h := m.Hours(); len(h) != 2 || h[0].all+h[1].all != 3 || h[0].refused+h[1].refused != 2 {
		t.Errorf("%+v", h)
	}
	m.Observe(policy.ReasonObjected, at.Add(7*24*time.Hour))
	if h := m.Hours(); len(h) != 1 || h[0].all != 1 {
		t.Errorf("a week later: %+v", h)
	}
}
