package configs

import (
	"strings"
	"testing"
)

func TestChangesNameWhatWaitsForARestart(t *testing.T) {
	const base = `
node: a
listen: {udp: [{address: "127.0.0.1:5060"}]}
carriers: [{id: c, targets: ["127.0.0.1:5080"]}]
rules: {nl.hours: off}
sip: {token_key: "a key of enough characters"}
`
	for name, c := range map[string]struct{ old, new, now, restart string }{
		"nothing":                     {old: "", new: "", now: "", restart: ""},
		"a comment":                   {old: "node: a", new: "node: a # so", now: "", restart: ""},
		"a default written out":       {old: "node: a", new: "node: a\nlog: {level: info}", now: "", restart: ""},
		"rules":                       {old: "nl.hours: off", new: "nl.hours: shadow", now: "rules", restart: ""},
		"carriers and a key of sip":   {old: "5080", new: "5081", now: "carriers", restart: ""},
		"a listener":                  {old: "5060", new: "5070", now: "", restart: "listen"},
		"the name":                    {old: "node: a", new: "node: b", now: "", restart: "node"},
		"a secret, which is not told": {old: "of enough", new: "of quite enough", now: "", restart: "sip.token_key"},
		"both kinds in one section":   {old: "sip: {", new: "sip: {answer_strangers: true, timer_c: 200s, ", now: "sip.answer_strangers", restart: "sip.timer_c"},
		"the log":                     {old: "node: a", new: "node: a\nlog: {level: debug, format: json}", now: "log.level", restart: "log.format"},
		"the cases":                   {old: "node: a", new: "node: a\ncases: [x.yaml]", now: "cases", restart: ""},
	} {
		was, err := Parse("old.yaml", []byte(base))
		if err != nil {
			t.Fatal(err)
		}
		is, err := Parse("new.yaml", []byte(strings.Replace(base, c.old, c.new, 1)))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		now, restart := was.Changes(is)
		if got := strings.Join(now, " "); got != c.now {
			t.Errorf("%s: changes now %q, want %q", name, got, c.now)
		}
		if got := strings.Join(restart, " "); got != c.restart {
			t.Errorf("%s: waits for a restart %q, want %q", name, got, c.restart)
		}
	}
}
