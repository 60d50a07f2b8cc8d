// Package testdns is a DNS server for tests, on loopback: it answers from a
// zone that the test sets, or lies as the test asks it to.
package testdns

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// NAPTRType is the type of NAPTR records, for which the library has no name.
const NAPTRType dnsmessage.Type = 35

// A Lie makes of a right answer what is sent in its place, in that order;
// nothing is silence.
type Lie func(q dnsmessage.Question, right []byte, tcp bool) [][]byte

// A Server answers over UDP and TCP at one port.
type Server struct {
	Addr netip.AddrPort

	udp net.PacketConn
	tcp net.Listener
	wg  sync.WaitGroup

	mu    sync.Mutex
	zone  map[string][]dnsmessage.Resource
	lie   Lie
	soa   uint32
	asked []string // "A name.", in order
	conns map[net.Conn]bool
}

// New starts a server that ends with the test.
func New(t testing.TB) *Server {
	t.Helper()
	for range 20 {
		s := &Server{zone: map[string][]dnsmessage.Resource{}, soa: 60, conns: map[net.Conn]bool{}}
		var err error
		if s.udp, err = net.ListenPacket("udp4", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		s.Addr = netip.MustParseAddrPort(s.udp.LocalAddr().String())
		if s.tcp, err = net.Listen("tcp4", s.Addr.String()); err != nil {
			s.udp.Close()
			continue // somebody else has the port of TCP
		}
		s.wg.Go(s.serveUDP)
		s.wg.Go(s.serveTCP)
		t.Cleanup(s.Stop)
		return s
	}
	t.Fatal("no port is free over both UDP and TCP")
	return nil
}

// Stop ends the server: nobody is at its port any more.
func (s *Server) Stop() {
	s.udp.Close()
	s.tcp.Close()
	s.mu.Lock()
	for c := range s.conns {
		c.Close()
	}
	s.mu.Unlock()
	s.wg.Wait()
}

// Set puts records in the place of all that the zone had of a name. With none
// the name is there and has nothing.
func (s *Server) Set(name string, ttl uint32, bodies ...dnsmessage.ResourceBody) {
	var all []dnsmessage.Resource
	for _, b := range bodies {
		h := dnsmessage.ResourceHeader{Name: dnsmessage.MustNewName(name), Class: dnsmessage.ClassINET, TTL: ttl, Type: typeOf(b)}
		all = append(all, dnsmessage.Resource{Header: h, Body: b})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.zone[strings.ToLower(name)] = all
}

// Remove takes a name out of the zone.
func (s *Server) Remove(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.zone, strings.ToLower(name))
}

// Lies has the server lie from now on; nil: it tells the truth again.
func (s *Server) Lies(l Lie) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lie = l
}

// Negative sets for how many seconds there is nothing where there is nothing;
// 0: no SOA says so.
func (s *Server) Negative(ttl uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.soa = ttl
}

// Asked are the questions that came, as "SRV _sip._udp.example.".
func (s *Server) Asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.asked...)
}

// Forget forgets which questions came.
func (s *Server) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = nil
}

// A is an address record, of whatever family.
func A(addr string) dnsmessage.ResourceBody {
	a := netip.MustParseAddr(addr)
	if a.Is4() {
		return &dnsmessage.AResource{A: a.As4()}
	}
	return &dnsmessage.AAAAResource{AAAA: a.As16()}
}

// CNAME says that the name stands for another one.
func CNAME(name string) dnsmessage.ResourceBody {
	return &dnsmessage.CNAMEResource{CNAME: dnsmessage.MustNewName(name)}
}

// SRV is a record of RFC 2782.
func SRV(priority, weight, port uint16, target string) dnsmessage.ResourceBody {
	return &dnsmessage.SRVResource{Priority: priority, Weight: weight, Port: port, Target: dnsmessage.MustNewName(target)}
}

// NAPTR is a record of RFC 3403.
func NAPTR(order, preference uint16, flags, service, regexp, replace string) dnsmessage.ResourceBody {
	b := binary.BigEndian.AppendUint16(nil, order)
	b = binary.BigEndian.AppendUint16(b, preference)
	for _, text := range []string{flags, service, regexp} {
		b = append(append(b, byte(len(text))), text...)
	}
	for label := range strings.SplitSeq(strings.TrimSuffix(replace, "."), ".") {
		if label != "" {
			b = append(append(b, byte(len(label))), label...)
		}
	}
	return &dnsmessage.UnknownResource{Type: NAPTRType, Data: append(b, 0)}
}

func typeOf(b dnsmessage.ResourceBody) dnsmessage.Type {
	switch b := b.(type) {
	case *dnsmessage.AResource:
		return dnsmessage.TypeA
	case *dnsmessage.AAAAResource:
		return dnsmessage.TypeAAAA
	case *dnsmessage.CNAMEResource:
		return dnsmessage.TypeCNAME
	case *dnsmessage.SRVResource:
		return dnsmessage.TypeSRV
	case *dnsmessage.UnknownResource:
		return b.Type
	}
	panic("testdns: a record of another type")
}

func (s *Server) serveUDP() {
	b := make([]byte, 4096)
	for {
		n, from, err := s.udp.ReadFrom(b)
		if err != nil {
			return
		}
		for _, out := range s.answer(b[:n], false) {
			if _, err := s.udp.WriteTo(out, from); err != nil {
				return
			}
		}
	}
}

func (s *Server) serveTCP() {
	for {
		c, err := s.tcp.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.conns[c] = true
		s.mu.Unlock()
		s.wg.Go(func() {
			defer c.Close()
			_ = s.overTCP(c) // who asks goes when he likes
		})
	}
}

func (s *Server) overTCP(c net.Conn) error {
	for {
		var size [2]byte
		if _, err := io.ReadFull(c, size[:]); err != nil {
			return err
		}
		b := make([]byte, binary.BigEndian.Uint16(size[:]))
		if _, err := io.ReadFull(c, b); err != nil {
			return err
		}
		all := s.answer(b, true)
		if all == nil {
			return errors.New("the test wants silence")
		}
		for _, out := range all {
			if _, err := c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(out))), out...)); err != nil {
				return err
			}
		}
	}
}

// answer makes the answers to a query, nil for silence.
func (s *Server) answer(query []byte, tcp bool) [][]byte {
	var m dnsmessage.Message
	if err := m.Unpack(query); err != nil || len(m.Questions) != 1 {
		return nil
	}
	q := m.Questions[0]
	s.mu.Lock()
	defer s.mu.Unlock()
	kind := strings.TrimPrefix(q.Type.String(), "Type")
	if q.Type == NAPTRType {
		kind = "NAPTR"
	}
	s.asked = append(s.asked, kind+" "+strings.ToLower(q.Name.String()))
	out := dnsmessage.Message{Header: dnsmessage.Header{ID: m.ID, Response: true, RecursionDesired: true, RecursionAvailable: true}, Questions: m.Questions}
	s.fill(&out, q)
	right, err := out.Pack()
	if err != nil {
		panic("testdns: " + err.Error())
	}
	if s.lie != nil {
		return s.lie(q, right, tcp)
	}
	return [][]byte{right}
}

// fill answers a question from the zone, following what a name stands for.
func (s *Server) fill(m *dnsmessage.Message, q dnsmessage.Question) {
	name := strings.ToLower(q.Name.String())
	for range 20 {
		all, there := s.zone[name]
		if !there {
			m.RCode = dnsmessage.RCodeNameError
		}
		alias := ""
		for _, r := range all {
			if r.Header.Type == q.Type {
				m.Answers = append(m.Answers, r)
			} else if c, ok := r.Body.(*dnsmessage.CNAMEResource); ok {
				m.Answers = append(m.Answers, r)
				alias = strings.ToLower(c.CNAME.String())
			}
		}
		if alias == "" {
			break
		}
		name = alias
	}
	none := len(m.Answers) == 0 || m.Answers[len(m.Answers)-1].Header.Type != q.Type
	if none && s.soa > 0 {
		root := dnsmessage.MustNewName(".")
		m.Authorities = append(m.Authorities, dnsmessage.Resource{
			Header: dnsmessage.ResourceHeader{Name: root, Type: dnsmessage.TypeSOA, Class: dnsmessage.ClassINET, TTL: 3600},
			Body:   &dnsmessage.SOAResource{NS: root, MBox: root, MinTTL: s.soa},
		})
	}
}

// Silence is the lie of a server that answers nothing.
func Silence(dnsmessage.Question, []byte, bool) [][]byte { return nil }

// Fails is the lie of a server that answers with a code.
func Fails(code dnsmessage.RCode) Lie {
	return func(_ dnsmessage.Question, right []byte, _ bool) [][]byte {
		b := append([]byte(nil), right[:12]...)
		b[3] = b[3]&0xf0 | byte(code)
		b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11] = 0, 0, 0, 0, 0, 0, 0, 0
		return [][]byte{b}
	}
}
