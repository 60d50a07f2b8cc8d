package policy

import (
	"fmt"
	"math/bits"
	"slices"
	"strings"
)

// A Choice is a mode for a part of the calls: those of one peer or of one
// campaign, those to a share of the numbers, or both.
//
// Of several choices that cover a call, that with the longest rule prefix
// counts; of those with the same prefix the one for the call's peer, then the
// one for its campaign, then the one for everybody. The peer comes first: it
// is told by the source address, while a campaign may be told by what the
// message says, and no message may choose which rules are enforced on a trunk
// that somebody put in a mode of its own.
type Choice struct {
	Rule     string // id, or prefix of whole words
	Peer     string // whose calls; "": every peer's
	Campaign string // of a choice without a peer; "": of every campaign
	Mode     Mode
	// Spared is, of Enforce, the percentage of called numbers for which the
	// rule is in shadow all the same; see [Number.Percentile].
	Spared int
}

// parts are the choices for one rule, with precedence worked out as far as it
// can be before a call is known.
type parts struct {
	all              choice
	peers, campaigns map[string]choice
}

// A choice is a Choice with its precedence: the greater rank counts.
type choice struct {
	mode   Mode
	spared int
	rank   int
}

// rank leaves room between two lengths of prefixes for who is meant.
func rank(prefix string, c Choice) int {
	who := 0
	switch {
	case c.Peer != "":
		who = 2
	case c.Campaign != "":
		who = 1
	}
	return 3*len(prefix) + who
}

// bindModes gives a rule its modes.
func (b *binder) bindModes(out *Bound) {
	p := parts{all: choice{rank: -1}, peers: map[string]choice{}, campaigns: map[string]choice{}}
	set := func(c Choice) {
		if !covers(c.Rule, out.ID) {
			return
		}
		b.used[c.Rule] = true
		this := choice{c.Mode, c.Spared, rank(c.Rule, c)}
		better := func(have choice, is bool) bool { return !is || this.rank > have.rank }
		switch {
		case c.Peer != "":
			if have, is := p.peers[c.Peer]; better(have, is) {
				p.peers[c.Peer] = this
			}
		case c.Campaign != "":
			if have, is := p.campaigns[c.Campaign]; better(have, is) {
				p.campaigns[c.Campaign] = this
			}
		case this.rank > p.all.rank:
			p.all = this
		}
	}
	for prefix, m := range b.settings.Modes {
		set(Choice{Rule: prefix, Mode: m})
	}
	for _, c := range b.settings.Choices {
		set(c)
	}
	out.Mode = p.all.mode
	if p.all.spared > 0 || len(p.peers) > 0 || len(p.campaigns) > 0 {
		out.parts = &p
	}
}

// ModeOf is the mode of a rule or condition for this call.
func (c *Call) ModeOf(b *Bound) Mode {
	if b.parts == nil {
		return b.Mode
	}
	return b.parts.of(c.Attempt)
}

func (p *parts) of(a *Attempt) Mode {
	best := p.all
	if a.Campaign != nil {
		if k, ok := p.campaigns[a.Campaign.ID]; ok && k.rank > best.rank {
			best = k
		}
	}
	if a.Peer != nil {
		if k, ok := p.peers[a.Peer.ID]; ok && k.rank > best.rank {
			best = k
		}
	}
	if best.mode == Enforce && a.Called.Number.Percentile() >= 100-best.spared {
		return Shadow
	}
	return best.mode
}

// Percentile spreads numbers evenly over 0 to 99, always in the same way: a
// rule that is enforced for ten per cent of the numbers is enforced for those
// below 10. It is the same for every rule, so whoever is in the share of one
// rule is in that of another with the same percentage, and a greater share
// holds the smaller one. The zero Number is in every share but an empty one.
//
// It is the finaliser of SplitMix64 over the digits read as an integer, scaled
// to a hundred. There is no key: it hides nothing, and anybody can check it.
func (n Number) Percentile() int {
	x := n.n
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	x ^= x >> 31
	hundredth, _ := bits.Mul64(x, 100)
	return int(hundredth)
}

// Modes puts the rule's modes into words, such as "enforce; peer dialer-a: off".
func (b *Bound) Modes() string {
	if b.parts == nil {
		return b.Mode.String()
	}
	var lines []string
	for _, group := range []struct {
		who   string
		modes map[string]choice
	}{{"peer", b.parts.peers}, {"campaign", b.parts.campaigns}} {
		var texts []string
		for id, c := range group.modes {
			texts = append(texts, fmt.Sprintf("%s %s: %s", group.who, id, c))
		}
		slices.Sort(texts)
		lines = append(lines, texts...)
	}
	return strings.Join(append([]string{b.parts.all.String()}, lines...), "; ")
}

func (c choice) String() string {
	if c.mode == Enforce && c.spared > 0 {
		return fmt.Sprintf("enforce for %d%% of numbers", 100-c.spared)
	}
	return c.mode.String()
}
