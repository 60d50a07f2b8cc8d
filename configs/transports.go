package configs

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"dialgate/policy"
)

// addresses are those of all listeners.
func (l *Listen) addresses() (all []string) {
	for _, x := range l.UDP {
		all = append(all, x.Address)
	}
	for _, x := range l.TCP {
		all = append(all, x.Address)
	}
	for _, x := range l.TLS {
		all = append(all, x.Address)
	}
	for _, x := range l.WS {
		all = append(all, x.Address)
	}
	for _, x := range l.WSS {
		all = append(all, x.Address)
	}
	return all
}

// checkTransports finds what is wrong between listeners and those who are
// reached through them.
func (c *Config) checkTransports(at, warn func(path, format string, args ...any)) {
	listeners := map[string]int{"udp": len(c.Listen.UDP), "tcp": len(c.Listen.TCP), "tls": len(c.Listen.TLS), "ws": len(c.Listen.WS), "wss": len(c.Listen.WSS)}
	any := 0
	for _, n := range listeners {
		any += n
	}
	needs := func(path, key, kind string) {
		if n, known := listeners[kind]; known && n == 0 && any > 0 {
			if _, written := c.positions[path+"."+key]; written {
				path += "." + key
			}
			at(path, "is reached over %s, but there is no listener under listen.%s to do it from", kind, kind)
		}
	}
	asked := false // for client certificates
	for i, l := range c.Listen.TLS {
		asked = asked || l.ClientCA != ""
		if l.RequireClient && l.ClientCA == "" {
			at(fmt.Sprintf("listen.tls[%d].require_client", i), "needs client_ca, the authorities whose certificates count")
		}
	}
	for i, l := range c.Listen.WSS {
		asked = asked || l.ClientCA != ""
		if l.RequireClient && l.ClientCA == "" {
			at(fmt.Sprintf("listen.wss[%d].require_client", i), "needs client_ca, the authorities whose certificates count")
		}
	}
	addresses := c.Listen.addresses()
	for i := range c.Peers {
		for j, l := range c.Peers[i].Listeners {
			if !slices.Contains(addresses, l) {
				at(fmt.Sprintf("peers[%d].listeners[%d]", i, j), "there is no address %s under listen%s", l, policy.Suggest(l, addresses))
			}
		}
	}
	names := map[string]string{}
	for i := range c.Peers {
		p := &c.Peers[i]
		for j, name := range p.TLSNames {
			path := fmt.Sprintf("peers[%d].tls_names[%d]", i, j)
			name = strings.ToLower(name)
			if other, there := names[name]; there {
				at(path, "%s belongs to peer %q already", name, other)
			}
			names[name] = p.ID
		}
		if len(p.TLSNames) > 0 && !asked {
			at(fmt.Sprintf("peers[%d].tls_names", i), "no listener asks for a client certificate: set client_ca under listen.tls or listen.wss")
		}
	}
	for i := range c.Inbound {
		path, in := fmt.Sprintf("inbound[%d]", i), &c.Inbound[i]
		needs(path, "transport", in.Transport)
		in.TLS.check(path+".tls", in.Transport, "dialer", at, warn)
	}
	for i := range c.Carriers {
		c.checkCarrier(fmt.Sprintf("carriers[%d]", i), &c.Carriers[i], needs, at, warn)
	}
}

func (c *Config) checkCarrier(path string, k *Carrier, needs func(path, key, kind string), at, warn func(path, format string, args ...any)) {
	needs(path, "transport", k.Transport)
	for i, t := range k.Targets {
		if _, err := netip.ParseAddrPort(t); err == nil && k.Transport == "dns" {
			at(fmt.Sprintf("%s.targets[%d]", path, i), "is an address, of which DNS says no transport; give a name, or another transport")
		}
	}
	k.TLS.check(path+".tls", k.Transport, "carrier", at, warn)
	if k.LargeOverTCP {
		switch {
		case k.Transport != "udp":
			at(path+".large_over_tcp", "is for carriers on udp; this one is on %s", k.Transport)
		default:
			needs(path, "large_over_tcp", "tcp")
		}
	}
}

// check checks how who is reached by a transport is met.
func (t *ServerTLS) check(path, transport, who string, at, warn func(path, format string, args ...any)) {
	secure := transport == "tls" || transport == "wss" || transport == "dns"
	switch {
	case !secure && *t != (ServerTLS{Verify: "full"}):
		at(path, "is set, but the transport is %s, which has no TLS", transport)
	case t.Verify == "pinned" && t.CA == "":
		at(path, "verify: pinned needs ca, the authorities to which it is pinned")
	case (t.Certificate == "") != (t.Key == ""):
		at(path, "certificate and key belong together, and one is missing")
	case secure && t.Verify == "none":
		warn(path+".verify", "is none: anybody who answers at its address is taken for the %s", who)
	}
}
