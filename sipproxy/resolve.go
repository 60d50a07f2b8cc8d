package sipproxy

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"dialgate/sipproxy/transport"
)

// A Name is a carrier's target that DNS knows the addresses of (RFC 3263).
// With a port its addresses are asked for, without one its SRV records first.
// Which transport it takes is configured, so NAPTR is not asked (section 4.1).
type Name struct {
	Host      string
	Port      uint16 // 0: by SRV, else that of the transport
	Transport transport.Kind
}

func (n Name) String() string {
	if n.Port == 0 {
		return n.Host
	}
	return net.JoinHostPort(n.Host, strconv.Itoa(int(n.Port)))
}

// A Resolver asks DNS; *net.Resolver is one.
type Resolver interface {
	LookupSRV(ctx context.Context, service, proto, name string) (string, []*net.SRV, error)
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

const (
	lookupTimeout = 5 * time.Second
	firstLookup   = 2 * time.Second // how long a configuration waits for names it brings
	lookupAgain   = 5 * time.Second // after a failure
	maxAddresses  = 32              // of one name
)

// A ranked is an address with its place among those of a carrier.
type ranked struct {
	addr     netip.AddrPort
	priority int // the lowest goes first
	weight   int // share among those of one priority
}

// names is what DNS last said, used under Proxy.using. An answer is kept until
// there is a newer one, so calls go on when DNS is gone.
type names struct {
	known  map[Name][]ranked
	failed map[Name]bool
}

// services are what SRV records are asked for (RFC 3263 section 4.1); there are
// none for WebSocket.
var services = map[transport.Kind]struct{ name, proto string }{
	transport.UDP: {"sip", "udp"}, transport.TCP: {"sip", "tcp"}, transport.TLS: {"sips", "tcp"},
}

// lookup asks for a name.
func (p *Proxy) lookup(ctx context.Context, n Name) ([]ranked, error) {
	if n.Port == 0 {
		var records []*net.SRV
		var err error
		if s := services[n.Transport]; s.name != "" {
			_, records, err = p.o.Resolver.LookupSRV(ctx, s.name, s.proto, rooted(n.Host))
		}
		switch {
		case len(records) > 0:
			return p.lookupRecords(ctx, records)
		case err != nil && !isNone(err):
			return nil, err
		}
		n.Port = n.Transport.DefaultPort() // no such record: the addresses of the name itself (RFC 3263 section 4.2)
	}
	return p.lookupHost(ctx, n.Host, ranked{weight: 1}, n.Port)
}

// lookupRecords finds the addresses of SRV records (RFC 2782). One whose host
// has none is left out.
func (p *Proxy) lookupRecords(ctx context.Context, records []*net.SRV) (all []ranked, err error) {
	for _, r := range records {
		if r.Target == "." {
			return nil, errors.New("its SRV record says that there is no such service")
		}
		found, err := p.lookupHost(ctx, r.Target, ranked{priority: int(r.Priority), weight: int(r.Weight)}, r.Port)
		if err != nil && !isNone(err) {
			return nil, err
		}
		all = append(all, found...)
	}
	return all[:min(len(all), maxAddresses)], nil
}

// isNone reports whether DNS has answered, and has nothing of the name.
func isNone(err error) bool {
	var e *net.DNSError
	return errors.As(err, &e) && e.IsNotFound
}

func (p *Proxy) lookupHost(ctx context.Context, host string, like ranked, port uint16) ([]ranked, error) {
	addrs, err := p.o.Resolver.LookupNetIP(ctx, "ip", rooted(host))
	if err != nil {
		return nil, err
	}
	var all []ranked
	for _, a := range addrs[:min(len(addrs), maxAddresses)] {
		like.addr = netip.AddrPortFrom(a.Unmap(), port)
		all = append(all, like)
	}
	return all, nil
}

// rooted keeps the host's search domains out of it.
func rooted(host string) string { return strings.TrimSuffix(host, ".") + "." }

// ask looks up names and reports whether any answer is another than before.
// What could not be found keeps its last answer.
func (p *Proxy) ask(within time.Duration, all []Name) (changed, failed bool) {
	ctx, stop := context.WithTimeout(context.Background(), within)
	defer stop()
	go func() {
		select {
		case <-p.closed:
			stop()
		case <-ctx.Done():
		}
	}()
	type answer struct {
		name  Name
		found []ranked
		err   error
	}
	answers := make(chan answer, len(all))
	for _, n := range all {
		go func() {
			found, err := p.lookup(ctx, n)
			if err == nil && len(found) == 0 {
				err = errors.New("it has no address")
			}
			slices.SortStableFunc(found, func(a, b ranked) int { return a.addr.Compare(b.addr) })
			answers <- answer{n, found, err}
		}()
	}
	for range all {
		a := <-answers
		if a.err != nil {
			failed = true
			if !p.names.failed[a.name] {
				p.o.Log.Warn("a carrier's name can't be looked up; its last addresses stay in use", "name", a.name.String(), "addresses", len(p.names.known[a.name]), "error", a.err)
			}
			p.names.failed[a.name] = true
			continue
		}
		delete(p.names.failed, a.name)
		if !slices.Equal(p.names.known[a.name], a.found) {
			p.o.Log.Info("a carrier's name has other addresses", "name", a.name.String(), "addresses", len(a.found))
			p.names.known[a.name] = a.found
			changed = true
		}
	}
	return changed, failed
}

// expand gives carriers the addresses of their names, after those configured.
func (p *Proxy) expand(c *Config) {
	c.Carriers = slices.Clone(c.Carriers)
	for i := range c.Carriers {
		k := &c.Carriers[i]
		k.targets = nil
		for _, a := range k.Targets {
			k.targets = append(k.targets, ranked{a, len(k.targets), 1})
		}
		for _, n := range k.Names {
			base := 0
			for _, t := range k.targets {
				base = max(base, t.priority+1)
			}
			for _, r := range p.names.known[n] {
				if !slices.ContainsFunc(k.targets, func(t ranked) bool { return t.addr == r.addr }) {
					r.priority += base
					k.targets = append(k.targets, r)
				}
			}
		}
	}
}

// namesOf are the names of a configuration.
func namesOf(c *Config) (all []Name) {
	for i := range c.Carriers {
		for _, n := range c.Carriers[i].Names {
			if !slices.Contains(all, n) {
				all = append(all, n)
			}
		}
	}
	return all
}

// runNames asks for the names of the configuration in force again and again.
// An answer that differs puts the same configuration in force with it.
func (p *Proxy) runNames() {
	wait := time.NewTimer(lookupAgain) // the first answer may be missing
	defer wait.Stop()
	for {
		select {
		case <-p.closed:
			return
		case <-wait.C:
		}
		p.using.Lock()
		now := p.config.Load()
		changed, failed := p.ask(lookupTimeout, namesOf(&now.Config))
		if changed {
			if err := p.use(now.Config); err != nil {
				p.o.Log.Error("the addresses that DNS gives now can't be used", "error", err)
			}
		}
		p.using.Unlock()
		next := p.refresh()
		if failed {
			next = min(next, lookupAgain)
		}
		wait.Reset(next)
	}
}

func (p *Proxy) refresh() time.Duration { return p.config.Load().DNSRefresh }
