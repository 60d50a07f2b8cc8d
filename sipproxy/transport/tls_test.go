package transport

import (
	"crypto/tls"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"dialgate/internal/testca"
)

// An authority is one of testca with what these tests make of it.
type authority struct {
	*testca.Authority
	t testing.TB
}

func newAuthority(t testing.TB) *authority { return &authority{testca.New(t), t} }

func (a *authority) issue(file string, names ...string) (f CertificateFiles) {
	a.t.Helper()
	f.Certificate, f.Key = a.Issue(file, names...)
	return f
}

func (a *authority) credentials(f CertificateFiles) *Credentials {
	a.t.Helper()
	c, err := LoadCredentials(f, func(err error) { a.t.Log(err) })
	if err != nil {
		a.t.Fatal(err)
	}
	return c
}

// options are those of a stream that trusts the authority.
func (a *authority) options(k Kind) StreamOptions {
	o := StreamOptions{Kind: k}
	if k.Secure() {
		o.Credentials = a.credentials(a.issue("server", "gate.example"))
		o.Check = func(netip.AddrPort) *ServerCheck { return &ServerCheck{CA: a.File, Name: "gate.example"} }
	}
	return o
}

// The modes of verification accept whom they should and nobody else.
func TestServersAreVerified(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	for _, test := range []struct {
		name  string
		shows CertificateFiles
		check ServerCheck
		ok    bool
	}{
		{"full", ca.issue("a", "carrier.example"), ServerCheck{CA: ca.File, Name: "carrier.example"}, true},
		{"full by address", ca.issue("b", "127.0.0.1"), ServerCheck{CA: ca.File}, true},
		{"full by sip URI", ca.issue("c", "sip:carrier.example"), ServerCheck{CA: ca.File, Name: "Carrier.example"}, true},
		{"full, other name", ca.issue("d", "other.example"), ServerCheck{CA: ca.File, Name: "carrier.example"}, false},
		{"full, user in URI", ca.issue("e", "sip:carrier.example@x.example"), ServerCheck{CA: ca.File, Name: "carrier.example"}, false},
		{"full, other authority", other.issue("f", "carrier.example"), ServerCheck{CA: ca.File, Name: "carrier.example"}, false},
		{"full, authorities of the system", ca.issue("g", "carrier.example"), ServerCheck{Name: "carrier.example"}, false},
		{"pinned, other name", ca.issue("h", "other.example"), ServerCheck{Mode: Pinned, CA: ca.File, Name: "carrier.example"}, true},
		{"pinned, other authority", other.issue("i", "carrier.example"), ServerCheck{Mode: Pinned, CA: ca.File, Name: "carrier.example"}, false},
		{"pinned to nothing", ca.issue("j", "carrier.example"), ServerCheck{Mode: Pinned}, false},
		{"none", other.issue("k", "x.example"), ServerCheck{Mode: Unverified}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := serveStream(t, "127.0.0.1:0", StreamOptions{Kind: TLS, Credentials: ca.credentials(test.shows)})
			o := ca.options(TLS)
			o.Check = func(netip.AddrPort) *ServerCheck { return &test.check }
			client := serveStream(t, "127.0.0.1:0", o)
			client.send(options(1, 0), server.LocalAddr())
			select {
			case <-server.came:
				if !test.ok {
					t.Error("a message came through")
				}
			case err := <-client.failed:
				if test.ok {
					t.Error(err)
				}
			case <-time.After(30 * time.Second):
				t.Error("nothing happened")
			}
		})
	}
}

// A client is known by the names in its certificate.
func TestClientsAreKnownByName(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	files := ca.issue("server", "gate.example")
	files.ClientCA = ca.File
	required := files
	required.RequireClient = true
	for _, test := range []struct {
		name   string
		server CertificateFiles
		client *Credentials
		names  []string
		ok     bool
	}{
		{"asked", files, ca.credentials(ca.issue("a", "dialer.example", "D2.example")), []string{"dialer.example", "d2.example"}, true},
		{"by URI", files, ca.credentials(ca.issue("b", "sip:dialer.example", "host.example")), []string{"dialer.example"}, true},
		{"asked, has none", files, nil, nil, true},
		{"required, has none", required, nil, nil, false},
		{"of another authority", files, other.credentials(other.issue("c", "dialer.example")), nil, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := serveStream(t, "127.0.0.1:0", StreamOptions{Kind: TLS, Credentials: ca.credentials(test.server)})
			o := ca.options(TLS)
			o.Check = func(netip.AddrPort) *ServerCheck {
				return &ServerCheck{CA: ca.File, Name: "gate.example", Client: test.client}
			}
			client := serveStream(t, "127.0.0.1:0", o)
			client.send(options(1, 0), server.LocalAddr())
			if !test.ok {
				server.ended(EndHandshake, 1)
				return
			}
			if d := server.next(); !slices.Equal(d.Names, test.names) {
				t.Errorf("names %q, want %q", d.Names, test.names)
			}
		})
	}
}

func TestOldTLSIsRefused(t *testing.T) {
	ca := newAuthority(t)
	server := serveStream(t, "127.0.0.1:0", ca.options(TLS))
	_, err := tls.Dial("tcp", server.LocalAddr().String(), &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11})
	if err == nil {
		t.Error("TLS 1.1 was accepted")
	}
	server.ended(EndHandshake, 1)
}

// A client that says nothing is not waited for, and keeps nobody else waiting.
func TestASilentHandshakeEnds(t *testing.T) {
	ca := newAuthority(t)
	for _, k := range []Kind{TLS, WS, WSS} {
		t.Run(k.String(), func(t *testing.T) {
			o := ca.options(k)
			o.Limits.Handshake = 200 * time.Millisecond
			server := serveStream(t, "127.0.0.1:0", o)
			for range 20 {
				dialRaw(t, server.LocalAddr())
			}
			client := serveStream(t, "127.0.0.1:0", ca.options(k))
			client.send(options(1, 0), server.LocalAddr())
			server.next()
			server.ended(EndHandshake, 20)
		})
	}
}

// What waits for a connection that is slow to come is bounded, the attempt goes
// on, and closing does not wait for it.
func TestWhatWaitsForAConnectionIsBounded(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	o := newAuthority(t).options(TLS)
	o.Limits.Queue, o.Limits.Handshake = 10_000, time.Minute
	client := serveStream(t, "127.0.0.1:0", o)
	to, taken := addrPort(silent.Addr()), 0
	for ; taken < 100; taken++ {
		if _, err := client.WriteBatch([]Datagram{{Payload: options(taken, 500), Remote: to}}); err != nil {
			break
		}
	}
	if taken == 0 || taken > 20 || client.Open() != 1 {
		t.Errorf("%d messages of 600 octets are waiting, %d connections", taken, client.Open())
	}
	began := time.Now()
	client.Close()
	if took := time.Since(began); took > 20*time.Second { // the handshake is given a minute
		t.Errorf("closing took %s", took)
	}
	for range taken {
		select {
		case <-client.failed:
		case <-time.After(30 * time.Second):
			t.Fatal("not every message that waited is told to have failed")
		}
	}
}

// A new certificate is shown without a restart, connections stay, and a broken
// one is told and not used.
func TestCertificatesAreReadAgain(t *testing.T) {
	ca := newAuthority(t)
	var told []error
	files := ca.issue("server", "one.example")
	c, err := LoadCredentials(files, func(err error) { told = append(told, err) })
	if err != nil {
		t.Fatal(err)
	}
	server := serveStream(t, "127.0.0.1:0", StreamOptions{Kind: TLS, Credentials: c})
	shown := func() string {
		conn, err := tls.Dial("tcp", server.LocalAddr().String(), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].DNSNames[0]
	}
	later := func() {
		c.mu.Lock()
		c.checked = time.Time{}
		c.mu.Unlock()
	}
	o := ca.options(TLS)
	o.Check = func(netip.AddrPort) *ServerCheck { return &ServerCheck{CA: ca.File, Name: "one.example"} }
	client := serveStream(t, "127.0.0.1:0", o)
	client.send(options(1, 0), server.LocalAddr())
	from := server.next().Remote

	ca.issue("server", "two.example")
	future := time.Now().Add(time.Minute)
	if err := os.Chtimes(files.Certificate, future, future); err != nil {
		t.Fatal(err)
	}
	if got := shown(); got != "one.example" {
		t.Errorf("%s is shown before it is time to look", got)
	}
	later()
	if got := shown(); got != "two.example" {
		t.Errorf("%s is shown", got)
	}
	if err := os.WriteFile(files.Certificate, []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	later()
	if got := shown(); got != "two.example" || len(told) != 1 || !strings.Contains(told[0].Error(), "stays in force") {
		t.Errorf("%s is shown, told %v", got, told)
	}
	// The first connection has outlived it all.
	server.send(options(2, 0), from)
	client.next()
	if !c.Expires().After(time.Now()) {
		t.Errorf("expires %s", c.Expires())
	}
}
