package message

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

// outcome is what becomes of a datagram: accept, a status, or drop.
func outcome(err error) string {
	var p *ParseError
	switch {
	case err == nil:
		return "accept"
	case !errors.As(err, &p):
		return "not a ParseError: " + err.Error()
	case p.Status == 0:
		return "drop"
	}
	return strconv.Itoa(p.Status)
}

// torture reads our own set of messages.
func torture(t testing.TB) map[string][]byte {
	t.Helper()
	set, err := txtar.ParseFile(filepath.Join("testdata", "torture.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	octets := strings.NewReplacer("\n", "\r\n", "{NUL}", "\x00", "{CR}", "\r", "{LF}", "\n", "{SP}", " ")
	files := map[string][]byte{}
	for _, f := range set.Files {
		files[f.Name] = []byte(octets.Replace(string(f.Data)))
	}
	return files
}

func TestOwnTortureMessages(t *testing.T) {
	for name, raw := range torture(t) {
		var v View
		err := v.Parse(raw)
		if want, _, _ := strings.Cut(name, "/"); outcome(err) != want {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestTorture runs RFC 4475's messages. The table of expected actions comes
// with them; a message whose fault is not in its form is left to the proxy.
func TestTorture(t *testing.T) {
	dir := filepath.Join("..", "..", "..", "shared", "testdata", "rfc4475")
	table, err := os.ReadFile(filepath.Join(dir, "EXPECTED.tsv"))
	if err != nil {
		t.Skip("the RFC 4475 messages are not beside the repository")
	}
	// What the proxy decides with the whole message in hand.
	proxy := map[string]bool{
		"bext01.dat":    true, // 420: an extension it does not have
		"zeromf.dat":    true, // 483: no hops left
		"badbranch.dat": true, // matched as RFC 2543 did
		"bcast.dat":     true, // dropped, since it belongs to no transaction
		"baddate.dat":   true, // Date is nothing it reads
		"regbadct.dat":  true, // so is Contact
	}
	for _, line := range strings.Split(strings.TrimSpace(string(table)), "\n")[1:] {
		cols := strings.Split(line, "\t")
		raw, err := os.ReadFile(filepath.Join(dir, cols[0]))
		if err != nil {
			t.Fatal(err)
		}
		var v View
		got, wanted := "", strings.Split(cols[4], "-or-")
		if got = outcome(v.Parse(raw)); proxy[cols[0]] {
			wanted = []string{"accept"}
		}
		if got == "accept" && !proxy[cols[0]] && cols[4] != "drop" {
			got = "forward"
		}
		ok := false
		for _, w := range wanted {
			// A valid message may be dropped, absorbed or answered later on.
			ok = ok || strings.HasPrefix(w, got) || got == "forward" && (strings.HasPrefix(w, "drop") || w == "absorb") && cols[2] != "invalid"
		}
		if !ok {
			t.Errorf("%s: got %s, want %s", cols[0], got, cols[4])
		}
	}
}

// TestFilesOfOthersDoNoHarm parses and edits what others keep as seeds.
func TestFilesOfOthersDoNoHarm(t *testing.T) {
	files := foreign()
	if len(files) == 0 {
		t.Skip("the messages of others are not beside the repository")
	}
	accepted := 0
	for name, raw := range files {
		var v View
		if err := v.Parse(raw); err != nil {
			if o := outcome(err); o != "drop" && o != "400" && o != "416" && o != "505" {
				t.Errorf("%s: %s", name, o)
			}
			continue
		}
		accepted++
		splices(t, &v)
	}
	if accepted < 20 {
		t.Errorf("only %d of %d messages were accepted", accepted, len(files))
	}
}

// foreign reads the messages of others when they are there.
func foreign() map[string][]byte {
	files := map[string][]byte{}
	for _, pattern := range []string{"rfc4475/*.dat", "fuzz/*/*", "fuzz/*/*/*"} {
		names, _ := filepath.Glob(filepath.Join("..", "..", "..", "shared", "testdata", pattern))
		for _, name := range names {
			if raw, err := os.ReadFile(name); err == nil {
				files[name] = raw
			}
		}
	}
	return files
}
