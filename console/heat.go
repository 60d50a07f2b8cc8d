package console

import (
	"time"

	"dialgate/policy"
)

// A heat counts calls by weekday and hour: all that this process has judged in
// a week, and the last ones before it began.
type heat struct {
	Calls uint64
	Days  [7]heatDay // from Monday
	Hours []int
	most  uint64 // refused in one hour
}

type heatDay struct {
	Day   time.Weekday
	Y     int
	Hours []heatHour
}

type heatHour struct {
	Hour, X      int
	All, Refused uint64
	Level        int // 0 to 5
}

const (
	heatCalls  = 2000 // that were judged before
	heatLevels = 5
)

func (s *Server) heat() (*heat, error) {
	before, err := s.search(Search{Before: s.began + 1, Most: heatCalls})
	if err != nil {
		return nil, err
	}
	h, zone := &heat{}, s.o.Node.Zone()
	for i := range h.Days {
		h.Days[i] = heatDay{Day: time.Weekday((i + 1) % 7), Y: 18 + 20*i}
		for hour := range 24 {
			h.Days[i].Hours = append(h.Days[i].Hours, heatHour{Hour: hour, X: h.HourX(hour)})
		}
	}
	for hour := 0; hour < 24; hour += 3 {
		h.Hours = append(h.Hours, hour)
	}
	for i := range before.Calls {
		refused := uint64(0)
		if before.Calls[i].Verdict == policy.Denied.String() {
			refused = 1
		}
		h.add(before.Calls[i].At.In(zone), 1, refused)
	}
	for _, one := range s.meter.Hours() {
		h.add(time.Unix(one.at*3600, 0).In(zone), one.all, one.refused)
	}
	for i := range h.Days {
		for j := range h.Days[i].Hours {
			if one := &h.Days[i].Hours[j]; one.Refused > 0 {
				one.Level = 1 + int((heatLevels-1)*one.Refused/h.most)
			}
		}
	}
	return h, nil
}

func (h *heat) add(at time.Time, all, refused uint64) {
	one := &h.Days[(int(at.Weekday())+6)%7].Hours[at.Hour()]
	one.All += all
	one.Refused += refused
	h.Calls += all
	h.most = max(h.most, one.Refused)
}

// HourX places the label of an hour.
func (h *heat) HourX(hour int) int { return 40 + 22*hour }
