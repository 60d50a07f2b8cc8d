package main

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"dialgate/console"
	"dialgate/console/access"
)

// asTried is a pattern as the tests try it.
var asTried = strings.NewReplacer("{$}", "", "{seq}", "1", "{handle}", "x", "{id}", "none")

// TestEveryDoorIsInATable: whoever adds an endpoint, a page or a form says by
// hand, in the tables of the tests, which roles may use it; the tests that go by
// these tables try each with each role.
func TestEveryDoorIsInATable(t *testing.T) {
	for _, d := range console.Doors() {
		method, path, _ := strings.Cut(d.Pattern, " ")
		table, name := everyEndpoint, d.Pattern
		if d.Page {
			table, name = everyPage, asTried.Replace(path)
			if method == http.MethodPost {
				table = everyForm
			}
		}
		roles, ok := table[name]
		if !ok {
			t.Errorf("%s has no entry in the table of the tests", d.Pattern)
			continue
		}
		for _, role := range access.Roles() {
			may := slices.Contains(d.Roles, role)
			if d.Pattern == "GET /{$}" && role == access.Advertiser {
				may = true // it is sent to its calls
			}
			if may != slices.Contains(strings.Fields(roles), string(role)) {
				t.Errorf("%s: %s may: %v, the table says %q", d.Pattern, role, may, roles)
			}
		}
	}
}

// TestWhoIsBoundStaysWithin: a person of a wide role who is bound to one
// advertiser gets through no door that leads beyond it.
func TestWhoIsBoundStaysWithin(t *testing.T) {
	t.Parallel()
	c := startConsole(t)
	if err := c.keys.SetPerson(access.Person{Name: "bound", Role: access.Editor, Advertiser: "windkracht"}, testPassword, time.Now()); err != nil {
		t.Fatal(err)
	}
	v := c.stranger()
	v.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	if status, text := v.post("/login", url.Values{"name": {"bound"}, "password": {testPassword}}); status != http.StatusSeeOther {
		t.Fatal(status, text)
	}
	for _, d := range console.Doors() {
		method, path, _ := strings.Cut(asTried.Replace(d.Pattern), " ")
		var status int
		switch {
		case !d.Page:
			status, _ = c.ask(c.bound, method, path, "application/json", "[")
		case method == http.MethodGet:
			status, _ = v.get(path)
		default:
			status, _ = v.post(path, nil)
		}
		may := d.Bound && slices.Contains(d.Roles, access.Editor)
		if path == "/" && status == http.StatusSeeOther { // to the calls
			continue
		}
		if forbidden := status == http.StatusForbidden; forbidden == may || status >= 500 {
			t.Errorf("%s as an editor of one advertiser: %d", d.Pattern, status)
		}
	}
}

// rolesDoc is the table of every endpoint, page and form with every role.
func rolesDoc() string {
	var b strings.Builder
	b.WriteString("# Who may do what\n\nGenerated from the tables by which the console and the API are served; tests try each line with each role. " +
		"Bound: whoever may at all may also when bound to one advertiser, and then sees and enters only what is that advertiser's.\n")
	for _, part := range []struct {
		head string
		page bool
	}{{"The API", false}, {"Pages and forms", true}} {
		fmt.Fprintf(&b, "\n## %s\n\n| |", part.head)
		for _, role := range access.Roles() {
			fmt.Fprintf(&b, " %s |", role)
		}
		b.WriteString(" bound |\n|---|" + strings.Repeat("---|", len(access.Roles())+1) + "\n")
		for _, d := range console.Doors() {
			if d.Page != part.page {
				continue
			}
			fmt.Fprintf(&b, "| `%s` |", strings.TrimSuffix(d.Pattern, "{$}"))
			for _, role := range access.Roles() {
				fmt.Fprintf(&b, " %s |", yes(slices.Contains(d.Roles, role)))
			}
			fmt.Fprintf(&b, " %s |\n", yes(d.Bound))
		}
	}
	b.WriteString("\nWithout a log-in: `/login`, `/setup` until somebody can log in, `/look` (language and theme), `/openapi.json`, `/healthz`, `/readyz`; `/metrics` too where it can be reached from this machine only.\n")
	return b.String()
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return ""
}
