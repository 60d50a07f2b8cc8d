package trace

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

// began is the time of the first packet of our own captures.
var began = time.Date(2026, 11, 23, 13, 0, 0, 123456000, time.UTC)

// invite is an INVITE with a body of some length.
func invite(callID string, body int, headers ...string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "INVITE sip:+31612345678@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.7;branch=z9hG4bK-%s\r\n"+
		"From: <sip:+31205550100@192.0.2.7>;tag=t%s\r\nTo: <sip:+31612345678@192.0.2.1>\r\nCall-ID: %s\r\nCSeq: 1 INVITE\r\n", callID, callID, callID)
	for _, h := range headers {
		b.WriteString(h + "\r\n")
	}
	fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n%s", body, bytes.Repeat([]byte("x"), body))
	return b.Bytes()
}

var (
	dialer  = net.IPv4(192, 0, 2, 7).To4()
	gate    = net.IPv4(192, 0, 2, 1).To4()
	dialer6 = net.ParseIP("2001:db8::7")
	gate6   = net.ParseIP("2001:db8::1")
)

// packet serialises layers.
func packet(t testing.TB, stack ...gopacket.SerializableLayer) []byte {
	t.Helper()
	for i, l := range stack {
		var network gopacket.NetworkLayer
		if i > 0 {
			network, _ = stack[i-1].(gopacket.NetworkLayer)
		}
		switch l := l.(type) {
		case *layers.UDP:
			_ = l.SetNetworkLayerForChecksum(network)
		case *layers.TCP:
			_ = l.SetNetworkLayerForChecksum(network)
		}
	}
	b := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, stack...); err != nil {
		t.Fatal(err)
	}
	return bytes.Clone(b.Bytes())
}

func ethernet(kind layers.EthernetType) *layers.Ethernet {
	return &layers.Ethernet{SrcMAC: net.HardwareAddr{2, 0, 0, 0, 0, 7}, DstMAC: net.HardwareAddr{2, 0, 0, 0, 0, 1}, EthernetType: kind}
}

func ip4(protocol layers.IPProtocol) *layers.IPv4 {
	return &layers.IPv4{Version: 4, TTL: 64, Id: 7, Protocol: protocol, SrcIP: dialer, DstIP: gate}
}

func ip6(next layers.IPProtocol) *layers.IPv6 {
	return &layers.IPv6{Version: 6, HopLimit: 64, NextHeader: next, SrcIP: dialer6, DstIP: gate6}
}

func udp(src, dst int) *layers.UDP {
	return &layers.UDP{SrcPort: layers.UDPPort(src), DstPort: layers.UDPPort(dst)}
}

// udpPacket is a datagram in IPv4 in Ethernet.
func udpPacket(t testing.TB, payload []byte) []byte {
	return packet(t, ethernet(layers.EthernetTypeIPv4), ip4(layers.IPProtocolUDP), udp(5070, 5060), gopacket.Payload(payload))
}

// tcpPacket is a segment in IPv4 in Ethernet.
func tcpPacket(t testing.TB, seq uint32, payload []byte, set ...func(*layers.TCP)) []byte {
	h := &layers.TCP{SrcPort: 5070, DstPort: 5060, Seq: seq, ACK: true, Window: 1000}
	for _, f := range set {
		f(h)
	}
	return packet(t, ethernet(layers.EthernetTypeIPv4), ip4(layers.IPProtocolTCP), h, gopacket.Payload(payload))
}

func syn(h *layers.TCP) { h.SYN, h.ACK = true, false }
func fin(h *layers.TCP) { h.FIN = true }

// pcap puts packets into a capture file, a millisecond apart.
func pcap(t testing.TB, link layers.LinkType, packets ...[]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := pcapgo.NewWriter(&b)
	if err := w.WriteFileHeader(65535, link); err != nil {
		t.Fatal(err)
	}
	for i, p := range packets {
		info := gopacket.CaptureInfo{Timestamp: began.Add(time.Duration(i) * time.Millisecond), CaptureLength: len(p), Length: len(p)}
		if err := w.WritePacket(info, p); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

// hep wraps a message in HEPv3.
func hepPacket(payload []byte, kind uint16) []byte {
	var b []byte
	chunk := func(kind uint16, value []byte) {
		b = binary.BigEndian.AppendUint16(b, 0)
		b = binary.BigEndian.AppendUint16(b, kind)
		b = binary.BigEndian.AppendUint16(b, uint16(6+len(value)))
		b = append(b, value...)
	}
	chunk(1, []byte{2})
	chunk(hepProtocol, []byte{17})
	chunk(hepSource4, dialer)
	chunk(hepDest4, gate)
	chunk(hepSourcePort, binary.BigEndian.AppendUint16(nil, 5070))
	chunk(hepDestPort, binary.BigEndian.AppendUint16(nil, 5060))
	chunk(hepSeconds, binary.BigEndian.AppendUint32(nil, uint32(began.Unix())))
	chunk(hepMicros, binary.BigEndian.AppendUint32(nil, 123456))
	chunk(hepPayloadKind, []byte{1})
	chunk(kind, payload)
	return append(binary.BigEndian.AppendUint16([]byte("HEP3"), uint16(6+len(b))), b...)
}

// webSocketFrame is a masked frame.
func webSocketFrame(first byte, payload []byte) []byte {
	b := []byte{first}
	switch {
	case len(payload) > 125:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(len(payload)))
	default:
		b = append(b, 0x80|byte(len(payload)))
	}
	mask := []byte{1, 2, 3, 4}
	b = append(b, mask...)
	for i, c := range payload {
		b = append(b, c^mask[i&3])
	}
	return b
}

// found is what a trace gave, in words.
func found(messages Messages) (out []string) {
	for m, err := range messages {
		if err != nil {
			out = append(out, err.Error())
			continue
		}
		line := fmt.Sprintf("%d %s %s>%s %s", m.Packet, m.Transport, m.Source, m.Destination, headerOf(m.Bytes, "Call-ID", "i"))
		if m.Cut != "" {
			line += " CUT " + m.Cut
		}
		out = append(out, line)
	}
	return out
}
