package configs

import (
	"net/netip"
	"slices"

	"dialgate/policy"
)

// Domain is what a configuration means to the rooms that judge.
type Domain struct {
	Directory *policy.Directory
	Peers     []PeerDomain
}

// PeerDomain is one dialer.
type PeerDomain struct {
	Terms   *policy.PeerTerms
	Sources []netip.Prefix
	// Listeners are the addresses by which it is known; none: all.
	Listeners []netip.AddrPort
	Names     []string // in certificates
	Digest    Digest
	Limits    Limits
}

// Build makes the domain of a configuration that was parsed without errors.
func (c *Config) Build(plans *policy.Plans) (*Domain, error) {
	advertisers := map[string]*policy.Advertiser{}
	for i := range c.Advertisers {
		a := &c.Advertisers[i]
		sector, _ := policy.ParseSector(a.Sector)
		advertisers[a.ID] = &policy.Advertiser{ID: a.ID, Name: a.Name, RegisterNumber: a.RegisterNumber, Sector: sector,
			IssuesPerYear: a.IssuesPerYear, LicenceArticle: a.LicenceArticle, RelationshipYears: a.RelationshipYears}
	}
	inventory := c.inventory()
	var campaigns []*policy.Campaign
	for i := range c.Campaigns {
		k := &c.Campaigns[i]
		purpose, _ := policy.ParsePurpose(k.Purpose)
		mode, _ := policy.ParseCallMode(k.Mode)
		campaign := &policy.Campaign{ID: k.ID, Advertiser: advertisers[k.Advertiser], Purpose: purpose, Products: k.Products,
			Mode: mode, ObjectionOffered: k.ObjectionOffered, NoOffer: k.NoOffer}
		campaigns = append(campaigns, campaign)
		for _, text := range k.Callers {
			n := policy.MustNumber(text) // checked when it was read
			entry := inventory[n]
			if entry == nil {
				entry = &policy.CallerNumber{Number: n}
				inventory[n] = entry
			}
			entry.Campaigns = append(entry.Campaigns, campaign)
		}
	}
	var callers []*policy.CallerNumber
	for _, entry := range inventory {
		callers = append(callers, entry)
	}
	var registers []policy.Register
	for _, r := range c.Registers {
		registers = append(registers, policy.Register{ID: r.ID, MaxAge: r.MaxAge})
	}
	directory, err := policy.NewDirectory(campaigns, callers, registers)
	if err != nil {
		return nil, err
	}
	d := &Domain{Directory: directory}
	for i := range c.Peers {
		d.Peers = append(d.Peers, c.peer(i, campaigns, plans))
	}
	return d, nil
}

// inventory is the section callers by number.
func (c *Config) inventory() map[policy.Number]*policy.CallerNumber {
	out := map[policy.Number]*policy.CallerNumber{}
	for _, k := range c.Callers {
		n := policy.MustNumber(k.Number) // this and the dates were checked when they were read
		date := func(s string) policy.Date {
			d, _ := policy.ParseDate(s)
			return d
		}
		out[n] = &policy.CallerNumber{Number: n, Holder: k.Holder, ValidFrom: date(k.ValidFrom), ValidTo: date(k.ValidTo),
			CallbackTestedAt: date(k.CallbackTestedAt), PublishedAt: k.PublishedAt}
	}
	return out
}

func (c *Config) peer(i int, campaigns []*policy.Campaign, plans *policy.Plans) PeerDomain {
	p := &c.Peers[i]
	display, _ := policy.ParseIdentityHeader(p.DisplayFrom)
	t := &policy.PeerTerms{
		ID: p.ID, Campaigns: p.Campaigns, AllCampaigns: slices.Contains(p.Campaigns, "*"), Names: p.Names,
		DisplayFrom: display, TrustIdentity: p.TrustIdentity, NoScreening: p.NoScreening, MayForward: p.MayForward, MayRoute: p.MayRoute,
		StrictSDP: p.SDP == "strict", Dialect: p.Dialect, Go: p.Agreed.Go, Stop: p.Agreed.Stop, LeavesPath: p.NoRecordRoute, Plan: plans.ByCountry(p.Country), StripPrefixes: slices.Clone(p.StripPrefixes),
	}
	slices.SortFunc(t.StripPrefixes, func(a, b string) int { return len(b) - len(a) })
	if slices.Contains(p.Names, "*") {
		// A campaign that needs no ground for calling is named only when it is
		// listed by name: else any call could claim to be one.
		for _, k := range campaigns {
			if k.Effective().Telemarketing() && !slices.Contains(t.Names, k.ID) {
				t.Names = append(t.Names, k.ID)
			}
		}
	}
	out := PeerDomain{Terms: t, Names: p.TLSNames, Digest: p.Digest, Limits: p.Limits}
	for _, s := range p.Sources {
		prefix, err := parsePrefix(s)
		if err == nil {
			out.Sources = append(out.Sources, prefix)
		}
	}
	for _, l := range p.Listeners {
		if a, err := netip.ParseAddrPort(l); err == nil { // checked when it was read
			out.Listeners = append(out.Listeners, a)
		}
	}
	return out
}
