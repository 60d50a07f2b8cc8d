package console

import "time"

// A heat counts the calls of the last week by weekday and hour.
type heat struct {
	Calls uint64
	Days  [7]heatDay // from Monday
	Hours []int
	Most  uint64 // refused in one hour
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

const heatLevels = 5

func (s *Server) heat() *heat {
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
	for _, one := range s.meter.Hours(s.o.Node.Now(), meterHours).Spans {
		allowed, refused := one.Sum()
		at := one.At.In(zone)
		cell := &h.Days[(int(at.Weekday())+6)%7].Hours[at.Hour()]
		cell.All += uint64(allowed) + uint64(refused)
		cell.Refused += uint64(refused)
		h.Calls += uint64(allowed) + uint64(refused)
		h.Most = max(h.Most, cell.Refused)
	}
	for i := range h.Days {
		for j := range h.Days[i].Hours {
			if one := &h.Days[i].Hours[j]; one.Refused > 0 {
				one.Level = 1 + int((heatLevels-1)*one.Refused/h.Most)
			}
		}
	}
	return h
}

// HourX places the label of an hour.
func (h *heat) HourX(hour int) int { return 40 + 22*hour }

// Scale are the levels of the legend.
func (h *heat) Scale() []int { return []int{0, 1, 2, 3, 4, 5} }
