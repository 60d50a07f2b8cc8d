package configs

import (
	"fmt"
	"reflect"
	"strings"
	"time"
)

// Markdown documents every key, made of the types.
func Markdown() string {
	var b strings.Builder
	b.WriteString("# The configuration\n\n" +
		"YAML, strict: an unknown key is an error, and every error is reported at once with its line and column. `dialgate config check FILE` checks,\n" +
		"`dialgate config default` prints the commented default, `dialgate config schema` a JSON Schema for editors. A text may hold `${env:NAME}` or `${file:PATH}`.\n" +
		"Durations are written as 500ms or 30s, sizes as 64MiB.\n" +
		"A running node takes a changed file over by `dialgate config reload` or SIGHUP; keys and sections marked *Restart* wait for one. Generated from `configs/schema.go`.\n")
	section(&b, "", reflect.TypeFor[Config]())
	return b.String()
}

func section(b *strings.Builder, path string, t reflect.Type) {
	title := path
	if title == "" {
		title = "top level"
	}
	fmt.Fprintf(b, "\n## %s\n\n| key | value | default | meaning |\n|---|---|---|---|\n", title)
	fields := keysOf(t)
	for _, f := range fields {
		doc := f.Tag.Get("doc")
		if needsRestart(f) {
			doc += " *Restart.*"
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", f.Tag.Get("key"), valueText(f), code(f.Tag.Get("default")), doc)
	}
	for _, f := range fields {
		inner := f.Type
		for inner.Kind() == reflect.Slice {
			inner = inner.Elem()
		}
		if inner.Kind() == reflect.Struct {
			section(b, join(path, f.Tag.Get("key")), inner)
		}
	}
}

func code(s string) string {
	if s == "" {
		return ""
	}
	return "`" + s + "`"
}

// valueText says what a key takes.
func valueText(f reflect.StructField) string {
	text := kindText(f.Type)
	switch {
	case f.Tag.Get("special") == "rules":
		text = "mapping of rule ids"
	case f.Tag.Get("oneof") != "":
		text = strings.ReplaceAll(f.Tag.Get("oneof"), ",", ", ")
	case f.Tag.Get("kind") == "addrport":
		text = "IP address and port"
	case f.Tag.Get("kind") == "prefix":
		text = "network or IP address"
	case f.Tag.Get("kind") == "number":
		text = "number, +31..."
	case f.Tag.Get("kind") == "date":
		text = "date"
	}
	if f.Type.Kind() == reflect.Slice && f.Type.Elem().Kind() != reflect.Struct {
		text = "list: " + text
	}
	if _, need := f.Tag.Lookup("required"); need {
		text += ", required"
	}
	return text
}

func kindText(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[time.Duration]():
		return "duration"
	case t == reflect.TypeFor[Size]():
		return "size"
	case t.Kind() == reflect.Pointer:
		return "-"
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct:
		return "list of mappings, below"
	case t.Kind() == reflect.Slice:
		return kindText(t.Elem())
	case t.Kind() == reflect.Struct:
		return "mapping, below"
	case t.Kind() == reflect.Bool:
		return "true or false"
	case t.Kind() == reflect.Int:
		return "whole number"
	}
	return "text"
}
