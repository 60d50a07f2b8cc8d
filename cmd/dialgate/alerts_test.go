package main

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"go.yaml.in/yaml/v3"
)

// TestAlertsAskForMetricsThatAre: the alert rules can be read, and ask for
// metrics that a node has.
func TestAlertsAskForMetricsThatAre(t *testing.T) {
	type rule struct{ Alert, Expr string }
	var rules []rule
	files, err := filepath.Glob(filepath.Join("..", "..", "deploy", "prometheus", "*.yaml"))
	if err != nil || len(files) < 2 {
		t.Fatal(files, err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var file struct{ Groups []struct{ Rules []rule } }
		if err := yaml.Unmarshal(text, &file); err != nil {
			t.Fatal(name, err)
		}
		for _, g := range file.Groups {
			rules = append(rules, g.Rules...)
		}
	}
	w := newWire(t, agreeConfig)
	h := hypothetical{from: "+31205550100", to: "+31612345678"}
	for i, id := range []string{"one", "two", "three"} {
		h.callID = id
		w.call(h, 1, workday)
		h.from = []string{"+31205550100", "+31205550101", ""}[i]
	}
	families, err := w.node.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, f := range families {
		known[f.GetName()] = true
	}
	asked := 0
	for _, r := range rules {
		for _, name := range regexp.MustCompile(`dialgate_\w+`).FindAllString(r.Expr, -1) {
			asked++
			if !known[name] {
				t.Errorf("%s asks for %s, which is no metric", r.Alert, name)
			}
		}
	}
	if asked < 7 {
		t.Errorf("only %d metrics are asked for", asked)
	}
}
