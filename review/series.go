package review

import (
	"slices"
	"strconv"
	"time"

	"dialgate/store"
)

// A series counts decisions over time, in slots of equal length by the clock
// on the wall. When there would be more than maxSlots, the slots grow.
type series struct {
	zone      *time.Location
	width     int64 // of a slot, seconds
	slots     map[int64]*slot
	low, high int64 // the first and the last slot
}

// A slot is what happened in one stretch of time.
type slot struct {
	Counts
	reasons map[string]int // of what was refused or would have been
}

const (
	hour     = 3600
	day      = 24 * hour
	maxSlots = 120
)

// widths are the lengths that slots grow through; then they double. None lies
// between an hour and a day: its bars would tell the time of day and no more.
var widths = []int64{hour, day, 7 * day, 28 * day}

// origin is a Monday, so that weeks begin on one: 1 January 1970 was a Thursday.
const origin = 4 * day

func newSeries(zone *time.Location) series {
	return series{zone: zone, width: widths[0], slots: map[int64]*slot{}}
}

// wall is the seconds that the clock on the wall shows.
func (s *series) wall(t time.Time) int64 {
	_, offset := t.In(s.zone).Zone()
	return t.Unix() + int64(offset) - origin
}

func (s *series) add(d *store.Decision, reason string) {
	i := floorDiv(s.wall(d.At), s.width)
	if len(s.slots) == 0 {
		s.low, s.high = i, i
	}
	s.low, s.high = min(s.low, i), max(s.high, i)
	this := s.slot(i)
	before := this.Stopped()
	if this.add(d); this.Stopped() > before {
		this.reasons[reason]++
	}
	for s.high-s.low >= maxSlots {
		s.widen()
	}
}

func (s *series) slot(i int64) *slot {
	if s.slots[i] == nil {
		s.slots[i] = &slot{reasons: map[string]int{}}
	}
	return s.slots[i]
}

// widen goes over to the next length. The slots of one length begin where
// slots of the one before it do.
func (s *series) widen() {
	wider := 2 * s.width
	if n := slices.Index(widths, s.width); n >= 0 && n+1 < len(widths) {
		wider = widths[n+1]
	}
	old := s.slots
	from := func(i int64) int64 { return floorDiv(i*s.width, wider) }
	next := series{zone: s.zone, width: wider, slots: map[int64]*slot{}, low: from(s.low), high: from(s.high)}
	for i, o := range old {
		into := next.slot(from(i))
		into.Allowed += o.Allowed
		into.Refused += o.Refused
		into.Would += o.Would
		for r, n := range o.reasons {
			into.reasons[r] += n
		}
	}
	*s = next
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// A Period is one stretch of time, by the clock on the wall.
type Period struct {
	From string `json:"from"`
	To   string `json:"to"`
	Counts
	Reasons map[string]int `json:"reasons"` // of what was refused or would have been
}

const wallFormat = "2006-01-02 15:04"

// bar says how long a slot is.
func (s *series) bar() string {
	switch s.width {
	case hour:
		return "an hour"
	case day:
		return "a day"
	case 7 * day:
		return "a week"
	}
	return strconv.FormatInt(s.width/(7*day), 10) + " weeks"
}

// periods are all slots from the first to the last, empty ones too.
func (s *series) periods() []Period {
	out := []Period{}
	if len(s.slots) == 0 {
		return out
	}
	at := func(i int64) string { return time.Unix(i*s.width+origin, 0).UTC().Format(wallFormat) }
	for i := s.low; i <= s.high; i++ {
		p := Period{From: at(i), To: at(i + 1), Reasons: map[string]int{}}
		if k := s.slots[i]; k != nil {
			p.Counts, p.Reasons = k.Counts, k.reasons
		}
		out = append(out, p)
	}
	return out
}
