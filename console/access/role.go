package access

import (
	"fmt"
	"slices"
	"strings"
)

// A Right is one thing that a role may do.
type Right uint16

const (
	SeeCalls   Right = 1 << iota // decisions, with masked numbers
	SeeState                     // peers, carriers, rules, configuration, imports
	SeeNumbers                   // full numbers and what is known of them; each look-up is recorded
	SeeProof                     // proof packs and checkpoints
	Change                       // facts, objections, imports
	Administer                   // erasures, reloads, tokens, people and webhooks
	OwnProof                     // proof packs, of one advertiser's own facts and calls for who is bound to it
	everyRight = SeeCalls | SeeState | SeeNumbers | SeeProof | Change | Administer | OwnProof
)

// A Role is what somebody may do. The zero Role may do nothing.
type Role string

const (
	Viewer     Role = "viewer"     // looks, numbers masked
	Analyst    Role = "analyst"    // sees full numbers, each look-up recorded
	Editor     Role = "editor"     // enters facts and objections besides
	Admin      Role = "admin"      // everything
	Auditor    Role = "auditor"    // reads everything, with proofs
	Advertiser Role = "advertiser" // one advertiser's own calls, numbers masked, and proofs of them
)

var rights = map[Role]Right{
	Viewer:     SeeCalls | SeeState,
	Analyst:    SeeCalls | SeeState | SeeNumbers,
	Editor:     SeeCalls | SeeState | SeeNumbers | Change,
	Admin:      everyRight,
	Auditor:    SeeCalls | SeeState | SeeNumbers | SeeProof | OwnProof,
	Advertiser: SeeCalls | OwnProof,
}

// Roles lists every role, the one with the fewest rights first.
func Roles() []Role { return []Role{Advertiser, Viewer, Analyst, Editor, Auditor, Admin} }

// May reports whether the role has all of these rights.
func (r Role) May(what Right) bool { return rights[r]&what == what }

// ParseRole finds a role by its name.
func ParseRole(s string) (Role, error) {
	if !slices.Contains(Roles(), Role(s)) {
		return "", fmt.Errorf("there is no role %q; there are: %s", s, strings.Trim(fmt.Sprint(Roles()), "[]"))
	}
	return Role(s), nil
}

// A Principal is who asks. One with an Advertiser sees and changes only what
// is that advertiser's.
type Principal struct {
	Name       string // of the person or the token
	Token      string // id of the token, "" for a person
	Role       Role
	Advertiser string
}

// May reports whether the principal has these rights. Who is bound to one
// advertiser has none that reaches beyond it.
func (p *Principal) May(what Right) bool {
	if p.Advertiser != "" && what&(Administer|SeeProof|SeeState) != 0 {
		return false
	}
	return p.Role.May(what)
}

// CheckRole tells what is wrong with a role and its advertiser.
func CheckRole(r Role, advertiser string) error {
	if _, err := ParseRole(string(r)); err != nil {
		return err
	}
	if r == Advertiser && advertiser == "" {
		return fmt.Errorf("the role %s needs to know which advertiser", r)
	}
	if advertiser != "" && r != Advertiser && r != Viewer && r != Analyst && r != Editor {
		return fmt.Errorf("the role %s is not for one advertiser: it reaches beyond it", r)
	}
	return nil
}
