//go:build e2e

package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emiago/sipgo"
	"github.com/emiago/sipgo/sip"

	"dialgate/internal/testca"
)

// An agent is a user agent of sipgo on a transport that SIPp does not have.
type agent struct {
	t       *testing.T
	port    int
	dialogs sipgo.DialogUA
	ended   chan string // Call-IDs of calls that the other side has hung up
}

// newAgent listens on a free port over tls, ws or wss.
func newAgent(t *testing.T, ca *testca.Authority, kind string, handle func(a *agent, s *sipgo.Server)) *agent {
	t.Helper()
	pem, err := os.ReadFile(ca.File)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	cert, err := tls.LoadX509KeyPair(ca.Issue("agent", "127.0.0.1"))
	if err != nil {
		t.Fatal(err)
	}
	config := &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{cert}}
	ua, err := sipgo.NewUA(sipgo.WithUserAgent("agent"), sipgo.WithUserAgentHostname("127.0.0.1"), sipgo.WithUserAgenTLSConfig(config))
	if err != nil {
		t.Fatal(err)
	}
	quiet := slog.New(slog.DiscardHandler)
	server, err := sipgo.NewServer(ua, sipgo.WithServerLogger(quiet))
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	a := &agent{t: t, port: l.Addr().(*net.TCPAddr).Port, ended: make(chan string, 16)}
	client, err := sipgo.NewClient(ua, sipgo.WithClientLogger(quiet), sipgo.WithClientHostname("127.0.0.1"))
	if err != nil {
		t.Fatal(err)
	}
	params := sip.NewParams()
	params.Add("transport", map[string]string{"tls": "tls", "ws": "ws", "wss": "ws"}[kind]) // RFC 7118 section 5.3
	a.dialogs = sipgo.DialogUA{Client: client, ContactHDR: sip.ContactHeader{Address: sip.Uri{Scheme: "sip", User: "agent", Host: "127.0.0.1", Port: a.port, UriParams: params}}}
	handle(a, server)
	serve := map[string]func(net.Listener) error{"tls": server.ServeTLS, "ws": server.ServeWS, "wss": server.ServeWSS}[kind]
	if kind != "ws" {
		l = tls.NewListener(l, config)
	}
	done := make(chan error, 1)
	go func() { done <- serve(l) }()
	t.Cleanup(func() {
		l.Close()
		ua.Close()
		<-done
	})
	return a
}

// newCarrier answers every call; it hangs up those whose number ends in 2.
func newCarrier(t *testing.T, ca *testca.Authority, kind string) *agent {
	return newAgent(t, ca, kind, func(a *agent, s *sipgo.Server) {
		var calls sync.Map // of *sipgo.DialogServerSession by Call-ID
		find := func(req *sip.Request) *sipgo.DialogServerSession {
			call, ok := calls.Load(req.CallID().Value())
			if !ok {
				t.Fatalf("the carrier knows no call for %s", req.Short())
			}
			return call.(*sipgo.DialogServerSession)
		}
		s.OnInvite(func(req *sip.Request, tx sip.ServerTransaction) {
			dialog, err := a.dialogs.ReadInvite(req, tx)
			if err != nil {
				t.Error(err)
				return
			}
			calls.Store(req.CallID().Value(), dialog)
			if err := dialog.Respond(180, "Ringing", nil); err != nil {
				t.Error(err)
			}
			if err := dialog.Respond(200, "OK", nil); err != nil { // waits for the ACK
				t.Error(err)
			}
			if strings.HasSuffix(req.Recipient.User, "2") {
				ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
				defer cancel()
				if err := dialog.Bye(ctx); err != nil {
					t.Errorf("the carrier can't hang up: %v", err)
				}
				a.ended <- req.CallID().Value()
			}
		})
		s.OnAck(func(req *sip.Request, tx sip.ServerTransaction) {
			if err := find(req).ReadAck(req, tx); err != nil {
				t.Error(err)
			}
		})
		s.OnBye(func(req *sip.Request, tx sip.ServerTransaction) {
			if err := find(req).ReadBye(req, tx); err != nil {
				t.Error(err)
			}
			a.ended <- req.CallID().Value()
		})
	})
}

// call dials a number and lets the side hang up whose turn it is.
func (a *agent) call(ctx context.Context, carrier *agent, kind string, port int, number string) error {
	params := sip.NewParams()
	invite := sip.NewRequest(sip.INVITE, sip.Uri{Scheme: "sip", User: number, Host: "127.0.0.1", Port: port, UriParams: params})
	invite.AppendHeader(&sip.FromHeader{Address: sip.Uri{Scheme: "sip", User: "+31205550100", Host: "127.0.0.1"}, Params: sip.NewParams()})
	invite.From().Params.Add("tag", sip.GenerateTagN(10))
	invite.SetTransport(strings.ToUpper(kind))
	invite.SetDestination(fmt.Sprintf("127.0.0.1:%d", port))
	dialog, err := a.dialogs.WriteInvite(ctx, invite)
	if err != nil {
		return err
	}
	defer dialog.Close()
	if err := dialog.WaitAnswer(ctx, sipgo.AnswerOptions{}); err != nil {
		return err
	}
	if err := dialog.Ack(ctx); err != nil {
		return err
	}
	ends := []*agent{carrier}
	if strings.HasSuffix(number, "2") {
		ends = append(ends, a)
	} else {
		time.Sleep(100 * time.Millisecond) // sipgo works off an ACK and a BYE that come together in any order
		if err := dialog.Bye(ctx); err != nil {
			return err
		}
	}
	for _, end := range ends {
		select {
		case id := <-end.ended:
			if id != invite.CallID().Value() {
				return fmt.Errorf("the BYE is of %s", id)
			}
		case <-ctx.Done():
			return errors.New("the call was not hung up")
		}
	}
	return nil
}

// TestCallsOverTLSAndWebSocket lets sipgo's agents dial and carry over TLS, WS
// and WSS; each side hangs up in its turn.
func TestCallsOverTLSAndWebSocket(t *testing.T) {
	for _, way := range []struct{ from, to string }{{"tls", "tls"}, {"tls", "ws"}, {"ws", "tls"}, {"ws", "ws"}, {"wss", "tls"}, {"tls", "wss"}, {"wss", "wss"}} {
		t.Run(way.from+" to "+way.to, func(t *testing.T) {
			ca := testca.New(t)
			n := newNode(t)
			carrier := newCarrier(t, ca, way.to)
			cert, key := ca.Issue("gate", "127.0.0.1", "gate.example")
			ports := map[string]int{"tls": freePort(t), "ws": freePort(t), "wss": freePort(t)}
			files := fmt.Sprintf("certificate: %q, key: %q", cert, key)
			listen := fmt.Sprintf(`listen: {tls: [{address: "127.0.0.1:%d", %s}], ws: [{address: "127.0.0.1:%d"}], wss: [{address: "127.0.0.1:%d", %s}], udp: `,
				ports["tls"], files, ports["ws"], ports["wss"], files)
			secure := ""
			if way.to != "ws" {
				secure = fmt.Sprintf("tls: {ca: %q}, ", ca.File)
			}
			n.configure("listen: {udp: ", listen, `carriers: [{id: carrier,`, fmt.Sprintf(`carriers: [{id: carrier, transport: %s, %s`, way.to, secure),
				fmt.Sprintf(`targets: ["127.0.0.1:%d"]`, n.carrier), fmt.Sprintf(`targets: ["127.0.0.1:%d"]`, carrier.port))
			n.numbers(4)
			n.start()
			n.run("facts", "import", filepath.Join(n.dir, "facts.csv"))
			dialer := newAgent(t, ca, way.from, func(a *agent, s *sipgo.Server) {
				s.OnBye(func(req *sip.Request, tx sip.ServerTransaction) {
					if err := tx.Respond(sip.NewResponseFromRequest(req, 200, "OK", nil)); err != nil {
						t.Error(err)
					}
					a.ended <- req.CallID().Value()
				})
			})
			for _, number := range []string{"+31610000000", "+31610000002"} {
				ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
				if err := dialer.call(ctx, carrier, way.from, ports[way.from], number); err != nil {
					t.Errorf("%s: %v", number, err)
				}
				cancel()
			}
		})
	}
}

// TestCallsBackOverWebSocket has a phone that has opened a WebSocket to the node
// and listens nowhere that the node knows: calls of the carrier reach it over
// that connection, and so does what follows in them.
func TestCallsBackOverWebSocket(t *testing.T) {
	const count = 10
	for _, kind := range []string{"ws", "wss"} {
		t.Run(kind, func(t *testing.T) {
			ca := testca.New(t)
			n := newNode(t)
			phone := newCarrier(t, ca, kind)
			cert, key := ca.Issue("gate", "127.0.0.1", "gate.example")
			port := freePort(t)
			secure := ""
			if kind == "wss" {
				secure = fmt.Sprintf(", certificate: %q, key: %q", cert, key)
			}
			n.configure("listen: {udp: ", fmt.Sprintf(`listen: {%s: [{address: "127.0.0.1:%d"%s}], udp: `, kind, port, secure),
				"advertisers:", fmt.Sprintf("inbound: [{number: \"+31205550100\", target: \"127.0.0.1:9\", transport: %s}]\nadvertisers:", kind))
			n.start()
			options := sip.NewRequest(sip.OPTIONS, sip.Uri{Scheme: "sip", Host: "127.0.0.1", Port: port})
			options.SetTransport(strings.ToUpper(kind))
			options.SetDestination(fmt.Sprintf("127.0.0.1:%d", port))
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			if res, err := phone.dialogs.Client.Do(ctx, options); err != nil || res.StatusCode != 200 {
				t.Fatalf("%v, %v", res, err)
			}
			injection := filepath.Join(n.dir, "calls.csv")
			if err := os.WriteFile(injection, []byte("SEQUENTIAL\n+31205550100\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			row := n.sipp("dialer", "-p", fmt.Sprint(n.carrier), "-inf", injection, "-m", fmt.Sprint(count), "-r", "10", "-d", "100", fmt.Sprintf("127.0.0.1:%d", n.sip))()
			if s, f := number(t, row, "SuccessfulCall(C)"), number(t, row, "FailedCall(C)"); s != count || f != 0 {
				t.Errorf("%d of %d calls succeeded, %d failed", s, count, f)
			}
			for range count {
				select {
				case <-phone.ended:
				case <-ctx.Done():
					t.Fatal("the phone was not told of the end of a call")
				}
			}
			if in, out := n.metrics("dialgate_connections_opened_total", `direction="in"`), n.metrics("dialgate_connections_opened_total", `direction="out"`); in != 1 || out != 0 {
				t.Errorf("%v connections were opened to the node and %v by it, want the phone's", in, out)
			}
			if got := n.metrics("dialgate_calls_total"); got != 0 {
				t.Errorf("%v calls to the dialer were judged", got)
			}
		})
	}
}
