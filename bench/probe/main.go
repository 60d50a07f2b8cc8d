//go:build linux

// Command probe measures what a SIP proxy adds to a call's set-up. It is dialer
// and carrier in one process, so both ends read one clock, and takes the
// kernel's stamps for what arrives by UDP, so its own waking up does not count.
//
// Calls start at exponentially spread moments of a fixed seed. For a call that
// is let through it takes the time that the INVITE spent on its way to the
// carrier and the 180 on its way back; for one that is refused, the time from
// the INVITE to the refusal. Without a proxy (-proxy is the carrier's address)
// the same figures are its own floor. It prints one line of JSON.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"time"
)

type settings struct {
	proxy, carrier, dialer netip.AddrPort
	transport              string
	numbers                string
	rate                   float64
	calls, warm            int
	patience               time.Duration
}

func main() {
	var s settings
	flag.TextVar(&s.proxy, "proxy", netip.MustParseAddrPort("127.0.0.1:5260"), "where the INVITEs go")
	flag.TextVar(&s.carrier, "carrier", netip.MustParseAddrPort("127.0.0.1:5270"), "where the carrier listens")
	flag.TextVar(&s.dialer, "dialer", netip.MustParseAddrPort("127.0.0.1:5261"), "where the dialer sends from (UDP)")
	flag.StringVar(&s.transport, "transport", "udp", "udp or tcp")
	flag.StringVar(&s.numbers, "numbers", "", "file with a line CALLED;KIND;CALLER for each call")
	flag.Float64Var(&s.rate, "rate", 200, "calls a second")
	flag.IntVar(&s.calls, "calls", 2000, "calls that are measured")
	flag.IntVar(&s.warm, "warm", 200, "calls before them that are not")
	flag.DurationVar(&s.patience, "patience", 5*time.Second, "how long after the last call its end is waited for")
	flag.Parse()
	out, err := measure(s)
	if err != nil {
		fmt.Fprintln(os.Stderr, "probe:", err)
		os.Exit(1)
	}
	_ = json.NewEncoder(os.Stdout).Encode(out)
}

// measure makes all calls and counts up what they took.
func measure(s settings) (result, error) {
	rows, err := readRows(s.numbers, s.calls+s.warm)
	if err != nil {
		return result{}, err
	}
	log := newLog(len(rows))
	stop, err := startCarrier(s, log)
	if err != nil {
		return result{}, err
	}
	defer stop()
	d, err := newDialer(s, rows, log)
	if err != nil {
		return result{}, err
	}
	defer d.close()
	d.makeCalls()
	return log.result(s), nil
}
