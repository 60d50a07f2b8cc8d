package console

import (
	"cmp"
	"slices"
	"strings"

	"dialgate/console/access"
)

// A door is what somebody needs for an endpoint, a page or a form.
type door struct {
	right   access.Right
	unbound bool // not for who is bound to one advertiser
}

// open reports whether somebody may go through.
func (d door) open(who *access.Principal) bool {
	return who.May(d.right) && !(d.unbound && who.Advertiser != "")
}

// opens reports whether a role may go through; the role advertiser is bound.
func (d door) opens(r access.Role) bool {
	return r.May(d.right) && !(d.unbound && r == access.Advertiser)
}

// A Door is one endpoint of the API, or one page or form of the console, with
// the roles that may use it.
type Door struct {
	Pattern string // method and path, as of an http.ServeMux
	Roles   []access.Role
	Page    bool // a page or a form
	Bound   bool // also for who is bound to one advertiser
}

// Doors lists every endpoint, page and form but those that need no log-in.
func Doors() (all []Door) {
	add := func(pattern string, page bool, d door) {
		one := Door{Pattern: pattern, Page: page, Bound: !d.unbound}
		for _, r := range access.Roles() {
			if d.opens(r) {
				one.Roles = append(one.Roles, r)
			}
		}
		all = append(all, one)
	}
	for i := range routes {
		add(routes[i].method+" "+routes[i].path, false, routes[i].door)
	}
	api := len(all)
	for pattern, p := range pageTable {
		add(pattern, true, p.door)
	}
	slices.SortFunc(all[api:], func(a, b Door) int { return cmp.Compare(byPath(a.Pattern), byPath(b.Pattern)) })
	return all
}

// byPath is a pattern with its method behind its path so that a page
// stands before its forms.
func byPath(pattern string) string {
	method, path, _ := strings.Cut(pattern, " ")
	return path + " " + method
}
