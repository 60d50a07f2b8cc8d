package transport

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/gobwas/ws"

	"dialgate/sipproxy/message"
)

// frames is the framer of WebSocket: one message of SIP in one of WebSocket,
// which may come in several frames, text or binary (RFC 7118 section 5).
type frames struct {
	side    ws.State // whose frames are masked
	parts   []byte   // of a message in several frames
	started bool     // a message in several frames has begun
}

func newFrames(client bool) *frames {
	if client {
		return &frames{side: ws.StateClientSide}
	}
	return &frames{side: ws.StateServerSide}
}

// errClosed is the other side's close frame.
var errClosed = errors.New("the other side has closed the WebSocket")

func (f *frames) within() bool { return f.started }

func (f *frames) next(b []byte) (used int, msg, reply []byte, err error) {
	r := bytes.NewReader(b)
	h, err := ws.ReadHeader(r)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return 0, nil, nil, nil
	}
	state := f.side
	if f.started {
		state = state.Set(ws.StateFragmented)
	}
	if err == nil {
		err = ws.CheckHeader(h, state)
	}
	if err != nil {
		return 0, nil, f.closing(ws.StatusProtocolError), err
	}
	if !h.OpCode.IsControl() && h.Length > int64(MaxDatagram-len(f.parts)) {
		return 0, []byte{}, f.closing(ws.StatusMessageTooBig), &message.ParseError{Text: fmt.Sprintf("a WebSocket message of more than %d octets", MaxDatagram), Limit: message.SizeLimit}
	}
	used = len(b) - r.Len() + int(h.Length)
	if used > len(b) {
		return 0, nil, nil, nil
	}
	payload := b[used-int(h.Length) : used]
	if h.Masked {
		ws.Cipher(payload, h.Mask, 0)
	}
	switch h.OpCode {
	case ws.OpPing:
		return used, nil, f.compile(ws.NewPongFrame(payload)), nil
	case ws.OpPong:
		return used, nil, nil, nil
	case ws.OpClose:
		return used, nil, f.compile(ws.NewCloseFrame(payload[:min(2, len(payload))])), errClosed
	}
	if h.Fin && !f.started {
		msg = payload
	} else {
		if !f.started {
			f.parts, f.started = f.parts[:0], true
		}
		if f.parts = append(f.parts, payload...); !h.Fin {
			return used, nil, nil, nil
		}
		msg, f.started = f.parts, false
		f.parts = nil
	}
	switch {
	case bytes.Equal(msg, ping): // RFC 7118 section 6 has them too
		return used, nil, f.pack(nil, pong), nil
	case len(msg) == 0 || bytes.Equal(msg, pong):
		return used, nil, nil, nil
	}
	return used, msg, nil, nil
}

// pack writes a message in one frame: as text if it is text (RFC 6455 section
// 5.6), else as binary.
func (f *frames) pack(b, msg []byte) []byte {
	frame := ws.NewBinaryFrame(msg)
	if utf8.Valid(msg) {
		frame = ws.NewTextFrame(msg)
	}
	return append(b, f.compile(frame)...)
}

func (f *frames) compile(frame ws.Frame) []byte {
	if f.side.ClientSide() {
		frame = ws.MaskFrame(frame)
	}
	return ws.MustCompileFrame(frame) // into memory, which never fails
}

func (f *frames) closing(code ws.StatusCode) []byte {
	return f.compile(ws.NewCloseFrame(ws.NewCloseFrameBody(code, "")))
}

// protocol is the subprotocol's name (RFC 7118 section 4).
const protocol = "sip"

// maxUpgrade bounds the HTTP request or response of an upgrade, in octets.
const maxUpgrade = 16 << 10

// An upgrade is a connection of which no more may be read than that.
type upgrade struct {
	net.Conn
	left int
}

func (u *upgrade) Read(b []byte) (int, error) {
	if u.left <= 0 {
		return 0, errors.New("the HTTP header of a WebSocket upgrade is too large")
	}
	n, err := u.Conn.Read(b[:min(len(b), u.left)])
	u.left -= n
	return n, err
}

// acceptWeb answers the HTTP request that asks for a WebSocket. A request that
// a page in a browser makes names the page's origin, which must be one of
// those allowed: any page could ask, from an address that is trusted.
func acceptWeb(conn net.Conn, origins []string) error {
	asked := false
	u := ws.Upgrader{
		Protocol: func(name []byte) bool {
			asked = asked || string(name) == protocol
			return string(name) == protocol
		},
		OnHeader: func(key, value []byte) error {
			if string(key) == "Origin" && !slices.Contains(origins, "*") && !slices.Contains(origins, string(value)) {
				return ws.RejectConnectionError(ws.RejectionStatus(http.StatusForbidden), ws.RejectionReason("this origin is not allowed"))
			}
			return nil
		},
		OnBeforeUpgrade: func() (ws.HandshakeHeader, error) {
			if !asked {
				return nil, ws.RejectConnectionError(ws.RejectionStatus(http.StatusBadRequest), ws.RejectionReason("the WebSocket subprotocol is not sip"))
			}
			return nil, nil
		},
	}
	_, err := u.Upgrade(&upgrade{conn, maxUpgrade})
	return err
}

// dialWeb asks the other side for a WebSocket. rest is what it has sent behind
// its answer.
func dialWeb(conn net.Conn, kind Kind, host string, timeout time.Duration) (rest []byte, err error) {
	d := ws.Dialer{Protocols: []string{protocol}, Timeout: timeout, Host: host}
	u := &url.URL{Scheme: kind.String(), Host: host, Path: "/"}
	br, hs, err := d.Upgrade(&upgrade{conn, maxUpgrade}, u)
	if err != nil {
		return nil, err
	}
	if br != nil {
		rest, _ = br.Peek(br.Buffered())
		rest = bytes.Clone(rest)
		ws.PutReader(br)
	}
	if hs.Protocol != protocol {
		return nil, errors.New("the other side does not speak SIP over WebSocket")
	}
	return rest, nil
}
