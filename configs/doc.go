// Package configs reads dialgate's configuration: YAML, strict, with every
// error reported at once and at its place.
//
// The types in schema.go are the one source of what may be configured: their
// field tags give each key its name, its meaning and its allowed values, and
// the parser, the JSON Schema and docs/config.md are all made from them.
//
//	cfg, err := configs.Load("dialgate.yaml")   // err may be Errors
//	world, err := cfg.Build(plans)              // what the other rooms take
//
// Only cmd imports this package; everybody else takes plain options.
package configs

import _ "embed"

// Default is the commented configuration on which `dialgate serve` starts.
//
//go:embed dialgate.yaml
var Default []byte

// CallcentreNL is a realistic example of a Dutch call centre.
//
//go:embed callcentre-nl.yaml
var CallcentreNL []byte
