package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
)

// A dependency is a module of somebody else.
type dependency struct{ licence, does string }

const (
	mit    = "MIT"
	apache = "Apache-2.0"
	bsd3   = "BSD-3-Clause"
	bsd2   = "BSD-2-Clause"
	mpl    = "MPL-2.0"
)

// dependencies says of every module of go.mod under which licence it is and what
// it is here for.
var dependencies = map[string]dependency{
	"filippo.io/age":                           {bsd3, "encrypts backups"},
	"github.com/alecthomas/kong":               {mit, "reads the command line"},
	"github.com/chromedp/cdproto":              {mit, "tests: the protocol by which a browser is driven"},
	"github.com/chromedp/chromedp":             {mit, "tests: drives the browser"},
	"github.com/dgraph-io/badger/v4":           {apache, "the store of facts, a projection of the ledger"},
	"github.com/dgraph-io/ristretto/v2":        {apache, "the memory that the store writes its tables in"},
	"github.com/emiago/sipgo":                  {bsd2, "the demo's dialer and carrier; tests: somebody else's SIP"},
	"github.com/gobwas/ws":                     {mit, "frames of WebSocket"},
	"github.com/google/jsonschema-go":          {mit, "writes the schema of the configuration and of the API"},
	"github.com/google/uuid":                   {bsd3, "ids of decisions, in the order of time"},
	"github.com/gopacket/gopacket":             {bsd3, "reads captures"},
	"github.com/nyaruka/phonenumbers":          {mit, "makes the table of number plans"},
	"github.com/pion/sdp/v3":                   {mit, "reads what a call offers"},
	"github.com/prometheus/client_golang":      {apache, "metrics"},
	"github.com/prometheus/client_model":       {apache, "tests: reads metrics"},
	"github.com/rickar/cal/v2":                 {bsd3, "tests: checks the table of holidays"},
	"github.com/rogpeppe/go-internal":          {bsd3, "tests: scripts of commands"},
	"github.com/santhosh-tekuri/jsonschema/v6": {apache, "tests: holds examples against the schema"},
	"github.com/schollz/progressbar/v3":        {mit, "shows how far an import is"},
	"github.com/xuri/excelize/v2":              {bsd3, "reads workbooks"},
	"go.uber.org/goleak":                       {mit, "tests: nothing is left running"},
	"go.yaml.in/yaml/v3":                       {mit + " and " + apache, "reads the configuration, with line and column"},
	"golang.org/x/crypto":                      {bsd3, "argon2id for passwords"},
	"golang.org/x/mod":                         {bsd3, "the Merkle tree and the signed checkpoints of the ledger"},
	"golang.org/x/sys":                         {bsd3, "datagrams in batches, locks, room for files"},
	"golang.org/x/term":                        {bsd3, "reads a password without showing it"},
	"golang.org/x/text":                        {bsd3, "reads lists in Windows-1252"},
	"google.golang.org/protobuf":               {bsd3, "checksums of the store's tables"},
	"pgregory.net/rapid":                       {mpl, "tests: properties"},

	"filippo.io/hpke":                    {bsd3, "of age"},
	"github.com/beorn7/perks":            {mit, "of the metrics"},
	"github.com/cespare/xxhash/v2":       {mit, "of the store and the metrics"},
	"github.com/dustin/go-humanize":      {mit, "of the store"},
	"github.com/go-json-experiment/json": {bsd3, "of cdproto"},
	"github.com/go-logr/logr":            {apache, "of OpenTelemetry"},
	"github.com/go-logr/stdr":            {apache, "of OpenTelemetry"},
	"github.com/gobwas/httphead":         {mit, "of ws"},
	"github.com/gobwas/pool":             {mit, "of ws"},
	"github.com/google/flatbuffers":      {apache, "of the store"},
	"github.com/icholy/digest":           {mit, "of sipgo"},
	"github.com/klauspost/compress":      {bsd3 + ", " + apache + " and " + mit, "of the store"},
	"github.com/mitchellh/colorstring":   {mit, "of progressbar"},
	"github.com/munnerz/goautoneg":       {bsd3, "of the metrics"},
	"github.com/pion/randutil":           {mit, "of sdp"},
	"github.com/prometheus/common":       {apache, "of the metrics"},
	"github.com/prometheus/procfs":       {apache, "of the metrics"},
	"github.com/richardlehane/mscfb":     {apache, "of excelize"},
	"github.com/richardlehane/msoleps":   {apache, "of excelize"},
	"github.com/rivo/uniseg":             {mit, "of progressbar"},
	"github.com/tiendc/go-deepcopy":      {mit, "of excelize"},
	"github.com/xuri/efp":                {bsd3, "of excelize"},
	"github.com/xuri/nfp":                {bsd3, "of excelize"},
	"go.opentelemetry.io/auto/sdk":       {apache, "of OpenTelemetry"},
	"go.opentelemetry.io/otel":           {bsd3 + " and " + apache, "of the store"},
	"go.opentelemetry.io/otel/metric":    {bsd3 + " and " + apache, "of OpenTelemetry"},
	"go.opentelemetry.io/otel/trace":     {bsd3 + " and " + apache, "of OpenTelemetry"},
	"golang.org/x/net":                   {bsd3, "of the store and of excelize"},
	"golang.org/x/sync":                  {bsd3, "of excelize"},
	"golang.org/x/tools":                 {bsd3, "of go-internal"},
}

// dependenciesDoc lists what stands in go.mod.
func dependenciesDoc(t *testing.T) string {
	text, err := os.ReadFile(filepath.Join("..", "..", "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	mod, err := modfile.ParseLax("go.mod", text, nil)
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("go", "list", "-deps", "-f", "{{with .Module}}{{.Path}}{{end}}", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	linked := map[string]bool{}
	for path := range strings.FieldsSeq(string(out)) {
		linked[path] = true
	}
	out, err = exec.Command("go", "env", "GOMODCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	cache := strings.TrimSpace(string(out))
	var b strings.Builder
	b.WriteString("# What dialgate is built of\n\nGenerated from go.mod and from what the program links. A module with `of` is brought along by another. " +
		"`docs/rfcs.txt` says what is our own.\n\n| module | version | licence | in the program | for |\n|---|---|---|---|---|\n")
	seen := 0
	for _, r := range mod.Require {
		d, ok := dependencies[r.Mod.Path]
		if !ok {
			t.Errorf("%s is not in the table of dependencies: say under which licence it is and what it is for", r.Mod.Path)
			continue
		}
		seen++
		if found := licenceOf(cache, r.Mod); found != "" && found != d.licence {
			t.Errorf("%s is under %s, the table says %s", r.Mod.Path, found, d.licence)
		}
		in := "no"
		if linked[r.Mod.Path] {
			in = "yes"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", r.Mod.Path, r.Mod.Version, d.licence, in, d.does)
	}
	if seen != len(dependencies) {
		t.Errorf("the table of dependencies has %d modules, go.mod %d of them", len(dependencies), seen)
	}
	b.WriteString("\nThe console's pages, styles and script are our own, embedded in the program; nothing is fetched from elsewhere.\n" +
		"The browser tests hold axe-core (MPL-2.0, `e2e/testdata/axe`), unmodified. The tests with real peers run SIPp, sipsak, tshark, Kamailio, baresip and Chromium as programs.\n")
	return b.String()
}

// licenceOf tells a module's licence by its words, "" when the module is not on
// this machine.
func licenceOf(cache string, m module.Version) string {
	path, err := module.EscapePath(m.Path)
	if err != nil {
		return ""
	}
	var text string
	for _, name := range []string{"LICENSE", "LICENSE.txt", "COPYING"} {
		if data, err := os.ReadFile(filepath.Join(cache, path+"@"+m.Version, name)); err == nil {
			text = strings.Join(strings.Fields(string(data)), " ")
		}
	}
	var found []string
	if strings.Contains(text, "Redistribution and use in source and binary forms") {
		if strings.Contains(text, "Neither the name") {
			found = append(found, bsd3)
		} else {
			found = append(found, bsd2)
		}
	}
	if m.Path == "go.yaml.in/yaml/v3" { // it names Apache's without its words
		found = append(found, mit)
	}
	for _, known := range []struct{ name, words string }{{mpl, "Mozilla Public License Version 2.0"}, {apache, "Apache License"}, {mit, "Permission is hereby granted, free of charge"}} {
		if strings.Contains(text, known.words) && !(known.name == mit && len(found) > 0 && found[0] == mit) {
			found = append(found, known.name)
		}
	}
	if n := len(found); n > 1 {
		return strings.Join(found[:n-1], ", ") + " and " + found[n-1]
	}
	return strings.Join(found, "")
}
