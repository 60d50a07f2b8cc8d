package console

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"dialgate/console/access"
	"dialgate/console/webhook"
)

// Options of a Server.
type Options struct {
	Node     Node
	Keys     *access.Keys
	Dir      string // where uploads lie while they are worked off, and what is kept of webhooks
	Secure   bool   // it is reached over TLS
	Log      *slog.Logger
	Now      func() time.Time // of sessions and tokens; nil: the system's clock
	Explains any              // an example of Judged.Explains, for the OpenAPI document
	// WebhooksTo are the networks that webhooks may reach though they are not of
	// the open internet. Agent is what deliveries call themselves.
	WebhooksTo []netip.Prefix
	Agent      string
	// SetUp is the secret by which the first person is made, "" when there is one.
	SetUp string
}

// A Server answers the API and serves the console.
type Server struct {
	o        Options
	sessions *access.Sessions
	throttle *access.Throttle
	meter    *Meter
	stream   *stream
	imports  *imports
	mappings *mappings
	hooks    *webhook.Hooks
	gatherer *gatherer
	pages    *pages
	spared   remembered[spared]
	handler  http.Handler

	computing sync.Mutex // held by who reads the ledger or makes a page
	pastRead  chan struct{}

	mu    sync.Mutex
	setUp string // "" once it was used
}

// New makes a Server. Close ends what it began.
func New(o Options) (*Server, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &Server{o: o, sessions: access.NewSessions(o.Keys), throttle: access.NewThrottle(), meter: newMeter(), gatherer: &gatherer{add: o.Node.Add}, setUp: o.SetUp, pastRead: make(chan struct{})}
	s.stream = newStream(o.Node)
	var err error
	if s.imports, err = newImports(o.Dir, o.Node, o.Now); err != nil {
		return nil, err
	}
	if s.pages, err = loadPages(); err != nil {
		return nil, err
	}
	if s.mappings, err = openMappings(o.Dir); err != nil {
		return nil, errors.Join(err, s.imports.close())
	}
	if s.hooks, err = webhook.Open(s.hookOptions()); err != nil {
		return nil, errors.Join(err, s.imports.close())
	}
	mux := http.NewServeMux()
	if err := s.handleAPI(mux); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	s.handlePages(mux)
	s.handler = mux
	go s.readPast(o.Node.LedgerEnd() + 1)
	return s, nil
}

// Close ends live streams, deliveries and the import under way.
func (s *Server) Close() error {
	s.stream.close()
	if s.handler != nil {
		<-s.pastRead
	}
	return errors.Join(s.hooks.Close(), s.imports.close())
}

// Meter counts what is judged.
func (s *Server) Meter() *Meter { return s.meter }

// ServeHTTP answers a request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	if s.o.Secure {
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
	s.handler.ServeHTTP(w, r)
}

// Bearer is who asks by a bearer token (RFC 6750 section 2.1).
func (s *Server) Bearer(r *http.Request) (*access.Principal, error) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return nil, problem(http.StatusUnauthorized, "send a bearer token: Authorization: Bearer dgt_...; an administrator makes one with dialgate token create")
	}
	who, err := s.o.Keys.Bearer(strings.TrimSpace(token), s.o.Now())
	if errors.Is(err, access.ErrUnknown) {
		// Who guesses waits, and holds up nobody who has a token or a password.
		if wait := s.throttle.Try("token "+remote(r), "", s.o.Now()); wait > 0 {
			return nil, tooMany(wait)
		}
		return nil, problem(http.StatusUnauthorized, "the token is "+err.Error())
	}
	return who, err
}

// A waitError tells somebody who guesses to wait.
type waitError struct {
	*Problem
	wait time.Duration
}

func (e *waitError) Unwrap() error { return e.Problem }

func tooMany(wait time.Duration) error {
	return &waitError{problem(http.StatusTooManyRequests, "too many failed tries; wait "+wait.Round(time.Second).String()), wait}
}

// search looks for decisions. However many people look, they take one processor;
// the others are left to the calls.
func (s *Server) search(q Search) (Page, error) {
	s.computing.Lock()
	defer s.computing.Unlock()
	return s.o.Node.Search(q)
}

// bounded is the body of a request, which is refused at once when it says that
// it is too large.
func bounded(w http.ResponseWriter, r *http.Request, most int64) (io.ReadCloser, error) {
	if r.ContentLength > most {
		return nil, &http.MaxBytesError{Limit: most}
	}
	return http.MaxBytesReader(w, r.Body, most), nil
}

// remote is the address that a request comes from.
func remote(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	if a, err := netip.ParseAddr(host); err == nil && a.Is6() {
		p, _ := a.Prefix(64) // whoever has one has the others of it
		return p.String()
	}
	return host
}
