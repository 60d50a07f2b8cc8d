package trace

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

// A Writer writes messages as a capture: pcap with times to the nanosecond, of
// IP packets without a link layer. A message without addresses is given
// addresses of the documentation (RFC 5737).
type Writer struct {
	pcap *pcapgo.Writer
	buf  gopacket.SerializeBuffer
	sent map[direction]uint32 // next sequence number of each TCP direction
}

var (
	unknownSource      = netip.MustParseAddrPort("192.0.2.7:5060")
	unknownDestination = netip.MustParseAddrPort("192.0.2.1:5060")
)

// The largest payloads of a datagram and of the segments we write.
const (
	maxUDPPayload = 65535 - 20 - 8
	segmentSize   = 1400
)

// noTime is written for a message without a time, and read as none.
var noTime = time.Unix(0, 0)

// NewWriter writes the capture's header.
func NewWriter(w io.Writer) (*Writer, error) {
	p := pcapgo.NewWriterNanos(w)
	if err := p.WriteFileHeader(maxPacket, layers.LinkTypeRaw); err != nil {
		return nil, err
	}
	return &Writer{pcap: p, buf: gopacket.NewSerializeBuffer(), sent: map[direction]uint32{}}, nil
}

// Write writes one message: as a datagram, or as TCP segments when it came by
// a stream or is too large.
func (w *Writer) Write(m *Message) error {
	way := direction{m.Source, m.Destination}
	if !way.src.IsValid() {
		way.src = unknownSource
	}
	if !way.dst.IsValid() {
		way.dst = unknownDestination
	}
	if way.src.Addr().Is4() != way.dst.Addr().Is4() {
		return fmt.Errorf("the message of packet %d goes from %s to %s: one is IPv4, the other IPv6", m.Packet, way.src, way.dst)
	}
	if (m.Transport == UDP || m.Transport == UnknownTransport) && len(m.Bytes) <= maxUDPPayload {
		return w.write(*m, way, layers.IPProtocolUDP, &layers.UDP{SrcPort: layers.UDPPort(way.src.Port()), DstPort: layers.UDPPort(way.dst.Port())}, m.Bytes)
	}
	if len(w.sent) >= maxStreams {
		return errors.New("there are more TCP connections than can be written into one capture")
	}
	for rest := m.Bytes; len(rest) > 0; {
		n := min(len(rest), segmentSize)
		h := &layers.TCP{SrcPort: layers.TCPPort(way.src.Port()), DstPort: layers.TCPPort(way.dst.Port()), Seq: w.sent[way], ACK: true, PSH: true, Window: 65535}
		if err := w.write(*m, way, layers.IPProtocolTCP, h, rest[:n]); err != nil {
			return err
		}
		w.sent[way] += uint32(n)
		rest = rest[n:]
	}
	return nil
}

// write writes one packet.
func (w *Writer) write(m Message, way direction, protocol layers.IPProtocol, transport gopacket.SerializableLayer, payload []byte) error {
	var network interface {
		gopacket.SerializableLayer
		gopacket.NetworkLayer
	}
	if src, dst := way.src.Addr(), way.dst.Addr(); src.Is4() {
		network = &layers.IPv4{Version: 4, TTL: 64, Protocol: protocol, SrcIP: src.AsSlice(), DstIP: dst.AsSlice(), Flags: layers.IPv4DontFragment}
	} else {
		network = &layers.IPv6{Version: 6, HopLimit: 64, NextHeader: protocol, SrcIP: src.AsSlice(), DstIP: dst.AsSlice()}
	}
	if c, ok := transport.(interface {
		SetNetworkLayerForChecksum(gopacket.NetworkLayer) error
	}); ok {
		if err := c.SetNetworkLayerForChecksum(network); err != nil {
			return err
		}
	}
	o := gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}
	if err := gopacket.SerializeLayers(w.buf, o, network, transport, gopacket.Payload(payload)); err != nil {
		return err
	}
	data := w.buf.Bytes()
	if m.Time.IsZero() {
		m.Time = noTime
	}
	return w.pcap.WritePacket(gopacket.CaptureInfo{Timestamp: m.Time, CaptureLength: len(data), Length: len(data)}, data)
}
