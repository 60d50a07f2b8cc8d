package console

import (
	"regexp"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

var couldBeNumber = regexp.MustCompile(`[0-9]{6}`)

// FuzzTexts: whatever a dialer, an upload or an address holds, what is shown of
// it has no number, moves no cursor, and leads to no other host.
func FuzzTexts(f *testing.F) {
	for _, s := range []string{"0612345678", "<script>", "a\r\nSet-Cookie: x", "//evil.example", `/\evil`, "\x1b[31m", "../../etc/passwd", "\u202e", "\xff", strings.Repeat("9", 400), "evidence.note.a.b", "kind."} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if got := maskText(s); couldBeNumber.MatchString(got) || len(got) != len(s) {
			t.Errorf("maskText(%q) = %q", s, got)
		}
		for _, got := range []string{cleanText(s), cleanName(s)} {
			if !utf8.ValidString(got) || strings.ContainsFunc(got, unicode.IsControl) || utf8.RuneCountInString(got) > maxShown+1 {
				t.Errorf("%q is shown as %q", s, got)
			}
		}
		for _, r := range cleanMessage(s) {
			if r != '\n' && !unicode.IsPrint(r) {
				t.Errorf("a message %q is shown with %q", s, r)
			}
		}
		if name := cleanName(s); name == "" || name == ".." || strings.ContainsAny(name, `/\`) {
			t.Errorf("an upload %q is called %q", s, name)
		}
		if to := back(s); !strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//") || strings.HasPrefix(to, `/\`) || strings.ContainsAny(to, "\r\n") {
			t.Errorf("a log-in leads to %q", to)
		}
		o := ImportOptions{}
		if err := mapColumns(&o, s); err == nil && len(o.Columns)+len(o.Ignore) > strings.Count(s, "\n")+1 {
			t.Errorf("%q maps %d columns", s, len(o.Columns))
		}
		if field, text := valueName(s); field != "" && field+"."+text != s || field == "" && text != "" {
			t.Errorf("%q is the text %q of %q", s, text, field)
		}
		var c Call
		c.FromText, c.CallID, c.Marks = s, s, []string{s}
		c.clean()
		c.mask()
		for _, got := range []string{c.FromText, c.CallID, c.Marks[0]} {
			if couldBeNumber.MatchString(got) {
				t.Errorf("%q is shown as %q", s, got)
			}
		}
	})
}
