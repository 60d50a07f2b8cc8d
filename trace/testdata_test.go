package trace

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// third is where the third-party captures lie, when they are there at all.
const third = "../../shared/testdata"

// reviewed are the captures of which tshark and we tell different numbers of
// calls, with the reason. There are none.
var reviewed = map[string]string{}

// callIDs are the distinct Call-IDs of a trace's INVITEs.
func callIDs(t *testing.T, messages Messages) (ids map[string]bool, found int, problems []*Problem) {
	t.Helper()
	ids = map[string]bool{}
	for m, err := range messages {
		if err != nil {
			var p *Problem
			if !errors.As(err, &p) {
				t.Fatalf("an error that is no problem: %v", err)
			}
			problems = append(problems, p)
			continue
		}
		found++
		if bytes.HasPrefix(m.Bytes, []byte("INVITE ")) {
			ids[headerOf(m.Bytes, "call-id", "i")] = true
		}
	}
	return ids, found, problems
}

// headerOf is the value of a header field by its long and short name.
func headerOf(message []byte, names ...string) string {
	for _, line := range strings.Split(string(message), "\r\n") {
		name, value, _ := strings.Cut(line, ":")
		for _, n := range names {
			if strings.EqualFold(strings.TrimSpace(name), n) {
				return strings.TrimSpace(value)
			}
		}
	}
	return ""
}

// TestSameCallsAsTshark compares with the figures that tshark gave.
func TestSameCallsAsTshark(t *testing.T) {
	manifest, err := os.ReadFile(filepath.Join(third, "MANIFEST.md"))
	if err != nil {
		t.Skip("the third-party captures are not there")
	}
	row := regexp.MustCompile("(?m)^\\| `(pcap/[^`]+)` \\| (\\d+) \\| (\\d+) \\| (\\d+) \\| (\\d+) \\|$")
	rows := row.FindAllStringSubmatch(string(manifest), -1)
	if len(rows) < 10 {
		t.Fatalf("the manifest has only %d captures", len(rows))
	}
	for _, r := range rows {
		want, err := strconv.Atoi(r[5])
		if err != nil {
			t.Fatal(err)
		}
		ids, found, problems := callIDs(t, Open(filepath.Join(third, r[1]), Options{}))
		t.Logf("%-52s %s packets, %d messages, %d calls, %d problems", r[1], r[2], found, len(ids), len(problems))
		if len(ids) != want && reviewed[r[1]] == "" {
			t.Errorf("%s: %d calls, tshark has %d; problems %v", r[1], len(ids), want, problems)
		}
	}
}

// TestEveryCallOfTheTexts compares with a plain search for INVITE request
// lines and the Call-ID that follows each.
func TestEveryCallOfTheTexts(t *testing.T) {
	files, err := Files(filepath.Join(third, "texttrace"))
	if err != nil {
		t.Skip("the third-party texts are not there")
	}
	invite := regexp.MustCompile(`(?s)\n[ \t]*INVITE sips?:[^\r\n]* SIP/2.0\r?\n.*?\n[ \t]*(?:Call-ID|i)[ \t]*:[ \t]*([^\r\n]+)`)
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]bool{}
		for _, m := range invite.FindAllSubmatch(append([]byte("\n"), data...), -1) {
			want[strings.TrimSpace(string(m[1]))] = true
		}
		ids, _, problems := callIDs(t, Open(name, Options{}))
		if len(ids) != len(want) && reviewed[name] == "" {
			t.Errorf("%s: %d calls, a search finds %d; problems %v", name, len(ids), len(want), problems)
		}
	}
}
