package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"dialgate/configs"
	"dialgate/policy"
	"dialgate/store"
)

// scrubText judges a list on no facts.
func scrubText(t *testing.T, list, column string) (out string, allowed, refused int) {
	t.Helper()
	cfg, err := configs.Parse("default", configs.Default)
	if err != nil {
		t.Fatal(err)
	}
	w, err := newWorld(cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	j, err := scrubCmd{Campaign: "example-energy"}.judge(w)
	if err != nil {
		t.Fatal(err)
	}
	l, err := openList(strings.NewReader(list), column, j.isNumber)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	sc := newScrubber(j, l, &b)
	if err := sc.run(); err != nil {
		t.Fatal(err)
	}
	return b.String(), sc.allowed, sc.refused
}

func TestScrubKeepsTheDialect(t *testing.T) {
	for name, c := range map[string]struct{ list, column, want string }{
		"Windows-1252, named by a letter of its own": {"n\xe4me;T\xe9l\xe9phone\nJos\xe9;0612345678\n", "Téléphone", "n\xe4me;T\xe9l\xe9phone;verdict;reason;valid-until\nJos\xe9;0612345678;deny;no-consent;\n"},
		"UTF-8, a byte order mark and CRLF":          {"\xef\xbb\xbfTélé,Mobiel\r\né,0612345678\r\n", "", "\xef\xbb\xbfTélé,Mobiel,verdict,reason,valid-until\r\né,0612345678,deny,no-consent,\r\n"},
		"no end of the last line":                    {"number\n0612345678", "", "number,verdict,reason,valid-until\n0612345678,deny,no-consent,\n"},
		"one number without a header line":           {"0612345678\n", "", "0612345678,deny,no-consent,\n"},
		"a first number with a fault is no header":   {"061234567\n0612345678\n", "", "061234567,deny,callee-invalid,\n0612345678,deny,no-consent,\n"},
		"a quoted number":                            {"number\n\"06-1234 5678\"\n", "", "number,verdict,reason,valid-until\n\"06-1234 5678\",deny,no-consent,\n"},
		"a quote that never ends is of its line":     {"name,number\n\"x,0612345678\ny,0612345678\n", "", "name,number,verdict,reason,valid-until\n\"x,0612345678,,deny,callee-invalid,\ny,0612345678,deny,no-consent,\n"},
	} {
		t.Run(name, func(t *testing.T) {
			if got, _, _ := scrubText(t, c.list, c.column); got != c.want {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
		})
	}
}

// TestScrubCountsEveryRow over several batches, with rows among them that
// can't be read.
func TestScrubCountsEveryRow(t *testing.T) {
	var list strings.Builder
	list.WriteString("name,number\n")
	const rows = 3*scrubBatch + 7
	for i := range rows {
		switch i % 50 {
		case 0:
			list.WriteString("\"never ending,0612345678\n" + strings.Repeat("x", 2*longestQuoted) + "\n")
		case 1:
			list.WriteString("\n")
		default:
			fmt.Fprintf(&list, "x,06%08d\n", 12345000+i)
		}
	}
	out, allowed, refused := scrubText(t, list.String(), "")
	blank := strings.Count(list.String(), "\n\n")
	want := strings.Count(list.String(), "\n") - 1 - blank
	if allowed != 0 || refused != want || strings.Count(out, ",deny,") != want || strings.Count(out, "\n\n") != blank {
		t.Errorf("%d allowed, %d refused of %d rows", allowed, refused, want)
	}
}

// BenchmarkScrub judges a list whose numbers each have a consent that holds,
// which is the dearest verdict: it is decided again at each instant at which
// it could end.
func BenchmarkScrub(b *testing.B) {
	const numbers = 50_000
	dir := b.TempDir()
	config := filepath.Join(dir, "dialgate.yaml")
	text := fmt.Sprintf(`
listen: {udp: [{address: "127.0.0.1:0"}]}
peers: [{id: dialer, sources: [127.0.0.1], campaigns: ["*"]}]
advertisers: [{id: windkracht, name: Windkracht BV}]
campaigns: [{id: energy, advertiser: windkracht, purpose: commercial, products: [energy], callers: ["+31205550100"], objection_offered: true}]
store: {path: %q}
`, filepath.Join(dir, "data"))
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	w, err := loadWorld(config)
	if err != nil {
		b.Fatal(err)
	}
	s, err := store.Open(storeOptions(w.cfg))
	if err != nil {
		b.Fatal(err)
	}
	at := time.Now().AddDate(0, -1, 0)
	facts := make([]policy.Fact, numbers)
	var list strings.Builder
	list.WriteString("name,number,city\n")
	for i := range facts {
		n, _ := policy.NumberOfKey(31_610_000_000 + uint64(i)*2)
		facts[i] = policy.Fact{ID: fmt.Sprint("c", i), Kind: policy.Consent, Number: n, Advertiser: "windkracht", At: at, VerifiedAt: at, VerifiedBy: "sms",
			Purposes: []policy.Purpose{policy.Commercial}, Products: []string{"energy"}, Channels: []policy.CallMode{policy.Live}, Method: "web-form",
			Evidence: policy.Evidence{Person: "p", URI: "vault:1", SHA256: strings.Repeat("ab", 32)}}
		m, _ := policy.NumberOfKey(31_610_000_000 + uint64(i*7919%numbers)*2)
		fmt.Fprintf(&list, "Jansen %d,0%s,Ede\n", i, m.Digits()[2:])
	}
	if _, err := s.Add(context.Background(), facts...); err != nil {
		b.Fatal(err)
	}
	j, err := scrubCmd{Campaign: "energy"}.judge(w)
	if err != nil {
		b.Fatal(err)
	}
	j.known = s.Known
	b.Cleanup(func() { s.Close() })
	b.ReportAllocs()
	for b.Loop() {
		l, err := openList(strings.NewReader(list.String()), "", j.isNumber)
		if err != nil {
			b.Fatal(err)
		}
		sc := newScrubber(j, l, io.Discard)
		if err := sc.run(); err != nil || sc.allowed != numbers {
			b.Fatal(err, sc.allowed)
		}
	}
	b.ReportMetric(float64(b.N*numbers)/b.Elapsed().Seconds(), "rows/s")
}

// FuzzScrub: whatever a list holds, each of its rows comes out as it was, with
// three cells more, and nothing is allowed on facts that are not there.
func FuzzScrub(f *testing.F) {
	f.Add("number\n0612345678\n", "")
	f.Add("\xef\xbb\xbfname;telefoon\r\n\"a;\"\"b\";0612345678\r\n;\r\nx", "telefoon")
	f.Add("a\tb\n\"open\n0612345678\t1", "2")
	f.Add("+31612345678\n\n\"\"\n", "")
	f.Add(",0040000000", "")
	cfg, err := configs.Parse("default", configs.Default)
	if err != nil {
		f.Fatal(err)
	}
	w, err := newWorld(cfg, nil)
	if err != nil {
		f.Fatal(err)
	}
	j, err := scrubCmd{Campaign: "example-energy"}.judge(w)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, list, column string) {
		// A list with words like ours can't be told from what was added to it.
		if strings.Contains(list, "deny") || strings.Contains(list, "verdict") {
			return
		}
		l, err := openList(strings.NewReader(list), column, j.isNumber)
		if err != nil {
			return
		}
		var out bytes.Buffer
		sc := newScrubber(j, l, &out)
		if err := sc.run(); err != nil {
			t.Fatal(err)
		}
		if sc.allowed > 0 {
			t.Fatalf("%q: a number without a fact may be called", list)
		}
		// Without the cells that were added, the list is as it was.
		sep := string(l.separator)
		text := strings.ReplaceAll(out.String(), sep+"verdict"+sep+"reason"+sep+"valid-until", "")
		text = regexp.MustCompile(sep+"deny"+sep+"[a-z0-9-]+"+sep).ReplaceAllString(text, "")
		strip := func(s string) string {
			return strings.NewReplacer("\r", "", "\n", "", sep, "").Replace(s)
		}
		if strip(text) != strip(list) {
			t.Fatalf("%q became %q", list, out.String())
		}
	})
}
