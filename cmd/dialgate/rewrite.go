package main

import (
	"fmt"
	"os"
	"strings"

	"go.yaml.in/yaml/v3"
)

// rewriteCases puts what came out in place of what was expected. The rest of
// the file keeps its text and comments as far as YAML's own writer does.
func rewriteCases(name string, data []byte, misses []miss) error {
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return err // it was parsed before
	}
	byLine := map[int]outcome{}
	for _, m := range misses {
		byLine[m.c.Line] = m.got
	}
	var visit func(*yaml.Node)
	visit = func(n *yaml.Node) {
		if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
			n.Value = "null" // YAML's writer makes a text of a value that is left out
		}
		if got, ok := byLine[n.Line]; ok && n.Kind == yaml.MappingNode {
			for i := 0; i+1 < len(n.Content); i += 2 {
				if n.Content[i].Value == "expect" {
					rewriteExpectation(n.Content[i+1], got)
				}
			}
		}
		for _, c := range n.Content {
			visit(c)
		}
	}
	visit(&doc)
	var b strings.Builder
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(&doc); err != nil {
		return err
	}
	if err := os.WriteFile(name, []byte(b.String()), 0o644); err != nil {
		return fmt.Errorf("the cases can't be written: %w", err)
	}
	return nil
}

// rewriteExpectation changes the values that are there, and no others.
func rewriteExpectation(n *yaml.Node, got outcome) {
	for i := 0; i+1 < len(n.Content); i += 2 {
		v := n.Content[i+1]
		switch n.Content[i].Value {
		case "verdict":
			v.Value = got.verdict
		case "reason":
			v.Value = got.reason
		case "rule":
			v.Value = got.rule
		case "sip":
			v.Value = fmt.Sprint(got.sip)
		case "basis":
			v.Content = nil
			for _, id := range got.basis {
				v.Content = append(v.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: id})
			}
		}
	}
}
