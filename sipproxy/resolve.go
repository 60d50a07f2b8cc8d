package sipproxy

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"dialgate/sipproxy/transport"
)

const (
	lookupTimeout = 5 * time.Second
	firstLookup   = 2 * time.Second // how long a configuration waits for names it brings
	lookupAgain   = 5 * time.Second // after a failure
	leastLooked   = time.Second     // between two looks for a name
	maxLooked     = 24 * time.Hour
)

// names is what DNS last said. An answer is kept until there is a newer one,
// so calls go on when DNS is gone.
type names struct {
	mu    sync.Mutex
	known map[Name]*known
	wake  chan struct{} // there are new names
}

// known is what is known of a name, nothing at first.
type known struct {
	found  []ranked
	again  time.Time // when it is looked for again
	failed bool      // the last look found nothing newer
}

// ask looks for names at once and reports whether any has other addresses than
// before. What could not be found keeps its last ones.
func (p *Proxy) ask(within time.Duration, all []Name) (changed bool) {
	ctx, stop := context.WithTimeout(context.Background(), within)
	defer stop()
	go func() {
		select {
		case <-p.closed:
			stop()
		case <-ctx.Done():
		}
	}()
	var wg sync.WaitGroup
	for _, n := range all {
		wg.Go(func() {
			l, err := locate(ctx, p.o.Resolver, n, p.kinds())
			if err == nil {
				err = p.within(l)
			}
			if p.learn(n, l, err) {
				p.names.mu.Lock()
				defer p.names.mu.Unlock()
				changed = true
			}
		})
	}
	wg.Wait()
	return changed
}

// learn keeps what a look for a name came to.
func (p *Proxy) learn(n Name, l *location, err error) (changed bool) {
	p.names.mu.Lock()
	defer p.names.mu.Unlock()
	k := p.names.known[n]
	if k == nil {
		k = &known{}
		p.names.known[n] = k
	}
	before, why := k.failed, err
	if l.old {
		why = cmp.Or(err, errOld)
	}
	if k.failed = why != nil; k.failed && !before {
		p.o.Log.Warn("a carrier's name can't be looked up; its last addresses stay in use", "name", n.String(), "addresses", len(k.found), "error", why)
	}
	if err != nil {
		k.again = time.Now().Add(lookupAgain)
		return false
	}
	k.again = time.Now().Add(max(l.lasts, leastLooked))
	if slices.Equal(k.found, l.found) {
		return false
	}
	p.o.Log.Info("a carrier's name has other addresses", "name", n.String(), "addresses", len(l.found))
	k.found = l.found
	return true
}

// within leaves out addresses that no listener reaches; an error when that is all.
func (p *Proxy) within(l *location) error {
	l.found = slices.DeleteFunc(l.found, func(r ranked) bool {
		return p.listenerFor(&p.o.Listeners[0], r.kind, r.addr.Addr()) == nil
	})
	if len(l.found) == 0 {
		return errors.New("no listener of this node is for the transport and address family of its addresses")
	}
	return nil
}

var errOld = errors.New("nobody answers, and what was answered last has ended")

// kinds are the transports that there are listeners for.
func (p *Proxy) kinds() (all []transport.Kind) {
	for i := range p.o.Listeners {
		if k := p.o.Listeners[i].kind(); !slices.Contains(all, k) {
			all = append(all, k)
		}
	}
	return all
}

// expand gives carriers the addresses of their names, after those configured.
func (p *Proxy) expand(c *Config) {
	p.names.mu.Lock()
	defer p.names.mu.Unlock()
	c.Carriers = slices.Clone(c.Carriers)
	for i := range c.Carriers {
		k := &c.Carriers[i]
		k.targets = nil
		for _, a := range k.Targets {
			k.targets = append(k.targets, ranked{a, k.Transport, len(k.targets), 1})
		}
		for _, n := range k.Names {
			known := p.names.known[n]
			if known == nil {
				continue
			}
			base := 0
			for _, t := range k.targets {
				base = max(base, t.priority+1)
			}
			for _, r := range known.found {
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

// unknown are the names of a configuration of which no address is known.
func (p *Proxy) unknown(c *Config) (all []Name) {
	p.names.mu.Lock()
	defer p.names.mu.Unlock()
	for _, n := range namesOf(c) {
		if k := p.names.known[n]; k == nil || len(k.found) == 0 {
			all = append(all, n)
		}
	}
	return all
}

// due are the names of a configuration that it is time to look for, and how
// long it is until the next one is.
func (p *Proxy) due(c *Config) (all []Name, wait time.Duration) {
	p.names.mu.Lock()
	defer p.names.mu.Unlock()
	wait = maxLooked
	for _, n := range namesOf(c) {
		left := time.Duration(0)
		if k := p.names.known[n]; k != nil {
			left = time.Until(k.again)
		}
		if left <= 0 {
			all = append(all, n)
		} else {
			wait = min(wait, left)
		}
	}
	return all, wait
}

// forgetNames lets go of names that a configuration does not have, and has
// those looked for that are new.
func (p *Proxy) forgetNames(c *Config) {
	used := namesOf(c)
	p.names.mu.Lock()
	defer p.names.mu.Unlock()
	for n := range p.names.known {
		if !slices.Contains(used, n) {
			delete(p.names.known, n)
		}
	}
	select {
	case p.names.wake <- struct{}{}:
	default:
	}
}

// runNames looks for each name of the configuration in force again before what
// is known of it ends. Other addresses put the same configuration in force
// with them.
func (p *Proxy) runNames() {
	for {
		now := p.config.Load()
		all, wait := p.due(&now.Config)
		if len(all) > 0 {
			if p.ask(lookupTimeout, all) {
				p.renew()
			}
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-p.closed:
			timer.Stop()
			return
		case <-p.names.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// renew puts the configuration in force again with the addresses known now.
func (p *Proxy) renew() {
	p.using.Lock()
	defer p.using.Unlock()
	if err := p.use(p.config.Load().Config); err != nil {
		p.o.Log.Error("the addresses that DNS gives now can't be used", "error", err)
	}
}
