package trace

import (
	"bufio"
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"io"
	"net/netip"
	"time"
)

// HEPv3, the encapsulation by which SIP servers send copies of their messages
// to a capture server (github.com/sipcapture/HEP): "HEP3", the length of the
// whole, and chunks of vendor, type, length and value.
var hepMagic = []byte("HEP3")

// Chunks of vendor 0.
const (
	hepProtocol    = 2
	hepSource4     = 3
	hepDest4       = 4
	hepSource6     = 5
	hepDest6       = 6
	hepSourcePort  = 7
	hepDestPort    = 8
	hepSeconds     = 9
	hepMicros      = 10
	hepPayloadKind = 11
	hepPayload     = 15
	hepCompressed  = 16
)

var errHEP = errors.New("a HEP chunk has an impossible length")

// readHEP reads HEP packets, one after the other.
func readHEP(in *bufio.Reader, s *sink) {
	d := newDecoder(s)
	var packet []byte
	for !s.stop {
		head, err := in.Peek(6)
		if len(head) == 0 && err == io.EOF {
			return
		}
		d.packets++
		if len(head) < 6 {
			s.ends(d.packets, "%s", cause(err))
			return
		}
		length := int(binary.BigEndian.Uint16(head[4:]))
		if !bytes.HasPrefix(head, hepMagic) || length < 6 {
			s.ends(d.packets, "is no HEP packet; what follows can't be read")
			return
		}
		if packet, err = readInto(in, packet[:0], length); err != nil {
			s.ends(d.packets, "%s", cause(unexpected(err)))
			return
		}
		d.hep(packet)
	}
}

// hep takes the message out of a HEP packet.
func (d *decoder) hep(packet []byte) {
	m, kind, err := parseHEP(packet)
	switch {
	case err != nil:
		d.problem(d.packets, "is a HEP packet, but %v", err)
	case kind == 1 && beginsSIP(m.Bytes, false):
		if m.Time.IsZero() {
			m.Time = d.at
		}
		m.Packet = d.packets
		d.message(m)
	}
}

// parseHEP reads one HEP packet. kind is what it carries, 1: SIP.
func parseHEP(packet []byte) (m Message, kind byte, err error) {
	var source, destination netip.Addr
	var ports [2]uint16
	var seconds, micros int64
	if len(packet) < 6 {
		return m, 0, errHEP
	}
	n := int(binary.BigEndian.Uint16(packet[4:]))
	if n > len(packet) || n < 6 {
		return m, 0, errHEP
	}
	b := packet[6:n]
	for len(b) > 0 {
		if len(b) < 6 {
			return m, 0, errHEP
		}
		vendor, chunk, n := binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:]), int(binary.BigEndian.Uint16(b[4:]))
		if n < 6 || n > len(b) {
			return m, 0, errHEP
		}
		value := b[6:n]
		b = b[n:]
		if vendor != 0 {
			continue
		}
		if want := hepSizes[min(int(chunk), len(hepSizes)-1)]; want != 0 && len(value) != want {
			return m, 0, errHEP
		}
		switch chunk {
		case hepProtocol:
			switch value[0] {
			case 6:
				m.Transport = TCP
			case 17:
				m.Transport = UDP
			case 132:
				m.Transport = SCTP
			}
		case hepSource4, hepSource6:
			source, _ = netip.AddrFromSlice(value)
		case hepDest4, hepDest6:
			destination, _ = netip.AddrFromSlice(value)
		case hepSourcePort:
			ports[0] = binary.BigEndian.Uint16(value)
		case hepDestPort:
			ports[1] = binary.BigEndian.Uint16(value)
		case hepSeconds:
			seconds = int64(binary.BigEndian.Uint32(value))
		case hepMicros:
			micros = int64(binary.BigEndian.Uint32(value))
		case hepPayloadKind:
			kind = value[0]
		case hepPayload:
			m.Bytes = value
		case hepCompressed:
			if m.Bytes, err = inflate(value); err != nil {
				return m, 0, err
			}
		}
	}
	if source.IsValid() {
		m.Source = netip.AddrPortFrom(source, ports[0])
	}
	if destination.IsValid() {
		m.Destination = netip.AddrPortFrom(destination, ports[1])
	}
	if seconds != 0 || micros != 0 {
		m.Time = time.Unix(seconds, micros*1000).UTC()
	}
	return m, kind, nil
}

// hepSizes are the lengths of the chunks that have one.
var hepSizes = [...]int{hepProtocol: 1, hepSource4: 4, hepDest4: 4, hepSource6: 16, hepDest6: 16, hepSourcePort: 2, hepDestPort: 2,
	hepSeconds: 4, hepMicros: 4, hepPayloadKind: 1, hepPayloadKind + 1: 0}

// inflate decompresses a payload, but not without end.
func inflate(b []byte) ([]byte, error) {
	z, err := zlib.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, errors.New("its payload can't be decompressed")
	}
	out, err := io.ReadAll(io.LimitReader(z, maxMessage+1))
	if err != nil || len(out) > maxMessage {
		return nil, errors.New("its payload can't be decompressed, or is larger than any message")
	}
	return out, nil
}
