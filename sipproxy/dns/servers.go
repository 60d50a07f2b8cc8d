package dns

import (
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"
)

// resolvConf is where the host says which servers are asked.
const resolvConf = "/etc/resolv.conf"

const (
	dnsPort    = 53
	maxServers = 8
	recheck    = 5 * time.Second // how often the file is looked at
)

// servers are those that are asked: given, or those that a file names, which
// is read again when it changes.
type servers struct {
	given []netip.AddrPort
	file  string

	mu      sync.Mutex
	read    []netip.AddrPort
	checked time.Time
	size    int64
	changed time.Time
}

// now are the servers to ask now; a file that can't be read leaves those that
// it named before.
func (s *servers) now() []netip.AddrPort {
	if len(s.given) > 0 {
		return s.given
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if s.read != nil && now.Sub(s.checked) < recheck {
		return s.read
	}
	s.checked = now
	info, err := os.Stat(s.file)
	if err == nil && (s.read == nil || info.Size() != s.size || !info.ModTime().Equal(s.changed)) {
		var text []byte
		if text, err = os.ReadFile(s.file); err == nil {
			s.size, s.changed = info.Size(), info.ModTime()
			s.read = nameservers(string(text))
		}
	}
	if s.read == nil {
		return nameservers("")
	}
	return s.read
}

// nameservers are those of a resolv.conf; one that names none means the host
// itself, as resolv.conf(5) has it.
func nameservers(text string) []netip.AddrPort {
	all := []netip.AddrPort{}
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) < 2 || words[0] != "nameserver" || len(all) == maxServers {
			continue
		}
		if a, err := netip.ParseAddr(words[1]); err == nil {
			all = append(all, netip.AddrPortFrom(a, dnsPort))
		}
	}
	if len(all) == 0 {
		all = append(all, netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), dnsPort))
	}
	return all
}
