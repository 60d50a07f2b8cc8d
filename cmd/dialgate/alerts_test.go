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
	t.Parallel()
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
	known := map[string]bool{"dialgate_tls_certificate_expires_seconds": true} // of a node with a certificate
	for _, f := range families {
		known[f.GetName()] = true
	}
	files, err := filepath.Glob(filepath.Join("..", "..", "deploy", "prometheus", "*.yaml"))
	if err != nil || len(files) < 2 {
		t.Fatalf("%d files of rules: %v", len(files), err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var file struct {
			Groups []struct {
				Rules []struct{ Alert, Expr string }
			}
		}
		if err := yaml.Unmarshal(text, &file); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		asked := 0
		for _, g := range file.Groups {
			for _, r := range g.Rules {
				for _, metric := range regexp.MustCompile(`dialgate_\w+`).FindAllString(r.Expr, -1) {
					asked++
					if !known[metric] {
						t.Errorf("%s asks for %s, which is no metric", r.Alert, metric)
					}
				}
			}
		}
		if asked < 3 {
			t.Errorf("%s: only %d metrics are asked for", name, asked)
		}
	}
}
