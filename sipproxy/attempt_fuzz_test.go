package sipproxy

import (
	"bytes"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"dialgate/policy"
	"dialgate/policy/nl"
	"dialgate/sipproxy/message"
)

// goldenInvites are the INVITEs of all golden files.
func goldenInvites(t testing.TB) (all [][]byte) {
	t.Helper()
	files, _ := filepath.Glob(filepath.Join("testdata", "invites", "*.txtar"))
	for _, file := range files {
		set, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range set.Files {
			if strings.HasSuffix(f.Name, "/invite") {
				all = append(all, crlf(f.Data))
			}
		}
	}
	return all
}

// number7 finds what could be a telephone number in a text for people.
var number7 = regexp.MustCompile(`[0-9]{7}`)

// rescues are header lines that say the caller is not hidden.
var rescues = []string{
	"Privacy: none", "P-Asserted-Identity: <sip:+31205550100@dialer.example>", "P-Preferred-Identity: <tel:+31205550100>",
	`Remote-Party-ID: "Windkracht" <sip:+31205550100@dialer.example>;party=calling;privacy=off`, "X-Campaign: meter",
}

// FuzzRead reads any message as an INVITE. Laws: it never panics; no text of
// the attempt holds a number; no header rescues a hidden caller; and whoever
// is hidden is refused, but for an emergency.
func FuzzRead(f *testing.F) {
	for _, raw := range goldenInvites(f) {
		f.Add(raw, false)
		f.Add(raw, true)
	}
	r := goldenReader(f)
	books, err := policy.NewBooks(policy.Settings{}, nl.Book())
	if err != nil {
		f.Fatal(err)
	}
	trusted, other := goldenPeer(f, r, ""), goldenPeer(f, r, "trust_identity: no\ncountry: DE\nstrip: 9 00")
	f.Fuzz(func(t *testing.T, raw []byte, trust bool) {
		peer := other
		if trust {
			peer = trusted
		}
		var v message.View
		if v.Parse(raw) != nil || !v.IsRequest() {
			return
		}
		read := func() (a policy.Attempt, d policy.Decision) {
			r.Read(&v, peer, &a)
			a.At = time.Date(2026, 7, 15, 8, 0, 0, 0, time.UTC)
			return a, books.Decide(&a, &policy.Facts{})
		}
		a, d := read()
		texts := a.Caller.Text + "\n" + a.NoCampaign + "\n" + a.Malformed + "\n"
		if a.Called.Short == "" {
			texts += a.Called.Text
		}
		for _, m := range a.Media {
			texts += "\n" + m.String()
		}
		for _, m := range a.Caller.Marks {
			texts += "\n" + m.Sentence()
		}
		if number7.MatchString(texts) {
			t.Fatalf("a number stands in %q", texts)
		}
		hidden := a.Called.Hides != "" || a.Caller.Mark(policy.MarkHidden) != nil
		if !hidden {
			return
		}
		if d.Verdict == policy.Allowed && !a.Called.Emergency {
			t.Fatalf("a hidden caller was allowed by %s:\n%s", d.Reason, raw)
		}
		for _, line := range rescues {
			with := bytes.Replace(v.Raw, []byte("\r\n"), []byte("\r\n"+line+"\r\n"), 1)
			if v.Parse(with) != nil {
				continue
			}
			if b, _ := read(); b.Called.Hides == "" && b.Caller.Mark(policy.MarkHidden) == nil {
				t.Fatalf("%s rescued a hidden caller:\n%s", line, raw)
			}
			_ = v.Parse(raw)
		}
	})
}
