package trace

import (
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// A heading is what a text says of the next message.
type heading struct {
	at                  time.Time
	source, destination netip.AddrPort
	transport           Transport
}

var (
	// 2026-07-01 12:00:00.123456, with T, slashes or a zone; of sngrep, SIPp, Asterisk and system logs.
	timeWritten = regexp.MustCompile(`(\d{4})[-/](\d\d)[-/](\d\d)[ T](\d\d:\d\d:\d\d)(?:[.,](\d{1,9}))?(?: ?(Z|[+-]\d\d:?\d\d))?`)
	// 10.0.0.1:5060 -> 10.0.0.2:5060, of sngrep.
	arrow = regexp.MustCompile(`([0-9a-fA-F.:\[\]]+:\d+) -> ([0-9a-fA-F.:\[\]]+:\d+)`)
	// from UDP:10.0.0.1:5060, of Asterisk and others.
	toOrFrom = regexp.MustCompile(`\b(from|to) (?:[A-Z]+:)?([0-9a-fA-F.:\[\]]+:\d+)`)
	// UDP message sent, of SIPp; UDP:10.0.0.1, of Asterisk.
	carrierNamed = regexp.MustCompile(`\b(UDP|TCP|TLS|WSS?|SCTP)\b`)
	// time: 1526989457.123456, of Kamailio's sipdump.
	field = regexp.MustCompile(`^(time|proto|srcip|srcport|dstip|dstport): (\S+)`)
)

// read takes what a line tells.
func (h *heading) read(line string, zone *time.Location) {
	if m := field.FindStringSubmatch(line); m != nil {
		h.field(m[1], m[2])
		return
	}
	if m := timeWritten.FindStringSubmatch(line); m != nil {
		if at, ok := instant(m, zone); ok {
			*h = heading{at: at} // a new heading begins
		}
	}
	if m := arrow.FindStringSubmatch(line); m != nil {
		h.source, h.destination = address(m[1]), address(m[2])
	}
	for _, m := range toOrFrom.FindAllStringSubmatch(line, 2) {
		if m[1] == "from" {
			h.source = address(m[2])
		} else {
			h.destination = address(m[2])
		}
	}
	if m := carrierNamed.FindString(line); m != "" {
		h.transport = carrier(m)
	}
}

// field takes one line of sipdump's heading.
func (h *heading) field(name, value string) {
	switch name {
	case "time":
		seconds, fraction, _ := strings.Cut(value, ".")
		if s, err := strconv.ParseInt(seconds, 10, 64); err == nil {
			*h = heading{at: time.Unix(s, nanoseconds(fraction)).UTC()}
		}
	case "proto":
		h.transport = carrier(strings.ToUpper(value))
	case "srcip":
		h.source = address(netip.AddrPortFrom(host(value), h.source.Port()).String())
	case "dstip":
		h.destination = address(netip.AddrPortFrom(host(value), h.destination.Port()).String())
	case "srcport":
		h.source = netip.AddrPortFrom(h.source.Addr(), port(value))
	case "dstport":
		h.destination = netip.AddrPortFrom(h.destination.Addr(), port(value))
	}
}

func carrier(name string) Transport {
	for t, have := range transportNames {
		if have != "" && strings.TrimSuffix(name, "S") == have || name == have && have != "" {
			return Transport(t)
		}
	}
	return UnknownTransport
}

func host(s string) netip.Addr {
	a, err := netip.ParseAddr(strings.Trim(s, "[]"))
	if err != nil {
		return netip.Addr{}
	}
	return a
}

func port(s string) uint16 {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil {
		return 0
	}
	return uint16(n)
}

// address reads an address with its port; IPv6 with or without brackets.
func address(s string) netip.AddrPort {
	if a, err := netip.ParseAddrPort(s); err == nil {
		return a
	}
	if i := strings.LastIndexByte(s, ':'); i > 0 {
		if a := host(s[:i]); a.IsValid() {
			return netip.AddrPortFrom(a, port(s[i+1:]))
		}
	}
	return netip.AddrPort{}
}

// instant reads a written time. One without a zone is of the given zone.
func instant(m []string, zone *time.Location) (time.Time, bool) {
	layout, text := "2006-01-02 15:04:05", m[1]+"-"+m[2]+"-"+m[3]+" "+m[4]
	if m[6] != "" {
		text += strings.ReplaceAll(m[6], ":", "")
		layout += "Z0700"
	}
	at, err := time.ParseInLocation(layout, text, zone)
	if err != nil {
		return time.Time{}, false
	}
	return at.Add(time.Duration(nanoseconds(m[5]))), true
}

// nanoseconds reads the digits behind a decimal point.
func nanoseconds(fraction string) int64 {
	fraction = (fraction + "000000000")[:9]
	n, err := strconv.ParseInt(fraction, 10, 64)
	if err != nil {
		return 0
	}
	return n
}
