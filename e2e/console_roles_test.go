//go:build e2e

package e2e

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// A seen role is what somebody of it finds in a browser.
type seenRole struct {
	name       string
	advertiser string
	pages      string // in the menu
	onCall     string // what the page of a call offers
	onNumber   string // and the one of a number
}

// everyMenu is the pages that a menu can have.
const everyMenu = "Now, Calls, Numbers, Try a call, Rules, Imports, Scrub, Proofs, Settings"

var seenRoles = []seenRole{
	{name: "advertiser", advertiser: "windkracht", pages: "Calls, Proofs, Settings"},
	{name: "viewer", pages: "Now, Calls, Rules, Settings"},
	{name: "analyst", pages: "Now, Calls, Numbers, Try a call, Rules, Scrub, Settings", onCall: "number, full", onNumber: ""},
	{name: "editor", pages: "Now, Calls, Numbers, Try a call, Rules, Imports, Scrub, Settings", onCall: "number, full", onNumber: "objection, fact"},
	{name: "auditor", pages: "Now, Calls, Numbers, Try a call, Rules, Scrub, Proofs, Settings", onCall: "number, full", onNumber: "proof"},
	{name: "admin", pages: everyMenu, onCall: "number, full", onNumber: "objection, fact, proof, erase"},
}

const menu = `[...document.querySelectorAll("nav a")].map(a => a.textContent.trim())`

// TestConsoleRoles: the first administrator is made by the link that the node
// prints, adds somebody of each role in the browser, and each finds what it may
// do and nothing else.
func TestConsoleRoles(t *testing.T) {
	n := newNode(t)
	long := strings.Repeat("Onderlinge Waarborgmaatschappij ", 3) + "BV"
	n.configure("advertisers: [{id: windkracht, name: Windkracht BV}]",
		fmt.Sprintf("advertisers: [{id: windkracht, name: %q}, {id: %s, name: Kort}]", long, strings.Repeat("lange-naam-", 4)+"x"))
	n.start()
	link := regexp.MustCompile(`http://\S+/setup#\S+`)
	var address string
	eventually(t, "the node prints how to set it up", 5*time.Second, func() error {
		if address = link.FindString(n.log.String()); address == "" {
			return fmt.Errorf("it says %s", n.log)
		}
		return nil
	})
	b := openBrowser(t, n.url(""))
	dir := shots(t)
	b.shootState(dir, "setup", func() { b.open("/setup") })
	b.do(chromedp.Navigate(address))
	b.await("#secret")
	if here := get(b, chromedp.Location()); strings.Contains(here, "#") {
		t.Errorf("the secret stays in the address: %s", here)
	}
	const password = "correct horse battery"
	b.fill("#name", "chief")
	b.fill("#password", password)
	b.press("main button.primary")
	b.shootState(dir, "now-empty", func() { b.open("/") })
	n.callOnce()
	for _, role := range seenRoles {
		b.press("nav a[href='/settings']")
		b.fill("#pn", "a person who is called "+role.name)
		b.fill("#pr", role.name)
		b.fill("#pa", role.advertiser)
		b.fill("#pp", password)
		b.press("form[action='/settings/person'] button")
		if got := b.text(".notice"); !strings.Contains(got, "may log in") {
			t.Error(got)
		}
	}
	b.fill("#tn", strings.Repeat("crm-", 20))
	b.press("form[action='/settings/token'] button")
	if got := b.text(".secret"); !strings.HasPrefix(got, "dgt_") {
		t.Error(got)
	}
	b.shootState(dir, "settings-full", func() { b.open("/settings") })
	b.press("form[action='/logout'] button")
	for _, role := range seenRoles {
		b.asRole(dir, role, password)
	}
	b.complaints("the roles")
}

// callOnce has the gate refuse one call.
func (n *node) callOnce() {
	n.t.Helper()
	if v := callThrough(n.t, netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(n.sip)), "+31612345678"); v.Status != 403 {
		n.t.Errorf("the call is answered by %d", v.Status)
	}
}

// asRole logs somebody in and looks round.
func (b *browser) asRole(dir string, role seenRole, password string) {
	t := b.t
	t.Helper()
	b.open("/login")
	b.fill("#name", "a person who is called "+role.name)
	b.fill("#password", password)
	b.press("main button.primary")
	has := get(b, chromedp.Evaluate[[]string](menu))
	may := strings.Split(role.pages, ", ")
	for _, page := range strings.Split(everyMenu, ", ") {
		if slices.Contains(has, page) != slices.Contains(may, page) {
			t.Errorf("%s: the menu has %v", role.name, has)
		}
	}
	for path, page := range map[string]string{"/numbers": "Numbers", "/try": "Try a call", "/rules": "Rules", "/imports": "Imports", "/scrub": "Scrub", "/proofs": "Proofs"} {
		b.open(path)
		if refused := strings.Contains(b.text("main"), "Your role may not do this."); refused == slices.Contains(may, page) {
			t.Errorf("%s: %s says %s", role.name, path, b.text("main"))
		}
	}
	b.open("/calls")
	b.press("table.calls tbody a")
	if got := b.text("main"); !strings.Contains(got, "+316******78") || strings.Contains(got, "12345678") {
		t.Errorf("%s sees %s", role.name, got)
	}
	b.offers(role.name+" at a call", role.onCall, map[string]string{"number": "form[action$='/number']", "full": "a[href$='full=true']"})
	b.shoot(dir, "as-"+role.name)
	if role.onCall != "" {
		b.press("form[action$='/number'] button")
		if got := b.text("h1"); got != "+31612345678" {
			t.Errorf("%s sees %s", role.name, got)
		}
		b.offers(role.name+" at a number", role.onNumber, map[string]string{"objection": "form[action$='/objection']", "fact": "form[action$='/fact']", "proof": "form[action$='/proof']", "erase": "form[action$='/erase']"})
		here := strings.TrimPrefix(get(b, chromedp.Location()), b.address)
		for what, form := range map[string]string{"objection": "via=x", "proof": "format=json"} { // what the page does not offer is refused too
			if status := b.send(here+"/"+what, form); (status == 403) == strings.Contains(role.onNumber, what) {
				t.Errorf("%s sends %s and is answered by %d", role.name, what, status)
			}
		}
	}
	b.press("form[action='/logout'] button")
}

// offers holds what a page offers against what it should.
func (b *browser) offers(where, want string, things map[string]string) {
	b.t.Helper()
	for name, selector := range things {
		there := get(b, chromedp.Evaluate[bool](fmt.Sprintf("!!document.querySelector(%q)", selector)))
		if there != slices.Contains(strings.Split(want, ", "), name) {
			b.t.Errorf("%s: offers %s: %v", where, name, there)
		}
	}
}

// send sends a form by hand, with the browser's session.
func (b *browser) send(path, form string) int {
	b.t.Helper()
	return int(get(b, chromedp.Evaluate[int64](fmt.Sprintf(`fetch(%q, {method: "POST", headers: {"Content-Type": "application/x-www-form-urlencoded"}, body: %q}).then(a => a.status)`, path, form), chromedp.EvalAwaitPromise)))
}
