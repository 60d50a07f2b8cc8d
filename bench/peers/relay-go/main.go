// Command relay-go is the floor in Go: what peers/relay-c does, with the
// standard library's sockets. It knows the consent set and nothing else of SIP:
// no transactions, no Via, no Record-Route. It is told by PROXY_HOST, PROXY_PORT,
// CARRIER_HOST, CARRIER_PORT and BENCH_DATA what to do.
package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "relay-go:", err)
		os.Exit(1)
	}
}

func address(host, port string) (netip.AddrPort, error) {
	a, err := netip.ParseAddrPort(net.JoinHostPort(os.Getenv(host), os.Getenv(port)))
	if err != nil {
		return a, fmt.Errorf("%s and %s: %w", host, port, err)
	}
	return a, nil
}

// numbers reads the consent set.
func numbers(dir string) (map[uint64]struct{}, error) {
	f, err := os.Open(filepath.Join(dir, "consent.txt"))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	set := map[uint64]struct{}{}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		n, err := strconv.ParseUint(strings.TrimPrefix(lines.Text(), "+"), 10, 64)
		if err != nil {
			return nil, err
		}
		set[n] = struct{}{}
	}
	return set, lines.Err()
}

func run() error {
	own, err := address("PROXY_HOST", "PROXY_PORT")
	if err != nil {
		return err
	}
	carrier, err := address("CARRIER_HOST", "CARRIER_PORT")
	if err != nil {
		return err
	}
	set, err := numbers(os.Getenv("BENCH_DATA"))
	if err != nil {
		return err
	}
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(own))
	if err != nil {
		return err
	}
	_ = conn.SetReadBuffer(4 << 20)
	var dialer netip.AddrPort
	in, out := make([]byte, 65536), make([]byte, 0, 65536)
	for {
		n, from, err := conn.ReadFromUDPAddrPort(in)
		if errors.Is(err, net.ErrClosed) {
			return err
		}
		if err != nil {
			continue // a port that nobody listens on any more
		}
		msg := in[:n]
		if from == carrier {
			if dialer.IsValid() {
				_, _ = conn.WriteToUDPAddrPort(msg, dialer)
			}
			continue
		}
		dialer = from
		if number, ok := called(msg); ok {
			if _, on := set[number]; !on {
				out = refuse(out[:0], msg)
				_, _ = conn.WriteToUDPAddrPort(out, dialer)
				continue
			}
		} else if bytes.HasPrefix(msg, []byte("ACK ")) && bytes.Contains(msg, []byte(";tag=refused")) {
			continue // the ACK to our own refusal ends here
		}
		_, _ = conn.WriteToUDPAddrPort(msg, carrier)
	}
}

// called takes the number out of the first line of an INVITE.
func called(msg []byte) (number uint64, ok bool) {
	digits, ok := bytes.CutPrefix(msg, []byte("INVITE sip:+"))
	if !ok {
		return 0, false
	}
	for _, c := range digits {
		if c < '0' || c > '9' {
			break
		}
		number = number*10 + uint64(c-'0')
	}
	return number, true
}

// refuse appends a 403 to the request: the five header fields that an answer
// repeats are copied as they stand.
func refuse(out, request []byte) []byte {
	out = append(out, "SIP/2.0 403 Forbidden\r\n"...)
	for line := range bytes.Lines(request) {
		if len(line) <= 2 {
			break
		}
		bare := bytes.TrimRight(line, "\r\n")
		name, _, _ := bytes.Cut(bare, []byte(":"))
		switch string(name) {
		case "Via", "From", "Call-ID", "CSeq":
			out = append(append(out, bare...), "\r\n"...)
		case "To":
			out = append(append(out, bare...), ";tag=refused\r\n"...)
		}
	}
	return append(out, "Content-Length: 0\r\n\r\n"...)
}
