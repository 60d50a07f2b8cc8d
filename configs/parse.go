package configs

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"dialgate/policy"
)

// Load reads a configuration file. Its errors are [Errors], or say that the
// file can't be read.
func Load(path string) (*Config, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("the configuration can't be read: %w", err)
	}
	return Parse(path, data)
}

// Parse reads a configuration. name is what errors call the file.
func Parse(name string, data []byte) (*Config, error) {
	d := &decoder{file: name, positions: map[string]position{}, secret: secret}
	c := d.config(d.parse(data), data)
	if len(d.errs) > 0 {
		return nil, d.errs.sorted()
	}
	return c, nil
}

// config decodes and checks a whole configuration.
func (d *decoder) config(root *yaml.Node, data []byte) *Config {
	c := &Config{file: d.file, positions: d.positions}
	if root != nil {
		d.decode(root, reflect.ValueOf(c).Elem(), "", nil)
		if n := child(root, "rules"); n != nil {
			c.rules = d.ruleSettings(d.resolve(n, "rules"))
		}
	}
	defaults(reflect.ValueOf(c).Elem())
	if c.Node == "" {
		c.Node = "dialgate"
	}
	d.check(c)
	sum := sha256.Sum256(data)
	c.id = hex.EncodeToString(sum[:6])
	return c
}

// ID names the configuration in records: the beginning of its SHA-256.
func (c *Config) ID() string { return c.id }

// Warnings are what is allowed but probably not meant.
func (c *Config) Warnings() []string { return c.warnings }

// At places a problem found later, such as an unknown rule, in the file.
func (c *Config) At(path string, err error) *Error {
	p, ok := c.positions[path]
	if !ok {
		p = position{1, 1}
	}
	return &Error{File: c.file, Line: p.line, Col: p.col, Path: path, Text: err.Error()}
}

func child(n *yaml.Node, key string) *yaml.Node {
	if n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

// A ruleSetting is one entry under rules.
type ruleSetting struct {
	id     string
	mode   policy.Mode
	moded  bool
	params map[string]int
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
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], d.resolve(n.Content[i+1], "rules")
		path := "rules." + key.Value
		d.positions[path] = position{key.Line, key.Column}
		if slices.ContainsFunc(out, func(r ruleSetting) bool { return r.id == key.Value }) {
			d.fail(key, path, "is there twice")
			continue
		}
		r := ruleSetting{id: key.Value, params: map[string]int{}}
		switch value.Kind {
		case yaml.ScalarNode:
			d.ruleMode(value, path, &r)
		case yaml.MappingNode:
			for j := 0; j+1 < len(value.Content); j += 2 {
				d.ruleParam(value.Content[j], d.resolve(value.Content[j+1], path), path, &r)
			}
		default:
			d.fail(value, path, "want off, shadow or enforce, or a mapping with mode and parameters")
		}
		out = append(out, r)
	}
	return out
}

func (d *decoder) ruleMode(n *yaml.Node, path string, r *ruleSetting) {
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

func (d *decoder) ruleParam(key, value *yaml.Node, path string, r *ruleSetting) {
	at := path + "." + key.Value
	d.positions[at] = position{value.Line, value.Column}
	switch {
	case key.Value == "mode":
		d.ruleMode(value, at, r)
	case value.Tag == "!!bool":
		r.params[key.Value] = 0
		if strings.EqualFold(value.Value, "true") {
			r.params[key.Value] = 1
		}
	default:
		// A time of day may be written 18:30 or 1830.
		text := strings.Replace(value.Value, ":", "", 1)
		n, err := strconv.Atoi(text)
		if value.Kind != yaml.ScalarNode || err != nil {
			d.fail(value, at, "want a number, a time of day such as \"18:30\", or true or false")
			return
		}
		r.params[key.Value] = n
	}
}

// Settings are the operator's choices about rules.
func (c *Config) Settings() policy.Settings {
	s := policy.Settings{Modes: map[string]policy.Mode{}, Params: map[string]map[string]int{}}
	for _, r := range c.rules {
		if r.moded {
			s.Modes[r.id] = r.mode
		}
		if len(r.params) > 0 {
			s.Params[r.id] = r.params
		}
	}
	return s
}
