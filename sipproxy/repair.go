package sipproxy

import (
	"bytes"
	"fmt"
	"slices"

	"dialgate/sipproxy/message"
)

// repair is the preprocessing of RFC 3261 section 16.4, after which a request
// reads as if it had come right:
//
//   - a strict router of RFC 2543 puts the Record-Route value of ours into the
//     Request-URI and what the Request-URI was below all Route values: both go
//     back to their places;
//   - an maddr that is one of our own addresses is taken away.
func (p *Proxy) repair(v *message.View) {
	u := v.Target
	if u.Scheme != message.SIP {
		return
	}
	if _, ours := u.Param(tokenParam); ours && p.isOurs(&u) && v.Get(message.Route) != nil {
		var last message.Address
		v.Routes(func(a message.Address) bool {
			last = a
			return true
		})
		p.reread(v, &message.Edits{URI: last.URI, DropLast: true}, fmt.Appendf(nil, "Route: <%s>\r\n", v.URI))
		u = v.Target
	}
	if maddr, there := u.Param("maddr"); there {
		named := u // of its port and transport
		named.Host = maddr
		if p.isOurs(&named) {
			p.reread(v, &message.Edits{URI: withoutParam(v.URI, &u, "maddr")}, nil)
		}
	}
}

// strictNext makes a request fit for a next hop that is a strict router: its
// address in the Request-URI and what stood there below all Route values (RFC
// 3261 section 16.6 step 6). e tells how many Route values go.
func strictNext(v *message.View, e *message.Edits) {
	n := 0
	v.Routes(func(a message.Address) bool {
		if n++; n <= e.DropRoutes {
			return true
		}
		if u, ok := message.ParseURI(a.URI); ok {
			if _, loose := u.Param("lr"); !loose {
				e.URI, e.DropRoutes = a.URI, e.DropRoutes+1
				e.LastRoute = append(append([]byte("<"), v.URI...), '>')
			}
		}
		return false
	})
}

// reread gives v the edited message, with a line on top of its header. What can't be read after the edit stays as
// it came; it has no token then and is refused or judged as such.
func (p *Proxy) reread(v *message.View, e *message.Edits, line []byte) {
	raw := v.AppendForward(make([]byte, 0, len(v.Raw)+64), e)
	if start := bytes.IndexByte(raw, '\n') + 1; line != nil {
		raw = slices.Concat(raw[:start], line, raw[start:])
	}
	before := v.Raw
	if err := v.Parse(raw); err != nil {
		if err := v.Parse(before); err != nil {
			panic("a message that was read once can't be read again: " + err.Error())
		}
	}
}

// withoutParam is a sip URI without a parameter.
func withoutParam(uri []byte, u *message.URI, name string) []byte {
	b := append(make([]byte, 0, len(uri)), uri[:len(uri)-len(u.Params)]...)
	message.EachParam(u.Params, func(n, value []byte) {
		if message.EqualFold(n, name) {
			return
		}
		b = append(append(b, ';'), n...)
		if value != nil {
			b = append(append(b, '='), value...)
		}
	})
	return b
}
