package trace

import (
	"bytes"
	"fmt"
	"io"
	"testing"

	"github.com/gopacket/gopacket/layers"
)

// BenchmarkInvites reads and selects calls from a capture of nothing else.
func BenchmarkInvites(b *testing.B) {
	var packets [][]byte
	for i := range 10000 {
		packets = append(packets, udpPacket(b, invite(fmt.Sprint("call-", i), 200, "Contact: <sip:192.0.2.7>", "Max-Forwards: 70", "Content-Type: application/sdp")))
	}
	data := pcap(b, layers.LinkTypeEthernet, packets...)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		s := Selector{}
		for _, err := range s.Calls(Read(bytes.NewReader(data), Options{})) {
			if err != nil {
				b.Fatal(err)
			}
			n++
		}
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "calls/s")
}

// BenchmarkRTP passes over a capture of speech with a call in it here and there.
func BenchmarkRTP(b *testing.B) {
	rtp := append([]byte{0x80, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1}, bytes.Repeat([]byte{0xd5}, 160)...)
	var packets [][]byte
	for i := range 100000 {
		if i%1000 == 0 {
			packets = append(packets, udpPacket(b, invite(fmt.Sprint("call-", i), 200)))
		} else {
			packets = append(packets, udpPacket(b, rtp))
		}
	}
	data := pcap(b, layers.LinkTypeEthernet, packets...)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		for range Read(io.NewSectionReader(bytes.NewReader(data), 0, int64(len(data))), Options{}) {
			n++
		}
		if n != 100 {
			b.Fatalf("%d messages", n)
		}
	}
}

// BenchmarkText reads a message log.
func BenchmarkText(b *testing.B) {
	var text bytes.Buffer
	for i := range 1000 {
		text.WriteString("----------------------------------------------- 2026-11-23 14:00:00.123456\nUDP message sent (511 bytes):\n\n")
		text.Write(invite(fmt.Sprint("call-", i), 0))
		text.WriteString("\n")
	}
	b.SetBytes(int64(text.Len()))
	for b.Loop() {
		for range Read(bytes.NewReader(text.Bytes()), Options{}) {
		}
	}
}
