package main

import (
	"fmt"
	"log/slog"
	"os"
	"sync"

	"dialgate/configs"
)

// A nodeLog is the log of a running node: its level follows the configuration,
// and its file can be moved away under it.
type nodeLog struct {
	*slog.Logger
	level slog.LevelVar
	file  *logFile // nil: standard error
}

// newLog makes the log that the configuration asks for.
func newLog(c configs.Log, s streams) (*nodeLog, error) {
	l, to := &nodeLog{}, s.err
	if err := l.level.UnmarshalText([]byte(c.Level)); err != nil {
		return nil, usageError("log.level: %v", err)
	}
	if c.File != "" {
		l.file = &logFile{path: c.File}
		if err := l.file.reopen(); err != nil {
			return nil, usageError("%v", err)
		}
		to = l.file
	}
	o := &slog.HandlerOptions{Level: &l.level}
	if c.Format == "json" {
		l.Logger = slog.New(slog.NewJSONHandler(to, o))
	} else {
		l.Logger = slog.New(slog.NewTextHandler(to, o))
	}
	return l, nil
}

// setLevel takes over a level that the configuration has checked.
func (l *nodeLog) setLevel(name string) {
	if err := l.level.UnmarshalText([]byte(name)); err != nil {
		l.Error("the log keeps its level", "error", err)
	}
}

// reopen goes on in a new file of the same name, after the old one was moved
// away. What can't be opened leaves the old one in use.
func (l *nodeLog) reopen() {
	if l.file == nil {
		return
	}
	if err := l.file.reopen(); err != nil {
		l.Error("the log goes on in the old file", "error", err)
	}
}

// close ends the log.
func (l *nodeLog) close() {
	if l.file != nil {
		l.file.f.Close()
	}
}

// A logFile is appended to, and opened anew when it was moved away.
type logFile struct {
	path string
	mu   sync.Mutex
	f    *os.File
}

func (l *logFile) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.f.Write(b)
}

func (l *logFile) reopen() error {
	f, err := os.OpenFile(l.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("the log file can't be opened: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.f != nil {
		l.f.Close()
	}
	l.f = f
	return nil
}
