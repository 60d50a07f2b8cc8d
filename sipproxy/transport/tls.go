package transport

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// minVersion is the oldest TLS that is spoken.
const minVersion = tls.VersionTLS12

// CertificateFiles name where a certificate and what belongs to it is read from.
type CertificateFiles struct {
	Certificate string // PEM, with its chain
	Key         string // PEM
	// ClientCA holds the authorities whose client certificates count; "": none is asked for.
	ClientCA string
	// RequireClient refuses a client without such a certificate.
	RequireClient bool
}

// Credentials are a certificate with its key, read again when the files change:
// a new one is in force for the next handshake within [recheck], and no
// connection ends for it. Files that can't be read leave the old one in force.
type Credentials struct {
	files  CertificateFiles
	failed func(error)

	mu      sync.Mutex
	server  *tls.Config
	stamps  []stamp
	checked time.Time
}

// A stamp tells whether a file has changed.
type stamp struct {
	size int64
	time time.Time
}

// recheck is how often a handshake looks at the files.
const recheck = 5 * time.Second

// LoadCredentials reads the files. failed is told when a later reading of them
// goes wrong; nil: nobody.
func LoadCredentials(files CertificateFiles, failed func(error)) (*Credentials, error) {
	if failed == nil {
		failed = func(error) {}
	}
	c := &Credentials{files: files, failed: failed, checked: time.Now()}
	return c, c.load()
}

// load reads the files and puts them in force.
func (c *Credentials) load() error {
	stamps, err := c.look()
	if err != nil {
		return err
	}
	cert, err := tls.LoadX509KeyPair(c.files.Certificate, c.files.Key)
	if err != nil {
		return fmt.Errorf("the certificate %s can't be used with the key %s: %w", c.files.Certificate, c.files.Key, err)
	}
	config := &tls.Config{MinVersion: minVersion, Certificates: []tls.Certificate{cert}}
	if c.files.ClientCA != "" {
		if config.ClientCAs, err = readPool(c.files.ClientCA); err != nil {
			return err
		}
		config.ClientAuth = tls.VerifyClientCertIfGiven
		if c.files.RequireClient {
			config.ClientAuth = tls.RequireAndVerifyClientCert
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.server, c.stamps = config, stamps
	return nil
}

// look notes size and time of each file.
func (c *Credentials) look() (stamps []stamp, err error) {
	for _, name := range []string{c.files.Certificate, c.files.Key, c.files.ClientCA} {
		if name == "" {
			continue
		}
		info, err := os.Stat(name)
		if err != nil {
			return nil, fmt.Errorf("a certificate can't be read: %w", err)
		}
		stamps = append(stamps, stamp{info.Size(), info.ModTime()})
	}
	return stamps, nil
}

// current is what is in force, after a look at the files if it is time for one.
func (c *Credentials) current() *tls.Config {
	c.mu.Lock()
	now := time.Now()
	due := now.Sub(c.checked) >= recheck
	if due {
		c.checked = now
	}
	config, old := c.server, c.stamps
	c.mu.Unlock()
	if !due {
		return config
	}
	stamps, err := c.look()
	if err == nil && !slices.Equal(stamps, old) {
		err = c.load()
	}
	if err != nil {
		c.failed(fmt.Errorf("the certificate that was read before stays in force: %w", err))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.server
}

// Expires is when the certificate in force does.
func (c *Credentials) Expires() time.Time {
	leaf := c.current().Certificates[0].Leaf
	if leaf == nil {
		return time.Time{}
	}
	return leaf.NotAfter
}

// ForServers is the configuration of those who accept.
func (c *Credentials) ForServers() *tls.Config {
	return &tls.Config{MinVersion: minVersion, GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return c.current(), nil }}
}

// A Verification is how the certificate of a server is checked.
type Verification uint8

const (
	Full       Verification = iota // an authority vouches for it, and it bears the server's name
	Pinned                         // one of the authorities given vouches for it, whatever its name
	Unverified                     // not at all
)

// ParseVerification finds a mode by its name.
func ParseVerification(name string) (Verification, bool) {
	i := slices.Index([]string{"full", "pinned", "none"}, name)
	return Verification(max(i, 0)), i >= 0
}

// A ServerCheck is how we meet a server whom we dial over TLS.
type ServerCheck struct {
	Mode Verification
	// CA is a PEM file of the authorities that count; "": those of the system,
	// which only Full takes.
	CA string
	// Name is the server's name; "": its address.
	Name string
	// Client is what we show when we are asked for a certificate; nil: nothing.
	Client *Credentials
}

// Config makes the configuration for a server at an address.
func (s *ServerCheck) Config(remote netip.AddrPort) (*tls.Config, error) {
	name := s.Name
	if name == "" {
		name = remote.Addr().String()
	}
	// The check below is ours, since a name of SIP may stand in a certificate
	// as a URI (RFC 5922 section 7.1), which the library does not look at.
	config := &tls.Config{MinVersion: minVersion, ServerName: name, InsecureSkipVerify: true}
	if s.Client != nil {
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return &s.Client.current().Certificates[0], nil
		}
	}
	if s.Mode == Unverified {
		return config, nil
	}
	var roots *x509.CertPool // nil: those of the system
	if s.CA != "" {
		var err error
		if roots, err = readPool(s.CA); err != nil {
			return nil, err
		}
	} else if s.Mode == Pinned {
		return nil, errors.New("a pinned authority needs its file")
	}
	config.VerifyConnection = func(state tls.ConnectionState) error {
		return verify(state.PeerCertificates, roots, s.Mode, name)
	}
	return config, nil
}

// verify checks a chain of certificates as a client does.
func verify(chain []*x509.Certificate, roots *x509.CertPool, mode Verification, name string) error {
	if len(chain) == 0 {
		return errors.New("the server has shown no certificate")
	}
	between := x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	if _, err := chain[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between}); err != nil {
		return err
	}
	if mode == Pinned || slices.Contains(names(chain[0]), strings.ToLower(name)) {
		return nil
	}
	return chain[0].VerifyHostname(name)
}

// names are the SIP identities in a certificate (RFC 5922 section 7.1): hosts
// of sip URIs, else names of DNS, else the common name.
func names(c *x509.Certificate) (all []string) {
	for _, u := range c.URIs {
		if host, ok := sipHost(u); ok {
			all = append(all, host)
		}
	}
	if len(all) == 0 {
		for _, n := range c.DNSNames {
			all = append(all, strings.ToLower(n))
		}
	}
	if len(all) == 0 && len(c.URIs) == 0 && c.Subject.CommonName != "" {
		all = append(all, strings.ToLower(c.Subject.CommonName))
	}
	return all
}

// sipHost is the domain of a URI "sip:domain" without a user part.
func sipHost(u *url.URL) (string, bool) {
	if !strings.EqualFold(u.Scheme, "sip") || u.Opaque == "" || strings.ContainsAny(u.Opaque, "@:;?") {
		return "", false
	}
	return strings.ToLower(u.Opaque), true
}

func readPool(file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("the authorities can't be read: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate in PEM", file)
	}
	return pool, nil
}
