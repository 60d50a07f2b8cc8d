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
	b.WriteString(rulesDoc)
	return b.String()
}

const rulesDoc = `
## rules

Each key is the id of a rule or condition, or a prefix of whole words: ` + "`nl.consent`" + ` means every condition of a consent, ` + "`nl`" + ` the whole Dutch book.
The ids are in docs/policy.md; ` + "`dialgate explain --rules`" + ` lists them with their modes. A rule without a setting is enforced.

` + "```yaml" + `
rules:
  nl.holidays: off                        # judged and recorded, refuses nothing
  nl.consent.verified: shadow             # the same, and meant to be enforced later
  nl.hours:
    mode: enforce
    percent: 10                           # for a tenth of the called numbers; the rest is in shadow
    weekday_to: "20:00"                   # a parameter of the rule
    campaigns: {energy: enforce}          # for every number of this campaign
    peers: {dialer-a: off, dialer-b: {mode: enforce, percent: 50}}
` + "```" + `

| key | value | meaning |
|---|---|---|
| ` + "`mode`" + ` | off, shadow, enforce | What a denial does. A call that only rules in shadow or off would have refused goes on, with the reason ` + "`not-enforced`" + `; its record and ` + "`dialgate_not_enforced_total`" + ` tell the rule, the reason and the mode. A condition of the basis in shadow or off counts as met and keeps its finding. |
| ` + "`percent`" + ` | 0 to 100, with mode enforce | Share of the called numbers for which the rule is enforced; for the rest it is in shadow. 0 is shadow, 100 is enforce. |
| ` + "`peers`" + ` | peer id: mode, or mapping with mode and percent | For the calls of one dialer. |
| ` + "`campaigns`" + ` | campaign id: mode, or mapping with mode and percent | For the calls of one campaign. |
| any other | number, time of day, true or false | A parameter of the rule; needs its full id. |

Of several settings that cover a call, the one with the longest id or prefix counts; of those under one key, the one for the call's peer, then the one for its campaign, then the one for all.
The peer goes before the campaign since it is told by the source address, while the campaign may be told by the message: no message chooses what is enforced on a trunk that has a mode of its own.

The share is a fixed hash of the called number (the finaliser of SplitMix64 over its digits, scaled to 0 to 99): a number always falls on the same side, on every node and after every restart;
a greater percentage only adds numbers; and a number in the share of one rule is in that of every other rule with as great a percentage. A call without a called number is in every share above 0.
`

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
	case f.Tag.Get("kind") == "target":
		text = "IP address and port, or name"
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
