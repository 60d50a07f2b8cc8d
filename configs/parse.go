package configs

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"reflect"

	"go.yaml.in/yaml/v3"
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
	d.defaults(reflect.ValueOf(c).Elem(), "")
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
