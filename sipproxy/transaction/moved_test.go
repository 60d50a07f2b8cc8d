package transaction

import (
	"fmt"
	"net/netip"
	"testing"

	"dialgate/sipproxy/message"
	"dialgate/sipproxy/transport"
)

// A wire takes everything.
type wire struct {
	transport.Conn
	sent []string
}

func (w *wire) WriteBatch(ds []transport.Datagram) (int, error) {
	for i := range ds {
		w.sent = append(w.sent, string(ds[i].Payload[:6]))
	}
	return len(ds), nil
}

// An asker is told what comes of a request.
type asker struct{ failed, answered int }

func (a *asker) Response(*message.View) { a.answered++ }
func (a *asker) Failed(End)             { a.failed++ }

func parsed(t *testing.T, format string, args ...any) *message.View {
	t.Helper()
	v := &message.View{}
	if err := v.Parse(fmt.Appendf(nil, format, args...)); err != nil {
		t.Fatal(err)
	}
	return v
}

// TestMoved: what met silence is sent once more when its connection has ended;
// then the failure of the first copy is none of the second's. What was answered
// is not, and nothing is remembered of it.
func TestMoved(t *testing.T) {
	to, other := netip.MustParseAddrPort("192.0.2.1:5060"), netip.MustParseAddrPort("192.0.2.2:5060")
	for _, ends := range []string{"answered", "unsent", "timer"} {
		w, a := &wire{}, &asker{}
		l := New(DefaultTimers(), 10, func(Path, []byte, error) {})
		move := func(conn transport.Conn, remote netip.AddrPort) {
			l.Lock()
			l.Moved(conn, remote)
			l.Unlock()
		}
		l.Lock()
		branch, id := l.NextBranch(nil, 0)
		const rest = "\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n"
		first := parsed(t, "INVITE sip:a@b SIP/2.0\r\nVia: SIP/2.0/TCP 192.0.2.9;branch=%s"+rest, branch)
		c := l.NewClient(id, true, Path{Conn: w, Remote: to, Reliable: true}, first.Raw, a)
		l.Unlock()
		move(w, other)
		move(&wire{}, to)
		if len(w.sent) != 1 {
			t.Errorf("sent %v, when other connections have ended", w.sent)
		}
		move(w, to)
		move(w, to)
		if len(w.sent) != 2 {
			t.Errorf("sent %v, want the request twice", w.sent)
		}
		l.Lock()
		l.Undelivered(first)
		if a.failed != 0 {
			t.Error("the failure of the first copy ends the transaction, though the second is on its way")
		}
		switch ends {
		case "answered":
			c.Receive(parsed(t, "SIP/2.0 180 Ringing\r\nVia: SIP/2.0/TCP 192.0.2.9;branch=%s"+rest, branch))
			c.Cancel(nil)
		case "unsent":
			second := &message.View{}
			if err := second.Parse(c.request); err != nil {
				t.Fatal(err)
			}
			l.Undelivered(second)
		case "timer":
			c.expire()
		}
		l.Unlock()
		want := 2
		if ends == "answered" { // its CANCEL was not, and is moved
			move(w, to)
			want = 4
			l.Lock()
			c.Receive(parsed(t, "SIP/2.0 487 Request Terminated\r\nVia: SIP/2.0/TCP 192.0.2.9;branch=%s"+rest, branch))
			l.Unlock()
			want++ // the ACK
			l.Lock()
			c.terminate()
			l.Unlock()
		}
		move(w, to)
		if len(w.sent) != want || a.failed != map[string]int{"unsent": 1, "timer": 1}[ends] || len(l.calling) != 0 {
			t.Errorf("%s: sent %v, %d failures told, remembered %v", ends, w.sent, a.failed, l.calling)
		}
	}
}
