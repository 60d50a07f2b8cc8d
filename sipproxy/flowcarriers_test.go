package sipproxy

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"dialgate/internal/simnet"
	"dialgate/sipproxy/dns"
)

// flowCarriers are the names that scripts give to carriers' addresses.
var flowCarriers = map[netip.AddrPort]string{carrierAddr: "first", secondAddr: "second", thirdAddr: "third"}

// carrierOption is a line "with first|second|third [key=value…]": it adds the
// carrier, or a target to another one, and sets what it is given.
func carrierOption(t *testing.T, words []string, o *Options) {
	id := words[0]
	if id == "first" {
		id = "carrier"
	}
	i := slices.IndexFunc(o.Carriers, func(c Carrier) bool { return c.ID == id })
	if i < 0 {
		i = len(o.Carriers)
		o.Carriers = append(o.Carriers, Carrier{ID: id, Weight: 1, AnswerWithin: 2 * time.Second})
		for a, name := range flowCarriers {
			if name == words[0] {
				o.Carriers[i].Targets = []netip.AddrPort{a}
			}
		}
	}
	c := &o.Carriers[i]
	if id == "carrier" && c.AnswerWithin == 0 {
		c.AnswerWithin, c.Weight = 2*time.Second, 1
	}
	for _, w := range words[1:] {
		key, value, _ := strings.Cut(w, "=")
		number, _ := strconv.Atoi(value)
		switch key {
		case "priority":
			c.Priority = number
		case "weight":
			c.Weight = number
		case "setup":
			c.CallsInSetup = number
		case "rate":
			c.CallsPerSecond = number
		case "failover":
			for _, code := range strings.Split(value, "+") {
				n, err := strconv.Atoi(code)
				if err != nil {
					t.Fatal(err)
				}
				c.FailoverOn = append(c.FailoverOn, n)
			}
		case "target": // a further target of this carrier
			for a, name := range flowCarriers {
				if name == value {
					c.Targets = append(slices.Clone(c.Targets), a)
				}
			}
		case "within":
			d, err := time.ParseDuration(value)
			if err != nil {
				t.Fatal(err)
			}
			o.FailoverWithin = d
		case "probing":
			c.Probing = Probing{Every: time.Duration(number) * time.Second, Timeout: time.Second, Down: 2, Up: 2}
		default:
			t.Fatalf("unknown key %q of a carrier", key)
		}
	}
}

// stopProbing puts the same configuration in force without probes.
func (s *stage) stopProbing() {
	c := s.config
	c.Carriers = slices.Clone(c.Carriers)
	probing := false
	for i := range c.Carriers {
		probing = probing || c.Carriers[i].Probing.on()
		c.Carriers[i].Probing = Probing{}
	}
	if !probing {
		return
	}
	s.ladder.Note("the end of probing")
	if err := s.proxy.Use(c); err != nil {
		s.t.Fatal(err)
	}
}

// turns is a log that notes the changes of targets' states in a ladder.
type turns struct {
	slog.Handler
	ladder *simnet.Ladder
}

// Enabled is part of slog.Handler.
func (turns) Enabled(context.Context, slog.Level) bool { return true }

// Handle is part of slog.Handler.
func (h turns) Handle(_ context.Context, r slog.Record) error {
	if !strings.HasPrefix(r.Message, "a target of a carrier") {
		return nil
	}
	said := map[string]string{}
	r.Attrs(func(a slog.Attr) bool {
		said[a.Key] = a.Value.String()
		return true
	})
	h.ladder.Note(fmt.Sprintf("%s %s is %s: %s", said["carrier"], said["target"], said["state"], said["why"]))
	return nil
}

// flowDNS is a DNS of one name whose SRV records a script sets.
type flowDNS struct {
	hosts map[string]netip.AddrPort
	mu    sync.Mutex
	said  []dns.SRV
	gone  bool
}

// namedOption is a line "with named [HOST:PRIORITY:WEIGHT…]": the first carrier
// is given by a name, which has these SRV records at first.
func namedOption(t *testing.T, words []string, o *Options) {
	d := &flowDNS{hosts: map[string]netip.AddrPort{"second.": secondAddr, "third.": thirdAddr}}
	d.say(t, words[1:])
	o.Resolver = d
	o.Carriers[0].Targets, o.Carriers[0].Names = nil, []Name{{Host: "sip.carrier.example"}}
	o.Carriers[0].AnswerWithin = 2 * time.Second
}

// say sets the records, or with "gone" has nobody answer.
func (d *flowDNS) say(t *testing.T, records []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.gone, d.said = slices.Equal(records, []string{"gone"}), nil
	if d.gone {
		return
	}
	for _, r := range records {
		f := strings.Split(r, ":")
		priority, err := strconv.Atoi(f[1])
		if err != nil {
			t.Fatal(err)
		}
		weight, err := strconv.Atoi(f[2])
		if err != nil {
			t.Fatal(err)
		}
		d.said = append(d.said, dns.SRV{Target: f[0] + ".", Port: 5060, Priority: uint16(priority), Weight: uint16(weight)})
	}
}

// flowTTL is how long an answer of a flowDNS holds.
const flowTTL = 30 * time.Second

// NAPTR is part of Resolver.
func (d *flowDNS) NAPTR(ctx context.Context, _ string) (dns.Answer[dns.NAPTR], error) {
	return dns.Answer[dns.NAPTR]{For: flowTTL}, d.wait(ctx)
}

// SRV is part of Resolver.
func (d *flowDNS) SRV(ctx context.Context, name string) (a dns.Answer[dns.SRV], err error) {
	if err := d.wait(ctx); err != nil {
		return a, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	a.For = flowTTL
	if name == "_sip._udp.sip.carrier.example" {
		a.Records = d.said
	}
	return a, nil
}

// Addresses is part of Resolver.
func (d *flowDNS) Addresses(_ context.Context, host string) (dns.Answer[netip.Addr], error) {
	a := dns.Answer[netip.Addr]{For: flowTTL}
	if at, ok := d.hosts[host]; ok {
		a.Records = []netip.Addr{at.Addr()}
	}
	return a, nil
}

// wait waits in vain while DNS is gone.
func (d *flowDNS) wait(ctx context.Context) error {
	d.mu.Lock()
	gone := d.gone
	d.mu.Unlock()
	if gone {
		<-ctx.Done()
		return ctx.Err()
	}
	return nil
}
