package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"
)

type serveCmd struct {
	Config string `short:"c" help:"Configuration file; default: the embedded one, on loopback." placeholder:"FILE"`
}

// Help is printed by --help.
func (serveCmd) Help() string {
	return "Example: dialgate serve -c dialgate.yaml\nSIGTERM drains: no new calls, running set-ups finish. SIGHUP reads the configuration again and opens the log file anew."
}

// Run serves until a signal comes or a listener fails.
func (c serveCmd) Run(s streams) error {
	w, err := loadAccepted(c.Config)
	if err != nil {
		return err
	}
	keep := spareProcessors(len(w.cfg.Listen.UDP))
	log, err := newLog(w.cfg.Log, s)
	if err != nil {
		return err
	}
	defer log.close()
	for _, warning := range w.warnings() {
		log.Warn(warning)
	}
	// Signals are caught before anything is opened, so that none is lost.
	stop, hangUp := make(chan os.Signal, 2), make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	signal.Notify(hangUp, syscall.SIGHUP)
	defer signal.Stop(stop)
	defer signal.Stop(hangUp)

	n, err := startNode(w, nodeOptions{now: time.Now, log: log.Logger, config: c.Config, setLevel: log.setLevel, keep: keep})
	if err != nil {
		return err
	}
	if n.setUp != "" {
		fmt.Fprintf(s.out, "nobody can log in yet; set the console up once, until the node stops, at\n  %s/setup#%s\n", n.url(), n.setUp)
	}
	log.Info("ready", "http", n.http.String(), "config", w.cfg.ID(), "store", w.cfg.Store.Path, "ledger", w.cfg.Ledger.Mode)

	for running := true; running; {
		select {
		case err := <-n.proxyEnded:
			n.proxyEnded <- nil // close waits for the proxy's end
			return errors.Join(fmt.Errorf("the proxy has stopped: %w", orEnded(err)), n.close())
		case <-hangUp:
			log.reopen()
			_, _ = n.reload() // it has logged what came of it
		case sig := <-stop:
			log.Info("draining", "signal", sig.String(), "at_most", n.current.Load().cfg.SIP.Drain.String())
			running = false
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), n.current.Load().cfg.SIP.Drain)
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

// spareProcessors gives the runtime more processors than it would take, one for
// each goroutine that waits in system calls: the ledger's committer, and the
// readers of datagrams, up to two, which may keep theirs while they wait. With
// none to spare the runtime's monitor takes them away again and again, which
// costs a refused call more than its judgement (docs/performance.md). GOMAXPROCS
// in the environment is left as it is, and then no reader may.
func spareProcessors(readers int) (keep int) {
	if os.Getenv("GOMAXPROCS") != "" {
		return 0
	}
	keep = min(readers, 2)
	runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + 1 + keep)
	return keep
}
