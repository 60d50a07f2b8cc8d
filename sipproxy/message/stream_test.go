package message

import (
	"bytes"
	"strings"
	"testing"
)

const streamed = "OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/TCP h;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\nContent-Length: 5\r\n\r\nhello"

// A message is found at the same octet whatever the segments it came in.
func TestAFrameEndsWhereTheMessageDoes(t *testing.T) {
	next := strings.Replace(streamed, "Content-Length: 5", "l : \r\n 0", 1)
	next = strings.TrimSuffix(next, "hello")
	both := []byte(streamed + next)
	for step := 1; step <= len(both); step++ {
		var f Frame
		var got []string
		at := 0
		for have := 0; have < len(both); {
			have = min(len(both), have+step)
			for {
				n, _, err := f.Next(both[at:have])
				if err != nil {
					t.Fatalf("segments of %d: %v", step, err)
				}
				if n == 0 {
					break
				}
				got = append(got, string(both[at:at+n]))
				at += n
			}
		}
		if len(got) != 2 || got[0] != streamed || got[1] != next {
			t.Fatalf("segments of %d: %q", step, got)
		}
	}
}

func TestAFrameWithoutAnEndIsRefused(t *testing.T) {
	for name, raw := range map[string]string{
		"no Content-Length":  strings.Replace(streamed, "Content-Length: 5\r\n", "", 1),
		"two of them":        strings.Replace(streamed, "Content-Length: 5", "Content-Length: 5\r\nl: 5", 1),
		"negative":           strings.Replace(streamed, "Content-Length: 5", "Content-Length: -5", 1),
		"no number":          strings.Replace(streamed, "Content-Length: 5", "Content-Length: 5x", 1),
		"too large":          strings.Replace(streamed, "Content-Length: 5", "Content-Length: 65535", 1),
		"beyond any integer": strings.Replace(streamed, "Content-Length: 5", "Content-Length: 99999999999999999999", 1),
		"no colon":           strings.Replace(streamed, "Content-Length: 5", "Content-Length 5", 1),
		"bare LF":            strings.Replace(streamed, "Content-Length: 5\r\n", "Content-Length: 5\n", 1),
		"endless header":     "OPTIONS sip:a@b SIP/2.0\r\n" + strings.Repeat("X: y\r\n", MaxSize/6+1),
	} {
		var f Frame
		if n, head, err := f.Next([]byte(raw)); err == nil || n != 0 || head == 0 {
			t.Errorf("%s: size %d, header %d, %v", name, n, head, err)
		}
	}
}

// FuzzFrame holds the frames of a stream against the view: a message that is
// cut out of a stream is read by the view to its last octet, or not at all.
// Where its octets were split changes nothing.
func FuzzFrame(f *testing.F) {
	f.Add([]byte(streamed+streamed), uint16(7))
	f.Add([]byte(strings.Replace(streamed, "Content-Length: 5", "l:\t5", 1)), uint16(100))
	f.Add([]byte("A\n\r\n\r\n"), uint16(2))
	for _, raw := range torture(f) {
		f.Add(raw, uint16(50))
	}
	f.Fuzz(func(t *testing.T, raw []byte, split uint16) {
		var whole, parts Frame
		size, _, err := whole.Next(raw)
		at := min(int(split), len(raw))
		early, _, earlyErr := parts.Next(raw[:at])
		if early == 0 && earlyErr == nil {
			early, _, earlyErr = parts.Next(raw)
		}
		if err == nil && (early != size || earlyErr != nil) {
			t.Fatalf("split at %d: %d octets, %v; whole: %d octets", at, early, earlyErr, size)
		}
		if err != nil && earlyErr == nil {
			t.Fatalf("split at %d: %d octets; whole: %v", at, early, err)
		}
		if size == 0 {
			return
		}
		if size > len(raw) || size > MaxSize {
			t.Fatalf("%d octets of %d", size, len(raw))
		}
		var v View
		if v.Parse(raw[:size]) == nil && !bytes.HasSuffix(raw[:size], v.Raw) {
			t.Fatalf("the view reads %d octets and leaves some, the frame has %d", len(v.Raw), size)
		}
	})
}
