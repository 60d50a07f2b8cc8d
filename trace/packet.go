package trace

import (
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// A decoder takes packets apart. The layers are kept, so that a packet costs
// no allocation.
type decoder struct {
	*sink
	packets int       // how many were read; the number of the one at hand
	at      time.Time // of the packet at hand
	cut     bool      // the packet at hand was not captured whole

	ethernet layers.Ethernet
	vlan     layers.Dot1Q
	sll      layers.LinuxSLL
	sll2     layers.LinuxSLL2
	loop     layers.Loopback
	ip4      layers.IPv4
	ip6      layers.IPv6
	gre      layers.GRE
	erspan   layers.ERSPANII
	vxlan    layers.VXLAN
	gtp      layers.GTPv1U
	geneve   layers.Geneve
	udp      layers.UDP
	tcp      layers.TCP

	src, dst  netip.Addr
	fragments fragments
	streams   *streams
}

func newDecoder(s *sink) *decoder {
	d := &decoder{sink: s}
	d.fragments.decoder = d
	d.streams = newStreams(d)
	return d
}

// finish tells what was begun and never completed.
func (d *decoder) finish() {
	d.fragments.finish()
	d.streams.finish()
}

// SetTruncated is called by the layers.
func (d *decoder) SetTruncated() { d.cut = true }

// Link types that several systems number differently.
const (
	linkRawBSD  = 12
	linkRawOpen = 14
)

// readable reports whether packets of a link type can be taken apart.
func readable(l layers.LinkType) bool { return firstLayer(l, nil) != gopacket.LayerTypeZero }

// firstLayer is the layer that packets of a link type begin with.
func firstLayer(l layers.LinkType, data []byte) gopacket.LayerType {
	switch l {
	case layers.LinkTypeEthernet:
		return layers.LayerTypeEthernet
	case layers.LinkTypeNull, layers.LinkTypeLoop:
		return layers.LayerTypeLoopback
	case layers.LinkTypePPP, layers.LinkTypePPP_HDLC:
		return layers.LayerTypePPP
	case layers.LinkTypePPPEthernet:
		return layers.LayerTypePPPoE
	case layers.LinkTypeLinuxSLL:
		return layers.LayerTypeLinuxSLL
	case layers.LinkTypeLinuxSLL2:
		return layers.LayerTypeLinuxSLL2
	case layers.LinkTypeIPv4:
		return layers.LayerTypeIPv4
	case layers.LinkTypeIPv6:
		return layers.LayerTypeIPv6
	case layers.LinkTypeRaw, linkRawBSD, linkRawOpen:
		if len(data) > 0 && data[0]>>4 == 6 {
			return layers.LayerTypeIPv6
		}
		return layers.LayerTypeIPv4
	}
	return gopacket.LayerTypeZero
}

// packet takes one packet apart. cut: less was captured than was sent.
func (d *decoder) packet(link layers.LinkType, at time.Time, data []byte, cut bool) {
	if at.Equal(noTime) {
		at = time.Time{}
	}
	d.at, d.cut = at, cut
	d.src, d.dst = netip.Addr{}, netip.Addr{}
	d.layers(firstLayer(link, data), data)
	d.fragments.sweep(at)
	d.streams.sweep(at)
}

// layers goes from layer to layer until it comes to what carries SIP, or to
// something that does not. Damaged headers end a packet: what they carry
// can't be told.
func (d *decoder) layers(next gopacket.LayerType, data []byte) {
	for range maxTunnels {
		var err error
		switch next {
		case layers.LayerTypeEthernet:
			err = d.ethernet.DecodeFromBytes(data, d)
			next, data = d.ethernet.NextLayerType(), d.ethernet.Payload
		case layers.LayerTypeDot1Q:
			err = d.vlan.DecodeFromBytes(data, d)
			next, data = d.vlan.NextLayerType(), d.vlan.Payload
		case layers.LayerTypeLinuxSLL:
			err = d.sll.DecodeFromBytes(data, d)
			next, data = d.sll.NextLayerType(), d.sll.Payload
		case layers.LayerTypeLinuxSLL2:
			err = d.sll2.DecodeFromBytes(data, d)
			next, data = d.sll2.NextLayerType(), d.sll2.Payload
		case layers.LayerTypeLoopback:
			err = d.loop.DecodeFromBytes(data, d)
			next, data = d.loop.NextLayerType(), d.loop.Payload
		case layers.LayerTypePPP:
			next, data = afterPPP(data)
		case layers.LayerTypePPPoE:
			next, data = afterPPPoE(data)
		case layers.LayerTypeMPLS:
			next, data = afterMPLS(data)
		case layers.LayerTypeIPv4:
			if err = d.ip4.DecodeFromBytes(data, d); err != nil {
				return
			}
			next, data = d.afterIPv4()
		case layers.LayerTypeIPv6:
			if err = d.ip6.DecodeFromBytes(data, d); err != nil {
				return
			}
			d.src, _ = netip.AddrFromSlice(d.ip6.SrcIP)
			d.dst, _ = netip.AddrFromSlice(d.ip6.DstIP)
			next, data = d.afterIPv6(d.ip6.NextHeader, d.ip6.Payload, d.ip6.HopByHop != nil)
		case layers.LayerTypeGRE:
			err = d.gre.DecodeFromBytes(data, d)
			next, data = d.gre.NextLayerType(), d.gre.Payload
		case layers.LayerTypeERSPANII:
			err = d.erspan.DecodeFromBytes(data, d)
			next, data = d.erspan.NextLayerType(), d.erspan.Payload
		case layers.LayerTypeVXLAN:
			err = d.vxlan.DecodeFromBytes(data, d)
			next, data = d.vxlan.NextLayerType(), d.vxlan.Payload
		case layers.LayerTypeGeneve:
			err = d.geneve.DecodeFromBytes(data, d)
			next, data = d.geneve.NextLayerType(), d.geneve.Payload
		case layers.LayerTypeGTPv1U:
			err = d.gtp.DecodeFromBytes(data, d)
			next, data = d.gtp.NextLayerType(), d.gtp.Payload
		case layers.LayerTypeUDP:
			if err = d.udp.DecodeFromBytes(data, d); err == nil {
				next, data = d.datagram(d.udp.Payload)
			}
		case layers.LayerTypeTCP:
			if d.tcp.DecodeFromBytes(data, d) == nil {
				d.streams.segment(&d.tcp)
			}
			return
		case layers.LayerTypeSCTP:
			d.sctp(data)
			return
		default:
			return
		}
		if err != nil || len(data) == 0 {
			return
		}
	}
	d.problem(d.packets, "has more than %d layers", maxTunnels)
}

// afterIPv4 goes on behind an IPv4 header: a fragment waits for the others.
func (d *decoder) afterIPv4() (gopacket.LayerType, []byte) {
	d.src, _ = netip.AddrFromSlice(d.ip4.SrcIP)
	d.dst, _ = netip.AddrFromSlice(d.ip4.DstIP)
	data := d.ip4.Payload
	more := d.ip4.Flags&layers.IPv4MoreFragments != 0
	if more || d.ip4.FragOffset != 0 {
		id := datagramID{d.src, d.dst, d.ip4.Protocol, uint32(d.ip4.Id)}
		if data = d.fragments.add(id, int(d.ip4.FragOffset)*8, more, data); data == nil {
			return gopacket.LayerTypeZero, nil
		}
	}
	return d.ip4.Protocol.LayerType(), data
}

// afterIPv6 passes over the extension headers (RFC 8200 section 4).
func (d *decoder) afterIPv6(next layers.IPProtocol, data []byte, hops bool) (gopacket.LayerType, []byte) {
	if hops {
		next = d.ip6.HopByHop.NextHeader // the layer took it off its payload
	}
	for range maxTunnels {
		switch next {
		case layers.IPProtocolIPv6HopByHop, layers.IPProtocolIPv6Routing, layers.IPProtocolIPv6Destination:
			if len(data) < 8 || len(data) < 8+8*int(data[1]) {
				return gopacket.LayerTypeZero, nil
			}
			next, data = layers.IPProtocol(data[0]), data[8+8*int(data[1]):]
		case layers.IPProtocolIPv6Fragment:
			if len(data) < 8 {
				return gopacket.LayerTypeZero, nil
			}
			field := binary.BigEndian.Uint16(data[2:])
			next = layers.IPProtocol(data[0])
			id := datagramID{d.src, d.dst, next, binary.BigEndian.Uint32(data[4:])}
			if field&^6 == 0 { // offset 0 and no more: a whole datagram (RFC 6946)
				data = data[8:]
				continue
			}
			if data = d.fragments.add(id, int(field&^7), field&1 != 0, data[8:]); data == nil {
				return gopacket.LayerTypeZero, nil
			}
		default:
			return next.LayerType(), data
		}
	}
	return gopacket.LayerTypeZero, nil
}

// afterPPP goes on behind a PPP header (RFC 1661), with or without address
// and control octets.
func afterPPP(data []byte) (gopacket.LayerType, []byte) {
	if len(data) >= 2 && data[0] == 0xff && data[1] == 0x03 {
		data = data[2:]
	}
	switch {
	case len(data) >= 1 && data[0] == 0x21: // compressed protocol field
		return layers.LayerTypeIPv4, data[1:]
	case len(data) >= 1 && data[0] == 0x57:
		return layers.LayerTypeIPv6, data[1:]
	case len(data) < 2 || data[0] != 0:
	case data[1] == 0x21:
		return layers.LayerTypeIPv4, data[2:]
	case data[1] == 0x57:
		return layers.LayerTypeIPv6, data[2:]
	}
	return gopacket.LayerTypeZero, nil
}

// afterPPPoE goes on behind a session header (RFC 2516).
func afterPPPoE(data []byte) (gopacket.LayerType, []byte) {
	if len(data) < 6 || data[1] != 0 {
		return gopacket.LayerTypeZero, nil
	}
	return layers.LayerTypePPP, data[6:]
}

// afterMPLS takes off one label (RFC 3032); under the last one lies IP.
func afterMPLS(data []byte) (gopacket.LayerType, []byte) {
	if len(data) < 5 {
		return gopacket.LayerTypeZero, nil
	}
	bottom, rest := data[2]&1 != 0, data[4:]
	switch {
	case !bottom:
		return layers.LayerTypeMPLS, rest
	case rest[0]>>4 == 6:
		return layers.LayerTypeIPv6, rest
	}
	return layers.LayerTypeIPv4, rest
}

// Ports by which tunnels over UDP are known; their content has no mark of its own.
const (
	portGTPU   = 2152
	portVXLAN  = 4789
	portVXLAN2 = 8472 // Linux before the port was assigned
	portGeneve = 6081
)

// datagram takes the payload of UDP: a message, a HEP packet, or a tunnel.
func (d *decoder) datagram(data []byte) (gopacket.LayerType, []byte) {
	if beginsSIP(data, d.cut) {
		m := Message{Time: d.at, Source: d.from(uint16(d.udp.SrcPort)), Destination: d.to(uint16(d.udp.DstPort)),
			Transport: UDP, Packet: d.packets, Bytes: data}
		if d.cut {
			m.Cut = "the packet was not captured whole"
		}
		d.message(m)
		return gopacket.LayerTypeZero, nil
	}
	if len(data) >= len(hepMagic) && string(data[:len(hepMagic)]) == string(hepMagic) {
		d.hep(data)
		return gopacket.LayerTypeZero, nil
	}
	switch {
	case d.udp.DstPort == portVXLAN || d.udp.DstPort == portVXLAN2:
		return layers.LayerTypeVXLAN, data
	case d.udp.DstPort == portGTPU || d.udp.SrcPort == portGTPU:
		return layers.LayerTypeGTPv1U, data
	case d.udp.DstPort == portGeneve:
		return layers.LayerTypeGeneve, data
	}
	return gopacket.LayerTypeZero, nil
}

func (d *decoder) from(port uint16) netip.AddrPort { return netip.AddrPortFrom(d.src.Unmap(), port) }
func (d *decoder) to(port uint16) netip.AddrPort   { return netip.AddrPortFrom(d.dst.Unmap(), port) }

// sctp takes the messages out of the data chunks of a packet (RFC 9260
// section 3.3.1; RFC 4168: one SIP message is one SCTP message).
func (d *decoder) sctp(data []byte) {
	if len(data) < 12 {
		return
	}
	src, dst := binary.BigEndian.Uint16(data), binary.BigEndian.Uint16(data[2:])
	for data = data[12:]; len(data) >= 16; {
		n := int(binary.BigEndian.Uint16(data[2:]))
		if n < 4 || n > len(data) {
			return
		}
		if data[0] == 0 && n > 16 && beginsSIP(data[16:n], false) {
			m := Message{Time: d.at, Source: d.from(src), Destination: d.to(dst), Transport: SCTP, Packet: d.packets, Bytes: data[16:n]}
			if data[1]&3 != 3 {
				m.Cut = "it goes on in other SCTP chunks, which are not joined"
			}
			d.message(m)
		}
		data = data[min(len(data), (n+3)&^3):]
	}
}
