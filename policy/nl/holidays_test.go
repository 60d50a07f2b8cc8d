package nl

import (
	"slices"
	"testing"
	"time"

	"github.com/rickar/cal/v2"
	"github.com/rickar/cal/v2/aa"
	dutch "github.com/rickar/cal/v2/nl"

	"dialgate/policy"
)

// TestHolidaysAgainstAnotherTable compares every day of two centuries with
// the calendar of package cal, which has the holidays of most countries.
func TestHolidaysAgainstAnotherTable(t *testing.T) {
	theirs := append([]*cal.Holiday{aa.Easter, aa.Pentecost}, dutch.Holidays...)
	for year := 1900; year <= 2100; year++ {
		want := map[policy.Date]string{}
		for _, h := range theirs {
			day, observed := h.Calc(year)
			if h == dutch.Koningsdag {
				day = observed // on the Saturday when the 27th is a Sunday
			}
			want[policy.DateOf(day)] = h.Name
		}
		for d := policy.NewDate(year, time.January, 1); d <= policy.NewDate(year, time.December, 31); d = d.AddDays(1) {
			if ours := Holiday(d); (ours != "") != (want[d] != "") {
				t.Errorf("%s is %q here and %q there", d, ours, want[d])
			}
		}
	}
}

// TestDatesOfHolidays: the days of three years as they were read.
func TestDatesOfHolidays(t *testing.T) {
	for date, want := range map[policy.Date]string{
		20260101: "New Year's Day", 20260403: goodFriday, 20260405: "Easter Sunday", 20260406: "Easter Monday", 20260427: "King's Day",
		20260505: liberationDay, 20260514: "Ascension Day", 20260524: "Whit Sunday", 20260525: "Whit Monday", 20261225: "Christmas Day", 20261226: "Boxing Day",
		20270326: goodFriday, 20270328: "Easter Sunday", 20270506: "Ascension Day", 20270517: "Whit Monday",
		20280414: goodFriday, 20280417: "Easter Monday", 20280525: "Ascension Day", 20280604: "Whit Sunday",
		20250426: "King's Day", 20250427: "", 20310426: "King's Day", // the 27th is a Sunday
		20240427: "King's Day", 20260501: "", 20261206: "", 20261224: "",
	} {
		if got := Holiday(date); got != want {
			t.Errorf("%s is %q, want %q", date, got, want)
		}
	}
}

// TestEaster: the earliest and latest Easter of the Gregorian calendar, and
// years that simpler rules get wrong.
func TestEaster(t *testing.T) {
	for year, want := range map[int]policy.Date{
		1818: 18180322, 1943: 19430425, 2038: 20380425, 1954: 19540418, 1981: 19810419, 2049: 20490418, 2076: 20760419, 2285: 22850322,
	} {
		if got := Easter(year); got != want {
			t.Errorf("Easter %d is %s, want %s", year, got, want)
		}
	}
}

// TestEves: calls end early on three days of a year.
func TestEves(t *testing.T) {
	var found []policy.Date
	for d := policy.Date(20240101); d < 20250101; d = d.AddDays(1) {
		if eve(d) {
			found = append(found, d)
		}
	}
	if !slices.Equal(found, []policy.Date{20240504, 20241205, 20241224}) {
		t.Errorf("the eves of 2024 are %v", found)
	}
}
