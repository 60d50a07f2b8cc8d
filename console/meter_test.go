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
	if r := m.Minutes(3); r.Allowed != 0 {
		t.Errorf("the second that runs is counted: %v", r.Allowed)
	}
	now = now.Add(time.Second)
	r := m.Minutes(3)
	if r.Allowed != 2 || r.Refused != 4 || len(r.Spans) != 3 || r.Total[policy.ReasonObjected] != 40 {
		t.Errorf("%+v", r)
	}
	if a, d := r.Spans[2].Sum(); a != 20 || d != 40 {
		t.Error(a, d)
	}
	now = now.Add(2 * time.Minute)
	m.Observe(policy.ReasonConsent, now)
	r = m.Minutes(3)
	if a, d := r.Spans[0].Sum(); a != 20 || d != 40 || r.Allowed != 0 || !r.Spans[0].At.Equal(time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)) {
		t.Errorf("%+v", r)
	}
	now = now.Add(meterMinutes * time.Minute)
	r = m.Minutes(meterMinutes + 10)
	for _, one := range r.Spans {
		if a, d := one.Sum(); a+d > 1 || len(r.Spans) != meterMinutes {
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

// TestMeterHours: one count for each hour of the last week; what is older than
// what is counted in its place is not.
func TestMeterHours(t *testing.T) {
	m := newMeter()
	at := time.Date(2026, 11, 24, 12, 30, 0, 0, time.UTC)
	m.Observe(policy.ReasonConsent, at)
	for range 2 {
		m.Past(policy.ReasonObjected, at.Add(-time.Hour))
	}
	m.Past(policy.ReasonObjected, at.Add(-meterHours*time.Hour))
	r := m.Hours(at, meterHours)
	if len(r.Spans) != meterHours || r.Total[policy.ReasonObjected] != 3 {
		t.Fatalf("%d hours, %v", len(r.Spans), r.Total)
	}
	for i, want := range map[int][2]uint32{meterHours - 1: {1, 0}, meterHours - 2: {0, 2}, meterHours - 3: {}, 0: {}} {
		if a, d := r.Spans[i].Sum(); a != want[0] || d != want[1] {
			t.Errorf("hour %d: %d, %d, want %v", i, a, d, want)
		}
	}
	m.Observe(policy.ReasonObjected, at.Add(meterHours*time.Hour))
	r = m.Hours(at.Add(meterHours*time.Hour), meterHours)
	if a, d := r.Spans[meterHours-1].Sum(); a != 0 || d != 1 {
		t.Errorf("a week later: %d, %d", a, d)
	}
	if a, d := r.Spans[meterHours-2].Sum(); a+d != 0 {
		t.Errorf("the hour before, a week later: %d, %d", a, d)
	}
	m.Observe(policy.ReasonConsent, time.Time{}) // a demo's clock before its story begins
}
