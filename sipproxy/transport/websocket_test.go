package transport

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

// A webClient is a user agent's WebSocket, made by the library.
type webClient struct {
	net.Conn
	t testing.TB
}

func dialClient(t testing.TB, to *post, d ws.Dialer) (*webClient, error) {
	t.Helper()
	c, _, _, err := d.Dial(context.Background(), "ws://"+to.LocalAddr().String()+"/")
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	return &webClient{c, t}, nil
}

func (c *webClient) write(frames ...ws.Frame) {
	c.t.Helper()
	for _, f := range frames {
		if err := ws.WriteFrame(c, ws.MaskFrame(f)); err != nil {
			c.t.Fatal(err)
		}
	}
}

func (c *webClient) read() ws.Frame {
	c.t.Helper()
	f, err := ws.ReadFrame(c)
	if err != nil {
		c.t.Fatal(err)
	}
	return f
}

func newWebClient(t testing.TB, to *post) *webClient {
	t.Helper()
	c, err := dialClient(t, to, ws.Dialer{Protocols: []string{"other", "sip"}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestFramesOfEveryForm(t *testing.T) {
	s := serveStream(t, "127.0.0.1:0", StreamOptions{Kind: WS})
	c := newWebClient(t, s)
	msg := options(1, 300)
	part := func(op ws.OpCode, fin bool, from, to int) ws.Frame {
		return ws.NewFrame(op, fin, bytes.Clone(msg[from:to]))
	}
	for name, frames := range map[string][]ws.Frame{
		"text":      {ws.NewTextFrame(msg)},
		"binary":    {ws.NewBinaryFrame(msg)},
		"fragments": {part(ws.OpText, false, 0, 10), part(ws.OpContinuation, false, 10, 10), part(ws.OpContinuation, true, 10, len(msg))},
		"a ping between fragments": {part(ws.OpBinary, false, 0, 10), ws.NewPingFrame([]byte("are you there")),
			part(ws.OpContinuation, true, 10, len(msg))},
	} {
		t.Run(name, func(t *testing.T) {
			c.write(frames...)
			if d := s.next(); !bytes.Equal(d.Payload, msg) {
				t.Errorf("%q came", d.Payload)
			}
		})
	}
	if f := c.read(); f.Header.OpCode != ws.OpPong || string(f.Payload) != "are you there" {
		t.Errorf("a ping is answered by %v %q", f.Header, f.Payload)
	}
	c.write(ws.NewTextFrame([]byte("\r\n\r\n")))
	if f := c.read(); f.Header.OpCode != ws.OpText || string(f.Payload) != "\r\n" {
		t.Errorf("a keep-alive is answered by %v %q", f.Header, f.Payload)
	}
	c.write(ws.NewTextFrame(msg))
	to := s.next().Remote
	binary := append(bytes.Clone(msg), 0xff)
	for payload, want := range map[string]ws.OpCode{string(msg): ws.OpText, string(binary): ws.OpBinary} {
		s.send([]byte(payload), to)
		if f := c.read(); f.Header.OpCode != want || string(f.Payload) != payload || f.Header.Masked {
			t.Errorf("%v came, want opcode %d", f.Header, want)
		}
	}
	c.write(ws.NewCloseFrame(ws.NewCloseFrameBody(ws.StatusNormalClosure, "bye")))
	if f := c.read(); f.Header.OpCode != ws.OpClose || !bytes.Equal(f.Payload, ws.NewCloseFrameBody(ws.StatusNormalClosure, "")) {
		t.Errorf("a close is answered by %v %q", f.Header, f.Payload)
	}
	c.Close()
	s.ended(EndPeer, 1)
}

func TestFramesAgainstTheProtocol(t *testing.T) {
	for name, test := range map[string]struct {
		raw  []byte
		code ws.StatusCode
	}{
		"not masked":              {ws.MustCompileFrame(ws.NewTextFrame([]byte("x"))), ws.StatusProtocolError},
		"reserved bits":           {[]byte{0xf1, 0x80, 0, 0, 0, 0}, ws.StatusProtocolError},
		"reserved opcode":         {[]byte{0x83, 0x80, 0, 0, 0, 0}, ws.StatusProtocolError},
		"continuation of nothing": {[]byte{0x80, 0x80, 0, 0, 0, 0}, ws.StatusProtocolError},
		"ping in parts":           {[]byte{0x09, 0x80, 0, 0, 0, 0}, ws.StatusProtocolError},
		"ping too long":           {[]byte{0x89, 0xfe, 0x01, 0x00, 0, 0, 0, 0}, ws.StatusProtocolError},
		"65,536 octets":           {[]byte{0x81, 0xff, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0}, ws.StatusMessageTooBig},
		"more than fits":          {[]byte{0x81, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0}, ws.StatusProtocolError},
	} {
		t.Run(name, func(t *testing.T) {
			s := serveStream(t, "127.0.0.1:0", StreamOptions{Kind: WS})
			c := newWebClient(t, s)
			if _, err := c.Write(test.raw); err != nil {
				t.Fatal(err)
			}
			f := c.read()
			if code, _ := ws.ParseCloseFrameData(f.Payload); f.Header.OpCode != ws.OpClose || code != test.code {
				t.Errorf("%v %d, want a close with %d", f.Header, code, test.code)
			}
			c.Close()
			s.ended(EndFraming, 1)
		})
	}
}

func TestOnlySIPFromAllowedPagesIsUpgraded(t *testing.T) {
	s := serveStream(t, "127.0.0.1:0", StreamOptions{Kind: WS, Origins: []string{"https://phone.example"}})
	origin := func(o string) ws.HandshakeHeader { return ws.HandshakeHeaderHTTP(http.Header{"Origin": {o}}) }
	for _, test := range []struct {
		name   string
		d      ws.Dialer
		status int
	}{
		{"no subprotocol", ws.Dialer{}, 400},
		{"another subprotocol", ws.Dialer{Protocols: []string{"mqtt"}}, 400},
		{"another page", ws.Dialer{Protocols: []string{"sip"}, Header: origin("https://evil.example")}, 403},
		{"the page", ws.Dialer{Protocols: []string{"sip"}, Header: origin("https://phone.example")}, 101},
		{"no page", ws.Dialer{Protocols: []string{"sip"}}, 101},
		{"a header without end", ws.Dialer{Protocols: []string{"sip"}, Header: ws.HandshakeHeaderHTTP(http.Header{"X": {strings.Repeat("x", 3000), strings.Repeat("y", 3000), strings.Repeat("z", 3000), strings.Repeat("a", 3000), strings.Repeat("b", 3000), strings.Repeat("c", 3000)}})}, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			status := 0
			test.d.OnStatusError = func(code int, _ []byte, _ io.Reader) { status = code }
			c, err := dialClient(t, s, test.d)
			if err == nil {
				status = 101
				c.write(ws.NewTextFrame(options(1, 0)))
				s.next()
			}
			if status != test.status {
				t.Errorf("status %d (%v), want %d", status, err, test.status)
			}
		})
	}
}

// FuzzFrames feeds the framer what it likes in whatever pieces: it takes no
// more than it was given, and what it reads does not depend on the pieces.
func FuzzFrames(f *testing.F) {
	msg := options(1, 20)
	var all []byte
	for _, frame := range []ws.Frame{ws.NewTextFrame(msg), ws.NewPingFrame([]byte("x")), ws.NewFrame(ws.OpText, false, msg[:9]), ws.NewFrame(ws.OpContinuation, true, msg[9:])} {
		all = append(all, ws.MustCompileFrame(ws.MaskFrame(frame))...)
	}
	f.Add(all, uint8(3))
	f.Add([]byte{0x88, 0x82, 1, 2, 3, 4, 5, 6}, uint8(1))
	f.Fuzz(func(t *testing.T, raw []byte, step uint8) {
		read := func(step int) (out [][]byte, failed bool) {
			in, fr := bytes.Clone(raw), newFrames(false)
			at := 0
			for have := 0; have < len(in); {
				have = min(len(in), have+step)
				for at < have {
					used, msg, reply, err := fr.next(in[at:have])
					if used < 0 || used > have-at || len(msg) > MaxDatagram || len(reply) > 140 {
						t.Fatalf("used %d of %d, message %d, reply %d", used, have-at, len(msg), len(reply))
					}
					if err != nil {
						return out, true
					}
					if msg != nil {
						out = append(out, bytes.Clone(msg))
					}
					if used == 0 {
						break
					}
					at += used
				}
			}
			return out, false
		}
		whole, failed := read(max(1, len(raw)))
		parts, failedToo := read(1 + int(step))
		if failed != failedToo || len(whole) != len(parts) {
			t.Fatalf("%d messages, failed %v; in parts %d, failed %v", len(whole), failed, len(parts), failedToo)
		}
		for i := range whole {
			if !bytes.Equal(whole[i], parts[i]) {
				t.Fatalf("message %d: %q and %q", i, whole[i], parts[i])
			}
		}
	})
}
