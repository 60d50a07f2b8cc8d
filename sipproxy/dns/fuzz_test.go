package dns

import (
	"encoding/binary"
	"reflect"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"dialgate/internal/testdns"
)

// FuzzRead reads what any server could send: never a panic, never more than
// is taken of one answer, and only names that can be asked for.
func FuzzRead(f *testing.F) {
	kinds := []dnsmessage.Type{dnsmessage.TypeA, dnsmessage.TypeAAAA, dnsmessage.TypeSRV, typeNAPTR}
	name := dnsmessage.MustNewName("x.example.")
	bodies := []dnsmessage.ResourceBody{testdns.A("198.51.100.1"), testdns.A("2001:db8::1"), testdns.SRV(1, 2, 3, "a.example."), testdns.NAPTR(1, 2, "s", "SIP+D2U", "", "_sip._udp.x.example.")}
	for i, k := range kinds {
		for _, alias := range []bool{false, true} {
			m := dnsmessage.Message{Header: dnsmessage.Header{ID: 7, Response: true, RecursionAvailable: true}, Questions: []dnsmessage.Question{{Name: name, Type: k, Class: dnsmessage.ClassINET}}}
			owner := name
			if alias {
				owner = dnsmessage.MustNewName("y.example.")
				m.Answers = append(m.Answers, dnsmessage.Resource{Header: dnsmessage.ResourceHeader{Name: name, Type: dnsmessage.TypeCNAME, Class: dnsmessage.ClassINET, TTL: 9}, Body: testdns.CNAME("y.example.")})
			}
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: dnsmessage.ResourceHeader{Name: owner, Type: k, Class: dnsmessage.ClassINET, TTL: 60}, Body: bodies[i]})
			m.Authorities = append(m.Authorities, dnsmessage.Resource{Header: dnsmessage.ResourceHeader{Name: name, Type: dnsmessage.TypeSOA, Class: dnsmessage.ClassINET, TTL: 60}, Body: &dnsmessage.SOAResource{NS: name, MBox: name, MinTTL: 5}})
			b, err := m.Pack()
			if err != nil {
				f.Fatal(err)
			}
			f.Add(b, uint8(i))
			m.Answers = nil
			if b, err = m.Pack(); err != nil {
				f.Fatal(err)
			}
			f.Add(b, uint8(i))
		}
	}
	f.Fuzz(func(t *testing.T, msg []byte, kind uint8) {
		q := question{"x.example.", kinds[int(kind)%len(kinds)]}
		id := uint16(7)
		if len(msg) > 1 {
			id = binary.BigEndian.Uint16(msg)
		}
		r, err := read(msg, id, q)
		if err != nil {
			return
		}
		if n := len(r.addrs) + len(r.srvs) + len(r.naptrs); n > maxRecords || n > 0 && r.alias != "" || r.ttl < 0 {
			t.Errorf("%d records, alias %q, for %s", n, r.alias, r.ttl)
		}
		names := []string{r.alias}
		for _, s := range r.srvs {
			names = append(names, s.Target)
		}
		for _, n := range r.naptrs {
			names = append(names, n.Replace)
			again, ok := readNAPTR(testdns.NAPTR(n.Order, n.Preference, n.Flags, n.Service, n.Regexp, n.Replace).(*dnsmessage.UnknownResource).Data)
			if !ok || !reflect.DeepEqual(again, n) {
				t.Errorf("%+v reads as %+v when it is written again", n, again)
			}
		}
		for _, n := range names {
			if n == "" || n == "." {
				continue
			}
			asked, err := newName(n)
			if err != nil {
				t.Errorf("%q can't be asked for", n)
				continue
			}
			if _, err := appendQuestion(make([]byte, 2, 512), id, question{asked, q.kind}, true); err != nil {
				t.Errorf("%q can't be asked for: %v", n, err)
			}
		}
	})
}
