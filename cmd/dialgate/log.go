package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

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
	var h slog.Handler = slog.NewTextHandler(to, o)
	if c.Format == "json" {
		h = slog.NewJSONHandler(to, o)
	}
	if l.file != nil {
		h = promptHandler{h, l.file}
	}
	l.Logger = slog.New(h)
	return l, nil
}

// A promptHandler writes warnings and errors out at once, with all that came
// before them.
type promptHandler struct {
	slog.Handler
	file *logFile
}

func (h promptHandler) Handle(ctx context.Context, r slog.Record) error {
	err := h.Handler.Handle(ctx, r)
	if r.Level >= slog.LevelWarn {
		err = errors.Join(err, h.file.flush())
	}
	return err
}

func (h promptHandler) WithAttrs(a []slog.Attr) slog.Handler {
	return promptHandler{h.Handler.WithAttrs(a), h.file}
}

func (h promptHandler) WithGroup(name string) slog.Handler {
	return promptHandler{h.Handler.WithGroup(name), h.file}
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
		l.file.close()
	}
}

// logDelay is how long a line may wait for others: a system call for each call
// costs more than making its line.
const logDelay = 250 * time.Millisecond

// A logFile is appended to in blocks, and opened anew when it was moved away.
type logFile struct {
	path string

	mu      sync.Mutex
	f       *os.File
	waiting []byte
	later   *time.Timer // flushes what waits
}

// maxWaiting bounds what waits, in octets.
const maxWaiting = 64 << 10

func (l *logFile) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.waiting) == 0 {
		if l.later == nil {
			l.later = time.AfterFunc(logDelay, func() { _ = l.flush() }) // it has nobody to tell
		} else {
			l.later.Reset(logDelay)
		}
	}
	l.waiting = append(l.waiting, b...)
	if len(l.waiting) >= maxWaiting {
		return len(b), l.flushLocked()
	}
	return len(b), nil
}

func (l *logFile) flush() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.flushLocked()
}

func (l *logFile) flushLocked() error {
	if len(l.waiting) == 0 {
		return nil
	}
	_, err := l.f.Write(l.waiting)
	l.waiting = l.waiting[:0]
	return err
}

func (l *logFile) reopen() error {
	f, err := os.OpenFile(l.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("the log file can't be opened: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.f != nil {
		_ = l.flushLocked() // what was said before belongs to the old file
		l.f.Close()
	}
	l.f = f
	return nil
}

func (l *logFile) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	_ = l.flushLocked() // there is no log left to say it in
	l.f.Close()
}
