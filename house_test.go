// Package dialgate_test holds the house rules that are tests: which room may
// import which, and what must not stand in any file.
package dialgate_test

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A listed package is what `go list -json` tells of one.
type listed struct {
	ImportPath string
	Standard   bool
	Imports    []string
}

func listPackages(t *testing.T, args ...string) []listed {
	t.Helper()
	out, err := exec.Command("go", append([]string{"list", "-json=ImportPath,Standard,Imports"}, args...)...).Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []listed
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// arrows is the table of design: each room with what it may import beside the
// standard library. A room covers the packages below it unless they have a row
// of their own.
var arrows = map[string][]string{
	"dialgate":                      nil,
	"dialgate/policy":               {"dialgate/policy"},
	"dialgate/policy/nl":            {"dialgate/policy"},
	"dialgate/store":                {"dialgate/policy", "dialgate/store", "github.com/dgraph-io/badger/v4", "github.com/dgraph-io/ristretto/v2", "github.com/xuri/excelize/v2", "golang.org/x/text", "golang.org/x/sys", "filippo.io/age", "github.com/google/uuid", "google.golang.org/protobuf"},
	"dialgate/store/ledger":         {"dialgate/policy", "golang.org/x/mod", "golang.org/x/sys"},
	"dialgate/console":              {"dialgate/policy", "dialgate/console/access", "dialgate/console/webhook", "github.com/google/jsonschema-go"},
	"dialgate/console/access":       {"golang.org/x/crypto"},
	"dialgate/console/webhook":      nil,
	"dialgate/review":               {"dialgate/policy", "dialgate/store"},
	"dialgate/gate":                 {"dialgate/policy", "github.com/google/uuid"},
	"dialgate/sipproxy":             {"dialgate/policy", "dialgate/sipproxy", "github.com/emiago/sipgo", "github.com/pion/sdp/v3", "github.com/gobwas/ws", "github.com/prometheus/client_golang", "golang.org/x/sys", "golang.org/x/net"},
	"dialgate/configs":              {"dialgate/policy", "go.yaml.in/yaml/v3", "github.com/google/jsonschema-go"},
	"dialgate/trace":                {"dialgate/sipproxy/message", "github.com/gopacket/gopacket"},
	"dialgate/internal/simnet":      {"dialgate/sipproxy/transport"},
	"dialgate/internal/testca":      nil,
	"dialgate/internal/testdns":     {"golang.org/x/net"},
	"dialgate/internal/lossy":       nil,
	"dialgate/policy/internal":      {"dialgate/policy", "github.com/nyaruka/phonenumbers", "google.golang.org/protobuf"},
	"dialgate/dialgatetest":         {"dialgate/policy", "dialgate/configs", "dialgate/gate", "dialgate/store", "dialgate/trace", "dialgate/sipproxy", "dialgate/internal/simnet", "github.com/prometheus/client_golang"},
	"dialgate/cmd/dialgate":         {"dialgate", "github.com", "golang.org", "go.yaml.in"},
	"dialgate/e2e":                  {"dialgate", "github.com", "golang.org", "go.yaml.in"},
	"dialgate/bench":                {"dialgate", "github.com", "golang.org", "go.yaml.in"},
	"dialgate/policy/nl/cases":      nil,
	"dialgate/sipproxy/dns":         {"golang.org/x/net"},
	"dialgate/sipproxy/message":     {"golang.org/x/sys"},
	"dialgate/sipproxy/transport":   {"dialgate/sipproxy/message", "github.com/gobwas/ws", "golang.org/x/sys", "golang.org/x/net"},
	"dialgate/sipproxy/transaction": {"dialgate/sipproxy/message", "dialgate/sipproxy/transport"},
}

// within reports whether path is room or lies below it.
func within(path, room string) bool { return path == room || strings.HasPrefix(path, room+"/") }

// room finds the row of the table that covers a package.
func room(path string) (string, bool) {
	best := ""
	for r := range arrows {
		if within(path, r) && len(r) > len(best) {
			best = r
		}
	}
	return best, best != "" && (best != "dialgate" || path == "dialgate")
}

func TestImportArrows(t *testing.T) {
	standard := map[string]bool{}
	for _, p := range listPackages(t, "std") {
		standard[p.ImportPath] = true
	}
	seen := 0
	for _, p := range listPackages(t, "./...") {
		r, ok := room(p.ImportPath)
		if !ok {
			t.Errorf("%s has no row in the table of rooms: add one, or move it", p.ImportPath)
			continue
		}
		seen++
		for _, imp := range p.Imports {
			if standard[imp] || slices.ContainsFunc(arrows[r], func(allowed string) bool { return within(imp, allowed) }) {
				continue
			}
			t.Errorf("%s imports %s, which the table of rooms does not allow it", p.ImportPath, imp)
		}
	}
	if seen < 5 {
		t.Errorf("only %d packages were looked at", seen)
	}
}

// TestNobodyButCmdReadsConfiguration guards the one arrow that is easiest to
// draw by mistake. The tests that users write are of their configuration.
func TestNobodyButCmdReadsConfiguration(t *testing.T) {
	for _, p := range listPackages(t, "./...") {
		if slices.Contains(p.Imports, "dialgate/configs") && !within(p.ImportPath, "dialgate/cmd") && !within(p.ImportPath, "dialgate/e2e") && p.ImportPath != "dialgate/dialgatetest" {
			t.Errorf("%s imports configs; only cmd may", p.ImportPath)
		}
	}
}

var (
	cited  = regexp.MustCompile(`RFC ([0-9]{4,5})`)
	status = regexp.MustCompile(`^RFC ([0-9]{4,5})  .+?  (yes|partial|no)( |$)`)
)

// TestCitedRFCsAreListed: docs/rfcs.txt says of every RFC that code or a flow
// cites how much of it there is, in order and once.
func TestCitedRFCsAreListed(t *testing.T) {
	list, err := os.ReadFile(filepath.Join("docs", "rfcs.txt"))
	if err != nil {
		t.Fatal(err)
	}
	listed, before := map[string]bool{}, ""
	for line := range strings.Lines(string(list)) {
		if !strings.HasPrefix(line, "RFC ") {
			continue
		}
		m := status.FindStringSubmatch(strings.TrimSpace(line))
		if m == nil {
			t.Errorf("docs/rfcs.txt: no status in %q", line)
			continue
		}
		if m[1] <= before {
			t.Errorf("docs/rfcs.txt: RFC %s stands behind RFC %s", m[1], before)
		}
		listed[m[1]], before = true, m[1]
	}
	err = filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") && !strings.Contains(path, filepath.Join("testdata", "flows")) {
			return err
		}
		text, err := os.ReadFile(path)
		for _, m := range cited.FindAllStringSubmatch(string(text), -1) {
			if !listed[m[1]] {
				t.Errorf("%s cites RFC %s, which docs/rfcs.txt does not list", path, m[1])
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
