//go:build e2e

package e2e

import (
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/chromedp/chromedp"
)

// axe is axe-core as its makers publish it; testdata/axe says which.
//
//go:embed testdata/axe/axe.min.js
var axe string

// A finding is one rule of axe-core that a page breaks, or that axe-core can't
// judge there.
type finding struct {
	ID, Impact, Help string
	Nodes            []string
}

func (f finding) String() string {
	return fmt.Sprintf("%s (%s): %s\n\t%s", f.ID, f.Impact, f.Help, strings.Join(f.Nodes, "\n\t"))
}

// axed is what axe-core says of a page.
type axed struct {
	Passes             int
	Violations, Unsure []finding
}

const runAxe = `(async () => {
  const found = await axe.run(document, {resultTypes: ["violations", "incomplete"]});
  const short = v => ({id: v.id, impact: v.impact || "none", help: v.help, nodes: v.nodes.slice(0, 5).map(n => n.html.slice(0, 200) + " " + (n.failureSummary || "").replace(/\s+/g, " "))});
  return {passes: found.passes.length, violations: found.violations.map(short), unsure: found.incomplete.map(short)};
})()`

// axe runs axe-core with all its rules, those of good practice among them. Any
// finding fails the test, however slight.
func (b *browser) axe(where string) axed {
	b.t.Helper()
	get(b, chromedp.Evaluate[bool](axe+"\n;true"))
	found := get(b, chromedp.Evaluate[axed](runAxe, chromedp.EvalAwaitPromise))
	for _, v := range found.Violations {
		b.t.Errorf("%s: axe-core: %s", where, v)
	}
	if found.Passes < 10 {
		b.t.Errorf("%s: axe-core judged %d rules only", where, found.Passes)
	}
	return found
}

var impacts = []string{"critical", "serious", "moderate", "minor"}

// An axeTable says for each page that axe-core judged how many rules held and
// how many did not.
type axeTable struct{ rows []string }

func (a *axeTable) add(where string, found axed) {
	counts := map[string]int{}
	for _, v := range found.Violations {
		counts[v.Impact]++
	}
	row := fmt.Sprintf("%-36s %6d", where, found.Passes)
	for _, impact := range impacts {
		row += fmt.Sprintf(" %8d", counts[impact])
	}
	var unsure []string
	for _, v := range found.Unsure {
		unsure = append(unsure, fmt.Sprintf("%s (%d)", v.ID, len(v.Nodes)))
	}
	slices.Sort(unsure)
	a.rows = append(a.rows, row+"  "+strings.Join(unsure, ", "))
}

// write keeps the table beside the pictures.
func (a *axeTable) write(dir string) error {
	head := fmt.Sprintf("%-36s %6s", "page-language-theme-width", "held")
	for _, impact := range impacts {
		head += fmt.Sprintf(" %8s", impact)
	}
	return os.WriteFile(filepath.Join(dir, "axe.txt"), []byte(head+"  can't be judged by a program\n"+strings.Join(a.rows, "\n")+"\n"), 0o644)
}
