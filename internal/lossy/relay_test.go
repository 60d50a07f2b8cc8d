package lossy

import (
	"encoding/binary"
	"net"
	"testing"
	"time"
)

// TestRelay sends numbered datagrams to a side that sends each back, and holds
// what arrives against what the relay says it did.
func TestRelay(t *testing.T) {
	echo, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer echo.Close()
	go func() {
		b := make([]byte, 100)
		for {
			n, from, err := echo.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			_, _ = echo.WriteToUDPAddrPort(b[:n], from) // what is lost here shows below
		}
	}()
	agent, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer agent.Close()
	r, err := Listen(agent.LocalAddr().(*net.UDPAddr).AddrPort(), echo.LocalAddr().(*net.UDPAddr).AddrPort(), Faults{Loss: 0.1, Twice: 0.1, Delayed: 0.1, Late: 5 * time.Millisecond, Seed: 7})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	const sent = 2000
	came, overtaken := 0, 0
	done := make(chan struct{})
	go func() {
		defer close(done)
		highest := uint32(0)
		for b := make([]byte, 100); ; came++ {
			_ = agent.SetReadDeadline(time.Now().Add(500 * time.Millisecond)) // if it fails, so does Read
			n, err := agent.Read(b)
			if err != nil || n != 4 {
				return
			}
			i := binary.BigEndian.Uint32(b)
			if i < highest {
				overtaken++
			}
			highest = max(highest, i)
		}
	}()
	for i := range uint32(sent) {
		if _, err := agent.WriteToUDPAddrPort(binary.BigEndian.AppendUint32(nil, i), r.Near); err != nil {
			t.Fatal(err)
		}
		if i%20 == 0 {
			time.Sleep(time.Millisecond)
		}
	}
	<-done
	c := r.Counts()
	if c.Lost < c.In/20 || c.Twice < c.In/20 || c.Delayed < c.In/20 || c.In < sent {
		t.Errorf("%+v of two ways of %d datagrams at 10%% each", c, sent)
	}
	back := int(c.In) - sent // what the echo sent; of it some was lost, some came twice
	if came == 0 || came > back+int(c.Twice) || came < back-int(c.Lost) {
		t.Errorf("%d came of %d sent back: %+v", came, back, c)
	}
	if overtaken == 0 {
		t.Error("none was overtaken")
	}
}
