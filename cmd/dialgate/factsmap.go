package main

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"dialgate/store"
)

// A columnMap is one way of reading somebody else's file.
//
//	maps:
//	  crm:
//	    columns: {Telefoonnummer: number, Toestemming: at}
//	    ignore: [Naam]            # or ["*"]
//	    constants: {kind: consent, advertiser: example}
//	    values: {preticked: {Ja: "true", Nee: "false"}}
//	    dates: dutch              # or iso, the default
type columnMap struct {
	Columns   map[string]string            `yaml:"columns"`
	Ignore    []string                     `yaml:"ignore"`
	Constants map[string]string            `yaml:"constants"`
	Values    map[string]map[string]string `yaml:"values"`
	Dates     string                       `yaml:"dates"`
}

// readMap reads a map from FILE or FILE:NAME into an intake. Constants of the
// command line go before those of the map.
func readMap(from string, into *store.Intake) error {
	path, name := from, ""
	if _, err := os.Stat(path); err != nil {
		if i := strings.LastIndexByte(from, ':'); i > 0 {
			path, name = from[:i], from[i+1:]
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return usageError("the map can't be read: %v", err)
	}
	var file struct {
		Maps map[string]columnMap `yaml:"maps"`
	}
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.KnownFields(true)
	if err := dec.Decode(&file); err != nil && !errors.Is(err, io.EOF) {
		return usageError("%s: %s", path, oneLine(err))
	}
	names := slices.Sorted(maps.Keys(file.Maps))
	switch {
	case len(names) == 0:
		return usageError("%s holds no map: want maps, and under it a name with its columns", path)
	case name == "" && len(names) == 1:
		name = names[0]
	case name == "":
		return usageError("%s holds several maps, say which: --map %s:NAME, one of %s", path, path, strings.Join(names, ", "))
	}
	m, ok := file.Maps[name]
	if !ok {
		return usageError("%s holds no map %q; there are: %s", path, name, strings.Join(names, ", "))
	}
	if m.Dates != "" && m.Dates != "dutch" && m.Dates != "iso" {
		return usageError("%s: maps.%s.dates is %q: want dutch or iso", path, name, m.Dates)
	}
	into.Columns = &store.Columns{Fields: m.Columns, Ignore: m.Ignore, Values: m.Values, Dutch: m.Dates == "dutch"}
	if err := into.Columns.Check(); err != nil {
		return usageError("%s: maps.%s: %s", path, name, oneLine(err))
	}
	constants := maps.Clone(m.Constants)
	if constants == nil {
		constants = map[string]string{}
	}
	maps.Copy(constants, into.Constants)
	into.Constants = constants
	return nil
}
