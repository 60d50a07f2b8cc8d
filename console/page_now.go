package console

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"time"
)

// A nowData is the page that shows what the gate does.
type nowData struct {
	State   State
	Reading Reading
	Bars    []bar
	Legend  []share
	Most    uint32 // calls of the fullest minute
	Calls   []Call
	Heat    *heat
	Facts   int64
	Waiting int // imports that wait or run
}

// A bar is one minute of the drawing.
type bar struct {
	X     int
	At    time.Time
	Sum   uint32
	Parts []part
}

// A part is one reason's share of a bar, in the drawing's own measure.
type part struct {
	Y, Height float64
	Class     string
	Text      string
}

// A share is one reason among all calls since the start.
type share struct {
	Reason string
	Class  string
	Count  uint64
	Allows bool
}

const (
	shownMinutes = 60
	chartHeight  = 140.0
	shownReasons = 6 // refusals that have a colour of their own
)

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
	d := &nowData{State: s.o.Node.State(), Reading: s.meter.Read(shownMinutes)}
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
	d.Heat, err = s.heated.get(s.o.Now(), s.heat)
	return d, err
}

// chart draws the minutes, with a colour for what was allowed and for each of
// the most frequent refusals.
func (d *nowData) chart(v *view) {
	var refused []share
	allowed := share{Reason: "allowed", Class: "allow", Allows: true}
	for reason, n := range d.Reading.Total {
		if reason.Allows() {
			allowed.Count += n
		} else {
			refused = append(refused, share{Reason: reason.String(), Count: n})
		}
	}
	slices.SortFunc(refused, func(a, b share) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Reason, b.Reason))
	})
	class := map[string]string{}
	other := share{Reason: "other", Class: "c-other"}
	d.Legend = []share{allowed}
	for i, r := range refused {
		if i >= shownReasons {
			other.Count += r.Count
			continue
		}
		r.Class = fmt.Sprint("c", i+1)
		class[r.Reason] = r.Class
		d.Legend = append(d.Legend, r)
	}
	if other.Count > 0 {
		d.Legend = append(d.Legend, other)
	}
	for i := range d.Reading.Minutes {
		a, r := d.Reading.Minutes[i].Sum()
		d.Most = max(d.Most, a+r)
	}
	for i, m := range d.Reading.Minutes {
		b := bar{X: i * 12, At: m.At}
		counts := map[string]uint32{}
		for reason, n := range m.Counts {
			b.Sum += n
			switch c, ok := class[reason.String()]; {
			case reason.Allows():
				counts["allow"] += n
			case ok:
				counts[c] += n
			default:
				counts["c-other"] += n
			}
		}
		y := chartHeight
		for _, l := range d.Legend {
			n := counts[l.Class]
			if n == 0 {
				continue
			}
			h := chartHeight * float64(n) / float64(d.Most)
			y -= h
			b.Parts = append(b.Parts, part{y, h, l.Class, fmt.Sprintf("%s  %s: %d", v.Minute(m.At), v.T(l.Reason), n)})
		}
		d.Bars = append(d.Bars, b)
	}
}
