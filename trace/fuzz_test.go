package trace

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/gopacket/gopacket/layers"
)

// readAll holds a reader to its word: no message beyond the bounds, nothing
// after the end, only problems for errors, and the same again the second time.
func readAll(t *testing.T, data []byte) {
	t.Helper()
	ended := false
	for m, err := range Read(bytes.NewReader(data), Options{}) {
		if ended {
			t.Fatal("something came after the end")
		}
		var p *Problem
		switch {
		case err != nil && !errors.As(err, &p):
			t.Fatalf("an error that is no problem: %v", err)
		case p != nil:
			ended = p.Ends
			if p.Cause == "" {
				t.Fatal("a problem without a cause")
			}
		case len(m.Bytes) == 0 || len(m.Bytes) > 2*maxMessage || m.Packet < 1:
			t.Fatalf("a message of %d octets in packet %d", len(m.Bytes), m.Packet)
		}
	}
	if a, b := found(Read(bytes.NewReader(data), Options{})), found(Read(bytes.NewReader(data), Options{})); !slices.Equal(a, b) {
		t.Fatalf("read twice:\n%q\n%q", a, b)
	}
	selector := Selector{}
	for range selector.Calls(Read(bytes.NewReader(data), Options{})) {
	}
}

func FuzzPcap(f *testing.F) {
	eth := layers.LinkTypeEthernet
	a := invite("a", 30)
	f.Add(pcap(f, eth, udpPacket(f, a), tcpPacket(f, 99, nil, syn), tcpPacket(f, 130, a[30:]), tcpPacket(f, 100, a[:30]), udpPacket(f, hepPacket(a, hepPayload))))
	f.Add(pcap(f, layers.LinkTypeRaw, packet(f, ip6(layers.IPProtocolUDP), udp(5070, 5060))))
	f.Add(gzipped(f, pcap(f, eth, udpPacket(f, a))))
	f.Fuzz(readAll)
}

func FuzzPcapng(f *testing.F) {
	f.Add(pcapngOf(f))
	f.Fuzz(readAll)
}

// FuzzPacket gives any octets as a packet of any link type.
func FuzzPacket(f *testing.F) {
	f.Add(uint16(layers.LinkTypeEthernet), udpPacket(f, invite("a", 0)))
	f.Add(uint16(layers.LinkTypeNull), []byte{2, 0, 0, 0, 0x45})
	f.Add(uint16(layers.LinkTypePPP), []byte{0xff, 3, 0, 0x21, 0x45})
	f.Add(uint16(layers.LinkTypeLinuxSLL), append([]byte{0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 7, 0, 0, 8, 0}, 0x45))
	f.Add(uint16(layers.LinkTypeRaw), packet(f, ip4(layers.IPProtocolGRE), &layers.GRE{Protocol: layers.EthernetTypeERSPAN, SeqPresent: true}))
	f.Fuzz(func(t *testing.T, link uint16, data []byte) {
		readAll(t, pcap(t, layers.LinkType(link), data, data))
	})
}

func FuzzHEP(f *testing.F) {
	f.Add(hepPacket(invite("a", 0), hepPayload))
	f.Add(hepPacket(invite("a", 0), hepCompressed))
	f.Fuzz(readAll)
}

func FuzzText(f *testing.F) {
	f.Add(append([]byte("2026/11/23 14:00:00.123456 192.0.2.7:5070 -> 192.0.2.1:5060\n"), invite("a", 20)...))
	f.Add([]byte("<--- SIP read from UDP:192.0.2.7:5070 --->\nINVITE sip:a@b SIP/2.0\nX: #012\n\n<------------->\n"))
	f.Add([]byte("time: 1.5\nsrcip: ::1\nsrcport: 1\nINVITE sip:a@b SIP/2.0#015#012Call-ID: a#015#012#015#012x"))
	f.Fuzz(readAll)
}

// FuzzStream gives any octets as a TCP stream, in segments of any size.
func FuzzStream(f *testing.F) {
	f.Add(slices.Concat(invite("a", 20), invite("b", 0)), uint8(7))
	f.Add(slices.Concat([]byte("GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n"), webSocketFrame(0x82, invite("a", 0))), uint8(11))
	f.Add([]byte{0x16, 3, 1, 0, 50, 1}, uint8(3))
	f.Fuzz(func(t *testing.T, data []byte, size uint8) {
		if len(data) > 1<<14 {
			return
		}
		packets := [][]byte{tcpPacket(t, 99, nil, syn)}
		for i, step := 0, int(size)+20; i < len(data); i += step {
			packets = append(packets, tcpPacket(t, 100+uint32(i), data[i:min(i+step, len(data))]))
		}
		readAll(t, pcap(t, layers.LinkTypeEthernet, packets...))
	})
}
