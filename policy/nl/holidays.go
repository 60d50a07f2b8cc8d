package nl

import (
	"time"

	"dialgate/policy"
)

const (
	goodFriday    = "Good Friday"
	liberationDay = "Liberation Day"
)

// Holiday is the name of the Dutch public holiday on a date, "" when it is
// none. Good Friday and Liberation Day are named although not everybody counts
// them; the rule's parameters say who does.
func Holiday(d policy.Date) string {
	year, month, day := d.Split()
	switch {
	case month == time.January && day == 1:
		return "New Year's Day"
	case d == kingsDay(year):
		return "King's Day"
	case month == time.May && day == 5:
		return liberationDay
	case month == time.December && day == 25:
		return "Christmas Day"
	case month == time.December && day == 26:
		return "Boxing Day"
	}
	easter := Easter(year)
	switch d {
	case easter.AddDays(-2):
		return goodFriday
	case easter:
		return "Easter Sunday"
	case easter.AddDays(1):
		return "Easter Monday"
	case easter.AddDays(39):
		return "Ascension Day"
	case easter.AddDays(49):
		return "Whit Sunday"
	case easter.AddDays(50):
		return "Whit Monday"
	}
	return ""
}

// kingsDay is 27 April, or the day before when that is a Sunday.
func kingsDay(year int) policy.Date {
	d := policy.NewDate(year, time.April, 27)
	if d.Weekday() == time.Sunday {
		return policy.NewDate(year, time.April, 26)
	}
	return d
}

// Easter is Easter Sunday of a Gregorian year (Meeus, Astronomical Algorithms,
// chapter 8).
func Easter(year int) policy.Date {
	a, b, c := year%19, year/100, year%100
	d, e := b/4, b%4
	f := (b + 8) / 25
	g := (b - f + 1) / 3
	h := (19*a + b - d - g + 15) % 30
	i, k := c/4, c%4
	l := (32 + 2*e + 2*i - h - k) % 7
	m := (a + 11*h + 22*l) / 451
	n := h + l - 7*m + 114
	return policy.NewDate(year, time.Month(n/31), n%31+1)
}

// eve reports whether calls end early on a date: Remembrance Day, St Nicholas'
// Eve and Christmas Eve.
func eve(d policy.Date) bool {
	_, month, day := d.Split()
	return month == time.May && day == 4 || month == time.December && (day == 5 || day == 24)
}
