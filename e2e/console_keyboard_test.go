//go:build e2e

package e2e

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// A stop is where the focus stands.
type stop struct {
	Nowhere bool
	What    string
	Place   int  // in the order of the document
	Seen    bool // it is on the screen, and nothing covers it
	Ring    bool // it shows that it has the focus
}

const whereFocus = `(() => {
  const e = document.activeElement;
  if (!e || e === document.body || e === document.documentElement) return {nowhere: true, what: "", place: -1, seen: false, ring: false};
  const r = e.getBoundingClientRect(), s = getComputedStyle(e);
  const x = Math.min(Math.max(r.left + r.width / 2, 1), innerWidth - 1), y = Math.min(Math.max(r.top + Math.min(r.height / 2, 20), 1), innerHeight - 1);
  const top = document.elementFromPoint(x, y);
  return {
    nowhere: false, what: e.outerHTML.slice(0, 120).replace(/\s+/g, " "), place: [...document.querySelectorAll("*")].indexOf(e),
    seen: r.width > 0 && r.height > 0 && r.bottom > 0 && r.top < innerHeight && r.right > 0 && r.left < innerWidth && !!top && (e.contains(top) || top.contains(e)),
    ring: s.outlineStyle !== "none" && parseFloat(s.outlineWidth) >= 2,
  };
})()`

const stops = `[...document.querySelectorAll("a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex='0']")].filter(e => e.checkVisibility() && !e.disabled).length`

func (b *browser) key(keys string) {
	b.t.Helper()
	b.do(chromedp.KeyEvent(keys))
}

func (b *browser) focus() stop {
	b.t.Helper()
	return get(b, chromedp.Evaluate[stop](whereFocus))
}

// keyboard walks once round the page with the tab key: everything that can be
// used is reached, in the order in which it is read, and shows it.
func (b *browser) keyboard(where string) {
	b.t.Helper()
	want := int(get(b, chromedp.Evaluate[int64](stops)))
	seen := map[int]bool{}
	back, last := 0, -1
	for presses := 0; len(seen) < want && presses < 8*want+20; presses++ { // a field for a date takes several
		b.key(kb.Tab)
		s := b.focus()
		if s.Nowhere || s.Place == last {
			continue
		}
		if s.Place < last {
			back++
		}
		last = s.Place
		if seen[s.Place] {
			continue
		}
		seen[s.Place] = true
		if !s.Seen {
			b.t.Errorf("%s: the focus is out of sight on %s", where, s.What)
		}
		if !s.Ring {
			b.t.Errorf("%s: nothing shows the focus on %s", where, s.What)
		}
	}
	if len(seen) != want {
		b.t.Errorf("%s: the tab key reaches %d of %d", where, len(seen), want)
	}
	if back > 1 { // once round, from wherever the page put the focus
		b.t.Errorf("%s: the tab key goes back %d times", where, back)
	}
}

// TestConsoleByKeyboard: whoever has no mouse logs in, gets to the content and
// round every page, looks a number up and adds an objection.
func TestConsoleByKeyboard(t *testing.T) {
	address, password := demo(t)
	b := openBrowser(t, address)
	b.open("/login")
	b.key("demo" + kb.Tab + password + kb.Enter)
	b.await(".tiles")

	b.key(kb.Tab)
	if s := b.focus(); !strings.Contains(s.What, "skip") || !s.Seen || !s.Ring {
		t.Errorf("the first stop is %+v", s)
	}
	b.key(kb.Enter)
	if s := b.focus(); !strings.Contains(s.What, `<main id="main"`) {
		t.Errorf("the way to the content leads to %s", s.What)
	}
	b.key(kb.Tab)
	if in := get(b, chromedp.Evaluate[bool](`document.querySelector("main").contains(document.activeElement)`)); !in {
		t.Errorf("behind the content's begin comes %s", b.focus().What)
	}

	b.open("/calls?reason=objected")
	call := get(b, chromedp.AttributeValue(chromedp.CSS("table.calls tbody a"), "href")).Value
	b.open("/numbers")
	b.key("0612345603" + kb.Enter)
	b.await(".timeline")
	number := strings.TrimPrefix(get(b, chromedp.Location()), address)
	for _, width := range []int64{1280, 360} {
		b.do(chromedp.EmulateViewport(width, 900))
		for _, path := range []string{"/calls", call, "/numbers", number, number + "?erase=1", "/try", "/rules", "/imports", "/scrub", "/proofs", "/settings", "/nothing"} {
			b.open(path)
			b.keyboard(path)
		}
	}
	b.do(chromedp.ResetViewport())

	b.open(number)
	for range 100 {
		b.key(kb.Tab)
		if strings.Contains(b.focus().What, `id="ov"`) {
			break
		}
	}
	get(b, chromedp.Evaluate[bool]("window.left = true"))
	b.key("letter" + kb.Enter)
	b.await(".notice")
	if s := b.focus(); !strings.Contains(s.What, "It is recorded") {
		t.Errorf("after it was recorded the focus is on %q", s.What)
	}
	b.complaints("the keyboard")
}

// TestConsoleStandsStill: what renews itself can be held, and nothing moves for
// whoever asked their system for less motion.
func TestConsoleStandsStill(t *testing.T) {
	address, password := demo(t)
	b := openBrowser(t, address)
	b.logIn(password)
	const mark, marked = `document.querySelector("#live > *").dataset.mark = "1", true`, `document.querySelector("#live > *").dataset.mark === "1"`
	b.click("[data-still]")
	get(b, chromedp.Evaluate[bool](mark))
	time.Sleep(3 * time.Second)
	if still := get(b, chromedp.Evaluate[bool](marked)); !still {
		t.Error("it moves although it is held")
	}
	b.click("[data-still]")
	eventually(t, "it moves again", 10*time.Second, func() error {
		if get(b, chromedp.Evaluate[bool](marked)) {
			return errors.New("it is the same part")
		}
		return nil
	})
	send(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-reduced-motion", Value: "reduce"}}})
	for _, path := range []string{"/", "/calls", "/imports"} {
		b.open(path)
		moving := get(b, chromedp.Evaluate[[]string](`[...document.querySelectorAll("*")].filter(e => { const s = getComputedStyle(e); return s.animationName !== "none" || /[1-9]/.test(s.transitionDuration); }).map(e => e.outerHTML.slice(0, 80))`))
		if len(moving) > 0 {
			t.Errorf("%s: moves: %s", path, moving)
		}
	}
	b.complaints("standing still")
}

// TestConsoleTablesAreTables: also on a narrow screen, where a row is shown as a
// block, whoever listens is told of rows and of the heads of columns.
func TestConsoleTablesAreTables(t *testing.T) {
	address, password := demo(t)
	b := openBrowser(t, address)
	b.logIn(password)
	b.do(chromedp.EmulateViewport(360, 900))
	b.open("/calls")
	send(b, accessibility.Enable, cdp.Empty{})
	roles := map[string]int{}
	heads := map[string]bool{}
	for _, n := range send(b, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{}).Nodes {
		if n.Ignored || n.Role == nil {
			continue
		}
		role := strings.Trim(string(n.Role.Value), `"`)
		roles[role]++
		if role == "columnheader" && n.Name != nil {
			heads[strings.Trim(string(n.Name.Value), `"`)] = true
		}
	}
	for _, want := range []string{"Time", "Verdict", "Reason", "From", "To", "Campaign"} {
		if !heads[want] {
			t.Errorf("there is no column %s among %v", want, heads)
		}
	}
	if roles["table"] != 1 || roles["row"] != 51 || roles["cell"] < 250 || roles["main"] != 1 || roles["navigation"] != 1 || roles["banner"] != 1 || roles["contentinfo"] != 1 {
		t.Errorf("%v", roles)
	}
}
