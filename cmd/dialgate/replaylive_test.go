package main

import (
	"bytes"
	"encoding/binary"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A page is a buffer that one goroutine writes and another reads.
type page struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (p *page) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.b.Write(b)
}

func (p *page) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.b.String()
}

// hepOf wraps a message in HEPv3: IPv4, UDP, from 127.0.0.1:5070.
func hepOf(payload []byte) []byte {
	var b []byte
	for _, c := range []struct {
		kind  uint16
		value []byte
	}{{1, []byte{2}}, {2, []byte{17}}, {3, []byte{127, 0, 0, 1}}, {4, []byte{127, 0, 0, 1}}, {7, []byte{0x13, 0xce}}, {8, []byte{0x13, 0xc4}}, {11, []byte{1}}, {15, payload}} {
		b = binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(append(b, 0, 0), c.kind), uint16(6+len(c.value)))
		b = append(b, c.value...)
	}
	return append(binary.BigEndian.AppendUint16([]byte("HEP3"), uint16(6+len(b))), b...)
}

// TestReplayLive judges HEP packets as they come, until the interrupt.
func TestReplayLive(t *testing.T) {
	t.Chdir(t.TempDir())
	free, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := free.LocalAddr().String()
	free.Close()
	var out, errs page
	ended := make(chan int, 1)
	go func() {
		ended <- run([]string{"replay", "--at", "2026-11-23T14:00:00+01:00", "hep:" + addr}, streams{strings.NewReader(""), &out, &errs})
	}()
	to, err := net.Dial("udp4", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	h := hypothetical{from: "+31205550100", to: "+31612345678"}
	for deadline := time.Now().Add(30 * time.Second); !strings.Contains(out.String(), "no-consent"); {
		if time.Now().After(deadline) {
			t.Fatalf("nothing was judged: %s%s", out.String(), errs.String())
		}
		_, _ = to.Write(hepOf(h.invite())) // nobody listens yet, or the one call is repeated
		time.Sleep(10 * time.Millisecond)
	}
	if err := syscall.Kill(syscall.Getpid(), syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if status := <-ended; status != exitOK || !strings.Contains(out.String(), "\n1 calls among ") {
		t.Errorf("status %d: %s%s", status, out.String(), errs.String())
	}
}
