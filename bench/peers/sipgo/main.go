// Command sipgo is the plain proxy one would write on sipgo's own server,
// client and transactions: what dialgate would cost had it been built that way.
// It knows the consent set, a Go map of texts, refuses with 403 what is not in
// it, and has no other policy and no records. It is told by PROXY_HOST,
// PROXY_PORT, CARRIER_HOST, CARRIER_PORT, PROXY_TRANSPORT (udp, tcp) and
// BENCH_DATA what to do.
package main

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/emiago/sipgo"
	"github.com/emiago/sipgo/sip"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "sipgo:", err)
		os.Exit(1)
	}
}

func run() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	host, carrier := os.Getenv("PROXY_HOST"), net.JoinHostPort(os.Getenv("CARRIER_HOST"), os.Getenv("CARRIER_PORT"))
	port, err := strconv.Atoi(os.Getenv("PROXY_PORT"))
	if err != nil {
		return fmt.Errorf("PROXY_PORT: %w", err)
	}
	transport := os.Getenv("PROXY_TRANSPORT")
	if transport == "" {
		transport = "udp"
	}
	set, err := numbers(filepath.Join(os.Getenv("BENCH_DATA"), "consent.txt"))
	if err != nil {
		return err
	}
	sip.UDPMTUSize = 65535 // sipgo refuses to send a datagram of more than 1,300 octets otherwise
	sip.SetDefaultLogger(slog.New(slog.DiscardHandler))
	ua, err := sipgo.NewUA()
	if err != nil {
		return err
	}
	defer ua.Close()
	server, err := sipgo.NewServer(ua)
	if err != nil {
		return err
	}
	client, err := sipgo.NewClient(ua, sipgo.WithClientHostname(host), sipgo.WithClientPort(port))
	if err != nil {
		return err
	}
	p := &proxy{client: client, set: set, carrier: carrier, transport: strings.ToUpper(transport), own: sip.Addr{IP: net.ParseIP(host), Port: port}}
	server.OnInvite(p.invite)
	server.OnAck(p.ack)
	server.OnBye(p.forward)
	return server.ListenAndServe(ctx, transport, net.JoinHostPort(host, strconv.Itoa(port)))
}

func numbers(path string) (map[string]struct{}, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	set := map[string]struct{}{}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		set[lines.Text()] = struct{}{}
	}
	return set, lines.Err()
}

type proxy struct {
	client    *sipgo.Client
	set       map[string]struct{}
	carrier   string
	transport string
	own       sip.Addr
}

// refusedTag marks our own answers, so that their ACK is known.
const refusedTag = "refused"

func (p *proxy) invite(req *sip.Request, tx sip.ServerTransaction) {
	if _, inDialog := req.To().Params.Get("tag"); !inDialog {
		if _, on := p.set[req.Recipient.User]; !on {
			res := sip.NewResponseFromRequest(req, sip.StatusForbidden, "Forbidden", nil)
			res.To().Params.Add("tag", refusedTag)
			_ = tx.Respond(res)
			return
		}
	}
	_ = tx.Respond(sip.NewResponseFromRequest(req, sip.StatusTrying, "Trying", nil))
	p.forward(req, tx)
}

// ack forwards the ACK to a 200; the ACK to our own refusal reaches us on TCP,
// where its transaction is gone already, and ends here.
func (p *proxy) ack(req *sip.Request, _ sip.ServerTransaction) {
	if tag, _ := req.To().Params.Get("tag"); tag == refusedTag {
		return
	}
	_ = p.client.WriteRequest(p.outgoing(req), sipgo.ClientRequestAddVia)
}

// outgoing is a copy of the request on its way to the carrier.
func (p *proxy) outgoing(req *sip.Request) *sip.Request {
	out := req.Clone()
	for out.RemoveHeader("Route") {
	}
	out.RemoveHeader("Max-Forwards") // a clone shares its value with the original
	left := sip.MaxForwardsHeader(69)
	out.AppendHeader(&left)
	out.SetTransport(p.transport)
	out.SetDestination(p.carrier)
	if p.transport == "UDP" {
		out.Laddr = p.own // or sipgo opens a socket for each destination
	}
	return out
}

// forward sends a request on and its responses back until the final one; sipgo
// ends the server transaction when its handler returns.
func (p *proxy) forward(req *sip.Request, tx sip.ServerTransaction) {
	options := []sipgo.ClientRequestOption{sipgo.ClientRequestAddVia}
	if req.IsInvite() {
		options = append(options, sipgo.ClientRequestAddRecordRoute)
	}
	down, err := p.client.TransactionRequest(context.Background(), p.outgoing(req), options...)
	if err != nil {
		_ = tx.Respond(sip.NewResponseFromRequest(req, sip.StatusServiceUnavailable, "Service Unavailable", nil))
		return
	}
	defer down.Terminate()
	for {
		select {
		case res := <-down.Responses():
			if res.StatusCode == sip.StatusTrying {
				continue
			}
			res.RemoveHeader("Via")
			res.SetDestination(req.Source())
			_ = tx.Respond(res)
			if res.StatusCode >= 200 {
				return
			}
		case <-down.Done():
			_ = tx.Respond(sip.NewResponseFromRequest(req, sip.StatusRequestTimeout, "Request Timeout", nil))
			return
		case <-tx.Done():
			return
		}
	}
}
