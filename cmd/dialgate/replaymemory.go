package main

import (
	"runtime"
	"runtime/debug"
)

// A replay's own memory, beside the facts that it was given.
const (
	// slack is never written to, so that no computer has to give it; but the
	// garbage collector counts it. It then runs every 2*slack octets, not every
	// few MB, which a small heap that lives for seconds would have it do.
	slack = 32 << 20
	// mostMemory is reached when half a million allowed calls are remembered:
	// from there on the collector runs more often.
	mostMemory = 160<<20 + slack
)

// collectSeldom has garbage collected when there is much of it, but in bounded
// memory. done makes it as it was.
func collectSeldom() (done func()) {
	unused := make([]byte, slack)
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	before := debug.SetMemoryLimit(-1)
	debug.SetMemoryLimit(min(before, mostMemory+2*int64(m.HeapAlloc-slack))) // facts may take twice their size, as ever
	return func() {
		debug.SetMemoryLimit(before)
		runtime.KeepAlive(unused)
	}
}
