//go:build e2e

package e2e

import (
	"os/exec"
	"testing"
)

// TestBench keeps bench/ working: its own tests, among them a short round of
// every contender whose programs this machine has.
func TestBench(t *testing.T) {
	cmd := exec.Command(need(t, "python3"), "-m", "unittest", "discover", "-s", "tests", "-t", ".")
	cmd.Dir = "../bench"
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}
