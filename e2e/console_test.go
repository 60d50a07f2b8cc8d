//go:build e2e

package e2e

import (
	"bufio"
	"context"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// demo starts the demo and returns where its console is and how to log in.
func demo(t *testing.T) (address, password string) {
	address, password, _ = demoNode(t)
	return address, password
}

// demoNode is demo, and tells where the demo takes calls.
func demoNode(t *testing.T) (address, password string, sip netip.AddrPort) {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "demo", "--stay", "--calls", "150", "--rate", "300")
	cmd.Dir = t.TempDir()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Errorf("the demo: %v", err)
		}
	})
	access := regexp.MustCompile(`(http://\S+) +name: demo +password: (\S+)`)
	calls := regexp.MustCompile(`SIP on udp ([0-9.:]+)`)
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if m := access.FindStringSubmatch(lines.Text()); m != nil {
			address, password = m[1], m[2]
		}
		if m := calls.FindStringSubmatch(lines.Text()); m != nil {
			if sip, err = netip.ParseAddrPort(m[1]); err != nil {
				t.Fatal(err)
			}
			go func() { // what it says at its end must find a reader
				for lines.Scan() {
				}
			}()
			return address, password, sip
		}
	}
	t.Fatal("the demo does not say where its console is")
	return "", "", sip
}

// A browser is Chromium without a screen, and what it complained of.
type browser struct {
	t       *testing.T
	ctx     context.Context
	address string

	mu    sync.Mutex
	wrong []string

	judged axeTable
}

func openBrowser(t *testing.T, address string) *browser {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal("chromium is missing; install it (Debian: chromium)")
	}
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.Flag("disable-dev-shm-usage", true), chromedp.Flag("lang", "en"))...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	b := &browser{t: t, ctx: ctx, address: address}
	own, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	listen(b, runtime.ConsoleAPICalled, func(e runtime.EventConsoleAPICalled) { b.complain("the console says %s", e.Type) })
	listen(b, runtime.ExceptionThrown, func(e runtime.EventExceptionThrown) { b.complain("a script threw %s", e.ExceptionDetails.Text) })
	listen(b, log.EntryAdded, func(e log.EventEntryAdded) { // violations of the content policy among them
		if !strings.Contains(e.Entry.Text, "status of 4") { // the test asks for what is refused
			b.complain("%s: %s", e.Entry.Source, e.Entry.Text)
		}
	})
	listen(b, network.RequestWillBeSent, func(e network.EventRequestWillBeSent) {
		if u, err := url.Parse(e.Request.URL); err != nil || u.Host != own.Host && u.Scheme != "data" {
			b.complain("a request to %s", e.Request.URL)
		}
	})
	send(b, network.Enable, network.EnableParams{})
	send(b, log.Enable, cdp.Empty{})
	send(b, runtime.Enable, cdp.Empty{})
	return b
}

// listen has f told of each event of a kind until the test ends.
func listen[E any](b *browser, kind cdp.Event[E], f func(E)) {
	events := chromedp.Events(b.ctx, kind)
	go func() {
		for e, err := range events {
			if err != nil {
				return // the browser was closed
			}
			f(e)
		}
	}()
}

// send sends a command of the browser's protocol.
func send[P, R any](b *browser, command cdp.Command[P, R], params P) R {
	b.t.Helper()
	r, err := chromedp.Call(b.ctx, command, params)
	if err != nil {
		b.t.Fatal(err)
	}
	return r
}

func (b *browser) complain(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.wrong = append(b.wrong, fmt.Sprintf(format, args...))
}

// complaints fails the test with what the browser complained of.
func (b *browser) complaints(where string) {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, w := range b.wrong {
		b.t.Errorf("%s: %s", where, w)
	}
	b.wrong = nil
}

// do carries actions out, which take no longer than a patient person waits.
func (b *browser) do(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 30*time.Second)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		b.t.Fatal(err)
	}
}

// get is what an action gives.
func get[T any](b *browser, action chromedp.Action[T]) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 30*time.Second)
	defer cancel()
	v, err := chromedp.Run(ctx, action)
	if err != nil {
		b.t.Fatal(err)
	}
	return v
}

func (b *browser) open(path string) {
	b.t.Helper()
	b.do(chromedp.Navigate(b.address + path))
	b.await("main")
}

func (b *browser) click(selector string) {
	b.t.Helper()
	b.do(chromedp.Click(chromedp.CSS(selector)))
}

// fill puts a value into a field as it is, since what was there is taken out.
func (b *browser) fill(selector, value string) {
	b.t.Helper()
	b.do(chromedp.SetValue(chromedp.CSS(selector), value))
}

// await waits until an element is there and the page has come whole.
func (b *browser) await(selector string) {
	b.t.Helper()
	for range 300 {
		there, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool](fmt.Sprintf(`document.readyState === "complete" && !window.left && !!document.querySelector(%q)`, selector)))
		if err == nil && there { // an error: the page is being left
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	b.t.Fatalf("%s does not come", selector)
}

// press presses a button or follows a link and waits for the next page.
func (b *browser) press(selector string) {
	b.t.Helper()
	get(b, chromedp.Evaluate[bool]("window.left = true"))
	b.click(selector)
	b.await("main")
}

func (b *browser) text(selector string) string {
	b.t.Helper()
	return get(b, chromedp.Text(chromedp.CSS(selector)))
}

func (b *browser) logIn(password string) {
	b.t.Helper()
	b.open("/login")
	b.fill("#name", "demo")
	b.fill("#password", password)
	b.press("main button.primary")
}

// shots is where the pictures go: DIALGATE_SHOTS, or a directory that is told.
func shots(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("DIALGATE_SHOTS")
	var err error
	if dir == "" {
		dir, err = os.MkdirTemp("", "dialgate-shots-")
	} else {
		err = os.MkdirAll(dir, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("the pictures are in %s", dir)
	return dir
}

// shoot takes a picture of the whole page.
func (b *browser) shoot(dir, name string) {
	b.t.Helper()
	all := true
	picture := send(b, page.CaptureScreenshot, page.CaptureScreenshotParams{CaptureBeyondViewport: &all}).Data
	if err := os.WriteFile(filepath.Join(dir, name+".png"), picture, 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// accessible looks for what keeps somebody out: fields without a label, buttons
// and links without a name, headings that skip a level, ids that are there
// twice, tables without heads, a page without a title or a language.
const accessible = `(() => {
  const wrong = [], all = s => [...document.querySelectorAll(s)];
  const name = e => (e.getAttribute("aria-label") || e.textContent || "").trim();
  for (const e of all("input:not([type=hidden]), select, textarea"))
    if (!e.labels.length && !e.getAttribute("aria-label")) wrong.push("no label: " + e.outerHTML.slice(0, 80));
  for (const e of all("a, button")) if (!name(e)) wrong.push("no name: " + e.outerHTML.slice(0, 80));
  for (const e of all("svg:not([aria-hidden])")) if (e.getAttribute("role") !== "img" || !e.getAttribute("aria-label")) wrong.push("a picture without words");
  let level = 0;
  for (const e of all("main h1, main h2, main h3")) {
    const l = Number(e.tagName[1]);
    if (l > level + 1) wrong.push("a heading skips a level: " + e.textContent);
    level = l;
  }
  if (all("h1").length !== 1) wrong.push(all("h1").length + " first headings");
  const ids = all("[id]").map(e => e.id);
  for (const id of new Set(ids)) if (ids.filter(x => x === id).length > 1) wrong.push("twice: " + id);
  for (const e of all("table")) if (!e.querySelector("th[scope]")) wrong.push("a table without heads");
  for (const e of all("[aria-describedby]")) if (!document.getElementById(e.getAttribute("aria-describedby"))) wrong.push("describes nothing");
  if (!document.title || !document.documentElement.lang) wrong.push("no title or language");
  if (!document.querySelector("main") || !document.querySelector(".skip")) wrong.push("no way to the content");
  return wrong;
})()`

// TestConsoleInABrowser goes through every page in both languages and themes,
// wide and narrow, takes pictures and lets axe-core judge. No page may ask
// another host for anything, break the content policy, throw, scroll sideways,
// or keep out who can't see it.
func TestConsoleInABrowser(t *testing.T) {
	address, password := demo(t)
	b := openBrowser(t, address)
	dir := shots(t)
	t.Cleanup(func() {
		if err := b.judged.write(dir); err != nil {
			t.Error(err)
		}
	})
	b.shootAll(dir, []string{"/login"})
	b.logIn(password)
	b.open("/calls?reason=objected")
	call := get(b, chromedp.AttributeValue(chromedp.CSS("table.calls tbody a"), "href")).Value
	b.open(call)
	b.press("form[action$='/number'] button")
	number := strings.TrimPrefix(get(b, chromedp.Location()), address)
	b.shootState(dir, "try-judged", func() {
		b.open("/try")
		b.fill("#to", "0612345601")
		b.press("main button.primary")
	})
	b.shootState(dir, "try-wrong", func() {
		b.open("/try")
		b.fill("#to", "0612345601")
		b.fill("#headers", "no header")
		b.press("main button.primary")
	})
	b.shootState(dir, "import-done", func() { b.importFile("0612399901;24-11-2026\n12;24-11-2026\n") })
	b.shootState(dir, "now-week", func() { b.open("/?span=week") })
	b.shootAll(dir, []string{"/", "/calls", "/calls?reason=overloaded", call, "/numbers", number, number + "?erase=1", "/try", "/rules", "/imports", "/scrub", "/proofs", "/settings", "/nothing"})
}

func (b *browser) shootAll(dir string, paths []string) {
	b.t.Helper()
	names := map[string]string{"/": "now"}
	for _, path := range paths {
		name := names[path]
		if name == "" {
			name = strings.Split(strings.Trim(path, "/"), "/")[0]
			switch {
			case strings.Contains(path, "erase"):
				name = "erase"
			case strings.Contains(path, "overloaded"):
				name = "no-calls"
			case strings.Count(path, "/") > 1:
				name = "one-" + name
			}
		}
		b.shootState(dir, name, func() { b.open(path) })
	}
}

// shootState looks at what reach brings up, in every language, theme and width.
func (b *browser) shootState(dir, name string, reach func()) {
	b.t.Helper()
	for _, language := range []string{"en", "nl"} {
		for _, theme := range []string{"light", "dark"} {
			for _, width := range []int64{1280, 360} {
				send(b, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: width, Height: 900, DeviceScaleFactor: 1, Mobile: width < 500})
				b.cookie("language", language)
				b.cookie("theme", theme)
				reach()
				where := fmt.Sprintf("%s-%s-%s-%d", name, language, theme, width)
				for _, w := range get(b, chromedp.Evaluate[[]string](accessible)) {
					b.t.Errorf("%s: %s", where, w)
				}
				if wide := get(b, chromedp.Evaluate[int64](`document.documentElement.scrollWidth`)); wide > width {
					b.t.Errorf("%s is %d wide", where, wide)
				}
				b.judged.add(where, b.axe(where))
				b.shoot(dir, where)
				b.complaints(where)
			}
		}
	}
	send(b, emulation.ClearDeviceMetricsOverride, cdp.Empty{})
	b.cookie("language", "en")
	b.cookie("theme", "auto")
}

func (b *browser) cookie(name, value string) {
	b.t.Helper()
	send(b, network.SetCookie, network.SetCookieParams{Name: name, Value: value, URL: b.address})
}
