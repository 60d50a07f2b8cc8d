package trace

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// written is a capture of messages, all from one dialer to one gate.
func written(t testing.TB, messages ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := NewWriter(&b)
	if err != nil {
		t.Fatal(err)
	}
	for i, text := range messages {
		m := Message{Time: began.Add(time.Duration(i) * time.Second), Source: netip.MustParseAddrPort("192.0.2.7:5070"),
			Destination: netip.MustParseAddrPort("192.0.2.1:5060"), Transport: UDP, Bytes: []byte(text)}
		if err := w.Write(&m); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

func TestEveryCallOnce(t *testing.T) {
	a := string(invite("a", 0))
	passedOn := strings.Replace(a, "Via:", "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK-on\r\nVia:", 1)
	again := strings.Replace(strings.Replace(a, "CSeq: 1", "CSeq: 2", 1), "branch=z9hG4bK-a", "branch=z9hG4bK-auth", 1)
	within := strings.Replace(a, "To: <sip:+31612345678@192.0.2.1>", "To: <sip:+31612345678@192.0.2.1>;tag=there", 1)
	malformed := strings.Replace(a, "Call-ID: a\r\n", "", 1)
	messages := []string{a, a, passedOn, passedOn, "SIP/2.0 100 Trying\r\nCall-ID: a\r\n\r\n", again, within, string(invite("b", 0)), malformed, malformed}
	data := written(t, messages...)
	for _, c := range []struct {
		legs bool
		want string
		Stats
	}{
		{false, "1 6 8 9!", Stats{Messages: 10, Calls: 4, Repeats: 4, Reinvite: 1}},
		{true, "1 3 6 8 9!", Stats{Messages: 10, Calls: 5, Repeats: 3, Reinvite: 1}},
	} {
		s := Selector{Legs: c.legs}
		var got []string
		for call, err := range s.Calls(Read(bytes.NewReader(data), Options{})) {
			if err != nil {
				t.Fatal(err)
			}
			mark := ""
			if call.Malformed != nil {
				mark = "!"
			}
			got = append(got, fmt.Sprint(call.Packet, mark))
		}
		if strings.Join(got, " ") != c.want || s.Stats != c.Stats {
			t.Errorf("legs %v: calls in packets %v, %+v; want %s, %+v", c.legs, got, s.Stats, c.want, c.Stats)
		}
		for range s.Calls(Read(bytes.NewReader(data), Options{})) {
			t.Error("a call in a second trace is taken for a new one")
		}
	}
	s := Selector{}
	for _, err := range s.Calls(Read(strings.NewReader("INVITE sip:a@b SIP/2.0\r\nCall-ID: a\r\n"), Options{})) {
		if p, ok := err.(*Problem); !ok || !p.Call || p.Error() != "packet 1: holds an INVITE that is not whole: the text ends before it does" {
			t.Errorf("a cut INVITE: %v", err)
		}
	}
}

// TestManyCalls: a call is a repeat of those that came within the last
// hundreds of thousands, and no more are remembered.
func TestManyCalls(t *testing.T) {
	s := Selector{}
	for range s.Calls(Read(bytes.NewReader(written(t, string(invite("first", 0)))), Options{})) {
	}
	seen := func(callID string) bool {
		_ = s.view.Parse(invite(callID, 0)) // it is whole
		return s.seen()
	}
	for round, known := range []bool{true, true, false} { // two generations later it is forgotten
		if got := seen("first"); got != known {
			t.Errorf("the first call is known: %v, want %v", got, known)
		}
		for i := uint64(0); len(s.recent[0]) < generation; i++ {
			s.recent[0][callKey{i, 0}] = struct{}{}
		}
		if callID := fmt.Sprint("next ", round); seen(callID) || !seen(callID) {
			t.Error("a call is not told from others")
		}
		if n := len(s.recent[0]) + len(s.recent[1]); n > 2*generation {
			t.Errorf("%d calls are remembered", n)
		}
	}
}

// TestWrittenIsRead: what is written reads the same.
func TestWrittenIsRead(t *testing.T) {
	six := netip.MustParseAddrPort("[2001:db8::7]:5070")
	messages := []Message{
		{Time: began, Source: six, Destination: six, Transport: UDP, Bytes: invite("a", 0)},
		{Time: began.Add(1), Source: netip.MustParseAddrPort("192.0.2.7:1"), Destination: netip.MustParseAddrPort("192.0.2.1:2"), Transport: TCP, Bytes: invite("b", 5000)},
		{Time: began.Add(2), Source: netip.MustParseAddrPort("192.0.2.7:1"), Destination: netip.MustParseAddrPort("192.0.2.1:2"), Transport: WS, Bytes: invite("c", 0)},
		{Time: began.Add(3), Source: netip.MustParseAddrPort("192.0.2.7:3"), Destination: netip.MustParseAddrPort("192.0.2.1:2"), Transport: UDP, Bytes: invite("d", 70000)},
		{Source: netip.MustParseAddrPort("192.0.2.7:4"), Destination: netip.MustParseAddrPort("192.0.2.1:2"), Transport: UDP, Bytes: invite("e", 0)},
	}
	var b bytes.Buffer
	w, err := NewWriter(&b)
	if err != nil {
		t.Fatal(err)
	}
	for i := range messages {
		if err := w.Write(&messages[i]); err != nil {
			t.Fatal(err)
		}
	}
	n := 0
	for m, err := range Read(&b, Options{}) {
		if err != nil {
			t.Fatal(err)
		}
		want := messages[n]
		if !m.Time.Equal(want.Time) || m.Source != want.Source || m.Destination != want.Destination || !bytes.Equal(m.Bytes, want.Bytes) || m.Cut != "" {
			t.Errorf("message %d is read as %s %s %s, %d octets, %q", n, m.Time, m.Source, m.Destination, len(m.Bytes), m.Cut)
		}
		n++
	}
	if n != len(messages) {
		t.Errorf("%d messages are read", n)
	}
	if err := w.Write(&Message{Source: six, Destination: netip.MustParseAddrPort("192.0.2.1:1")}); err == nil {
		t.Error("IPv6 to IPv4 was written")
	}
}
