package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"dialgate": main, "judge": judgeCalls})
}

// TestScripts runs whole commands, each script in a directory of its own.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/scripts", Setup: func(env *testscript.Env) error {
		// The example files of the repository, for scripts that use them.
		root, err := filepath.Abs("../..")
		if err != nil {
			return err
		}
		env.Setenv("REPO", root)
		return os.MkdirAll(filepath.Join(env.WorkDir, "empty"), 0o755)
	}})
}
