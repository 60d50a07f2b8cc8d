package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dialgate/configs"
	"dialgate/policy"
	"dialgate/policy/nl"
)

// caseFile reads a file of acceptance cases.
func caseFile(t *testing.T, path string) *configs.CaseFile {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	file, err := configs.ParseCases(filepath.Base(path), data, configs.Default, policy.FactForm{Zone: calledZone(), Number: localNumber})
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func dutchCases(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "..", "policy", "nl", "cases", "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no case files: %v", err)
	}
	return files
}

// TestAcceptanceCases runs every case of the Dutch book and the demo's story,
// as `dialgate check` does.
func TestAcceptanceCases(t *testing.T) {
	t.Parallel()
	beside := 0 // the decision table of the law
	for _, name := range append(dutchCases(t), filepath.Join("demo", "story.yaml")) {
		file := caseFile(t, name)
		var out bytes.Buffer
		misses, _, err := runCases(file, filepath.Base(name), &out)
		if err != nil {
			t.Fatal(err)
		}
		if len(misses) > 0 {
			t.Errorf("%d cases came out otherwise:\n%s", len(misses), out.String())
		}
		if filepath.Base(name) != "law-table.yaml" {
			beside += len(file.Cases)
		}
	}
	if beside < 150 {
		t.Errorf("only %d cases beside the decision table", beside)
	}
}

// TestCasesStandOnBothSides: of each reason one case is that reason and the
// next one is nearly it. Their names begin with "reason, is:" and "reason,
// nearly:".
func TestCasesStandOnBothSides(t *testing.T) {
	sides := map[string]bool{}
	names := map[string]string{}
	for _, path := range dutchCases(t) {
		before := ""
		for _, c := range caseFile(t, path).Cases {
			if other := names[c.Name]; other != "" {
				t.Errorf("%s: %q is the name of a case of %s too", path, c.Name, other)
			}
			names[c.Name] = filepath.Base(path)
			what, _, _ := strings.Cut(c.Name, ":")
			reason, side, _ := strings.Cut(what, ", ")
			switch side {
			case "is":
				if c.Expected.Reason != reason {
					t.Errorf("%s:%d: %q expects %s", path, c.Line, c.Name, c.Expected.Reason)
				}
				before, sides[what] = reason, true
				continue
			case "nearly":
				if c.Expected.Reason == reason || before != reason {
					t.Errorf("%s:%d: %q expects %s, and the case before it is %q", path, c.Line, c.Name, c.Expected.Reason, before)
				}
				sides[what] = true
			}
			before = ""
		}
	}
	for _, r := range policy.Reasons() {
		for _, side := range []string{", is", ", nearly"} {
			if !sides[r.String()+side] {
				t.Errorf("no case stands for %q", r.String()+side)
			}
		}
	}
}

// TestCasesReachEveryRule: each rule and condition that can refuse a call does
// so in some case, each ground allows one, and each flag is raised.
func TestCasesReachEveryRule(t *testing.T) {
	t.Parallel()
	reached, allowed := map[string]int{}, map[string]int{}
	for _, path := range dutchCases(t) {
		file := caseFile(t, path)
		for i := range file.Cases {
			got, err := runCase(file.Config, &file.Cases[i])
			if err != nil {
				t.Fatal(err)
			}
			seen := map[string]bool{}
			for _, f := range got.findings {
				if (f.Result == policy.Deny || f.Result == policy.Flag) && !seen[f.Rule.ID] {
					seen[f.Rule.ID] = true
					reached[f.Rule.ID]++
				}
			}
			if got.verdict == policy.Allowed.String() {
				allowed[got.reason]++
			}
		}
	}
	books, err := policy.NewBooks(policy.Settings{}, nl.Book())
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range books.Rules() {
		count := reached[r.ID]
		switch {
		case r.From == policy.NotInForce || r.To != 0 && r.To <= nl.Book().From:
			if count > 0 {
				t.Errorf("%s is in force on no day of the book, and judged %d cases", r.ID, count)
			}
			continue
		case modeOf(r) == "ground":
			count = allowed[r.Reasons[0].String()]
		case r.ID == "base.emergency" || r.ID == "base.protected":
			continue // they only allow
		}
		if count == 0 {
			t.Errorf("no case reaches %s", r.ID)
		}
		t.Logf("%-36s %3d", r.ID, count)
	}
}
