package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"dialgate/sipproxy"
)

// A reloaded says what came of a reload.
type reloaded struct {
	File     string   `json:"file"`
	Before   string   `json:"before"` // id of the configuration that was in force
	Config   string   `json:"config"` // id of the one that is
	Cases    int      `json:"cases"`  // that came out as expected
	Changed  []string `json:"changed,omitempty"`
	Restart  []string `json:"restart,omitempty"` // keys that differ from those the node started with, and wait
	Warnings []string `json:"warnings,omitempty"`
}

// reload reads the configuration file again and puts it in force if it is
// right and its acceptance cases come out as expected; else everything stays
// as it is. What needs a restart waits for one, and is named. Calls go on
// meanwhile, each by the configuration that was in force when its INVITE came.
func (n *node) reload() (reloaded, error) {
	n.reloading.Lock()
	defer n.reloading.Unlock()
	if n.proxy == nil {
		return reloaded{}, errors.New("the node did not start")
	}
	began, before := time.Now(), n.current.Load()
	w, err := n.reread()
	if err == nil {
		var c sipproxy.Config
		if c, err = n.proxyConfig(w); err == nil {
			err = n.proxy.Use(c)
		}
		if err != nil {
			err = usageError("%v", err)
		}
	}
	if err != nil {
		n.reloadFailed.Store(new(err.Error()))
		n.metrics.reload(nil)
		n.o.log.Error("the configuration was not reloaded; the one before stays in force", "config", before.cfg.ID(), "error", oneLine(err))
		return reloaded{}, err
	}
	n.current.Store(w)
	n.reloadFailed.Store(nil)
	n.loaded.Store(new(time.Now()))
	n.metrics.reload(w)
	if n.o.setLevel != nil {
		n.o.setLevel(w.cfg.Log.Level)
	}
	r := reloaded{File: n.o.config, Before: before.cfg.ID(), Config: w.cfg.ID(), Cases: len(w.ran), Warnings: w.warnings()}
	r.Changed, _ = before.cfg.Changes(w.cfg)
	_, r.Restart = n.world.cfg.Changes(w.cfg)
	n.o.log.Info("the configuration was reloaded", "config", r.Config, "before", r.Before, "cases", r.Cases,
		"changed", strings.Join(r.Changed, ","), "us", time.Since(began).Microseconds())
	for _, warning := range r.Warnings {
		n.o.log.Warn(warning)
	}
	if len(r.Restart) > 0 {
		n.o.log.Warn("what has changed here waits for a restart", "keys", strings.Join(r.Restart, ","))
	}
	return r, nil
}

// reread makes the world of the file as it is now. A fault of ours that a new
// configuration or one of its cases brings to light ends the reload, not the node.
func (n *node) reread() (w *world, err error) {
	defer func() {
		if r := recover(); r != nil {
			n.o.log.Error("a configuration could not be worked off; this is a fault in dialgate", "panic", fmt.Sprint(r), "stack", string(debug.Stack()))
			err = fmt.Errorf("the configuration could not be worked off: %v; this is a fault in dialgate", r)
		}
	}()
	if n.o.config == "" {
		return nil, errors.New("the node runs on the embedded configuration, which never changes; start it with -c FILE")
	}
	return loadAccepted(n.o.config)
}

// controlReload answers with a [reloaded], or with every error of the
// configuration as it is printed: 422 when there is something to put right.
func controlReload(reload func() (reloaded, error), w http.ResponseWriter) {
	r, err := reload()
	var status *statusError
	switch {
	case err == nil:
		_ = json.NewEncoder(w).Encode(r) // the client has gone
	case errors.As(err, &status) && status.status == exitUsage:
		http.Error(w, status.text, http.StatusUnprocessableEntity)
	default:
		http.Error(w, oneLine(err), http.StatusInternalServerError)
	}
}

// maxErrors bounds the octets of errors that are read from a node.
const maxErrors = 1 << 20

// reload asks the node to read its configuration again.
func (r *remote) reload() (done reloaded, err error) {
	req, err := http.NewRequestWithContext(context.Background(), "POST", "http://node/reload", nil)
	if err != nil {
		return done, err
	}
	res, err := r.client.Do(req)
	if err != nil {
		return done, fmt.Errorf("the running node does not answer on its control socket: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode == http.StatusOK {
		if err := json.NewDecoder(res.Body).Decode(&done); err != nil {
			return done, fmt.Errorf("the running node's answer can't be read: %w", err)
		}
		return done, nil
	}
	text, err := io.ReadAll(io.LimitReader(res.Body, maxErrors))
	if err != nil {
		return done, fmt.Errorf("the running node's answer can't be read: %w", err)
	}
	why := "not reloaded, the configuration before stays in force: " + strings.TrimSpace(string(text))
	if res.StatusCode == http.StatusUnprocessableEntity {
		return done, usageError("%s", why)
	}
	return done, errors.New(why)
}

type configReloadCmd struct {
	Config string `short:"c" help:"Configuration file of the node, to find its directory; default: the embedded one." placeholder:"FILE"`
	Store  string `help:"The node's directory (store.path), instead of -c: asks the node also when the file is broken." placeholder:"DIR"`
}

// Help is printed by --help.
func (configReloadCmd) Help() string {
	return "Example: dialgate config reload -c dialgate.yaml\nThe running node reads its own file again. If it is wrong, or an acceptance case that it names fails, nothing changes."
}

// Run asks the running node to reload, and prints what changed.
func (c configReloadCmd) Run(s streams) error {
	dir := c.Store
	if dir == "" {
		cfg, _, err := loadConfig(c.Config)
		if err != nil {
			return err
		}
		dir = cfg.Store.Path
	}
	conn, err := net.DialTimeout("unix", socketPath(dir), time.Second)
	if err != nil {
		return fmt.Errorf("no node answers on %s: %w; start one with dialgate serve", socketPath(dir), err)
	}
	conn.Close()
	r, err := newRemote(socketPath(dir)).reload()
	if err != nil {
		return err
	}
	for _, warning := range r.Warnings {
		fmt.Fprintln(s.err, "warning:", warning)
	}
	fmt.Fprintf(s.out, "%s is in force (%s, before %s)\n", r.File, r.Config, r.Before)
	if r.Cases > 0 {
		fmt.Fprintf(s.out, "acceptance cases: %d, all as expected\n", r.Cases)
	}
	fmt.Fprintf(s.out, "changed: %s\n", orNone(strings.Join(r.Changed, ", ")))
	if len(r.Restart) > 0 {
		fmt.Fprintf(s.out, "waits for a restart: %s\n", strings.Join(r.Restart, ", "))
	}
	return nil
}
