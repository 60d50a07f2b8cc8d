package configs

import (
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"dialgate/policy"
)

// A ruleSetting is one entry under rules.
type ruleSetting struct {
	id string
	modeSetting
	peers, campaigns []partSetting
	params           map[string]int
}

// A modeSetting is a mode and the percentage of numbers it is enforced for.
type modeSetting struct {
	mode    policy.Mode
	moded   bool // a mode was given
	percent int  // 100 unless given
}

// A partSetting is a mode for one peer or one campaign.
type partSetting struct {
	who, path string
	modeSetting
}

// check finds peers and campaigns that there are not.
func (r *ruleSetting) check(peers, campaigns []string, at func(path, format string, args ...any)) {
	for _, group := range []struct {
		what  string
		parts []partSetting
		known []string
	}{{"peer", r.peers, peers}, {"campaign", r.campaigns, campaigns}} {
		for _, p := range group.parts {
			if !slices.Contains(group.known, p.who) {
				at(p.path, "there is no %s %q%s", group.what, p.who, policy.Suggest(p.who, group.known))
			}
		}
	}
}

// entries walks a mapping and reports keys that are there twice.
func (d *decoder) entries(n *yaml.Node, path string, each func(key, value *yaml.Node, path string)) {
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		at := join(path, key.Value)
		d.positions[at] = position{key.Line, key.Column}
		if seen[key.Value] {
			d.fail(key, at, "is there twice")
			continue
		}
		seen[key.Value] = true
		each(key, d.resolve(n.Content[i+1], at), at)
	}
}

// ruleSettings reads "id: off" and "id: {mode: shadow, parameter: value}".
func (d *decoder) ruleSettings(n *yaml.Node) []ruleSetting {
	if n.Tag == "!!null" {
		return nil
	}
	if n.Kind != yaml.MappingNode {
		d.fail(n, "rules", "want a mapping of rule ids")
		return nil
	}
	var out []ruleSetting
	d.entries(n, "rules", func(key, value *yaml.Node, path string) {
		r := ruleSetting{id: key.Value, modeSetting: modeSetting{percent: 100}, params: map[string]int{}}
		d.modeOr(value, path, "a mapping with mode, percent, peers, campaigns and parameters", &r.modeSetting, func(key, value *yaml.Node, path string) {
			switch key.Value {
			case "peers":
				r.peers = d.ruleParts(value, path)
			case "campaigns":
				r.campaigns = d.ruleParts(value, path)
			default:
				d.positions[path] = position{value.Line, value.Column}
				d.ruleParam(value, path, key.Value, &r)
			}
		})
		out = append(out, r)
	})
	return out
}

// ruleParts reads the modes for single peers or campaigns.
func (d *decoder) ruleParts(n *yaml.Node, path string) []partSetting {
	if n.Tag == "!!null" {
		return nil
	}
	if n.Kind != yaml.MappingNode {
		d.fail(n, path, "want a mapping of ids to modes")
		return nil
	}
	var out []partSetting
	d.entries(n, path, func(key, value *yaml.Node, path string) {
		p := partSetting{who: key.Value, path: path, modeSetting: modeSetting{percent: 100}}
		d.modeOr(value, path, "a mapping with mode and percent", &p.modeSetting, func(key, _ *yaml.Node, path string) {
			known := []string{"mode", "percent"}
			d.fail(key, path, "no such key%s; allowed: %s", policy.Suggest(key.Value, known), strings.Join(known, ", "))
		})
		if value.Kind == yaml.MappingNode && !p.moded && child(value, "mode") == nil {
			d.fail(value, path, "says no mode; allowed: off, shadow, enforce")
		}
		out = append(out, p)
	})
	return out
}

// modeOr reads a mode alone, or a mapping with one: mode and percent into m,
// the other keys by other.
func (d *decoder) modeOr(n *yaml.Node, path, mapping string, m *modeSetting, other func(key, value *yaml.Node, path string)) {
	switch n.Kind {
	case yaml.ScalarNode:
		d.ruleMode(n, path, m)
	case yaml.MappingNode:
		d.entries(n, path, func(key, value *yaml.Node, path string) {
			switch key.Value {
			case "mode":
				d.ruleMode(value, path, m)
			case "percent":
				d.rulePercent(value, path, m)
			default:
				other(key, value, path)
			}
		})
		if percent := child(n, "percent"); percent != nil && (m.mode != policy.Enforce || child(n, "mode") == nil) {
			d.fail(percent, join(path, "percent"), "goes with mode: enforce")
		}
	default:
		d.fail(n, path, "want off, shadow or enforce, or %s", mapping)
	}
}

func (d *decoder) ruleMode(n *yaml.Node, path string, r *modeSetting) {
	text := n.Value
	if n.Tag == "!!bool" && strings.EqualFold(text, "false") || strings.EqualFold(text, "off") {
		text = "off" // some YAML readers take off for false
	}
	m, ok := policy.ParseMode(text)
	if !ok {
		d.fail(n, path, "%q is no mode%s; allowed: off, shadow, enforce", n.Value, policy.Suggest(n.Value, []string{"off", "shadow", "enforce"}))
		return
	}
	r.mode, r.moded = m, true
}

func (d *decoder) rulePercent(n *yaml.Node, path string, m *modeSetting) {
	p, err := strconv.Atoi(n.Value)
	if n.Kind != yaml.ScalarNode || err != nil || p < 0 || p > 100 {
		d.fail(n, path, "want a whole number from 0 to 100")
		return
	}
	m.percent = p
}

func (d *decoder) ruleParam(value *yaml.Node, path, name string, r *ruleSetting) {
	if value.Tag == "!!bool" {
		r.params[name] = 0
		if strings.EqualFold(value.Value, "true") {
			r.params[name] = 1
		}
		return
	}
	// A time of day may be written 18:30 or 1830.
	text := strings.Replace(value.Value, ":", "", 1)
	n, err := strconv.Atoi(text)
	if value.Kind != yaml.ScalarNode || err != nil {
		d.fail(value, path, "want a number, a time of day such as \"18:30\", or true or false")
		return
	}
	r.params[name] = n
}

// Settings are the operator's choices about rules.
func (c *Config) Settings() policy.Settings {
	s := policy.Settings{Modes: map[string]policy.Mode{}, Params: map[string]map[string]int{}}
	for _, r := range c.rules {
		switch {
		case !r.moded:
		case r.percent == 100:
			s.Modes[r.id] = r.mode
		default:
			s.Choices = append(s.Choices, r.choice(r.id, "", ""))
		}
		for _, p := range r.peers {
			s.Choices = append(s.Choices, p.choice(r.id, p.who, ""))
		}
		for _, p := range r.campaigns {
			s.Choices = append(s.Choices, p.choice(r.id, "", p.who))
		}
		if len(r.params) > 0 {
			s.Params[r.id] = r.params
		}
	}
	return s
}

func (m modeSetting) choice(rule, peer, campaign string) policy.Choice {
	return policy.Choice{Rule: rule, Peer: peer, Campaign: campaign, Mode: m.mode, Spared: 100 - m.percent}
}
