package console

import (
	"fmt"
	"html"
	"io/fs"
	"math"
	"net/http/httptest"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"dialgate/console/access"
	"dialgate/policy"
)

var (
	inTemplate = regexp.MustCompile(`\$?\.T "([^"]+)"`)
	inGo       = regexp.MustCompile(`(?:v\.T|v\.tell|v\.done)\((?:[a-z]+[^"(]*, )?"([^"]+)"`)
)

// TestEveryTextIsInDutch: what a page says, what a rule is called, what a
// reason means; and nothing is translated that no page says.
func TestEveryTextIsInDutch(t *testing.T) {
	said := map[string]bool{}
	read := func(system fs.FS, pattern string, find *regexp.Regexp) {
		names, err := fs.Glob(system, pattern)
		if err != nil || len(names) == 0 {
			t.Fatal(pattern, err)
		}
		for _, name := range names {
			text, err := fs.ReadFile(system, name)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range find.FindAllStringSubmatch(string(text), -1) {
				said[m[1]] = true
			}
		}
	}
	read(templateFiles, "templates/*.html", inTemplate)
	read(os.DirFS("."), "page*.go", inGo)
	for _, l := range nav {
		said[l.Text] = true
	}
	for _, k := range policy.Kinds() {
		said[k.String()] = true
	}
	for _, f := range policy.FactFields() {
		if fieldTexts[f] == "" {
			t.Errorf("nobody says what the field %s is", f)
		}
		said[fieldTexts[f]] = true
	}
	if len(fieldTexts) != len(policy.FactFields()) {
		t.Errorf("%d fields in words, %d in all", len(fieldTexts), len(policy.FactFields()))
	}
	// Words of ours that are data: results, strengths, modes, states, days, who ended a call.
	for _, w := range strings.Fields("pass deny allow flag not-applicable statute code supervisor policy enforce shadow off ground mapping waiting running done failed working failing disabled decision up probing down " +
		"Monday Tuesday Wednesday Thursday Friday Saturday Sunday callee dialer gate timeout objection") {
		said[w] = true
	}
	for text := range said {
		if dutch[text] == "" {
			t.Errorf("%q is not in Dutch", text)
		}
	}
	verbs := regexp.MustCompile(`%[a-z]`)
	for text, nl := range dutch {
		if !said[text] {
			t.Errorf("no page says %q", text)
		}
		if a, b := verbs.FindAllString(text, -1), verbs.FindAllString(nl, -1); fmt.Sprint(a) != fmt.Sprint(b) {
			t.Errorf("%q has %v, in Dutch %v", text, a, b)
		}
	}
	for _, r := range policy.Reasons() {
		if dutchReasons[r.String()] == "" {
			t.Errorf("the reason %s is not in Dutch", r)
		}
	}
	if len(dutchReasons) != len(policy.Reasons()) {
		t.Errorf("%d reasons in Dutch, %d in all", len(dutchReasons), len(policy.Reasons()))
	}
}

// TestColoursCanBeRead: text has a contrast of 4.5 to 1 with what is behind it
// (WCAG 2.2, 1.4.3) in both themes.
func TestColoursCanBeRead(t *testing.T) {
	css, err := assetFiles.ReadFile("assets/console.css")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile(`(?s)(:root[^{]*)\{([^{}]*--ground[^}]*)\}`).FindAllStringSubmatch(string(css), -1)
	if len(blocks) != 3 {
		t.Fatalf("%d blocks of colours", len(blocks))
	}
	if strings.TrimSpace(blocks[1][2]) != strings.TrimSpace(blocks[2][2]) {
		t.Error("the dark theme that is chosen is not the one that the system asks for")
	}
	for _, block := range blocks {
		colours := map[string]string{}
		for _, m := range regexp.MustCompile(`--([a-z0-9-]+): (#[0-9a-f]{6})`).FindAllStringSubmatch(block[2], -1) {
			colours[m[1]] = m[2]
		}
		for _, pair := range []string{"text ground", "text card", "text tint", "soft ground", "soft card", "soft tint", "accent ground", "accent card", "accent tint", "on-accent accent",
			"allow allow-ground", "deny deny-ground", "text deny-ground", "warn warn-ground", "deny card", "allow card"} {
			a, b, _ := strings.Cut(pair, " ")
			if c := contrast(t, colours[a], colours[b]); c < 4.5 {
				t.Errorf("%s: %s has a contrast of %.2f", strings.TrimSpace(block[1]), pair, c)
			}
		}
	}
}

func contrast(t *testing.T, a, b string) float64 {
	x, y := luminance(t, a), luminance(t, b)
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

func luminance(t *testing.T, colour string) float64 {
	sum := 0.0
	for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
		n, err := strconv.ParseUint(colour[1+2*i:3+2*i], 16, 8)
		if err != nil {
			t.Fatal(err)
		}
		c := float64(n) / 255
		if c <= 0.04045 {
			c /= 12.92
		} else {
			c = math.Pow((c+0.055)/1.055, 2.4)
		}
		sum += weight * c
	}
	return sum
}

// TestNothingComesFromElsewhere: no page names another host, holds a script or
// a style of its own, or lets a text through unescaped.
func TestNothingComesFromElsewhere(t *testing.T) {
	for _, system := range []fs.FS{templateFiles, assetFiles} {
		err := fs.WalkDir(system, ".", func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			text, err := fs.ReadFile(system, path)
			for _, bad := range []string{"https://", "//cdn", "style=\"", "<style", "onclick", "onload", "javascript:", "@import", "url("} {
				if strings.Contains(string(text), bad) {
					t.Errorf("%s holds %q", path, bad)
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	sources, err := fs.Glob(os.DirFS("."), "*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range sources {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if name != "pages_test.go" && regexp.MustCompile(`template\.(HTML|JS|CSS|URL)\(`).Match(text) {
			t.Errorf("%s lets text through unescaped", name)
		}
	}
}

// TestWhereALogInGoesTo: never to another host.
func TestWhereALogInGoesTo(t *testing.T) {
	for to, want := range map[string]string{
		"/calls?verdict=deny": "/calls?verdict=deny", "": "/", "calls": "/", "https://evil.example/": "/", "//evil.example/": "/", `/\evil.example`: "/", "/\nSet-Cookie: a=b": "/", "javascript:alert(1)": "/",
	} {
		if got := back(to); got != want {
			t.Errorf("back(%q) = %q, want %q", to, got, want)
		}
	}
}

// TestCleanNames: what an upload is called is shown, so it is one short line.
func TestCleanNames(t *testing.T) {
	for name, want := range map[string]string{
		"list.csv": "list.csv", "../../etc/passwd": "passwd", `C:\lists\a.csv`: "a.csv", "..": "upload", "": "upload", "a\x1b[31m\r\nb": "a[31mb", "a\u202egpj.csv": "agpj.csv", "\xff\xfe": "upload",
		strings.Repeat("é", 300): strings.Repeat("é", 100),
	} {
		if got := cleanName(name); got != want {
			t.Errorf("cleanName(%q) = %q, want %q", name, got, want)
		}
	}
}

// TestMaskText: no run of digits that could be a number stays whole.
func TestMaskText(t *testing.T) {
	for text, want := range map[string]string{
		"0612345678": "06******78", "anonymous": "anonymous", "12345": "12345", "call-31612345678@10.0.0.1": "call-31*******78@10.0.0.1", "": "", "é0612345678": "é06******78",
	} {
		if got := maskText(text); got != want {
			t.Errorf("maskText(%q) = %q, want %q", text, got, want)
		}
	}
}

// TestAnUndoOfSeveralImports: the page lists them, and each can be chosen.
func TestAnUndoOfSeveralImports(t *testing.T) {
	s := &Server{o: Options{Node: pastCalls{}}}
	var err error
	if s.pages, err = loadPages(); err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 11, 1, 9, 0, 0, 0, time.UTC)
	runs := []ImportRun{{at.AddDate(0, 0, 7), at.AddDate(0, 0, 7).Add(time.Minute - 1), 12}, {at, at.Add(time.Minute - 1), 1000}}
	page := func(o UndoOptions) string {
		j := importJob{ID: "1", Name: "leads.csv", State: "done", DryRun: o.DryRun, undo: &o, Undo: &Undone{Undone: map[string]int{"consent": 12}, Runs: runs}}
		w := httptest.NewRecorder()
		v := &view{s: s, w: w, r: httptest.NewRequest("GET", "/imports/1", nil), Lang: "en", Theme: "auto", who: &access.Principal{Role: access.Editor}}
		if err := v.show(200, "import", "One import", j); err != nil {
			t.Fatal(err)
		}
		return html.UnescapeString(w.Body.String())
	}
	text := page(UndoOptions{Batch: "leads.csv", DryRun: true})
	for _, want := range []string{"imported more than once", `value="2026-11-01T09:00:00Z"`, `value="2026-11-01T09:00:59.999999999Z"`, "2026-11-08 10:00", `name="all" value="1"`, "Undo all of them"} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is not in %s", want, text)
		}
	}
	text = page(UndoOptions{Batch: "leads.csv", DryRun: true, From: runs[1].From, To: runs[1].To})
	if !strings.Contains(text, "Only what came in from 2026-11-01 10:00:00 to") || strings.Contains(text, `name="all"`) || !strings.Contains(text, "Undo it") {
		t.Error(text)
	}
	if text = page(UndoOptions{Batch: "leads.csv", All: true}); strings.Contains(text, "Choose which import") || strings.Contains(text, `value="undo"`) {
		t.Error(text)
	}
}
