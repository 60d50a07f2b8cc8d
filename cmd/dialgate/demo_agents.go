package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/emiago/sipgo"
	"github.com/emiago/sipgo/sip"
)

// demoOffer is the SDP that the demo's dialer offers and its carrier answers.
const demoOffer = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 40000 RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\n"

// A demoAgent is a SIP user agent on a loopback UDP socket of its own.
type demoAgent struct {
	ua   *sipgo.UserAgent
	addr netip.AddrPort
	stop context.CancelFunc
	done chan error
}

// startAgent listens on a free loopback port; handle registers what it answers.
func startAgent(name string, handle func(*sipgo.Server, netip.AddrPort)) (*demoAgent, error) {
	ua, err := sipgo.NewUA(sipgo.WithUserAgent(name), sipgo.WithUserAgentHostname("127.0.0.1"))
	if err != nil {
		return nil, err
	}
	server, err := sipgo.NewServer(ua, sipgo.WithServerLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		return nil, err
	}
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("the demo's %s finds no free loopback port: %w", name, err)
	}
	a := &demoAgent{ua: ua, addr: conn.LocalAddr().(*net.UDPAddr).AddrPort(), done: make(chan error, 1)}
	handle(server, a.addr)
	var ctx context.Context
	ctx, a.stop = context.WithCancel(context.Background())
	reading := make(chan struct{})
	go func() {
		a.done <- server.ServeUDP(&announcedConn{PacketConn: conn, read: sync.OnceFunc(func() { close(reading) })})
	}()
	go func() { <-ctx.Done(); conn.Close() }()
	// An agent that sends before sipgo knows its listener would try to bind the
	// listener's port a second time.
	<-reading
	return a, nil
}

// An announcedConn tells when it is first read: from then on sipgo knows it.
type announcedConn struct {
	net.PacketConn
	read func()
}

func (c *announcedConn) ReadFrom(b []byte) (int, net.Addr, error) {
	c.read()
	return c.PacketConn.ReadFrom(b)
}

func (a *demoAgent) close() {
	a.stop()
	a.ua.Close()
	<-a.done
}

// A demoCarrier answers every call and remembers which ones it saw.
type demoCarrier struct {
	*demoAgent
	mu   sync.Mutex
	seen map[string]int // INVITEs by Call-ID
	byes int
}

func startCarrier() (*demoCarrier, error) {
	c := &demoCarrier{seen: map[string]int{}}
	var err error
	c.demoAgent, err = startAgent("carrier", func(s *sipgo.Server, at netip.AddrPort) {
		contact := &sip.ContactHeader{Address: sip.Uri{Scheme: "sip", User: "carrier", Host: "127.0.0.1", Port: int(at.Port())}}
		s.OnInvite(func(req *sip.Request, tx sip.ServerTransaction) {
			c.mu.Lock()
			c.seen[req.CallID().Value()]++
			c.mu.Unlock()
			ringing := sip.NewResponseFromRequest(req, 180, "Ringing", nil)
			ringing.AppendHeader(contact)
			answer := sip.NewResponseFromRequest(req, 200, "OK", []byte(demoOffer))
			answer.AppendHeader(contact)
			answer.AppendHeader(sip.NewHeader("Content-Type", "application/sdp"))
			tag, _ := answer.To().Params.Get("tag")
			ringing.To().Params.Remove("tag")
			ringing.To().Params.Add("tag", tag)
			for _, res := range []*sip.Response{ringing, answer} {
				if err := tx.Respond(res); err != nil {
					return // the dialer will report the call as failed
				}
			}
			<-tx.Done()
		})
		s.OnAck(func(*sip.Request, sip.ServerTransaction) {})
		s.OnBye(func(req *sip.Request, tx sip.ServerTransaction) {
			c.mu.Lock()
			c.byes++
			c.mu.Unlock()
			_ = tx.Respond(sip.NewResponseFromRequest(req, 200, "OK", nil)) // a lost answer is repeated by the dialer
		})
	})
	return c, err
}

// saw reports whether the carrier received the call.
func (c *demoCarrier) saw(callID string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.seen[callID] > 0
}

// A demoDialer places calls through the proxy.
type demoDialer struct {
	*demoAgent
	dialogs sipgo.DialogUA
	proxy   netip.AddrPort
}

func startDialer(proxy netip.AddrPort) (*demoDialer, error) {
	d := &demoDialer{proxy: proxy}
	var err error
	d.demoAgent, err = startAgent("dialer", func(s *sipgo.Server, _ netip.AddrPort) {
		s.OnBye(func(req *sip.Request, tx sip.ServerTransaction) {
			_ = tx.Respond(sip.NewResponseFromRequest(req, 200, "OK", nil))
		})
	})
	if err != nil {
		return nil, err
	}
	client, err := sipgo.NewClient(d.ua, sipgo.WithClientLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		return nil, err
	}
	d.dialogs = sipgo.DialogUA{Client: client, ContactHDR: sip.ContactHeader{
		Address: sip.Uri{Scheme: "sip", User: "dialer", Host: "127.0.0.1", Port: int(d.addr.Port())}}}
	return d, nil
}

// A demoAnswer is how a call ended, seen by the dialer.
type demoAnswer struct {
	callID string
	code   int
	phrase string
	reason []string // the Reason headers
}

// call places one call and, if it is answered, hangs up. It takes at most
// five seconds.
func (d *demoDialer) call(invite *sip.Request) (demoAnswer, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	invite.SetDestination(d.proxy.String())
	invite.Laddr = sip.Addr{IP: net.IPv4(127, 0, 0, 1), Port: int(d.addr.Port())}
	dialog, err := d.dialogs.WriteInvite(ctx, invite, sipgo.ClientRequestAddVia)
	if err != nil {
		return demoAnswer{}, fmt.Errorf("the demo's dialer can't send its INVITE: %w", err)
	}
	defer dialog.Close()
	out := demoAnswer{callID: invite.CallID().Value()}
	err = dialog.WaitAnswer(ctx, sipgo.AnswerOptions{OnResponse: func(res *sip.Response) error {
		out.code, out.phrase = res.StatusCode, res.Reason
		for _, h := range res.GetHeaders("Reason") {
			out.reason = append(out.reason, h.Value())
		}
		return nil
	}})
	var refused *sipgo.ErrDialogResponse
	if errors.As(err, &refused) {
		return out, nil
	}
	if err != nil {
		return out, fmt.Errorf("the demo's dialer got no final answer: %w", err)
	}
	if err := dialog.Ack(ctx); err != nil {
		return out, fmt.Errorf("the demo's dialer can't acknowledge: %w", err)
	}
	if err := dialog.Bye(ctx); err != nil {
		return out, fmt.Errorf("the demo's dialer can't hang up: %w", err)
	}
	return out, nil
}

// parseInvite turns the text of a case's INVITE into a sipgo request without
// the hop that sipgo adds itself.
func parseInvite(raw []byte) (*sip.Request, error) {
	msg, err := sip.ParseMessage(raw)
	if err != nil {
		return nil, err
	}
	req, ok := msg.(*sip.Request)
	if !ok {
		return nil, errors.New("the case holds no request")
	}
	req.RemoveHeader("Via")
	req.SetTransport("UDP")
	return req, nil
}
