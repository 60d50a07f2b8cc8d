package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"dialgate/configs"
	"dialgate/console"
	"dialgate/console/access"
	"dialgate/gate"
	"dialgate/policy"
	"dialgate/sipproxy"
	"dialgate/sipproxy/dns"
	"dialgate/sipproxy/transaction"
	"dialgate/store"
)

// A node is a running dialgate: serve runs one, the demo another.
type node struct {
	o        nodeOptions
	world    *world // with which it started
	store    *store.Store
	proxy    *sipproxy.Proxy
	metrics  *nodeMetrics
	unwanted *unwanted
	redials  *gate.Redials
	registry *prometheus.Registry
	sip      []netip.AddrPort // where SIP is received
	http     netip.AddrPort
	closers  []func() error // undone last first

	proxyEnded chan error

	keys    *access.Keys
	console *console.Server
	setUp   string // secret by which the first person is made, "" when there is one

	loaded       atomic.Pointer[time.Time] // when the configuration in force was
	reloadFailed atomic.Pointer[string]    // why the last reload did not work, nil: it did
	began        time.Time
	lateSaid     atomic.Int64 // in which second a log line last told of late records

	current   atomic.Pointer[world] // in force
	reloading sync.Mutex            // held also while the node starts
}

// nodeOptions are what differs between serve and the demo.
type nodeOptions struct {
	now     func() time.Time
	log     *slog.Logger
	observe func(*policy.Attempt, *policy.Decision, time.Duration)

	sync     func(*os.File) error // of the ledger's disk; nil: the system's
	config   string               // the file that a reload reads; "": none
	setLevel func(level string)   // of the log, on a reload; nil: it stays
	keep     int                  // how many readers of datagrams may keep a processor
}

// startNode brings a node up in one straight line; what was opened is closed
// again, last first, when a later step fails.
func startNode(w *world, o nodeOptions) (n *node, err error) {
	n = &node{o: o, world: w, registry: prometheus.NewRegistry(), proxyEnded: make(chan error, 1), began: time.Now()}
	n.current.Store(w)
	n.loaded.Store(&n.began)
	n.reloading.Lock()
	defer n.reloading.Unlock()
	defer func() {
		if err != nil {
			err = errors.Join(err, n.close())
		}
	}()
	so := storeOptions(w.cfg)
	so.Log, so.ImportRate, so.Memory, so.Ledger.Sync = o.log, w.cfg.Store.ImportRate, int64(w.cfg.Store.Memory), o.sync
	if n.store, err = store.Open(so); err != nil {
		return n, err
	}
	n.closers = append(n.closers, n.store.Close)

	control, err := serveControl(w.cfg.Store.Path, n.store, n.reload)
	if err != nil {
		return n, err
	}
	n.closers = append(n.closers, control.Close)

	if err = n.openConsole(o.log); err != nil {
		return n, err
	}
	n.closers = append(n.closers, n.console.Close)

	n.metrics = newNodeMetrics(n.registry, n.store, w)
	n.registry.MustRegister(webhookStates{n.console})
	n.redials = newRedials(n)
	n.unwanted = newUnwanted(n)
	n.closers = append(n.closers, n.unwanted.close)
	po, err := n.proxyOptions(o.log)
	if err != nil {
		return n, err
	}
	if n.proxy, err = sipproxy.New(po); err != nil {
		return n, err
	}
	n.store.OnObjection(n.proxy.Objected)
	if err = n.serveHTTP(o.log); err != nil {
		return n, err
	}
	go func() { n.proxyEnded <- n.proxy.Serve() }()
	n.closers = append(n.closers, func() error { n.proxy.Close(); return <-n.proxyEnded })
	return n, nil
}

// proxyOptions opens the sockets and gathers what the proxy takes.
func (n *node) proxyOptions(log *slog.Logger) (o sipproxy.Options, err error) {
	cfg := n.world.cfg
	if o.Listeners, err = n.listen(log); err != nil {
		return o, err
	}
	if o.Config, err = n.proxyConfig(n.world); err != nil {
		return o, err
	}
	if o.Key, err = tokenKey(cfg.SIP.TokenKey, cfg.Store.Path); err != nil {
		return o, err
	}
	o.Name, o.MaxTransactions = cfg.Node, cfg.SIP.MaxTransactions
	o.Timers = transaction.DefaultTimers()
	o.Timers.C = cfg.SIP.TimerC
	o.DNS = dns.Options{Timeout: cfg.SIP.DNS.Timeout, Tries: cfg.SIP.DNS.Tries, Least: cfg.SIP.DNS.Least, Most: cfg.SIP.DNS.Most}
	for _, s := range cfg.SIP.DNS.Servers {
		o.DNS.Servers = append(o.DNS.Servers, addrPort(s))
	}
	o.Log, o.Metrics = log, n.registry
	return o, nil
}

// newGate makes the gate that judges by a world.
func (n *node) newGate(w *world) *gate.Gate {
	return gate.New(gate.Options{
		Rules: gate.Rules{Books: w.books, Config: w.cfg.ID()}, Facts: n.store, Ledger: n.store, Node: n.world.cfg.Node, Now: n.o.now,
		Answer: func(p *policy.PeerTerms, r policy.Reason) int { return answer(p, r).Code },
		Permit: w.permit(), Redials: n.redials, Within: n.world.cfg.Ledger.AnswerWithin, Unrecorded: n.unrecorded,
		Observe: func(a *policy.Attempt, d *policy.Decision, took time.Duration) {
			n.metrics.observe(a, d, took)
			n.console.Meter().Observe(d.Reason, a.At)
			if n.o.observe != nil {
				n.o.observe(a, d, took)
			}
		},
	})
}

// unrecorded counts a call that was answered without its record, and says once a
// second that there are such.
func (n *node) unrecorded(d *policy.Decision, why error) {
	n.metrics.unrecorded(d, why)
	if second := time.Now().Unix(); why == nil && n.lateSaid.Swap(second) != second {
		n.o.log.Warn("calls are answered before their records are on disk; the disk is slow", "verdict", d.Verdict.String(), "reason", d.Reason.String(), "after", n.world.cfg.Ledger.AnswerWithin)
	}
}

// proxyConfig is what the proxy takes of a world: who calls and who carries,
// with the reader and the gate that belong to it.
func (n *node) proxyConfig(w *world) (o sipproxy.Config, err error) {
	cfg := w.cfg
	for _, p := range w.domain.Peers {
		peer := sipproxy.PeerOf(p.Terms)
		peer.Sources, peer.Listeners, peer.Names, peer.CallsPerSecond, peer.CallsInSetup = p.Sources, p.Listeners, p.Names, p.Limits.CallsPerSecond, p.Limits.CallsInSetup
		peer.Digest = digest(&p.Digest, cfg.SIP.Realm)
		o.Peers = append(o.Peers, peer)
	}
	o.Realm = cfg.SIP.Realm
	for _, c := range cfg.Carriers {
		carrier := sipproxy.Carrier{ID: c.ID, Priority: c.Priority, Weight: c.Weight, Transport: kind(c.Transport), LargeOverTCP: c.LargeOverTCP,
			AnswerWithin: c.AnswerWithin, FailoverOn: c.FailoverOn,
			CallsPerSecond: c.Limits.CallsPerSecond, CallsInSetup: c.Limits.CallsInSetup,
			Probing: sipproxy.Probing{Every: c.Probing.Every, Timeout: c.Probing.Timeout, Down: c.Probing.Down, Up: c.Probing.Up}}
		if carrier.TLS, err = serverTLS(c.Transport, &c.TLS, n.o.log); err != nil {
			return o, err
		}
		for _, t := range c.Targets {
			if host, port, ok := configs.HostPort(t); ok {
				carrier.Names = append(carrier.Names, sipproxy.Name{Host: host, Port: port, Transport: carrier.Transport, Any: c.Transport == "dns"})
				if carrier.TLS != nil && carrier.TLS.Name == "" {
					carrier.TLS.Name = strings.TrimSuffix(host, ".") // what its certificate must bear (RFC 5922 section 7)
				}
				continue
			}
			carrier.Targets = append(carrier.Targets, addrPort(t))
		}
		carrier.Sources = configs.Prefixes(c.Sources)
		o.Carriers = append(o.Carriers, carrier)
	}
	o.Inbound = map[policy.Number]sipproxy.Target{}
	for _, in := range cfg.Inbound {
		to := sipproxy.Target{Addr: addrPort(in.Target), Transport: kind(in.Transport)}
		if to.TLS, err = serverTLS(in.Transport, &in.TLS, n.o.log); err != nil {
			return o, err
		}
		o.Inbound[policy.MustNumber(in.Number)] = to
	}
	g := n.newGate(w)
	o.Reader, o.Judge, o.JudgeCaller, o.Objected = w.reader, g.Judge, g.JudgeCaller, g.Objected
	o.Outcome = func(out policy.Outcome) { g.Outcome(out); n.unwanted.outcome(w, &out) }
	o.FailoverWithin = cfg.SIP.FailoverWithin
	o.OutOfDialog = cfg.SIP.OutOfDialog
	o.AnswerStrangers, o.EmergencyRate = cfg.SIP.AnswerStrangers, cfg.Emergency.CallsPerSecond
	return o, nil
}

// digest is how a peer proves who it is, nil when its source is enough.
func digest(d *configs.Digest, realm string) *sipproxy.Digest {
	if d.User == "" {
		return nil
	}
	out := &sipproxy.Digest{User: d.User}
	for _, x := range []struct {
		of         sipproxy.Algorithm
		name, hash string
	}{{sipproxy.SHA256, "sha-256", d.SHA256}, {sipproxy.MD5, "md5", d.MD5}} {
		switch {
		case x.hash != "":
			out.KnowsHash(x.of, strings.ToLower(x.hash))
		case d.Password != "" && slices.Contains(d.Algorithms, x.name):
			out.Knows(x.of, realm, d.Password)
		}
	}
	return out
}

// tokenKey is the configured key, or one made at the first start and kept, so
// that calls survive a restart.
func tokenKey(configured, dir string) ([]byte, error) {
	if configured != "" {
		return []byte(configured), nil
	}
	path := filepath.Join(dir, "token.key")
	key, err := os.ReadFile(path)
	if err == nil && len(key) >= 32 {
		return key, nil
	}
	key = make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	if err := os.WriteFile(path, key, 0o600); err != nil {
		return nil, fmt.Errorf("the key for call tokens can't be kept: %w", err)
	}
	return key, nil
}

// close stops the node, the last thing opened first.
func (n *node) close() error {
	var err error
	for i := len(n.closers) - 1; i >= 0; i-- {
		err = errors.Join(err, n.closers[i]())
	}
	n.closers = nil
	return err
}

// stop drains, then closes.
func (n *node) stop(ctx context.Context) error {
	return errors.Join(n.proxy.Drain(ctx), n.close())
}
