package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestReadmeCommands runs what the README tells to type, in its order, but for
// what builds, serves, or asks a node that serves: the scripts do these.
func TestReadmeCommands(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	writeFile(t, "optins.csv", "kind,number,at,purposes,products,verified_at,verified_by,evidence.person,evidence.sha256\n"+
		"consent,+31612345601,2026-10-01,commercial,energy,2026-10-01,sms,p1,"+strings.Repeat("ab", 32)+"\n")
	writeFile(t, "list.csv", "name,number\nA,+31612345601\nB,0612345602\n")
	writeFile(t, "cases.yaml", "cases:\n  - name: nothing is known\n    at: 2026-11-23T14:00:00+01:00\n    call: {from: \"+31205550100\", to: \"+31612345678\"}\n    expect: {verdict: deny, reason: no-consent}\n")
	h := hypothetical{from: "+31205550100", to: "+31612345601", callID: "captured"}
	if err := os.Rename(capture(t, "127.0.0.1:50600", h.invite()), "capture.pcap"); err != nil {
		t.Fatal(err)
	}
	ran := 0
	for _, block := range strings.Split(string(readme), "```sh\n")[1:] {
		block, _, _ = strings.Cut(block, "```")
		for _, line := range strings.Split(block, "\n") {
			command, isOurs := strings.CutPrefix(line, "./dialgate ")
			command, _, _ = strings.Cut(command, " #")
			if !isOurs || strings.HasPrefix(command, "serve") || strings.HasPrefix(command, "config reload") {
				continue
			}
			readmeCommand(t, strings.TrimSpace(command))
			ran++
		}
		// What the README calls the configuration to come.
		if text, err := os.ReadFile("dialgate.yaml"); err == nil {
			writeFile(t, "new.yaml", strings.Replace(string(text), "rules: {}", "rules: {nl.hours: shadow}", 1))
		}
	}
	if ran < 12 {
		t.Errorf("only %d commands of the README were run", ran)
	}
}

// readmeCommand runs one command line as a shell would: quotes are taken off,
// and output goes to a file where it says so.
func readmeCommand(t *testing.T, command string) {
	t.Helper()
	command, file, redirected := strings.Cut(command, " > ")
	var out, errs bytes.Buffer
	status := run(strings.Fields(strings.ReplaceAll(command, "'", "")), streams{in: strings.NewReader(""), out: &out, err: &errs})
	answers := strings.HasPrefix(command, "explain") || strings.HasPrefix(command, "config diff") || strings.HasPrefix(command, "replay") // a finding is an answer too
	if status != exitOK && !(answers && status == exitFinding) {
		t.Errorf("dialgate %s: exit status %d\n%s%s", command, status, out.String(), errs.String())
	}
	if redirected {
		writeFile(t, file, out.String())
	}
}
