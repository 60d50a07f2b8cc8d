package console

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"time"

	"dialgate/policy"
)

// A nowData is the page that shows what the gate does.
type nowData struct {
	State   State
	Reading Reading
	Span    string // that the chart shows: hour, day or week
	Since   time.Time
	Bars    []bar
	Width   float64 // of a bar
	Ticks   []tick
	Legend  []share
	Most    uint32 // calls of the fullest minute or hour
	Calls   []Call
	Heat    *heat
	Facts   int64
	Waiting int // imports that wait or run
}

// A bar is one minute or hour of the drawing.
type bar struct {
	X     float64
	Parts []part
}

// A tick is a time under the drawing.
type tick struct {
	X    float64
	Text string
}

// A part is one reason's share of a bar, in the drawing's own measure.
type part struct {
	Y, Height float64
	Class     string
	Text      string
}

// A share is one reason among all calls of the drawing.
type share struct {
	Reason string
	Class  string
	Count  uint64
	Allows bool
}

const (
	chartWidth   = 720.0
	chartHeight  = 140.0
	shownReasons = 6 // refusals that have a colour of their own
)

// chartSpans are what the chart can show.
var chartSpans = []string{"hour", "day", "week"}

// Spans are the spans to choose from.
func (d *nowData) Spans() []string { return chartSpans }

// Shows says what the chart shows.
func (d *nowData) Shows() string {
	return map[string]string{"hour": "Calls a minute in the last hour", "day": "Calls an hour in the last day", "week": "Calls an hour in the last week"}[d.Span]
}

func (v *view) now() error {
	d, err := v.s.readNow(v)
	if err != nil {
		return err
	}
	return v.show(http.StatusOK, "now", v.T("Now"), d)
}

// nowPart is the part of the page that changes, for the script that renews it.
func (v *view) nowPart() error {
	d, err := v.s.readNow(v)
	if err != nil {
		return err
	}
	v.Data = d
	return v.render(http.StatusOK, "now", "live")
}

func (s *Server) readNow(v *view) (*nowData, error) {
	d := &nowData{State: s.o.Node.State(), Span: v.r.URL.Query().Get("span"), Since: s.meter.Since(), Heat: s.heat()}
	switch now := s.o.Node.Now(); d.Span {
	case "day":
		d.Reading = s.meter.Hours(now, 24)
	case "week":
		d.Reading = s.meter.Hours(now, meterHours)
	default:
		d.Span, d.Reading = "hour", s.meter.Minutes(60)
	}
	for _, n := range d.State.Facts {
		d.Facts += n
	}
	for _, j := range s.imports.list() {
		if !j.Rests() {
			d.Waiting++
		}
	}
	d.chart(v)
	page, err := s.search(Search{Most: 12})
	if err != nil {
		return nil, err
	}
	for _, c := range page.Calls {
		d.Calls = append(d.Calls, show(c, v.Who(), false))
	}
	return d, nil
}

// classes gives what was allowed and each of the most frequent refusals a colour.
// They go by all that was counted, so that a colour does not change with the span.
func (d *nowData) classes() {
	var refused []share
	for reason, n := range d.Reading.Total {
		if !reason.Allows() {
			refused = append(refused, share{Reason: reason.String(), Count: n})
		}
	}
	slices.SortFunc(refused, func(a, b share) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Reason, b.Reason))
	})
	d.Legend = []share{{Reason: "allowed", Class: "allow", Allows: true}}
	for i := range min(len(refused), shownReasons) {
		d.Legend = append(d.Legend, share{Reason: refused[i].Reason, Class: fmt.Sprint("c", i+1)})
	}
	d.Legend = append(d.Legend, share{Reason: "other", Class: "c-other"})
}

// shareOf is the place of a reason in the legend.
func (d *nowData) shareOf(r policy.Reason) int {
	if r.Allows() {
		return 0
	}
	name, other := r.String(), len(d.Legend)-1
	if i := slices.IndexFunc(d.Legend[1:other], func(l share) bool { return l.Reason == name }); i >= 0 {
		return i + 1
	}
	return other
}

// chart draws the minutes or hours.
func (d *nowData) chart(v *view) {
	d.classes()
	spans := d.Reading.Spans
	for i := range spans {
		a, r := spans[i].Sum()
		d.Most = max(d.Most, a+r)
	}
	step := chartWidth / float64(len(spans))
	d.Width = step * 5 / 6
	for i, m := range spans {
		b := bar{X: step * float64(i)}
		counts := make([]uint32, len(d.Legend))
		for reason, n := range m.Counts {
			counts[d.shareOf(reason)] += n
		}
		y := chartHeight
		for j, n := range counts {
			if n == 0 {
				continue
			}
			l := &d.Legend[j]
			l.Count += uint64(n)
			h := chartHeight * float64(n) / float64(d.Most)
			y -= h
			b.Parts = append(b.Parts, part{y, h, l.Class, fmt.Sprintf("%s  %s: %d", v.Minute(m.At), v.T(l.Reason), n)})
		}
		d.Bars = append(d.Bars, b)
	}
	for i := range 4 {
		at := i * len(spans) / 4
		d.Ticks = append(d.Ticks, tick{step * float64(at), d.tickText(v, spans[at].At)})
	}
	d.Legend = slices.DeleteFunc(d.Legend, func(l share) bool { return l.Count == 0 && !l.Allows })
}

func (d *nowData) tickText(v *view, at time.Time) string {
	at = at.In(v.s.o.Node.Zone())
	if d.Span == "week" {
		return v.T(at.Weekday().String())[:2] + at.Format(" 15:04")
	}
	return at.Format("15:04")
}
