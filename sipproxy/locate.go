package sipproxy

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"dialgate/sipproxy/dns"
	"dialgate/sipproxy/transport"
)

// A Name is a carrier's target that DNS knows the addresses of (RFC 3263).
// With a port its addresses are asked for, without one NAPTR and SRV records
// first.
type Name struct {
	Host      string
	Port      uint16 // 0: by SRV, else that of the transport
	Transport transport.Kind
	// Any lets DNS say which of our transports it takes; Transport is the one
	// for when it says none.
	Any bool
}

func (n Name) String() string {
	if n.Port == 0 {
		return n.Host
	}
	return net.JoinHostPort(n.Host, strconv.Itoa(int(n.Port)))
}

// A Resolver asks DNS; a *[dns.Client] is one. No records and no error: DNS
// has answered, and has nothing of the name.
type Resolver interface {
	NAPTR(ctx context.Context, name string) (dns.Answer[dns.NAPTR], error)
	SRV(ctx context.Context, name string) (dns.Answer[dns.SRV], error)
	Addresses(ctx context.Context, name string) (dns.Answer[netip.Addr], error)
}

// Bounds of what is followed of one name.
const (
	maxAddresses = 32
	maxServices  = 8 // NAPTR records
)

// A ranked is an address with its place among those of a carrier.
type ranked struct {
	addr     netip.AddrPort
	kind     transport.Kind
	priority int // the lowest goes first
	weight   int // share among those of one priority
}

// services are the transports as DNS names them (RFC 3263 section 4.1, RFC
// 7118 for WebSocket), in the order in which we choose when a domain leaves
// that to us. There are no usual SRV names for WebSocket: only a NAPTR record
// leads to some.
var services = [...]struct {
	kind      transport.Kind
	naptr     string
	srvPrefix string
}{
	{transport.TLS, "SIPS+D2T", "_sips._tcp."},
	{transport.UDP, "SIP+D2U", "_sip._udp."},
	{transport.TCP, "SIP+D2T", "_sip._tcp."},
	{transport.WSS, "SIPS+D2W", ""},
	{transport.WS, "SIP+D2W", ""},
}

// A location is one look for a name, and what it came to.
type location struct {
	resolver Resolver
	found    []ranked
	lasts    time.Duration // after so long it is worth while to look again
	old      bool          // it rests on an answer whose time is over
}

var errNoService = errors.New("its SRV record says that there is no such service")

// locate finds the addresses of a name. kinds are the transports that there
// are listeners for.
func locate(ctx context.Context, r Resolver, n Name, kinds []transport.Kind) (*location, error) {
	l := &location{resolver: r, lasts: maxLooked}
	if !n.Any {
		kinds = []transport.Kind{n.Transport}
	}
	err := l.name(ctx, n, kinds)
	if err == nil && len(l.found) == 0 {
		err = errors.New("it has no address")
	}
	l.found = l.found[:min(len(l.found), maxAddresses)]
	slices.SortStableFunc(l.found, func(a, b ranked) int { return a.addr.Compare(b.addr) })
	return l, err
}

// name is the order of RFC 3263 section 4: a port leads to addresses; without
// one NAPTR records lead to SRV records, which are looked for under their
// usual names when there is none; without those the name has addresses itself.
func (l *location) name(ctx context.Context, n Name, kinds []transport.Kind) error {
	if n.Port != 0 {
		return l.host(ctx, n.Host, ranked{kind: n.Transport, weight: 1}, n.Port)
	}
	answer, err := l.resolver.NAPTR(ctx, n.Host)
	switch {
	case err == nil:
		l.rests(answer.For, answer.Old)
	case n.Any:
		return err
	default:
		// With a transport of its own a name needs no NAPTR (section 4.1); some
		// servers let such questions go unanswered.
		l.rests(lookupAgain, false)
	}
	for _, s := range usable(answer.Records, kinds) {
		if done, err := l.service(ctx, s); done || err != nil {
			return err
		}
	}
	none := error(nil)
	for _, s := range services {
		if s.srvPrefix == "" || !slices.Contains(kinds, s.kind) {
			continue
		}
		switch done, err := l.srv(ctx, s.srvPrefix+n.Host, s.kind); {
		case errors.Is(err, errNoService):
			none = err // of this transport
		case done || err != nil:
			return err
		}
	}
	if none != nil {
		return none
	}
	return l.host(ctx, n.Host, ranked{kind: n.Transport, weight: 1}, n.Transport.DefaultPort())
}

// A service is a NAPTR record that leads to a transport of ours.
type service struct {
	kind transport.Kind
	dns.NAPTR
}

// usable are the records that lead to transports of ours, in their order (RFC
// 3263 section 4.1): those with a name in the place of a pattern.
func usable(all []dns.NAPTR, kinds []transport.Kind) (out []service) {
	for _, r := range all {
		flags := strings.ToLower(r.Flags)
		if r.Regexp != "" || r.Replace == "." || flags != "s" && flags != "a" {
			continue
		}
		for _, s := range services {
			if strings.EqualFold(r.Service, s.naptr) && slices.Contains(kinds, s.kind) {
				out = append(out, service{s.kind, r})
			}
		}
	}
	slices.SortStableFunc(out, func(a, b service) int {
		return cmp.Or(cmp.Compare(a.Order, b.Order), cmp.Compare(a.Preference, b.Preference))
	})
	return out[:min(len(out), maxServices)]
}

// service follows a NAPTR record, to SRV records or to addresses; done: it
// leads somewhere.
func (l *location) service(ctx context.Context, s service) (done bool, err error) {
	if strings.EqualFold(s.Flags, "a") {
		err := l.host(ctx, s.Replace, ranked{kind: s.kind, weight: 1}, s.kind.DefaultPort())
		return len(l.found) > 0, err
	}
	done, err = l.srv(ctx, s.Replace, s.kind)
	if errors.Is(err, errNoService) {
		return false, nil // the next record may lead to one
	}
	return done, err
}

// srv finds the addresses of SRV records (RFC 2782); done: there are some
// records. One whose host is not known is left out.
func (l *location) srv(ctx context.Context, name string, k transport.Kind) (done bool, err error) {
	answer, err := l.resolver.SRV(ctx, name)
	if err != nil {
		return false, err
	}
	if l.rests(answer.For, answer.Old); len(answer.Records) == 0 {
		return false, nil
	}
	records := slices.Clone(answer.Records)
	slices.SortStableFunc(records, func(a, b dns.SRV) int { return cmp.Compare(a.Priority, b.Priority) })
	var last error
	for _, r := range records[:min(len(records), maxAddresses)] {
		if r.Target == "." {
			return false, errNoService
		}
		if err := l.host(ctx, r.Target, ranked{kind: k, priority: int(r.Priority), weight: int(r.Weight)}, r.Port); err != nil {
			last = err
			l.rests(lookupAgain, false)
		}
	}
	if len(l.found) > 0 {
		last = nil
	}
	return true, last
}

// host adds the addresses of a host.
func (l *location) host(ctx context.Context, host string, like ranked, port uint16) error {
	answer, err := l.resolver.Addresses(ctx, host)
	if err != nil {
		return err
	}
	l.rests(answer.For, answer.Old)
	for _, a := range answer.Records {
		like.addr = netip.AddrPortFrom(a.Unmap(), port)
		l.found = append(l.found, like)
	}
	return nil
}

// rests notes what an answer says of when to look again.
func (l *location) rests(lasts time.Duration, old bool) {
	l.lasts, l.old = min(l.lasts, lasts), l.old || old
}
