package main

import (
	"os"
	"strings"
	"testing"
	"time"

	"dialgate/configs"
)

func TestLinesWaitAndWarningsDoNot(t *testing.T) {
	t.Parallel()
	path := t.TempDir() + "/log"
	l, err := newLog(configs.Log{File: path, Level: "info"}, streams{})
	if err != nil {
		t.Fatal(err)
	}
	said := func() string {
		t.Helper()
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	l.Info("first")
	if got := said(); got != "" {
		t.Errorf("a line was written out by itself: %s", got)
	}
	l.With("a", 1).WithGroup("g").Warn("second")
	if got := said(); strings.Count(got, "\n") != 2 || !strings.Contains(got, "first") {
		t.Errorf("a warning does not stand there at once, after what came before: %s", got)
	}
	l.Info("third")
	for end := time.Now().Add(20 * logDelay); !strings.Contains(said(), "third"); time.Sleep(logDelay / 10) {
		if time.Now().After(end) {
			t.Fatal("a line waits for ever")
		}
	}
	l.Info("fourth")
	l.Info(strings.Repeat("x", maxWaiting))
	if got := said(); !strings.Contains(got, "fourth") {
		t.Error("more waits than may")
	}
	l.Info("last")
	l.close()
	if got := said(); !strings.HasSuffix(strings.TrimSpace(got), "msg=last") {
		t.Errorf("the last line is missing: %s", got[len(got)-200:])
	}
}
