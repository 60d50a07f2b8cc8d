package main

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/rogpeppe/go-internal/testscript"
)

// most is how many tests run at a time: they wait for the disk more than they
// compute.
const most = 6

func TestMain(m *testing.M) {
	if err := flag.Set("test.parallel", strconv.Itoa(most)); err != nil { // -parallel still says otherwise
		panic(err)
	}
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
	}, Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){"await": await, "hangup": hangUp, "agekey": ageKey}})
}

// await FILE PATTERN waits until a file that a running node writes holds a
// text; without PATTERN, until it is there.
func await(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 || len(args) > 2 {
		ts.Fatalf("usage: await FILE [PATTERN]")
	}
	for range 1500 {
		if len(args) == 1 {
			if _, err := os.Lstat(ts.MkAbs(args[0])); err == nil {
				return
			}
		} else if text, err := os.ReadFile(ts.MkAbs(args[0])); err == nil && regexp.MustCompile(args[1]).Match(text) {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	ts.Fatalf("%v: not within 30 s", args)
}

// hangUp sends SIGHUP to what runs in the background.
func hangUp(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 0 || len(ts.BackgroundCmds()) == 0 {
		ts.Fatalf("usage: hangup, while a command runs in the background")
	}
	for _, c := range ts.BackgroundCmds() {
		ts.Check(c.Process.Signal(syscall.SIGHUP))
	}
}

// ageKey IDENTITY RECIPIENT makes a pair of keys that backups are encrypted with.
func ageKey(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: agekey IDENTITY RECIPIENT")
	}
	id, err := age.GenerateX25519Identity()
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(id.String()+"\n"), 0o600))
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(id.Recipient().String()+"\n"), 0o600))
}
