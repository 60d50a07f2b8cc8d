package trace

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"time"

	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

// isPcap knows pcap by its magic number, in both byte orders and resolutions.
func isPcap(head []byte) bool {
	if len(head) < 4 {
		return false
	}
	switch binary.LittleEndian.Uint32(head) {
	case 0xa1b2c3d4, 0xd4c3b2a1, 0xa1b23c4d, 0x4d3cb2a1:
		return true
	}
	return false
}

// readPcap reads a capture of libpcap's format.
func readPcap(in *bufio.Reader, s *sink) {
	r, err := pcapgo.NewReader(in)
	if err != nil {
		s.ends(0, "has no whole pcap header: %s", cause(err))
		return
	}
	// Its reader makes room for as much as the header announces, up to 4 GB.
	r.SetSnaplen(min(r.Snaplen(), maxPacket))
	// Some writers keep flags in the upper half of the link type.
	link := r.LinkType() & 0xffff
	if !readable(link) {
		s.ends(0, "holds packets of link type %d, which can't be read", link)
		return
	}
	d := newDecoder(s)
	for !s.stop {
		data, info, err := r.ZeroCopyReadPacketData()
		if err == io.EOF {
			break
		}
		d.packets++
		if err != nil {
			d.finish()
			s.ends(d.packets, "%s", cause(err))
			return
		}
		d.packet(link, info.Timestamp, data, info.CaptureLength < info.Length)
	}
	d.finish()
}

var sectionHeader = []byte{0x0a, 0x0d, 0x0d, 0x0a}

// Block types of pcapng (draft-ietf-opsawg-pcapng section 4).
const (
	blockSection   = 0x0a0d0d0a
	blockInterface = 1
	blockPacket    = 2 // obsolete, but still found
	blockSimple    = 3
	blockEnhanced  = 6
)

// maxInterfaces bounds the interfaces of a section. Real captures have a few.
const maxInterfaces = 4096

// A capturer is an interface of a pcapng section.
type capturer struct {
	link   layers.LinkType
	snap   uint32
	units  uint64 // of time in a second
	offset int64  // seconds added to every time
}

// pcapng reads the blocks of a pcapng file. gopacket's reader holds on to
// names, secrets and options without bound; this one passes over them.
type pcapng struct {
	in         *bufio.Reader
	d          *decoder
	order      binary.ByteOrder
	interfaces []capturer
	block      []byte
	unreadable map[layers.LinkType]bool
}

func readPcapng(in *bufio.Reader, s *sink) {
	p := pcapng{in: in, d: newDecoder(s), order: binary.LittleEndian, unreadable: map[layers.LinkType]bool{}}
	for !s.stop {
		err := p.next()
		if err == io.EOF {
			break
		}
		if err != nil {
			p.d.finish()
			s.ends(p.d.packets+1, "%s", cause(err))
			return
		}
	}
	p.d.finish()
}

var (
	errBlock     = errors.New("a block of the pcapng file has an impossible length")
	errOrder     = errors.New("a section of the pcapng file has no known byte order")
	errInterface = errors.New("a packet of an interface that the pcapng file does not describe")
	errMany      = errors.New("the pcapng file describes more interfaces than are read")
	errPacket    = errors.New("a packet is longer than its block or than any real packet")
)

// next reads one block; io.EOF when there is none.
func (p *pcapng) next() error {
	head, err := p.in.Peek(12)
	if len(head) == 0 {
		return err
	}
	if len(head) < 12 {
		return io.ErrUnexpectedEOF
	}
	kind := p.order.Uint32(head)
	if kind == blockSection { // reads the same in both byte orders
		switch binary.LittleEndian.Uint32(head[8:]) {
		case 0x1a2b3c4d:
			p.order = binary.LittleEndian
		case 0x4d3c2b1a:
			p.order = binary.BigEndian
		default:
			return errOrder
		}
	}
	length := p.order.Uint32(head[4:])
	if length < 12 || length%4 != 0 {
		return errBlock
	}
	switch kind {
	case blockSection, blockInterface, blockPacket, blockSimple, blockEnhanced:
	default:
		_, err := io.CopyN(io.Discard, p.in, int64(length))
		return unexpected(err)
	}
	if length > maxBlock {
		return errBlock
	}
	// The buffer grows with what is there, not with what is announced.
	if p.block, err = readInto(p.in, p.block[:0], int(length)); err != nil {
		return unexpected(err)
	}
	body := p.block[8 : length-4]
	switch kind {
	case blockSection:
		p.interfaces = p.interfaces[:0]
	case blockInterface:
		return p.describe(body)
	case blockEnhanced:
		if len(body) < 20 {
			return errBlock
		}
		return p.packet(p.order.Uint32(body), body[4:20], body[20:])
	case blockPacket:
		if len(body) < 20 {
			return errBlock
		}
		return p.packet(uint32(p.order.Uint16(body)), body[4:20], body[20:])
	case blockSimple:
		return p.simple(body)
	}
	return nil
}

func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// readInto appends n octets to b, growing it only as they arrive.
func readInto(r io.Reader, b []byte, n int) ([]byte, error) {
	for n > 0 {
		step := min(n, 64<<10)
		at := len(b)
		if cap(b) < at+step {
			b = append(b, make([]byte, step)...)
		} else {
			b = b[:at+step]
		}
		if _, err := io.ReadFull(r, b[at:]); err != nil {
			return b[:at], err
		}
		n -= step
	}
	return b, nil
}

// describe notes an interface: its link type and how its times are counted.
func (p *pcapng) describe(body []byte) error {
	if len(body) < 8 {
		return errBlock
	}
	if len(p.interfaces) == maxInterfaces {
		return errMany
	}
	c := capturer{link: layers.LinkType(p.order.Uint16(body)), snap: p.order.Uint32(body[4:]), units: 1e6}
	for options := body[8:]; len(options) >= 4; {
		code, n := p.order.Uint16(options), int(p.order.Uint16(options[2:]))
		if code == 0 || 4+n > len(options) {
			break
		}
		value := options[4 : 4+n]
		switch {
		case code == 9 && n >= 1: // if_tsresol
			if c.units = resolution(value[0]); c.units == 0 {
				return errors.New("an interface of the pcapng file counts time in units that can't be read")
			}
		case code == 14 && n >= 8: // if_tsoffset
			c.offset = int64(p.order.Uint64(value))
		}
		options = options[min(len(options), 4+(n+3)&^3):]
	}
	p.interfaces = append(p.interfaces, c)
	return nil
}

// resolution is the units of time in a second, 0 when there are too many.
func resolution(b byte) uint64 {
	exponent := b & 0x7f
	if b&0x80 != 0 {
		if exponent > 62 {
			return 0
		}
		return 1 << exponent
	}
	if exponent > 18 {
		return 0
	}
	units := uint64(1)
	for range exponent {
		units *= 10
	}
	return units
}

// packet takes the fixed part of a packet block: time, length captured, length.
func (p *pcapng) packet(on uint32, fixed, data []byte) error {
	p.d.packets++
	if int64(on) >= int64(len(p.interfaces)) {
		return errInterface
	}
	c := &p.interfaces[on]
	n, whole := p.order.Uint32(fixed[8:]), p.order.Uint32(fixed[12:])
	if int64(n) > int64(len(data)) || n > maxPacket {
		return errPacket
	}
	ticks := uint64(p.order.Uint32(fixed))<<32 | uint64(p.order.Uint32(fixed[4:]))
	at := time.Unix(int64(ticks/c.units)+c.offset, int64(float64(ticks%c.units)/float64(c.units)*1e9)).UTC()
	if c.units <= 1e9 && 1e9%c.units == 0 {
		at = time.Unix(int64(ticks/c.units)+c.offset, int64(ticks%c.units*(1e9/c.units))).UTC()
	}
	p.link(c, at, data[:n], n < whole)
	return nil
}

// simple takes a simple packet block, which has no time.
func (p *pcapng) simple(body []byte) error {
	p.d.packets++
	if len(p.interfaces) == 0 {
		return errInterface
	}
	if len(body) < 4 {
		return errBlock
	}
	c, whole := &p.interfaces[0], p.order.Uint32(body)
	n := whole
	if c.snap != 0 {
		n = min(n, c.snap)
	}
	data := body[4:]
	if int64(n) > int64(len(data)) || n > maxPacket {
		return errPacket
	}
	p.link(c, time.Time{}, data[:n], n < whole)
	return nil
}

func (p *pcapng) link(c *capturer, at time.Time, data []byte, cut bool) {
	if readable(c.link) {
		p.d.packet(c.link, at, data, cut)
	} else if !p.unreadable[c.link] {
		p.unreadable[c.link] = true
		p.d.problem(p.d.packets, "is of link type %d, which can't be read, as are others of its interface", c.link)
	}
}
