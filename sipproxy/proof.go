package sipproxy

import (
	"crypto/hmac"
	"encoding/base64"
	"encoding/binary"
	"net/netip"
	"sync"
	"time"

	"dialgate/sipproxy/message"
)

// A proof is what came of asking a peer with a [Digest] who it is.
type proof int

const (
	proved     proof = iota
	challenged       // it has said nothing for our realm
	stale            // what it says is for a nonce that is not, or no longer, ours
	otherURI         // what it says is right, but of another Request-URI
	wrong            // what it says is not right
	blocked          // too much that was not right has come from its address: this was not looked at
	tooShort         // no challenge is as short as its datagram, so it got none
	proofCount
)

var proofs = [proofCount]string{proved: "proved", challenged: "challenged", stale: "stale", otherURI: "other-uri", wrong: "wrong", blocked: "blocked", tooShort: "too-short"}

const (
	// nonceFor is how long a nonce is good for.
	nonceFor = 5 * time.Minute
	// nonceAhead is how far the clock of a pair's other node may be ahead.
	nonceAhead = 10 * time.Second

	// mostWrong bounds the wrong proofs of one address in a minute or two.
	mostWrong = 10
	wrongFor  = time.Minute
	// maxWrong bounds the addresses of which wrong proofs are counted, in a minute.
	maxWrong = 4096
)

// proves reports whether a request comes from who its source says, and answers
// it when not. uri is the Request-URI that it came with. An ACK or CANCEL is
// not asked (RFC 3261 section 22.1), and an OPTIONS that ends here need not be:
// it begins nothing.
func (p *Proxy) proves(c *inForce, l *Listener, q *peer, from netip.AddrPort, v *message.View, uri []byte) bool {
	if v.IsMethod("OPTIONS") && len(v.ToTag) == 0 {
		return true
	}
	now := time.Now()
	what := p.prove(c, q, from.Addr(), v, uri, now)
	switch what {
	case proved:
	case challenged, stale:
		if !p.challenge(c, l, q, from, v, what == stale, now) {
			what = tooShort
		}
	default:
		status := 403
		if what == otherURI {
			status = 400 // RFC 7616 section 3.4.6
		}
		p.replyNoLarger(l, from, v, status, nil)
		if second := now.Unix(); p.warned.Swap(second) != second {
			p.o.Log.Warn("a peer has not proved who it is", "peer", q.Terms.ID, "remote", from, "result", proofs[what])
		}
	}
	p.metrics.proofs[what].Inc()
	return what == proved
}

// prove looks at the credentials for our realm. Whether they are right is told
// to who has a nonce of ours only, which went to its address: so nobody can
// guess faster than we count, and nobody is blocked by who sends in its name.
func (p *Proxy) prove(c *inForce, q *peer, source netip.Addr, v *message.View, uri []byte, now time.Time) proof {
	of, n := credentials(v, c.Realm)
	switch {
	case n != 1:
		return challenged // also two for one realm, of which one would be another's word
	case !p.tokens.isNonce(of.Nonce, q, source, v.Value(message.CallID), now):
		return stale
	case p.guesses.blocked(source, now):
		return blocked
	case !q.Digest.right(&of, v.Method):
		p.guesses.add(source, now)
		return wrong
	case !isTarget(of.URI, uri) && !p.inCall(v):
		return otherURI
	}
	return proved
}

// inCall reports whether a request is one in a call that was let through. Its
// nonce is of that call, and where it goes is judged by itself, so we do not
// insist on the URI in its credentials: many user agents repeat that of their
// INVITE.
func (p *Proxy) inCall(v *message.View) bool {
	if len(v.ToTag) == 0 {
		return false
	}
	_, _, ok := p.dialog(v)
	return ok
}

// credentials are those of a request for a realm, and how many there are.
func credentials(v *message.View, realm string) (of message.Credentials, n int) {
	for i := range v.Headers {
		if v.Headers[i].Kind != message.ProxyAuthorization {
			continue
		}
		if c, ok := message.ParseCredentials(v.Headers[i].Value); ok && string(c.Realm) == realm {
			of, n = c, n+1
		}
	}
	return of, n
}

// challenge asks who sends (RFC 3261 section 22.3), by each algorithm there is
// a hash for, or as many of them as fit. It reports whether one did. Nothing is
// kept: the nonce says itself whether it is ours.
func (p *Proxy) challenge(c *inForce, l *Listener, q *peer, from netip.AddrPort, v *message.View, stale bool, now time.Time) bool {
	nonce := p.tokens.nonce(now, q, from.Addr(), v.Value(message.CallID))
	var lines []byte
	var ends []int
	for _, a := range q.Digest.offers() {
		lines = append(append(lines, `Proxy-Authenticate: Digest realm="`...), c.Realm...)
		lines = append(append(lines, `",nonce="`...), nonce...)
		lines = append(append(lines, `",algorithm=`...), algorithms[a].name...)
		lines = append(lines, `,qop="auth"`...)
		if stale {
			lines = append(lines, ",stale=true"...)
		}
		lines = append(lines, "\r\n"...)
		ends = append(ends, len(lines))
	}
	for i := len(ends) - 1; i >= 0; i-- {
		if p.replyNoLarger(l, from, v, 407, lines[:ends[i]]) {
			return true
		}
	}
	return false
}

// nonceSize is a time and a keyed hash.
const nonceSize = 4 + macSize

// nonce makes a nonce: when it was made, and a keyed hash over that and over
// for whom. It is good for one Call-ID, so that nobody can use what was
// overheard for another call.
func (t *tokens) nonce(now time.Time, q *peer, source netip.Addr, callID []byte) []byte {
	var b [nonceSize]byte
	binary.BigEndian.PutUint32(b[:], uint32(now.Unix()))
	t.sealNonce(&b, q, source, callID)
	return base64.RawURLEncoding.AppendEncode(nil, b[:])
}

// sealNonce writes the keyed hash behind the time.
func (t *tokens) sealNonce(b *[nonceSize]byte, q *peer, source netip.Addr, callID []byte) {
	of := t.wholePrint("nonce ", string(b[:4])+q.Terms.ID+"\x00"+source.Unmap().String()+"\x00"+string(callID))
	copy(b[4:], of[:])
}

// isNonce reports whether a nonce is ours, for this peer, source and Call-ID,
// and still good.
func (t *tokens) isNonce(nonce []byte, q *peer, source netip.Addr, callID []byte, now time.Time) bool {
	var b, again [nonceSize]byte
	if base64.RawURLEncoding.DecodedLen(len(nonce)) != nonceSize {
		return false
	}
	if _, err := base64.RawURLEncoding.Decode(b[:], nonce); err != nil {
		return false
	}
	again = b
	t.sealNonce(&again, q, source, callID)
	age := now.Sub(time.Unix(int64(binary.BigEndian.Uint32(b[:])), 0))
	return hmac.Equal(again[:], b[:]) && age < nonceFor && age > -nonceAhead
}

// guesses count the wrong proofs of each source, in this minute and the one
// before.
type guesses struct {
	mu     sync.Mutex
	counts [2]map[netip.Addr]int // the newer first
	began  time.Time
}

// blocked reports whether there were too many of a source.
func (g *guesses) blocked(source netip.Addr, now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.turn(now)
	s := counted(source)
	return g.counts[0][s]+g.counts[1][s] >= mostWrong
}

// add counts one. When there is no room for another source, the minute ends
// early.
func (g *guesses) add(source netip.Addr, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.turn(now)
	s := counted(source)
	if g.counts[0] == nil || g.counts[0][s] == 0 && len(g.counts[0]) >= maxWrong {
		g.counts = [2]map[netip.Addr]int{{}, g.counts[0]}
		g.began = now
	}
	g.counts[0][s]++
}

// turn begins another minute when one is over.
func (g *guesses) turn(now time.Time) {
	switch age := now.Sub(g.began); {
	case age >= 2*wrongFor:
		g.counts, g.began = [2]map[netip.Addr]int{}, now
	case age >= wrongFor:
		g.counts, g.began = [2]map[netip.Addr]int{nil, g.counts[0]}, now
	}
}

// counted is what a source is counted by: an IPv6 host has a /64 of addresses.
func counted(a netip.Addr) netip.Addr {
	if a = a.Unmap(); a.Is4() {
		return a
	}
	p, _ := a.WithZone("").Prefix(64) // an IPv6 address has one
	return p.Addr()
}
