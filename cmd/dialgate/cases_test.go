package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"dialgate/configs"
	"dialgate/policy"
)

// TestAcceptanceCases runs every case of the Dutch book and the demo's story,
// as `dialgate check` does.
func TestAcceptanceCases(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("..", "..", "policy", "nl", "cases", "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no case files: %v", err)
	}
	ran := 0
	for _, name := range append(files, filepath.Join("demo", "story.yaml")) {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		file, err := configs.ParseCases(filepath.Base(name), data, configs.Default, policy.FactForm{Zone: calledZone(), Number: localNumber})
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		misses, err := runCases(file, filepath.Base(name), &out)
		if err != nil {
			t.Fatal(err)
		}
		if len(misses) > 0 {
			t.Errorf("%d cases came out otherwise:\n%s", len(misses), out.String())
		}
		ran += len(file.Cases)
	}
	if ran < 60 {
		t.Errorf("only %d cases", ran)
	}
}
