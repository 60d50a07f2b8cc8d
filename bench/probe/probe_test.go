//go:build linux

package main

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func freePort(t *testing.T) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).AddrPort()
}

// Without a proxy every call reaches the carrier and ends, and a step that was
// seen lies behind the one before it.
func TestDirect(t *testing.T) {
	for _, transport := range []string{"udp", "tcp"} {
		t.Run(transport, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "numbers")
			if err := os.WriteFile(file, []byte("SEQUENTIAL\n"+strings.Repeat("+31612345678;A;+31205550100\n", 60)), 0o600); err != nil {
				t.Fatal(err)
			}
			s := settings{carrier: freePort(t), dialer: freePort(t), transport: transport, numbers: file, rate: 500, calls: 50, warm: 10, patience: 5 * time.Second}
			s.proxy = s.carrier
			out, err := measure(s)
			if err != nil {
				t.Fatal(err)
			}
			if out.Finished != 50 || out.Codes["200"] != 50 || out.Setup.N != 50 {
				t.Errorf("%+v, want 50 calls that ended with 200", out)
			}
			if out.Setup.P50 <= 0 || out.Setup.P50 > out.Setup.P99 || out.Setup.P99 > out.Setup.Max {
				t.Errorf("set-up %+v is no distribution of times", out.Setup)
			}
		})
	}
}

func TestTooFewNumbers(t *testing.T) {
	if _, err := measure(settings{numbers: os.DevNull, calls: 1, transport: "udp"}); err == nil || !strings.Contains(err.Error(), "0 calls") {
		t.Errorf("%v, want a word on how many calls the file has", err)
	}
}
