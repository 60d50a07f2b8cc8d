package configs

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"dialgate/policy"
)

// check finds what is wrong between values that are each allowed.
func (d *decoder) check(c *Config) {
	at := func(path, format string, args ...any) {
		d.errs = append(d.errs, c.At(path, fmt.Errorf(format, args...)))
	}
	warn := func(path, format string, args ...any) {
		c.warnings = append(c.warnings, c.At(path, fmt.Errorf(format, args...)).Error())
	}
	advertisers := ids(c.Advertisers, "advertisers", func(a *Advertiser) string { return a.ID }, at)
	campaigns := ids(c.Campaigns, "campaigns", func(k *Campaign) string { return k.ID }, at)
	peers := ids(c.Peers, "peers", func(p *Peer) string { return p.ID }, at)
	ids(c.Carriers, "carriers", func(k *Carrier) string { return k.ID }, at)
	ids(c.Registers, "registers", func(r *Register) string { return r.ID }, at)
	ids(c.Callers, "callers", func(k *Caller) string { return k.Number }, at)

	for i := range c.Campaigns {
		k := &c.Campaigns[i]
		path := fmt.Sprintf("campaigns[%d]", i)
		if k.Advertiser != "" && !slices.Contains(advertisers, k.Advertiser) {
			at(path+".advertiser", "there is no advertiser %q%s", k.Advertiser, policy.Suggest(k.Advertiser, advertisers))
		}
		if k.Purpose == "commercial" && len(k.Products) == 0 {
			at(path, "a commercial campaign needs products: a consent or relationship is compared with them")
		}
		if len(k.Callers) == 0 {
			warn(path, "no caller number is registered for this campaign, so every call of it is refused")
		}
		if p, ok := policy.ParsePurpose(k.Purpose); ok && p.Telemarketing() && !k.ObjectionOffered {
			warn(path, "objection_offered is not set, so every call of it is refused with objection-not-offered")
		}
	}
	for i := range c.Peers {
		d.checkPeer(c, i, campaigns, at, warn)
	}
	for i := range c.Carriers {
		if p := &c.Carriers[i].Probing; p.Every > 0 && (p.Timeout <= 0 || p.Timeout > p.Every) {
			at(fmt.Sprintf("carriers[%d].probing.timeout", i), "is %s; it must be more than 0 and at most %s, the time between two probes", p.Timeout, p.Every)
		}
	}
	for i := range c.rules {
		c.rules[i].check(peers, campaigns, at)
	}
	for i := range c.Advertisers {
		a := &c.Advertisers[i]
		path := fmt.Sprintf("advertisers[%d]", i)
		if a.Sector == "publisher" && a.IssuesPerYear < 3 {
			warn(path, "a publisher of less than three issues a year may not rely on a relationship: set issues_per_year")
		}
		if a.Sector == "lottery" && a.LicenceArticle == "" {
			warn(path, "a lottery without licence_article may not rely on a relationship")
		}
	}
	c.checkTransports(at, warn)
	if len(c.Emergency.Numbers) == 0 {
		warn("emergency.numbers", "is empty: a call to 112 is judged like any other")
	}
	c.SIP.DNS.check(at)
	if !quotable(c.SIP.Realm) {
		at("sip.realm", "is empty, or holds a quote, a backslash or what is no visible ASCII")
	}
	if c.SIP.TimerC < 180*1e9 {
		at("sip.timer_c", "is %s; RFC 3261 section 16.6 asks for more than 3 minutes", c.SIP.TimerC)
	}
	if k := c.SIP.TokenKey; k != "" && len(k) < 16 {
		at("sip.token_key", "has %d characters, at least 16 are needed", len(k))
	}
	if a, err := netip.ParseAddrPort(c.API.Address); err == nil && !a.Addr().IsLoopback() && c.API.Certificate == "" {
		at("api.address", "%s is not a loopback address: passwords and tokens would go over the network in the clear; set api.certificate and api.key, or put a proxy with TLS on this host before a loopback address", c.API.Address)
	}
	if c.API.ClientCA != "" && c.API.Certificate == "" {
		at("api.client_ca", "a client shows its certificate over TLS only; set api.certificate and api.key")
	}
	if (c.API.Certificate == "") != (c.API.Key == "") {
		at("api", "certificate and key go together")
	}
	if w := c.Redial.Window; w < 1e9 || w > 24*3600*1e9 {
		at("redial.window", "is %s; at least 1s, at most 24h", w)
	}
	if c.SIP.KeepInvite < 0 || c.SIP.KeepInvite > 16<<10 {
		at("sip.keep_invite", "is out of bounds; at most 16KiB")
	}
	if w := c.Ledger.AnswerWithin; w < 20e6 || w > 30e9 {
		at("ledger.answer_within", "is %s; at least 20ms, at most 30s", w)
	}
	if f := c.Store.DiskFloor; f < 32<<20 || f > 1<<40 {
		at("store.disk_floor", "is %d octets; at least 32MiB, at most 1024GiB", f)
	}
	if c.Ledger.SegmentSize < 1<<20 {
		at("ledger.segment_size", "is too small, at least 1MiB")
	}
}

func (d *decoder) checkPeer(c *Config, i int, campaigns []string, at, warn func(path, format string, args ...any)) {
	p := &c.Peers[i]
	path := fmt.Sprintf("peers[%d]", i)
	all := slices.Contains(p.Campaigns, "*")
	if len(p.Campaigns) == 0 {
		at(path, "a peer without campaigns can't call for anything: list them, or \"*\" for every one")
	}
	for j, id := range p.Campaigns {
		if id != "*" && !slices.Contains(campaigns, id) {
			at(fmt.Sprintf("%s.campaigns[%d]", path, j), "there is no campaign %q%s", id, policy.Suggest(id, campaigns))
		}
	}
	for j, id := range p.Names {
		switch {
		case id == "*":
		case !slices.Contains(campaigns, id):
			at(fmt.Sprintf("%s.names[%d]", path, j), "there is no campaign %q%s", id, policy.Suggest(id, campaigns))
		case !all && !slices.Contains(p.Campaigns, id):
			at(fmt.Sprintf("%s.names[%d]", path, j), "the peer may name %q but not call for it", id)
		}
	}
	checkAgreed(p, path, at)
	p.Digest.check(path+".digest", at)
	if p.NoRecordRoute && strings.HasPrefix(p.Dialect, "redirect-") {
		warn(path+".no_record_route", "says nothing here: a redirected call does not come by")
	}
	if len(p.Sources)+len(p.TLSNames) == 0 {
		warn(path, "a peer without sources or tls_names receives no calls")
	}
	for j, s := range p.Sources {
		prefix, err := parsePrefix(s)
		if err != nil {
			continue // reported already
		}
		for k := range c.Peers[:i] {
			for _, other := range c.Peers[k].Sources {
				if o, err := parsePrefix(other); err == nil && o == prefix && !apart(p.Listeners, c.Peers[k].Listeners) {
					at(fmt.Sprintf("%s.sources[%d]", path, j), "%s belongs to peer %q already", s, c.Peers[k].ID)
				}
			}
		}
	}
}

// apart reports whether two peers come by different listeners.
func apart(a, b []string) bool {
	return len(a) > 0 && len(b) > 0 && !slices.ContainsFunc(a, func(l string) bool { return slices.Contains(b, l) })
}

// ownCodes are sent whatever was agreed, to what can't be judged: none may say go.
var ownCodes = []int{400, 403, 404, 405, 407, 408, 416, 420, 480, 481, 482, 483, 487, 500, 505, 603}

// checkAgreed finds codes by which a switch could take a refusal for a go.
func checkAgreed(p *Peer, path string, at func(path, format string, args ...any)) {
	own := map[string][2]int{"redirect-teleblock": {499, 403}, "redirect-clearip": {503, 603}}
	code, asks := own[p.Dialect]
	if p.Agreed != (Agreed{}) && !asks {
		at(path+".agreed", "only the dialects redirect-teleblock and redirect-clearip have agreed codes")
		return
	}
	if !asks {
		return
	}
	if p.Agreed.Go != 0 {
		code[0] = p.Agreed.Go
	}
	if p.Agreed.Stop != 0 {
		code[1] = p.Agreed.Stop
	}
	clearIP := p.Dialect == "redirect-clearip" && code[0] == 404 // the other code that it knows; we send no 404 to a dialer
	switch {
	case code[0] < 400 || code[1] < 400:
		at(path+".agreed", "%d and %d: a code for go or stop is 400 to 699, so that no phone rings", code[0], code[1])
	case code[0] == code[1]:
		at(path+".agreed", "%d would mean both go and stop", code[0])
	case slices.Contains(ownCodes, code[0]) && !clearIP:
		at(path+".agreed.go", "%d is also said of a message that can't be judged; agree on another code", code[0])
	}
}

// check finds times that can't be meant.
func (d *DNS) check(at func(path, format string, args ...any)) {
	if d.Timeout < 10*time.Millisecond || d.Timeout > 5*time.Second {
		at("sip.dns.timeout", "is %s; at least 10ms, at most 5s", d.Timeout)
	}
	if d.Least < time.Second || d.Least > d.Most {
		at("sip.dns.least", "is %s; at least 1s, at most sip.dns.most", d.Least)
	}
	if d.Most > 24*time.Hour {
		at("sip.dns.most", "is %s; at most 24h", d.Most)
	}
}

// ids lists the ids of a section and reports doubles.
func ids[T any](list []T, section string, id func(*T) string, at func(path, format string, args ...any)) []string {
	var all []string
	for i := range list {
		name := id(&list[i])
		if name != "" && slices.Contains(all, name) {
			at(fmt.Sprintf("%s[%d]", section, i), "%q is there twice", name)
		}
		all = append(all, name)
	}
	return all
}
