//go:build linux

package main

import (
	"slices"
	"strconv"
	"sync/atomic"
)

// A timeLog holds when each step of each call was seen, in nanoseconds since
// 1970; 0 is never. Dialer and carrier write it at the same time.
type timeLog struct {
	calls   int
	sent    []atomic.Int64 // the INVITE left the dialer
	arrived []atomic.Int64 // it reached the carrier
	rang    []atomic.Int64 // the 180 left the carrier
	tried   []atomic.Int64 // the 100 reached the dialer
	rung    []atomic.Int64 // the 180 did
	refused []atomic.Int64 // a refusal did
	ended   []atomic.Int64 // the answer to the BYE did
	code    []atomic.Int32 // the final response
}

func newLog(n int) *timeLog {
	moments := func() []atomic.Int64 { return make([]atomic.Int64, n) }
	return &timeLog{n, moments(), moments(), moments(), moments(), moments(), moments(), moments(), make([]atomic.Int32, n)}
}

// A spread is the distribution of one figure, in microseconds.
type spread struct {
	N   int     `json:"n"`
	P50 float64 `json:"p50_us"`
	P90 float64 `json:"p90_us"`
	P99 float64 `json:"p99_us"`
	Max float64 `json:"max_us"`
}

type result struct {
	Rate     float64        `json:"rate"`
	Calls    int            `json:"calls"`
	Finished int            `json:"finished"`
	Codes    map[string]int `json:"codes"`
	Setup    spread         `json:"setup"`   // INVITE to the carrier and 180 back
	Trying   spread         `json:"trying"`  // INVITE to 100
	Refusal  spread         `json:"refusal"` // INVITE to the refusal
}

func spreadOf(ns []int64) spread {
	if len(ns) == 0 {
		return spread{}
	}
	slices.Sort(ns)
	at := func(q float64) float64 { return float64(ns[min(len(ns)-1, int(q*float64(len(ns))))]) / 1e3 }
	return spread{len(ns), at(.5), at(.9), at(.99), at(1)}
}

// result counts up the calls after the warm-up.
func (l *timeLog) result(s settings) result {
	out := result{Rate: s.rate, Calls: s.calls, Codes: map[string]int{}}
	var setup, trying, refusal []int64
	for n := s.warm; n < l.calls; n++ {
		sent := l.sent[n].Load()
		if l.ended[n].Load() != 0 || l.refused[n].Load() != 0 {
			out.Finished++
		}
		if code := l.code[n].Load(); code != 0 {
			out.Codes[strconv.Itoa(int(code))]++
		}
		if at := l.tried[n].Load(); at != 0 {
			trying = append(trying, at-sent)
		}
		if at := l.refused[n].Load(); at != 0 {
			refusal = append(refusal, at-sent)
		}
		if rung := l.rung[n].Load(); rung != 0 {
			setup = append(setup, l.arrived[n].Load()-sent+rung-l.rang[n].Load())
		}
	}
	out.Setup, out.Trying, out.Refusal = spreadOf(setup), spreadOf(trying), spreadOf(refusal)
	return out
}
