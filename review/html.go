package review

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strings"
)

//go:embed page.html
var pageText string

var page = template.Must(template.New("page").Funcs(template.FuncMap{"thousands": thousands, "percent": percent, "lower": strings.ToLower}).Parse(pageText))

func percent(part, whole int) string {
	if whole == 0 {
		return "0%"
	}
	return fmt.Sprintf("%.1f%%", 100*float64(part)/float64(whole))
}

// HTML writes the summary as one page that needs nothing else: no script, no
// font, no request. All that came from a message or a configuration is escaped
// by html/template.
func (s *Summary) HTML(w io.Writer) error {
	return page.Execute(w, struct {
		*Summary
		Verdicts, Stopped chart
		Tables            []titled
		Cures             []Cure
		MoreCures         int
	}{s, s.verdictChart(), s.reasonChart(), s.tables(), s.Missing.Single[:min(mostRows, len(s.Missing.Single))], max(0, len(s.Missing.Single)-mostRows)})
}

// A chart is stacked bars over time, in the units of its viewBox.
type chart struct {
	Width, Height, Left, Bottom, Right int
	Bars                               []bar
	Lines                              []tick // of the scale
	Marks                              []tick // of the time
	Legend                             []layer
}

type bar struct {
	X, Y, Width, Height float64
	Class               string
	Title               string
}

type tick struct {
	At   float64
	Text string
}

// A layer is one kind of call in a chart.
type layer struct {
	Name, Class string
	count       func(*Period) int
}

// The room of a chart.
const (
	chartWidth, chartHeight        = 960, 260
	chartLeft, chartRight          = 56, 952
	chartTop, chartBottom          = 12, 226
	chartTicks, chartMarks, barGap = 4, 6, 0.12
)

func (s *Summary) verdictChart() chart {
	return s.chart([]layer{
		{"allowed", "allowed", func(p *Period) int { return p.Allowed }},
		{"would be refused", "would", func(p *Period) int { return p.Would }},
		{"refused", "refused", func(p *Period) int { return p.Refused }},
	})
}

// mostReasons is how many reasons a chart tells apart.
const mostReasons = 6

func (s *Summary) reasonChart() chart {
	var layers []layer
	shown := map[string]bool{}
	for _, r := range s.Reasons {
		if r.Stopped() > 0 && len(layers) < mostReasons {
			shown[r.Key] = true
			layers = append(layers, layer{r.Key, fmt.Sprintf("r%d", len(layers)), func(p *Period) int { return p.Reasons[r.Key] }})
		}
	}
	if slices.ContainsFunc(s.Reasons, func(r Row) bool { return r.Stopped() > 0 && !shown[r.Key] }) {
		layers = append(layers, layer{"other reasons", "r6", func(p *Period) int {
			n := 0
			for reason, calls := range p.Reasons {
				if !shown[reason] {
					n += calls
				}
			}
			return n
		}})
	}
	return s.chart(layers)
}

func (s *Summary) chart(layers []layer) chart {
	c := chart{Width: chartWidth, Height: chartHeight, Left: chartLeft, Bottom: chartBottom, Right: chartRight, Legend: layers}
	most := 0
	for i := range s.Time {
		sum := 0
		for _, l := range layers {
			sum += l.count(&s.Time[i])
		}
		most = max(most, sum)
	}
	if most == 0 {
		return c
	}
	step := tickStep(most)
	top := (most + step - 1) / step * step
	y := func(n int) float64 { return chartBottom - float64(n)/float64(top)*(chartBottom-chartTop) }
	for n := 0; n <= top; n += step {
		c.Lines = append(c.Lines, tick{y(n), thousands(n)})
	}
	slot := float64(chartRight-chartLeft) / float64(len(s.Time))
	every := (len(s.Time) + chartMarks - 1) / chartMarks
	for i := range s.Time {
		p := &s.Time[i]
		x, sum := chartLeft+slot*float64(i), 0
		if i%every == 0 {
			c.Marks = append(c.Marks, tick{x, strings.TrimSuffix(p.From, " 00:00")})
		}
		for _, l := range layers {
			n := l.count(p)
			if n == 0 {
				continue
			}
			sum += n
			c.Bars = append(c.Bars, bar{X: x + slot*barGap/2, Y: y(sum), Width: slot * (1 - barGap), Height: y(0) - y(n), Class: l.Class,
				Title: fmt.Sprintf("%s to %s: %s %s", p.From, p.To, thousands(n), l.Name)})
		}
	}
	return c
}

// tickStep is a round distance between the lines of a scale.
func tickStep(most int) int {
	for unit := 1; ; unit *= 10 {
		for _, m := range []int{1, 2, 5} {
			if unit*m*chartTicks >= most {
				return unit * m
			}
		}
	}
}
