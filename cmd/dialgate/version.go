package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// version is set by the release build: -ldflags "-X main.version=v1.2.3".
var version = "devel"

type versionCmd struct{}

func (versionCmd) Run(s streams) error {
	fmt.Fprintf(s.out, "dialgate %s %s %s\n", version, runtime.Version(), commit())
	return nil
}

// commit is the revision the binary was built from, "unknown" outside a checkout.
func commit() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value
		}
	}
	return "unknown"
}
