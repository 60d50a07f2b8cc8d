package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"

	"dialgate/configs"
	"dialgate/sipproxy"
	"dialgate/sipproxy/transport"
)

// listen opens the sockets under listen.
func (n *node) listen(log *slog.Logger) (all []sipproxy.Listener, err error) {
	cfg := n.world.cfg
	opened := func(conn transport.Conn, advertised string) {
		n.closers = append(n.closers, func() error {
			if err := conn.Close(); !errors.Is(err, net.ErrClosed) {
				return err
			}
			return nil // the proxy has closed it
		})
		l := sipproxy.Listener{Conn: conn, Advertised: conn.LocalAddr()}
		if advertised != "" {
			l.Advertised = addrPort(advertised)
		}
		all = append(all, l)
		n.sip = append(n.sip, conn.LocalAddr())
		log.Info("listening for SIP", conn.Kind().String(), conn.LocalAddr().String())
	}
	stream := func(k transport.Kind, address, advertised string, files transport.CertificateFiles, origins []string) error {
		o := transport.StreamOptions{Kind: k, Origins: origins, Check: n.serverCheck, Limits: transport.Limits{
			Connections: cfg.SIP.Connections, PerSource: cfg.SIP.ConnectionsPerSource,
			Handshake: cfg.SIP.HandshakeTimeout, Message: cfg.SIP.MessageTimeout, Idle: cfg.SIP.IdleTimeout}}
		if k.Secure() {
			var err error
			if o.Credentials, err = credentials(files, log); err != nil {
				return err
			}
		}
		s, err := transport.ListenStream(context.Background(), addrPort(address), o)
		if err != nil {
			return err
		}
		opened(s, advertised)
		return nil
	}
	for i, l := range cfg.Listen.UDP {
		conn, err := transport.ListenUDP(context.Background(), addrPort(l.Address), transport.Options{KeepProcessor: i < n.o.keep})
		if err != nil {
			return all, err
		}
		opened(conn, l.Advertised)
	}
	for _, l := range cfg.Listen.TCP {
		if err := stream(transport.TCP, l.Address, l.Advertised, transport.CertificateFiles{}, nil); err != nil {
			return all, err
		}
	}
	for _, l := range cfg.Listen.TLS {
		files := transport.CertificateFiles{Certificate: l.Certificate, Key: l.Key, ClientCA: l.ClientCA, RequireClient: l.RequireClient}
		if err := stream(transport.TLS, l.Address, l.Advertised, files, nil); err != nil {
			return all, err
		}
	}
	for _, l := range cfg.Listen.WS {
		if err := stream(transport.WS, l.Address, l.Advertised, transport.CertificateFiles{}, l.Origins); err != nil {
			return all, err
		}
	}
	for _, l := range cfg.Listen.WSS {
		files := transport.CertificateFiles{Certificate: l.Certificate, Key: l.Key, ClientCA: l.ClientCA, RequireClient: l.RequireClient}
		if err := stream(transport.WSS, l.Address, l.Advertised, files, l.Origins); err != nil {
			return all, err
		}
	}
	return all, nil
}

// credentials reads a certificate; what goes wrong with it later is logged.
func credentials(files transport.CertificateFiles, log *slog.Logger) (*transport.Credentials, error) {
	return transport.LoadCredentials(files, func(err error) { log.Error("a certificate could not be read again", "error", err) })
}

// serverCheck asks the proxy, which begins to dial when there is one.
func (n *node) serverCheck(a netip.AddrPort) *transport.ServerCheck { return n.proxy.ServerCheck(a) }

// serverTLS is how who is reached by a transport is met, nil where it has no TLS,
// as dns may have.
func serverTLS(by string, c *configs.ServerTLS, log *slog.Logger) (*transport.ServerCheck, error) {
	if !kind(by).Secure() && by != "dns" {
		return nil, nil
	}
	mode, _ := transport.ParseVerification(c.Verify) // one of those allowed
	check := &transport.ServerCheck{Mode: mode, CA: c.CA, Name: c.Name}
	if c.Certificate == "" {
		return check, nil
	}
	var err error
	check.Client, err = credentials(transport.CertificateFiles{Certificate: c.Certificate, Key: c.Key}, log)
	return check, err
}

// kind is a transport by its name in the configuration, which was checked; dns
// is UDP, unless DNS says otherwise.
func kind(name string) transport.Kind {
	k, _ := transport.ParseKind(name)
	return k
}
