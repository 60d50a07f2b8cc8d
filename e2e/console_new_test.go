//go:build e2e

package e2e

import (
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"testing"
)

// TestConsoleOfANewNode is what who runs a node for the first time sees: the
// link that the node prints, pages with nothing on them that say what to do, the
// first call; and after a restart that call, not an empty page.
func TestConsoleOfANewNode(t *testing.T) {
	n := newNode(t)
	n.start()
	link := regexp.MustCompile(`http://\S+/setup#\S+`).FindString(n.log.String())
	if link == "" {
		t.Fatal("the node prints no link")
	}
	address, path, _ := strings.Cut(strings.TrimPrefix(link, "http://"), "/")
	b := openBrowser(t, "http://"+address)
	dir := shots(t)
	b.open("/" + path)
	b.fill("#name", "ada")
	b.fill("#password", "correct horse battery")
	b.press("main button.primary")
	if got := b.text("main"); !strings.Contains(got, "Point the dialer at this node") || !strings.Contains(got, "Counted from") {
		t.Error(got)
	}
	b.press(".empty a[href='/try']")
	if here := b.text("h1"); here != "Try a call" {
		t.Error(here)
	}
	for name, path := range map[string]string{"new-calls": "/calls", "new-imports": "/imports", "new-proofs": "/proofs"} {
		b.shootState(dir, name, func() { b.open(path) })
	}
	b.open("/numbers")
	b.fill("#number", "0612345678")
	b.press("main button.primary")
	if got := b.text("main"); !strings.Contains(got, "no-consent") || !strings.Contains(got, "Nothing is known of this number") {
		t.Error(got)
	}

	if v := callThrough(t, netip.MustParseAddrPort(fmt.Sprintf("127.0.0.1:%d", n.sip)), "+31612345678"); v.Status != 403 {
		t.Fatalf("the call is answered by %d", v.Status)
	}
	b.open("/")
	if got := b.text(".legend"); !strings.Contains(got, "no-consent 1") {
		t.Error(got)
	}
	if status := n.stop(); status != 0 {
		t.Errorf("the node ends with %d", status)
	}
	n.start()
	b.open("/login")
	b.fill("#name", "ada")
	b.fill("#password", "correct horse battery")
	b.press("main button.primary")
	for _, span := range []string{"hour", "day", "week"} {
		b.open("/?span=" + span)
		if got := b.text("main"); !strings.Contains(got, "no-consent 1") || !strings.Contains(got, "Counted from") {
			t.Errorf("after a restart, the last %s: %s", span, got)
		}
	}
	b.complaints("a new node")
}
