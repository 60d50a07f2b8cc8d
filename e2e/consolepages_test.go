//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// TestConsoleOfOtherPrograms does in a browser what people set up for other
// programs and their files: a webhook, a file whose columns are guessed and
// mapped, its import, and the undo of it. The pages are looked at as the others are.
func TestConsoleOfOtherPrograms(t *testing.T) {
	address, password := demo(t)
	b := openBrowser(t, address)
	dir := shots(t)
	b.logIn(password)
	b.open("/settings/webhooks")
	b.fill("#hn", "crm")
	b.fill("#hu", "http://10.0.0.1/")
	b.press("main button.primary")
	if got := b.text(".wrong"); !strings.Contains(got, "api.webhooks_to") {
		t.Error(got)
	}
	b.fill("#hu", "https://crm.example/dialgate")
	b.press("main button.primary")
	if got := b.text(".secret"); !strings.HasPrefix(got, "whsec_") {
		t.Error(got)
	}

	list := filepath.Join(t.TempDir(), "leads.csv")
	if err := os.WriteFile(list, []byte("Telefoonnummer;Datum;Naam;Soort\n0612399902;24-11-2026;A;Bezwaar\n12;24-11-2026;B;Bezwaar\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	b.open("/imports")
	b.click("#known summary")
	for field, value := range map[string]string{"#advertiser": "*", "#dates": "dutch"} {
		b.fill(field, value)
	}
	b.do(chromedp.SetUploadFiles(chromedp.CSS("#file"), []string{list}))
	b.press("main button.primary")
	if got := b.text("main"); !strings.Contains(got, "guessed") || !strings.Contains(got, "Bezwaar") || strings.Contains(got, "+31612399902") {
		t.Error(got)
	}
	b.fill("[name=valuemeans0]", "objection") // what the file's Bezwaar means
	b.press("button[value=look]")
	if got := b.text("main"); !strings.Contains(got, "+31612399902") {
		t.Error(got)
	}
	b.fill("#template", "leads")
	b.press("button[value=keep]")
	b.press("button[value=import]")
	b.await("form[action='/imports/undo']") // the page loads itself anew until it is done
	one := strings.TrimPrefix(get(b, chromedp.Location()), address)
	b.press("form[action='/imports/undo'] button")
	b.await("dl.pairs")
	undo := strings.TrimPrefix(get(b, chromedp.Location()), address)
	if got := b.text("main"); !strings.Contains(got, "protect the called person") || !strings.Contains(got, "1 objection") {
		t.Error(got)
	}
	b.complaints("the tasks")

	b.open("/imports")
	b.do(chromedp.SetUploadFiles(chromedp.CSS("#file"), []string{list}))
	b.press("main button.primary")
	mapping := strings.Split(strings.TrimPrefix(get(b, chromedp.Location()), address), "?")[0]
	for name, path := range map[string]string{"webhooks": "/settings/webhooks", "one-import": one, "undo": undo, "mapping": mapping} {
		b.shootState(dir, name, func() { b.open(path) })
	}
}
