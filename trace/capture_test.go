package trace

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/binary"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

// expect compares what a trace gives with what it must, line by line.
func expect(t *testing.T, name string, data []byte, want ...string) {
	t.Helper()
	if got := found(Read(bytes.NewReader(data), Options{})); !slices.Equal(got, want) {
		t.Errorf("%s:\n got %q\nwant %q", name, got, want)
	}
}

const one = "1 UDP 192.0.2.7:5070>192.0.2.1:5060 a"

func TestLinksAndTunnels(t *testing.T) {
	payload := gopacket.Payload(invite("a", 20))
	inner := packet(t, ip4(layers.IPProtocolUDP), udp(5070, 5060), payload)
	inEthernet := udpPacket(t, payload)
	outer := func(protocol layers.IPProtocol) *layers.IPv4 {
		h := ip4(protocol)
		h.SrcIP, h.DstIP = []byte{198, 51, 100, 1}, []byte{198, 51, 100, 2}
		return h
	}
	sll := append([]byte{0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 7, 0, 0, 8, 0}, inner...)
	sll2 := append([]byte{8, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 6, 2, 0, 0, 0, 0, 7, 0, 0}, inner...)
	erspan := packet(t, ethernet(layers.EthernetTypeIPv4), outer(layers.IPProtocolGRE),
		&layers.GRE{Protocol: layers.EthernetTypeERSPAN, SeqPresent: true, Seq: 1}, gopacket.Payload(append([]byte{0x10, 1, 0, 1, 0, 0, 0, 0}, inEthernet...)))
	for _, c := range []struct {
		name string
		link layers.LinkType
		data []byte
	}{
		{"Ethernet", layers.LinkTypeEthernet, inEthernet},
		{"VLAN", layers.LinkTypeEthernet, packet(t, ethernet(layers.EthernetTypeDot1Q), &layers.Dot1Q{VLANIdentifier: 7, Type: layers.EthernetTypeIPv4}, gopacket.Payload(inner))},
		{"QinQ", layers.LinkTypeEthernet, packet(t, ethernet(layers.EthernetTypeQinQ), &layers.Dot1Q{VLANIdentifier: 7, Type: layers.EthernetTypeDot1Q},
			&layers.Dot1Q{VLANIdentifier: 8, Type: layers.EthernetTypeIPv4}, gopacket.Payload(inner))},
		{"Linux cooked", layers.LinkTypeLinuxSLL, sll},
		{"Linux cooked 2", layers.LinkTypeLinuxSLL2, sll2},
		{"raw", layers.LinkTypeRaw, inner},
		{"raw of BSD", linkRawBSD, inner},
		{"IPv4", layers.LinkTypeIPv4, inner},
		{"loopback", layers.LinkTypeNull, append([]byte{2, 0, 0, 0}, inner...)},
		{"loopback of OpenBSD", layers.LinkTypeLoop, append([]byte{0, 0, 0, 2}, inner...)},
		{"PPP", layers.LinkTypePPP, append([]byte{0xff, 3, 0, 0x21}, inner...)},
		{"PPP, compressed", layers.LinkTypePPP, append([]byte{0x21}, inner...)},
		{"PPPoE", layers.LinkTypeEthernet, packet(t, ethernet(layers.EthernetTypePPPoESession), gopacket.Payload(append([]byte{0x11, 0, 0, 1, 0, 0, 0, 0x21}, inner...)))},
		{"MPLS", layers.LinkTypeEthernet, packet(t, ethernet(layers.EthernetTypeMPLSUnicast), gopacket.Payload(append([]byte{0, 1, 0, 64, 0, 2, 1, 64}, inner...)))},
		{"IP in IP", layers.LinkTypeEthernet, packet(t, ethernet(layers.EthernetTypeIPv4), outer(layers.IPProtocolIPv4), gopacket.Payload(inner))},
		{"GRE", layers.LinkTypeEthernet, packet(t, ethernet(layers.EthernetTypeIPv4), outer(layers.IPProtocolGRE), &layers.GRE{Protocol: layers.EthernetTypeIPv4}, gopacket.Payload(inner))},
		{"ERSPAN", layers.LinkTypeEthernet, erspan},
		{"VXLAN", layers.LinkTypeEthernet, packet(t, ethernet(layers.EthernetTypeIPv4), outer(layers.IPProtocolUDP), udp(40000, 4789), &layers.VXLAN{ValidIDFlag: true, VNI: 7}, gopacket.Payload(inEthernet))},
		{"GTP-U", layers.LinkTypeEthernet, packet(t, ethernet(layers.EthernetTypeIPv4), outer(layers.IPProtocolUDP), udp(2152, 2152),
			gopacket.Payload(append([]byte{0x30, 0xff, byte(len(inner) >> 8), byte(len(inner)), 0, 0, 0, 7}, inner...)))},
		{"HEP over UDP", layers.LinkTypeEthernet, packet(t, ethernet(layers.EthernetTypeIPv4), outer(layers.IPProtocolUDP), udp(40000, 9060), gopacket.Payload(hepPacket(payload, hepPayload)))},
	} {
		expect(t, c.name, pcap(t, c.link, c.data), one)
	}
	six := packet(t, ip6(layers.IPProtocolUDP), udp(5070, 5060), payload)
	const want = "1 UDP [2001:db8::7]:5070>[2001:db8::1]:5060 a"
	expect(t, "IPv6", pcap(t, layers.LinkTypeEthernet, packet(t, ethernet(layers.EthernetTypeIPv6), gopacket.Payload(six))), want)
	expect(t, "6in4", pcap(t, layers.LinkTypeRaw, packet(t, outer(layers.IPProtocolIPv6), gopacket.Payload(six))), want)
	options := slices.Concat(six[:40], []byte{17, 0, 1, 4, 0, 0, 0, 0}, six[40:])
	options[6] = 60 // destination options
	binary.BigEndian.PutUint16(options[4:], uint16(len(options)-40))
	expect(t, "IPv6 with an extension header", pcap(t, layers.LinkTypeRaw, options), want)
	chunk := append([]byte{0, 3, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0}, payload...)
	binary.BigEndian.PutUint16(chunk[2:], uint16(len(chunk)))
	sctp := append([]byte{0x13, 0xce, 0x13, 0xc4, 0, 0, 0, 0, 0, 0, 0, 0}, chunk...)
	expect(t, "SCTP", pcap(t, layers.LinkTypeRaw, packet(t, ip4(layers.IPProtocolSCTP), gopacket.Payload(sctp))), "1 SCTP 192.0.2.7:5070>192.0.2.1:5060 a")
	expect(t, "802.11", pcap(t, layers.LinkTypeIEEE802_11, inEthernet), "holds packets of link type 105, which can't be read")
}

func TestOnlySIPIsTaken(t *testing.T) {
	rtp := append([]byte{0x80, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1}, bytes.Repeat([]byte{0xd5}, 160)...)
	dns := append([]byte{0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0}, "\x06INVITE\x03sip\x00\x00\x01\x00\x01"...)
	expect(t, "noise", pcap(t, layers.LinkTypeEthernet, udpPacket(t, rtp), udpPacket(t, dns), udpPacket(t, []byte("\r\n\r\n")),
		udpPacket(t, []byte("GET / HTTP/1.1\r\n\r\n")), udpPacket(t, []byte("OPTIONS rtsp://a RTSP/1.0\r\n\r\n")), udpPacket(t, invite("a", 0))),
		"6 UDP 192.0.2.7:5070>192.0.2.1:5060 a")
	for _, line := range []string{"INVITE sip:a@b SIP/2.0\r\n", "SIP/2.0 180 Ringing\r\n", "invite sip:a@b sip/2.0\r\n", "INVITE sip:a@b SIP/7.0\r\n",
		"INVITE sip:a@b\r\n", "\r\n\r\nNEWMETHOD tel:+31 SIP/2.0\r\n"} {
		if !beginsSIP([]byte(line), false) {
			t.Errorf("%q is not taken for SIP", line)
		}
	}
	for _, line := range []string{"", "INVITE", "INVITE x\r\n", "SIP/2.0 999 No\r\n", "Content SIP/2.0\r\n"} {
		if beginsSIP([]byte(line), false) {
			t.Errorf("%q is taken for SIP", line)
		}
	}
}

// fragmentsOf cuts an IPv4 packet's payload at multiples of 8.
func fragmentsOf(t *testing.T, payload []byte, at ...int) (out [][]byte) {
	whole := packet(t, ip4(layers.IPProtocolUDP), udp(5070, 5060), gopacket.Payload(payload))[20:]
	start := 0
	for _, end := range append(at, len(whole)) {
		h := ip4(layers.IPProtocolUDP)
		h.FragOffset = uint16(start / 8)
		if end < len(whole) {
			h.Flags = layers.IPv4MoreFragments
		}
		out = append(out, packet(t, ethernet(layers.EthernetTypeIPv4), h, gopacket.Payload(whole[start:end])))
		start = end
	}
	return out
}

func TestFragments(t *testing.T) {
	f := fragmentsOf(t, invite("a", 3000), 1480, 2960)
	const third = "3 UDP 192.0.2.7:5070>192.0.2.1:5060 a"
	eth := layers.LinkTypeEthernet
	expect(t, "in order", pcap(t, eth, f[0], f[1], f[2]), third)
	expect(t, "out of order", pcap(t, eth, f[2], f[0], f[1]), third)
	expect(t, "captured twice", pcap(t, eth, f[0], f[0], f[1], f[1], f[2]), "5 UDP 192.0.2.7:5070>192.0.2.1:5060 a")
	expect(t, "one missing", pcap(t, eth, f[0], f[2], udpPacket(t, invite("b", 0))),
		"3 UDP 192.0.2.7:5070>192.0.2.1:5060 b", "packet 1: begins an IP datagram whose fragments are not all there")
	g := fragmentsOf(t, invite("a", 3000), 1472, 2960)
	expect(t, "overlapping", pcap(t, eth, f[0], g[1]), "packet 1: begins an IP datagram whose fragments overlap")

	whole := packet(t, ip6(layers.IPProtocolUDP), udp(5070, 5060), gopacket.Payload(invite("a", 3000)))[40:]
	part := func(start, end int, more byte) []byte {
		field := uint16(start) | uint16(more)
		head := []byte{17, 0, byte(field >> 8), byte(field), 0, 0, 0, 9}
		return packet(t, ethernet(layers.EthernetTypeIPv6), ip6(layers.IPProtocolIPv6Fragment), gopacket.Payload(append(head, whole[start:end]...)))
	}
	expect(t, "IPv6", pcap(t, eth, part(1448, len(whole), 0), part(0, 1448, 1)), "2 UDP [2001:db8::7]:5070>[2001:db8::1]:5060 a")
}

func TestStreams(t *testing.T) {
	a, b := invite("a", 100), invite("b", 0)
	eth := layers.LinkTypeEthernet
	start := tcpPacket(t, 99, nil, syn)
	const tcp = " TCP 192.0.2.7:5070>192.0.2.1:5060 "
	expect(t, "two in one segment", pcap(t, eth, start, tcpPacket(t, 100, append(append([]byte("\r\n\r\n"), a...), b...))), "2"+tcp+"a", "2"+tcp+"b")
	cut := len(a) - 40
	n := uint32(len(a))
	first, second, next := tcpPacket(t, 100, a[:cut]), tcpPacket(t, 100+uint32(cut), a[cut:]), tcpPacket(t, 100+n, b)
	expect(t, "in pieces", pcap(t, eth, start, first, second, next), "3"+tcp+"a", "4"+tcp+"b")
	expect(t, "out of order", pcap(t, eth, start, next, second, first), "3"+tcp+"a", "2"+tcp+"b")
	expect(t, "sent twice", pcap(t, eth, start, first, first, second, second, next), "4"+tcp+"a", "6"+tcp+"b")
	expect(t, "overlapping", pcap(t, eth, start, first, tcpPacket(t, 100+uint32(cut)-10, append(bytes.Clone(a[cut-10:]), b...))), "3"+tcp+"a", "3"+tcp+"b")
	expect(t, "without a beginning", pcap(t, eth, second, next), "2"+tcp+"b")
	expect(t, "sequence numbers wrap", pcap(t, eth, tcpPacket(t, ^uint32(9), nil, syn), tcpPacket(t, ^uint32(8), append(bytes.Clone(a), b...))), "2"+tcp+"a", "2"+tcp+"b")
	expect(t, "a piece is missing", pcap(t, eth, start, first, next), "2"+tcp+"a CUT part of it was not captured", "3"+tcp+"b")
	expect(t, "ends early", pcap(t, eth, start, first, tcpPacket(t, 100+uint32(cut), nil, fin)), "2"+tcp+"a CUT the TCP stream ends before it does")
	expect(t, "the ports are used again", pcap(t, eth, start, tcpPacket(t, 100, b), tcpPacket(t, 7000, nil, syn), tcpPacket(t, 7001, a)), "2"+tcp+"b", "4"+tcp+"a")
	hello := append([]byte{0x16, 3, 1, 0, 50, 1, 0, 0, 46, 3, 3}, make([]byte, 44)...)
	expect(t, "TLS", pcap(t, eth, start, tcpPacket(t, 100, hello), tcpPacket(t, 155, invite("not in the clear", 0))),
		"packet 2: begins a TLS connection to 192.0.2.1:5060, which can't be read")
	huge := []byte("INVITE sip:a@b SIP/2.0\r\nContent-Length: 4294967295\r\n\r\n")
	expect(t, "a body of 4 GB", pcap(t, eth, start, tcpPacket(t, 100, huge)), "2"+tcp)
	big := []byte("INVITE sip:a@b SIP/2.0\r\nContent-Length: 1000000\r\n\r\n")
	expect(t, "a body of 1 MB", pcap(t, eth, start, tcpPacket(t, 100, big), tcpPacket(t, 100+uint32(len(big)), a)),
		"packet 2: begins a message of 1000051 octets; at most 262144 are read")
	packets := [][]byte{start, tcpPacket(t, 100, []byte("INVITE sip:a@b SIP/2.0\r\n"))}
	line := bytes.Repeat([]byte("X: y\r\n"), 200)
	for i := range 60 {
		packets = append(packets, tcpPacket(t, 124+uint32(i*len(line)), line))
	}
	expect(t, "a header without end", pcap(t, eth, packets...), "packet 2: begins a message whose header is longer than 65536 octets")
}

func TestWebSocket(t *testing.T) {
	eth := layers.LinkTypeEthernet
	ask := []byte("GET /sip HTTP/1.1\r\nHost: gate\r\nUpgrade: websocket\r\nSec-WebSocket-Protocol: sip\r\n\r\n")
	frame := webSocketFrame(0x82, invite("a", 200))
	ping := webSocketFrame(0x89, []byte("hi"))
	message := invite("b", 0)
	parts := append(webSocketFrame(0x02, message[:50]), webSocketFrame(0x80, message[50:])...)
	all := slices.Concat(ask, frame, ping, parts, webSocketFrame(0xc1, []byte("deflated")))
	packets := [][]byte{tcpPacket(t, 99, nil, syn)}
	for i := 0; i < len(all); i += 300 {
		packets = append(packets, tcpPacket(t, 100+uint32(i), all[i:min(i+300, len(all))]))
	}
	expect(t, "WebSocket", pcap(t, eth, packets...), "3 WS 192.0.2.7:5070>192.0.2.1:5060 a", "4 WS 192.0.2.7:5070>192.0.2.1:5060 b",
		"packet 4: is a compressed WebSocket message, which can't be read")
	huge := append([]byte{0x82, 0xff}, bytes.Repeat([]byte{0xff}, 8)...)
	expect(t, "a frame of 16 EB", pcap(t, eth, tcpPacket(t, 99, nil, syn), tcpPacket(t, 100, append(bytes.Clone(ask), huge...))),
		"packet 2: begins a WebSocket message of more than 262144 octets; the rest of the connection can't be read")
}

func TestHEP(t *testing.T) {
	dump := append(hepPacket(invite("a", 0), hepPayload), hepPacket(invite("b", 0), hepPayload)...)
	const second = "2 UDP 192.0.2.7:5070>192.0.2.1:5060 b"
	expect(t, "a dump", dump, one, second)
	for m := range Read(bytes.NewReader(dump), Options{}) {
		if !m.Time.Equal(began) {
			t.Errorf("the time is %s, want %s", m.Time, began)
		}
	}
	expect(t, "cut", dump[:len(dump)-3], one, "packet 2: the file is cut here")
	expect(t, "not only HEP", append(bytes.Clone(dump), "more"...), one, second, "packet 3: the file is cut here")
	var z bytes.Buffer
	w := zlib.NewWriter(&z)
	_, _ = w.Write(invite("a", 0))
	_ = w.Close()
	expect(t, "compressed", hepPacket(z.Bytes(), hepCompressed), one)
	z.Reset()
	w.Reset(&z)
	_, _ = w.Write(make([]byte, 1<<20))
	_ = w.Close()
	expect(t, "a bomb", hepPacket(z.Bytes(), hepCompressed), "packet 1: is a HEP packet, but its payload can't be decompressed, or is larger than any message")
	bad := bytes.Clone(hepPacket(invite("a", 0), hepPayload))
	binary.BigEndian.PutUint16(bad[10:], 60000)
	expect(t, "an impossible chunk", bad, "packet 1: is a HEP packet, but a HEP chunk has an impossible length")
}

// TestListen: HEP over UDP is read as it comes, until the socket is closed.
func TestListen(t *testing.T) {
	c, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	to, err := net.Dial("udp4", c.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	for _, b := range [][]byte{hepPacket(invite("a", 0), hepPayload), []byte("noise"), hepPacket(invite("b", 0), hepPayload)} {
		if _, err := to.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	n := 0
	got := found(func(yield func(Message, error) bool) {
		for m, err := range Listen(c) {
			if n++; n == 3 {
				c.Close()
			}
			if !yield(m, err) {
				return
			}
		}
	})
	want := []string{one, "packet 2: from " + to.LocalAddr().String() + " is no HEP packet", "3 UDP 192.0.2.7:5070>192.0.2.1:5060 b"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

func TestWhatWasNotCaptured(t *testing.T) {
	var b bytes.Buffer
	w := pcapgo.NewWriterNanos(&b)
	if err := w.WriteFileHeader(96, layers.LinkTypeEthernet); err != nil {
		t.Fatal(err)
	}
	p := udpPacket(t, invite("a", 0))
	for i, n := range []int{len(p), 96} {
		if err := w.WritePacket(gopacket.CaptureInfo{Timestamp: began.Add(time.Duration(i)), CaptureLength: n, Length: len(p)}, p[:n]); err != nil {
			t.Fatal(err)
		}
	}
	expect(t, "a snap length", b.Bytes(), one, "2 UDP 192.0.2.7:5070>192.0.2.1:5060  CUT the packet was not captured whole")
	expect(t, "a cut file", b.Bytes()[:b.Len()-7], one, "packet 2: the file is cut here")
	expect(t, "a cut header", b.Bytes()[:20], "has no whole pcap header: the file is cut here")
	expect(t, "nothing", nil, "is empty")
	expect(t, "anything", []byte{0, 1, 2, 3}, "is in no known format: want pcap, pcapng, HEPv3 or text, or one of these in gzip")
	n := 0
	for m := range Read(bytes.NewReader(b.Bytes()), Options{}) {
		if want := began.Add(time.Duration(n)); !m.Time.Equal(want) {
			t.Errorf("the time is %s, want %s to the nanosecond", m.Time, want)
		}
		n++
	}
	long := bytes.Clone(b.Bytes())
	binary.LittleEndian.PutUint32(long[16:], 0xffffffff)
	binary.LittleEndian.PutUint32(long[24+8:], 0xfffffff0)
	binary.LittleEndian.PutUint32(long[24+12:], 0xfffffff0)
	expect(t, "a packet of 4 GB", long, "packet 1: capture length exceeds snap length: 4294967280 > 262144")
}

// pcapngOf writes a section with two interfaces of different link types.
func pcapngOf(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := pcapgo.NewNgWriter(&b, layers.LinkTypeEthernet)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := w.AddInterface(pcapgo.NgInterface{Name: "tun0", LinkType: layers.LinkTypeRaw, SnapLength: 65535, TimestampResolution: 9})
	if err != nil {
		t.Fatal(err)
	}
	wifi, err := w.AddInterface(pcapgo.NgInterface{Name: "wlan0", LinkType: layers.LinkTypeIEEE802_11, SnapLength: 65535, TimestampResolution: 9})
	if err != nil {
		t.Fatal(err)
	}
	for on, p := range map[int][]byte{0: udpPacket(t, invite("a", 0))} {
		if err := w.WritePacket(gopacket.CaptureInfo{Timestamp: began, CaptureLength: len(p), Length: len(p), InterfaceIndex: on}, p); err != nil {
			t.Fatal(err)
		}
	}
	p := packet(t, ip4(layers.IPProtocolUDP), udp(5070, 5060), gopacket.Payload(invite("b", 0)))
	for _, on := range []int{raw, wifi, wifi} {
		if err := w.WritePacket(gopacket.CaptureInfo{Timestamp: began, CaptureLength: len(p), Length: len(p), InterfaceIndex: on}, p); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestPcapng(t *testing.T) {
	data := pcapngOf(t)
	const second = "2 UDP 192.0.2.7:5070>192.0.2.1:5060 b"
	const third = "packet 3: is of link type 105, which can't be read, as are others of its interface"
	expect(t, "several interfaces", data, one, second, third)
	for m, err := range Read(bytes.NewReader(data), Options{}) {
		if err == nil && !m.Time.Equal(began) {
			t.Errorf("the time is %s, want %s", m.Time, began)
		}
	}
	expect(t, "two sections", append(bytes.Clone(data), data...), one, second, third,
		"5 UDP 192.0.2.7:5070>192.0.2.1:5060 a", "6 UDP 192.0.2.7:5070>192.0.2.1:5060 b")
	expect(t, "cut", data[:len(data)-8], one, second, third, "packet 4: the file is cut here")
	for name, length := range map[string]uint32{"a block of 4 GB": 0xfffffffc, "a block of no length": 0, "a block of odd length": 35} {
		bad := append(bytes.Clone(data), 6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
		binary.LittleEndian.PutUint32(bad[len(bad)-8:], length)
		expect(t, name, bad, one, second, third, "packet 5: a block of the pcapng file has an impossible length")
	}
}

func gzipped(t testing.TB, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestGzip(t *testing.T) {
	data := pcap(t, layers.LinkTypeEthernet, udpPacket(t, invite("a", 0)))
	expect(t, "once", gzipped(t, data), one)
	expect(t, "twice", gzipped(t, gzipped(t, data)), one)
	expect(t, "thrice", gzipped(t, gzipped(t, gzipped(t, data))), "is compressed more than 2 times over")
	cut := gzipped(t, data)
	expect(t, "cut", cut[:len(cut)-20], "packet 1: the file is cut here")
	for name, head := range map[string][]byte{"a bomb of text": []byte("INVITE sip:a@b SIP/2.0\r\n"), "a bomb of packets": data[:24]} {
		got := found(Read(bytes.NewReader(gzipped(t, slices.Concat(head, bytes.Repeat([]byte{head[0]}, 20<<20)))), Options{}))
		if len(got) == 0 || len(got) > 5 || !strings.Contains(got[len(got)-1], "too far to be a trace") && !strings.Contains(got[len(got)-1], "exceeds snap length") {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// TestNothingIsAskedForAfterStop: a reader ends when its caller does.
func TestNothingIsAskedForAfterStop(t *testing.T) {
	var packets [][]byte
	for range 10 {
		packets = append(packets, udpPacket(t, invite("a", 0)))
	}
	for _, data := range [][]byte{pcap(t, layers.LinkTypeEthernet, packets...), pcapngOf(t), bytes.Repeat(hepPacket(invite("a", 0), hepPayload), 10), bytes.Repeat(invite("a", 0), 10)} {
		n := 0
		for range Read(io.LimitReader(bytes.NewReader(data), int64(len(data))), Options{}) {
			if n++; n == 2 {
				break
			}
		}
		if n != 2 {
			t.Errorf("%d messages before the end", n)
		}
	}
}
