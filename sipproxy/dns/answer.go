package dns

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// An SRV is a record of RFC 2782.
type SRV struct {
	Priority, Weight, Port uint16
	Target                 string // "." says that there is no such service
}

// A NAPTR is a record of RFC 3403 section 4.1.
type NAPTR struct {
	Order, Preference               uint16
	Flags, Service, Regexp, Replace string
}

// records are those of one type that a name has.
type records struct {
	addrs  []netip.Addr
	srvs   []SRV
	naptrs []NAPTR
}

func (r *records) empty() bool { return len(r.addrs)+len(r.srvs)+len(r.naptrs) == 0 }

// A question is for the records of a type.
type question struct {
	name string // in lower case, with its last dot
	kind dnsmessage.Type
}

func (q question) String() string {
	kind := strings.TrimPrefix(q.kind.String(), "Type")
	if q.kind == typeNAPTR {
		kind = "NAPTR"
	}
	return kind + " of " + strings.TrimSuffix(q.name, ".")
}

const typeNAPTR dnsmessage.Type = 35 // the library has no name for it

// Bounds of what is read of one answer.
const (
	maxRecords = 64 // of the type asked for
	maxChain   = 8  // names that stand for others, one after another
)

// A reply is what a server has answered.
type reply struct {
	records
	ttl       time.Duration // how long they hold, or that there are none
	timed     bool          // ttl was said; a negative answer may say nothing
	alias     string        // the name stands for this one, of which nothing is said; "": it does not
	truncated bool          // there is more, over TCP
	code      dnsmessage.RCode
}

var (
	errNotOurs   = errors.New("what came answers another question")
	errMalformed = errors.New("what came can't be read")
	errLame      = errors.New("the server knows nothing of the name and asks nobody")
	errChain     = errors.New("its names stand for each other without an end")
)

// read reads what came for a question that was asked under an id.
func read(msg []byte, id uint16, q question) (r reply, err error) {
	var p dnsmessage.Parser
	h, err := p.Start(msg)
	if err != nil {
		return r, errMalformed
	}
	if h.ID != id || !h.Response || h.OpCode != 0 {
		return r, errNotOurs
	}
	r.code, r.truncated = h.RCode, h.Truncated
	asked, err := p.AllQuestions()
	switch {
	case err != nil:
		return r, errMalformed
	case len(asked) == 0 && h.RCode != dnsmessage.RCodeSuccess && h.RCode != dnsmessage.RCodeNameError:
		return r, nil // a server that could not read the question repeats none
	case len(asked) != 1 || lower(asked[0].Name) != q.name || asked[0].Type != q.kind || asked[0].Class != dnsmessage.ClassINET:
		return r, errNotOurs
	case h.Truncated || h.RCode != dnsmessage.RCodeSuccess && h.RCode != dnsmessage.RCodeNameError:
		return r, nil
	}
	if err := r.answers(&p, q); err != nil {
		return r, err
	}
	if !r.empty() {
		return r, nil
	}
	least, found, err := none(&p)
	switch {
	case err != nil:
		return r, err
	case found && r.alias != "":
		r.ttl = min(r.ttl, least)
	case found:
		r.ttl, r.timed = least, true
	case h.RCode == dnsmessage.RCodeNameError:
		r.timed = false
	case r.alias == "" && !h.Authoritative && !h.RecursionAvailable:
		return r, errLame
	}
	if found || h.RCode == dnsmessage.RCodeNameError {
		r.alias = "" // it is what the name stands for that is said to be missing (RFC 2308 section 2)
	}
	return r, nil
}

// answers takes from the answer section the records of the name, or of the one
// it stands for.
func (r *reply) answers(p *dnsmessage.Parser, q question) error {
	type owned struct {
		records
		alias string
		ttl   time.Duration
	}
	byOwner, n := map[string]*owned{}, 0
	for {
		h, err := p.AnswerHeader()
		if errors.Is(err, dnsmessage.ErrSectionDone) {
			break
		}
		if err != nil {
			return errMalformed
		}
		if h.Class != dnsmessage.ClassINET || h.Type != q.kind && h.Type != dnsmessage.TypeCNAME || n == maxRecords {
			if p.SkipAnswer() != nil {
				return errMalformed
			}
			continue
		}
		n++
		ttl := toTTL(h.TTL)
		of := byOwner[lower(h.Name)]
		if of == nil {
			of = &owned{ttl: ttl}
			byOwner[lower(h.Name)] = of
		}
		of.ttl = min(of.ttl, ttl)
		if h.Type != dnsmessage.TypeCNAME {
			if err := of.take(p, q.kind); err != nil {
				return err
			}
			continue
		}
		to, err := p.CNAMEResource()
		if err != nil {
			return errMalformed
		}
		of.alias = lower(to.CNAME)
	}
	name, least := q.name, time.Duration(1<<63-1)
	for range maxChain {
		of := byOwner[name]
		if of == nil {
			return nil
		}
		least = min(least, of.ttl)
		r.records, r.ttl, r.timed, r.alias = of.records, least, true, of.alias
		if !of.empty() {
			r.alias = ""
			return nil
		}
		name = of.alias
	}
	return errChain
}

// take reads the record that the parser stands at.
func (r *records) take(p *dnsmessage.Parser, kind dnsmessage.Type) error {
	switch kind {
	case dnsmessage.TypeA:
		a, err := p.AResource()
		if err != nil {
			return errMalformed
		}
		r.addrs = append(r.addrs, netip.AddrFrom4(a.A))
	case dnsmessage.TypeAAAA:
		a, err := p.AAAAResource()
		if err != nil {
			return errMalformed
		}
		r.addrs = append(r.addrs, netip.AddrFrom16(a.AAAA).Unmap())
	case dnsmessage.TypeSRV:
		s, err := p.SRVResource()
		if err != nil {
			return errMalformed
		}
		r.srvs = append(r.srvs, SRV{s.Priority, s.Weight, s.Port, lower(s.Target)})
	case typeNAPTR:
		u, err := p.UnknownResource()
		if err != nil {
			return errMalformed
		}
		n, ok := readNAPTR(u.Data)
		if !ok {
			return errMalformed
		}
		r.naptrs = append(r.naptrs, n)
	}
	return nil
}

// none finds for how long there is nothing: the SOA says so (RFC 2308 section 5).
func none(p *dnsmessage.Parser) (ttl time.Duration, found bool, err error) {
	for {
		h, err := p.AuthorityHeader()
		switch {
		case errors.Is(err, dnsmessage.ErrSectionDone):
			return 0, false, nil
		case err != nil:
			return 0, false, errMalformed
		case h.Type != dnsmessage.TypeSOA || h.Class != dnsmessage.ClassINET:
			if p.SkipAuthority() != nil {
				return 0, false, errMalformed
			}
			continue
		}
		soa, err := p.SOAResource()
		if err != nil {
			return 0, false, errMalformed
		}
		return min(toTTL(h.TTL), toTTL(soa.MinTTL)), true, nil
	}
}

// readNAPTR reads the data of a NAPTR record: two numbers, three texts and a
// name, which is never compressed (RFC 3403 section 4.1).
func readNAPTR(b []byte) (n NAPTR, ok bool) {
	if len(b) < 4 {
		return n, false
	}
	n.Order, n.Preference = binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
	b = b[4:]
	for _, text := range []*string{&n.Flags, &n.Service, &n.Regexp} {
		if len(b) == 0 || len(b) < 1+int(b[0]) {
			return n, false
		}
		*text, b = string(b[1:1+b[0]]), b[1+b[0]:]
	}
	var name strings.Builder
	for len(b) > 0 && b[0] != 0 {
		size := int(b[0])
		if size > 63 || len(b) < 1+size || strings.ContainsRune(string(b[1:1+size]), '.') {
			return n, false
		}
		name.Write(b[1 : 1+size])
		name.WriteByte('.')
		b = b[1+size:]
	}
	n.Replace = lowerText(name.String())
	if n.Replace == "" {
		n.Replace = "."
	}
	return n, len(b) == 1 && len(n.Replace) <= maxName
}

// maxName is the longest name in the library's writing.
const maxName = 254

func lower(n dnsmessage.Name) string { return lowerText(n.String()) }

// lowerText is a name in lower case. Names are octets, of which only the
// letters of ASCII have a case.
func lowerText(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] += 'a' - 'A'
		}
	}
	return string(b)
}

// toTTL reads a time to live; one with its first bit set is none (RFC 2181
// section 8).
func toTTL(n uint32) time.Duration {
	if n > 1<<31-1 {
		return 0
	}
	return time.Duration(n) * time.Second
}

// newName checks a name and writes it as it is asked for.
func newName(s string) (string, error) {
	s = lowerText(strings.TrimSuffix(s, ".")) + "."
	if len(s) > maxName || s == "." || strings.HasPrefix(s, ".") || strings.Contains(s, "..") {
		return "", fmt.Errorf("%q is no name", s)
	}
	for label := range strings.SplitSeq(s, ".") {
		if len(label) > 63 {
			return "", fmt.Errorf("%q is no name", s)
		}
	}
	return s, nil
}
