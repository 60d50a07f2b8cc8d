package policy

//go:generate go run ./internal/worldgen

// Plans are the numbering plans that numbers are read by: the rule books' own
// plans in detail, all other countries by country code and length alone.
type Plans struct{ detailed []*Plan }

// NewPlans makes a set of the detailed plans.
func NewPlans(plans ...*Plan) *Plans { return &Plans{plans} }

// A worldCode is a country code of E.164.
type worldCode struct {
	code    uint16
	country string // the main country of the code, "" for a network
	trunk   string
	lengths uint32 // bit n is set: national numbers of n digits exist
}

// worldIndex finds an entry of the world table by country code: E.164 codes
// are prefix-free and have one to three digits.
var worldIndex = func() (t [1000]*worldCode) {
	for i := range world {
		t[world[i].code] = &world[i]
	}
	return t
}()

// split finds the country code of a number and how many digits follow it.
func (n Number) split() (c *worldCode, national int) {
	digits := 0
	for m := n.n; m > 0; m /= 10 {
		digits++
	}
	head := n.n
	for i := digits; i > 3; i-- {
		head /= 10
	}
	for width := min(3, digits); width > 0; width-- {
		if c := worldIndex[head]; c != nil {
			return c, digits - width
		}
		head /= 10
	}
	return nil, digits
}

// Class tells what a number is used for. A number of a country without a
// detailed plan is Other when its length is right there, else Unassigned.
func (p *Plans) Class(n Number) Class {
	c, national := n.split()
	if c == nil {
		return Unassigned
	}
	for _, d := range p.detailed {
		if d.Country == c.country {
			return d.Classify(n)
		}
	}
	if c.lengths>>national&1 == 0 {
		return Unassigned
	}
	if c.country == "" {
		return networkClass(c.code)
	}
	return Other
}

// networkClass is the class of a code that belongs to no country (ITU-T
// E.164.1, E.169).
func networkClass(code uint16) Class {
	switch code {
	case 800:
		return Freephone
	case 808:
		return SharedCost
	case 979:
		return Premium
	}
	return Other
}

// Country is the main country of a number's country code, "" when there is none.
func (p *Plans) Country(n Number) string {
	if c, _ := n.split(); c != nil {
		return c.country
	}
	return ""
}

// ByCountry is the plan by which a country's national forms are read: the
// detailed one, or one made of the world table; nil when there is no such country.
func (p *Plans) ByCountry(iso string) *Plan {
	for _, d := range p.detailed {
		if d.Country == iso {
			return d
		}
	}
	for i := range world {
		if w := &world[i]; w.country == iso && iso != "" {
			return &Plan{Country: iso, Code: decimal(w.code), Trunk: w.trunk, Classify: p.Class, Short: func(string) Class { return Unassigned }}
		}
	}
	return nil
}

func decimal(n uint16) string {
	var b [5]byte
	i := len(b)
	for ; n > 0; n /= 10 {
		i--
		b[i] = byte('0' + n%10)
	}
	return string(b[i:])
}

// National reads digits as dialled inside the plan's country: an international
// form with 00, a national form with the trunk prefix. ok is false when they
// are neither.
func (p *Plan) National(digits string) (Number, bool) {
	if len(digits) > 2 && digits[:2] == "00" {
		return NumberOfDigits(digits[2:])
	}
	if n := len(p.Trunk); n > 0 && len(digits) > n && digits[:n] == p.Trunk {
		return NumberOfDigits(p.Code + digits[n:])
	}
	if p.Trunk == "" {
		return NumberOfDigits(p.Code + digits)
	}
	return Number{}, false
}
