package transport

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// An authority makes certificates for tests.
type authority struct {
	t    testing.TB
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string
	n    int64
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	a := &authority{t: t, dir: t.TempDir()}
	var err error
	if a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, a.key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.file = a.write("ca.pem", "CERTIFICATE", der)
	return a
}

func (a *authority) write(name, kind string, der []byte) string {
	path := filepath.Join(a.dir, name)
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		a.t.Fatal(err)
	}
	return path
}

// issue makes a certificate for names: DNS names, or URIs.
func (a *authority) issue(file string, names ...string) CertificateFiles {
	a.t.Helper()
	a.n++
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1 + a.n), Subject: pkix.Name{CommonName: fmt.Sprintf("certificate %d", a.n)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	for _, n := range names {
		if u, err := url.Parse(n); err == nil && u.Scheme != "" {
			template.URIs = append(template.URIs, u)
		} else if ip := net.ParseIP(n); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, n)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	return CertificateFiles{Certificate: a.write(file+".pem", "CERTIFICATE", der), Key: a.write(file+".key", "EC PRIVATE KEY", private)}
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
		o.Check = func(netip.AddrPort) *ServerCheck { return &ServerCheck{CA: a.file, Name: "gate.example"} }
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
		{"full", ca.issue("a", "carrier.example"), ServerCheck{CA: ca.file, Name: "carrier.example"}, true},
		{"full by address", ca.issue("b", "127.0.0.1"), ServerCheck{CA: ca.file}, true},
		{"full by sip URI", ca.issue("c", "sip:carrier.example"), ServerCheck{CA: ca.file, Name: "Carrier.example"}, true},
		{"full, other name", ca.issue("d", "other.example"), ServerCheck{CA: ca.file, Name: "carrier.example"}, false},
		{"full, user in URI", ca.issue("e", "sip:carrier.example@x.example"), ServerCheck{CA: ca.file, Name: "carrier.example"}, false},
		{"full, other authority", other.issue("f", "carrier.example"), ServerCheck{CA: ca.file, Name: "carrier.example"}, false},
		{"full, authorities of the system", ca.issue("g", "carrier.example"), ServerCheck{Name: "carrier.example"}, false},
		{"pinned, other name", ca.issue("h", "other.example"), ServerCheck{Mode: Pinned, CA: ca.file, Name: "carrier.example"}, true},
		{"pinned, other authority", other.issue("i", "carrier.example"), ServerCheck{Mode: Pinned, CA: ca.file, Name: "carrier.example"}, false},
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
			case <-time.After(5 * time.Second):
				t.Error("nothing happened")
			}
		})
	}
}

// A client is known by the names in its certificate.
func TestClientsAreKnownByName(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	files := ca.issue("server", "gate.example")
	files.ClientCA = ca.file
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
				return &ServerCheck{CA: ca.file, Name: "gate.example", Client: test.client}
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
	o.Check = func(netip.AddrPort) *ServerCheck { return &ServerCheck{CA: ca.file, Name: "one.example"} }
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
