package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"dialgate/configs"
	"dialgate/console"
	"dialgate/console/access"
	"dialgate/sipproxy/transport"
)

// openConsole makes the console of a node, and looks who has access. Nothing is
// served yet.
func (n *node) openConsole(log *slog.Logger) (err error) {
	cfg := n.world.cfg
	if n.keys, err = access.Open(cfg.Store.Path); err != nil {
		return err
	}
	people, err := n.keys.People()
	if err != nil {
		return err
	}
	if len(people) == 0 {
		n.setUp = access.NewSecret()
	}
	empty, err := n.keys.Empty()
	if err != nil {
		return err
	}
	if empty && !addrPort(cfg.API.Address).Addr().IsLoopback() {
		return fmt.Errorf("api.address %s can be reached from elsewhere, and nobody has access yet: whoever came first would set it up; run dialgate person add NAME --role admin first", cfg.API.Address)
	}
	n.console, err = console.New(console.Options{Node: consoleNode{n}, Keys: n.keys, Dir: cfg.Store.Path, Secure: cfg.API.Certificate != "", Log: log,
		Explains: explanation{}, SetUp: n.setUp, WebhooksTo: configs.Prefixes(cfg.API.WebhooksTo), Agent: "dialgate/" + version})
	return err
}

// handler serves the console and its API, and what an operator's machines ask:
// is the process alive, can it judge and record calls, how is it doing.
func (n *node) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "alive") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := n.ready(); err != nil {
			http.Error(w, "not ready: "+oneLine(err), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ready")
	})
	metrics := promhttp.HandlerFor(n.registry, promhttp.HandlerOpts{})
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, r *http.Request) {
		if !n.http.Addr().IsLoopback() {
			if who, err := n.console.Bearer(r); err != nil || !who.May(access.SeeState) {
				w.Header().Set("WWW-Authenticate", `Bearer realm="dialgate"`)
				http.Error(w, "metrics are told to a bearer token of the role viewer, since they can be asked for from elsewhere", http.StatusUnauthorized)
				return
			}
		}
		metrics.ServeHTTP(w, r)
	})
	mux.Handle("/", n.console)
	return mux
}

var errDraining = errors.New("draining")

// ready tells why calls are not taken, nil when they are.
func (n *node) ready() error {
	if err := n.store.Ready(); err != nil {
		return err
	}
	if n.proxy.Draining() {
		return errDraining
	}
	return nil
}

// serveHTTP listens for HTTP, over TLS when there is a certificate.
func (n *node) serveHTTP(log *slog.Logger) error {
	api := n.world.cfg.API
	l, err := net.Listen("tcp", api.Address)
	if err != nil {
		return fmt.Errorf("can't listen for HTTP on %s: %w; choose another address under api.address", api.Address, err)
	}
	if api.Certificate != "" {
		c, err := credentials(transport.CertificateFiles{Certificate: api.Certificate, Key: api.Key, ClientCA: api.ClientCA, RequireClient: api.ClientCA != ""}, log)
		if err != nil {
			return errors.Join(fmt.Errorf("api.certificate: %w", err), l.Close())
		}
		l = tls.NewListener(l, c.ForServers())
	}
	n.http = l.Addr().(*net.TCPAddr).AddrPort()
	n.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	server := &http.Server{Handler: n.handler(), ReadHeaderTimeout: 5 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn)}
	go func() { _ = server.Serve(l) }() // ends with Close
	n.closers = append(n.closers, server.Close)
	return nil
}

// url is where the console is.
func (n *node) url() string {
	scheme := "http"
	if n.world.cfg.API.Certificate != "" {
		scheme = "https"
	}
	host := n.http
	if host.Addr().IsUnspecified() {
		if name, err := os.Hostname(); err == nil {
			return fmt.Sprintf("%s://%s:%d", scheme, name, host.Port())
		}
	}
	return scheme + "://" + host.String()
}
