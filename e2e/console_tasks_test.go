//go:build e2e

package e2e

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	cdpbrowser "github.com/chromedp/cdproto/browser"
	"github.com/chromedp/chromedp"

	"dialgate/sipproxy/message"
)

// TestConsoleTasks does in a browser what people come for: find a refused call
// and its reason, add an objection and see the next call refused, import with
// rejects, take a proof pack and verify it offline. Each page is reached as a
// person reaches it, by links and buttons.
func TestConsoleTasks(t *testing.T) {
	address, password, sip := demoNode(t)
	b := openBrowser(t, address)
	b.open("/")
	if here := b.text("h1"); here != "Log in" {
		t.Fatal(here)
	}
	b.fill("#name", "demo")
	b.fill("#password", "wrong wrong wrong")
	b.press("main button.primary")
	if got := b.text(".wrong"); !strings.Contains(got, "do not go together") {
		t.Error(got)
	}
	b.logIn(password)
	if got := b.text(".tiles"); !strings.Contains(got, "Allowed a second") {
		t.Error(got)
	}

	b.press("nav a[href='/calls']")
	b.fill("#verdict", "deny")
	b.fill("#reason", "consent-withdrawn")
	b.press("main button.primary")
	b.press("table.calls tbody a")
	if got := b.text("main"); !strings.Contains(got, "the consent was withdrawn") || !strings.Contains(got, "nl.basis") || !strings.Contains(got, "Telecommunicatiewet") {
		t.Error(got)
	}

	const number = "+31206234513"
	if v := callThrough(t, sip, number); v.Status != 200 {
		t.Fatalf("before the objection the call is answered by %d", v.Status)
	}
	b.press("nav a[href='/numbers']")
	b.fill("#number", "020 623 4513")
	b.press("main button.primary")
	if got := b.text("main"); !strings.Contains(got, number) || !strings.Contains(got, "legal-person") {
		t.Error(got)
	}
	b.fill("#ov", "letter")
	b.press("form[action$='/objection'] button.primary")
	if got := b.text("main"); !strings.Contains(got, "It is recorded") || !strings.Contains(got, "objected") {
		t.Error(got)
	}
	if v := callThrough(t, sip, number); v.Status != 603 || !strings.Contains(string(v.Raw), "objected") {
		t.Errorf("after the objection the call is answered by\n%s", v.Raw)
	}
	b.press("nav a[href='/calls']")
	b.press("table.calls tbody a")
	if got := b.text("main"); !strings.Contains(got, "the called person objected") || !strings.Contains(got, "+312******13") || !strings.Contains(got, "603") {
		t.Errorf("the newest call is %s", got)
	}
	b.press("nav a[href='/try']")
	b.fill("#to", number)
	b.press("main button.primary")
	if got := b.text("#answer h2"); !strings.Contains(got, "objected") {
		t.Error(got)
	}

	b.importFile("0612399901;24-11-2026\n12;24-11-2026\n")
	if got := b.text("main"); !strings.Contains(got, "done") {
		t.Error(got)
	}
	rejects, err := os.ReadFile(b.download("a[href$='/rejects']"))
	if err != nil || !strings.Contains(string(rejects), "3,number,") {
		t.Errorf("%v %s", err, rejects)
	}

	b.press("nav a[href='/proofs']")
	key := strings.TrimSpace(b.text("dd code"))
	b.fill("#number", number)
	pack := b.download("button[value='html']")
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(path, "audit", "verify", "--key", key, pack).CombinedOutput()
	if err != nil {
		t.Errorf("%v %s", err, out)
	}
	text, err := os.ReadFile(pack)
	if err != nil {
		t.Fatal(err)
	}
	forged := regexp.MustCompile(`objected`).ReplaceAll(text, []byte("consent"))
	if err := os.WriteFile(pack, forged, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(path, "audit", "verify", "--key", key, pack).CombinedOutput(); err == nil {
		t.Errorf("a forged pack is taken for one: %s", out)
	}
	b.press("form[action='/logout'] button")
	b.open("/settings")
	if here := b.text("h1"); here != "Log in" {
		t.Error(here)
	}
	b.complaints("the tasks")
}

// callThrough makes one call over the wire, hangs up when it was answered, and
// returns the final response.
func callThrough(t *testing.T, gate netip.AddrPort, number string) *message.View {
	t.Helper()
	k := listenTalker(t, "dialer", "127.0.0.1")
	k.gate = gate
	k.start()
	k.mu.Lock()
	c := k.talkLocked(fmt.Sprint("console-", time.Now().UnixNano()))
	k.mu.Unlock()
	v, err := c.place(number, 10*time.Second, nil)
	if err == nil && v.Status < 300 {
		err = c.say(v, "BYE")
	}
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// importFile imports objections from a list in Dutch, one of whose rows is
// rejected, and waits until that is done.
func (b *browser) importFile(rows string) {
	b.t.Helper()
	list := filepath.Join(b.t.TempDir(), "a list of objections with a name that is longer than most, as people like to give them, final (2).csv")
	if err := os.WriteFile(list, []byte("Telefoon;Datum\n"+rows), 0o644); err != nil {
		b.t.Fatal(err)
	}
	b.open("/imports")
	b.click("#known summary")
	for field, value := range map[string]string{"#kind": "objection", "#advertiser": "*", "#dates": "dutch", "#columns": "Telefoon=number\nDatum=at"} {
		b.fill(field, value)
	}
	b.do(chromedp.SetUploadFiles(chromedp.CSS("#file"), []string{list}))
	b.click("[name=dry]")
	b.press("#file + .buttons button:not(.primary)")
	b.await("a[href$='/rejects']") // the page loads itself anew until it is done
}

// download clicks on something and returns the file that comes of it.
func (b *browser) download(selector string) string {
	b.t.Helper()
	dir := b.t.TempDir()
	_, err := chromedp.CallBrowser(b.ctx, cdpbrowser.SetDownloadBehavior, cdpbrowser.SetDownloadBehaviorParams{Behavior: "allow", DownloadPath: dir})
	if err != nil {
		b.t.Fatal(err)
	}
	b.click(selector)
	for range 200 {
		files, err := os.ReadDir(dir)
		if err != nil {
			b.t.Fatal(err)
		}
		for _, f := range files {
			if name := f.Name(); !strings.HasSuffix(name, ".crdownload") && !strings.HasPrefix(name, ".") {
				return filepath.Join(dir, name)
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	b.t.Fatalf("%s downloads nothing", selector)
	return ""
}
