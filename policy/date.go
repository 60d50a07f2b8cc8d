package policy

import (
	"fmt"
	"time"
)

// A Date is a civil date, written as the digits of its ISO form: 20260701.
// Dates compare with the ordinary operators. The zero Date is no date.
type Date uint32

// NotInForce is the first date of a rule that is not yet law.
const NotInForce = Date(99991231)

// NewDate makes a Date of a year, month and day, which must exist.
func NewDate(year int, month time.Month, day int) Date {
	return Date(year*10000 + int(month)*100 + day)
}

// DateOf is the civil date of t in the zone that t carries.
func DateOf(t time.Time) Date {
	y, m, d := t.Date()
	return NewDate(y, m, d)
}

// ParseDate reads an ISO date: 2026-07-01.
func ParseDate(s string) (Date, error) {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return 0, fmt.Errorf("%q is no date: want YYYY-MM-DD", s)
	}
	return DateOf(t), nil
}

// Split is the date's year, month and day.
func (d Date) Split() (year int, month time.Month, day int) {
	return int(d / 10000), time.Month(d / 100 % 100), int(d % 100)
}

// String is the ISO form, "" for the zero Date.
func (d Date) String() string {
	if d == 0 {
		return ""
	}
	y, m, day := d.Split()
	return fmt.Sprintf("%04d-%02d-%02d", y, int(m), day)
}

// In is the instant at which the date begins in a zone.
func (d Date) In(zone *time.Location) time.Time {
	y, m, day := d.Split()
	return time.Date(y, m, day, 0, 0, 0, 0, zone)
}

// End is the last instant of the date in a zone, to the nanosecond.
func (d Date) End(zone *time.Location) time.Time {
	y, m, day := d.Split()
	return time.Date(y, m, day+1, 0, 0, 0, 0, zone).Add(-1)
}

// AddDays is the date n days later.
func (d Date) AddDays(n int) Date {
	y, m, day := d.Split()
	return DateOf(time.Date(y, m, day+n, 0, 0, 0, 0, time.UTC))
}

// AddMonths is the same day n months later, or the last day of that month if
// it is shorter: 2024-02-29 plus twelve months is 2025-02-28. (time.AddDate
// would give 2025-03-01 and with it a day more than the law allows.)
func (d Date) AddMonths(n int) Date {
	y, m, day := d.Split()
	first := time.Date(y, m+time.Month(n), 1, 0, 0, 0, 0, time.UTC)
	last := first.AddDate(0, 1, -1).Day()
	return NewDate(first.Year(), first.Month(), min(day, last))
}

// AddYears is [Date.AddMonths] with twelve months to the year.
func (d Date) AddYears(n int) Date { return d.AddMonths(12 * n) }

// Weekday is the day of the week.
func (d Date) Weekday() time.Weekday { return d.In(time.UTC).Weekday() }
