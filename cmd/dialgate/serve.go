package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"dialgate/configs"
)

type serveCmd struct {
	Config string `short:"c" help:"Configuration file; default: the embedded one, on loopback." placeholder:"FILE"`
}

// Help is printed by --help.
func (serveCmd) Help() string {
	return "Example: dialgate serve -c dialgate.yaml\nSIGTERM drains: no new calls, running set-ups finish."
}

// Run serves until a signal comes or a listener fails.
func (c serveCmd) Run(s streams) error {
	w, err := loadWorld(c.Config)
	if err != nil {
		return err
	}
	log, closeLog, err := newLog(w.cfg.Log, s)
	if err != nil {
		return err
	}
	defer closeLog()
	for _, warning := range w.cfg.Warnings() {
		log.Warn(warning)
	}
	// Signals are caught before anything is opened, so that none is lost.
	stop := make(chan os.Signal, 2)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	defer signal.Stop(stop)

	n, err := startNode(w, nodeOptions{now: time.Now, log: log})
	if err != nil {
		return err
	}
	for _, a := range n.sip {
		log.Info("listening for SIP", "udp", a.String())
	}
	log.Info("ready", "http", n.http.String(), "config", w.cfg.ID(), "store", w.cfg.Store.Path, "ledger", w.cfg.Ledger.Mode)

	select {
	case err := <-n.proxyEnded:
		n.proxyEnded <- nil // close waits for the proxy's end
		return errors.Join(fmt.Errorf("the proxy has stopped: %w", orEnded(err)), n.close())
	case sig := <-stop:
		log.Info("draining", "signal", sig.String(), "at_most", w.cfg.SIP.Drain.String())
	}
	ctx, cancel := context.WithTimeout(context.Background(), w.cfg.SIP.Drain)
	defer cancel()
	go func() {
		<-stop // a second signal ends the wait
		cancel()
	}()
	if err := n.stop(ctx); err != nil {
		return err
	}
	log.Info("stopped")
	return nil
}

var errEnded = errors.New("without a reason")

func orEnded(err error) error {
	if err == nil {
		return errEnded
	}
	return err
}

// newLog makes the logger that the configuration asks for.
func newLog(c configs.Log, s streams) (*slog.Logger, func(), error) {
	to, closeLog := s.err, func() {}
	if c.File != "" {
		f, err := os.OpenFile(c.File, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return nil, nil, usageError("the log file can't be opened: %v", err)
		}
		to, closeLog = f, func() { f.Close() }
	}
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Level)); err != nil {
		return nil, nil, usageError("log.level: %v", err)
	}
	o := &slog.HandlerOptions{Level: level}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(to, o)), closeLog, nil
	}
	return slog.New(slog.NewTextHandler(to, o)), closeLog, nil
}
