package dialgatetest

import (
	"iter"
	"os"
	"strings"
	"testing"
)

// Lines puts judged calls into lines, those that could not be read too.
func Lines(calls iter.Seq2[*Judged, error]) string {
	var b strings.Builder
	for j, err := range calls {
		if err != nil {
			b.WriteString("could not be read: " + err.Error())
		} else {
			b.WriteString(j.String())
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// Golden compares a text with what a file says must come out. With
// DIALGATE_REWRITE=1 in the environment the file is written instead.
func Golden(t testing.TB, path, got string) {
	t.Helper()
	if os.Getenv("DIALGATE_REWRITE") == "1" {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; DIALGATE_REWRITE=1 makes it", err)
	}
	if string(want) == got {
		return
	}
	a, b := strings.SplitAfter(string(want), "\n"), strings.SplitAfter(got, "\n")
	for i := range max(len(a), len(b)) {
		if x, y := at(a, i), at(b, i); x != y {
			t.Errorf("%s:%d:\nwant %sgot  %s", path, i+1, x, y)
		}
	}
}

func at(lines []string, i int) string {
	if i < len(lines) && lines[i] != "" {
		return lines[i]
	}
	return "nothing\n"
}
