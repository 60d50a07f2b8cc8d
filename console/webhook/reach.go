package webhook

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"syscall"
)

// special are the networks of IANA's special-purpose registries that are not
// of the open internet, beside those that netip knows.
var special = prefixes("0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
	"2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")

// openIPv6 is all that is given out of IPv6.
var openIPv6 = netip.MustParsePrefix("2000::/3")

func prefixes(texts ...string) (all []netip.Prefix) {
	for _, t := range texts {
		all = append(all, netip.MustParsePrefix(t))
	}
	return all
}

func within(a netip.Addr, networks []netip.Prefix) bool {
	return slices.ContainsFunc(networks, func(p netip.Prefix) bool { return p.Contains(a) })
}

// open reports whether an address is one of the open internet.
func open(a netip.Addr) bool {
	return a.IsGlobalUnicast() && !a.IsPrivate() && !within(a, special) && (a.Is4() || openIPv6.Contains(a))
}

// A reach says where deliveries go. Whoever may name an endpoint could else
// have the node ask its neighbours for things: addresses that are not of the
// open internet are refused unless the configuration allows them, and without
// TLS only those are reached.
type reach struct {
	allowed []netip.Prefix
	plain   bool // without TLS
}

// check tells why an address is not reached, nil if it is.
func (r *reach) check(a netip.Addr) error {
	switch a = a.Unmap().WithZone(""); {
	case within(a, r.allowed), open(a) && !r.plain:
		return nil
	case r.plain:
		return fmt.Errorf("%s is asked for without TLS, which goes only to a network named under api.webhooks_to; use https", a)
	}
	return fmt.Errorf("%s is no address of the open internet; name its network under api.webhooks_to to allow it", a)
}

// control looks at the address that a connection is about to be made to, after
// all names were looked up: no answer of DNS leads elsewhere.
func (r *reach) control(_, address string, _ syscall.RawConn) error {
	a, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%q is no address: %w", address, err)
	}
	return r.check(a.Addr())
}

const maxURL = 2048

// checkURL tells what is wrong with the address of an endpoint.
func checkURL(text string, allowed []netip.Prefix) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || len(text) > maxURL || u.Opaque != "" || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http":
		return fmt.Errorf("want an address such as https://crm.example/hooks, of at most %d octets", maxURL)
	case u.User != nil:
		return errors.New("holds a name or a password: what is sent is signed, check the signature instead")
	case u.Fragment != "" || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r == 0x7f }):
		return errors.New("holds a fragment, a blank or a control character")
	}
	if a, err := netip.ParseAddr(u.Hostname()); err == nil {
		return (&reach{allowed, u.Scheme == "http"}).check(a)
	}
	if u.Scheme == "http" && len(allowed) == 0 {
		return errors.New("is without TLS, which goes only to a network named under api.webhooks_to; use https")
	}
	return nil
}
