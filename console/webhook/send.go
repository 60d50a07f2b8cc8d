package webhook

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"time"
)

// A Message is one event as an endpoint is told of it.
type Message struct {
	Seq  uint64 // its record in the ledger
	ID   string // the same at every try
	Type string
	At   time.Time
	Data any
}

const (
	connectWithin = 5 * time.Second
	answerWithin  = 15 * time.Second // all of a delivery
	maxAnswer     = 4 << 10          // octets of an answer that are read; nothing in it counts
	maxHeader     = 16 << 10
	longestRest   = time.Hour // that a Retry-After is believed for
)

// A client delivers messages.
type client struct {
	agent         string
	secure, plain *http.Client
}

func newClient(agent string, allowed []netip.Prefix) *client {
	one := func(plain bool) *http.Client {
		to := &reach{allowed, plain}
		dialer := &net.Dialer{Timeout: connectWithin, Control: to.control}
		return &http.Client{
			Timeout: answerWithin,
			Transport: &http.Transport{Proxy: nil, DialContext: dialer.DialContext, TLSHandshakeTimeout: connectWithin, ResponseHeaderTimeout: answerWithin,
				MaxResponseHeaderBytes: maxHeader, DisableCompression: true, MaxIdleConnsPerHost: 1, IdleConnTimeout: time.Minute, ForceAttemptHTTP2: true,
				TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	}
	return &client{agent, one(false), one(true)}
}

func (c *client) close() {
	c.secure.CloseIdleConnections()
	c.plain.CloseIdleConnections()
}

// A Result is what came of one delivery.
type Result struct {
	Status int // of the answer, 0: none came
	Took   time.Duration
	Why    string // why it does not count as delivered, "": it does

	gone bool          // the endpoint wants nothing any more
	rest time.Duration // that it asks for
}

// Delivered reports whether the endpoint took the message.
func (r *Result) Delivered() bool { return r.Why == "" }

// send delivers one message, or tells why it could not.
func (c *client) send(ctx context.Context, h *Hook, m *Message, now time.Time) (r Result) {
	began := time.Now()
	defer func() { r.Took = time.Since(began) }()
	body, err := json.Marshal(struct {
		Type      string    `json:"type"`
		Timestamp time.Time `json:"timestamp"`
		Data      any       `json:"data"`
	}{m.Type, m.At.UTC(), m.Data})
	if err != nil {
		return Result{Why: err.Error()}
	}
	signature, err := sign(h.Secrets, m.ID, now, body)
	if err != nil {
		return Result{Why: err.Error()}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.URL, bytes.NewReader(body))
	if err != nil {
		return Result{Why: "the address can't be used"}
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", c.agent)
	req.Header.Set("Webhook-Id", m.ID)
	req.Header.Set("Webhook-Timestamp", strconv.FormatInt(now.Unix(), 10))
	req.Header.Set("Webhook-Signature", signature)
	by := c.secure
	if req.URL.Scheme == "http" {
		by = c.plain
	}
	res, err := by.Do(req)
	if err != nil {
		return Result{Why: why(err)}
	}
	defer res.Body.Close()
	_, _ = io.CopyN(io.Discard, res.Body, maxAnswer) // the status tells what counts
	return judge(res)
}

// judge tells what an answer means.
func judge(res *http.Response) Result {
	r := Result{Status: res.StatusCode}
	switch {
	case r.Status >= 200 && r.Status < 300:
	case r.Status == http.StatusGone:
		r.gone, r.Why = true, "answered 410: it wants nothing any more"
	case r.Status >= 300 && r.Status < 400:
		r.Why = fmt.Sprintf("answered %d: another address is not followed; give the right one", r.Status)
	default:
		r.Why = fmt.Sprintf("answered %d", r.Status)
		if seconds, err := strconv.ParseUint(res.Header.Get("Retry-After"), 10, 31); err == nil {
			r.rest = min(time.Duration(seconds)*time.Second, longestRest)
		}
	}
	return r
}

// why is an error without the address, which can hold what nobody else should see.
func why(err error) string {
	var of *url.Error
	if errors.As(err, &of) {
		err = of.Err
	}
	var name *net.DNSError
	if errors.As(err, &name) && name.IsNotFound {
		return name.Name + " is not known to DNS"
	}
	if errors.Is(err, context.DeadlineExceeded) || isTimeout(err) {
		return "did not answer in time"
	}
	return err.Error()
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}
