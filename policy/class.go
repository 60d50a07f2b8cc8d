package policy

// A Class says what a number is used for under its country's numbering plan.
type Class uint8

const (
	Unassigned   Class = iota // no number of the plan
	Geographic                // a fixed line in a place
	Mobile                    // mobile telephony
	LocationFree              // a company's or provider's number without a place (085, 088, 091)
	Personal                  // personal assistant services (084, 087)
	Freephone                 // free for the caller (0800)
	Premium                   // paid information services (0900, 0906, 0909)
	SharedCost                // the caller pays a part
	Paging                    // 066
	Machine                   // automated applications, M2M (0970)
	Private                   // networks of their own: VPN (082), data and dial-in (067)
	Emergency                 // 112
	Protected                 // never to be blocked for lack of consent: 14xxx, 144, 116xxx, crisis lines
	Operator                  // operator services, carrier selection, directory enquiries
	Other                     // a number of its plan whose use the plan does not tell
)

var classNames = [...]string{
	Unassigned: "unassigned", Geographic: "geographic", Mobile: "mobile", LocationFree: "location-free",
	Personal: "personal", Freephone: "freephone", Premium: "premium", SharedCost: "shared-cost", Paging: "paging",
	Machine: "machine", Private: "private", Emergency: "emergency", Protected: "protected", Operator: "operator", Other: "other",
}

func (c Class) String() string { return nameOf(classNames[:], int(c)) }

// ParseClass finds a class by its name.
func ParseClass(s string) (Class, bool) {
	i, ok := parseName(classNames[:], s)
	return Class(i), ok
}

// A Plan is the numbering plan of one country.
type Plan struct {
	Country string // ISO 3166-1 alpha-2, "NL"
	Code    string // country code of E.164, "31"
	Trunk   string // national trunk prefix, "0"; "" where there is none
	// Classify tells the class of a number that begins with Code.
	Classify func(Number) Class
	// Short tells the class of digits as dialled inside the country that are no
	// E.164 number, such as 112 or 14020: Unassigned when they are none.
	Short func(digits string) Class
}

func nameOf(names []string, i int) string {
	if i < 0 || i >= len(names) || names[i] == "" {
		return "unknown"
	}
	return names[i]
}

// parseName finds a name in a table of names; the second result is false if it is not there.
func parseName(names []string, s string) (int, bool) {
	if s == "" {
		return 0, false
	}
	for i, n := range names {
		if n == s {
			return i, true
		}
	}
	return 0, false
}
