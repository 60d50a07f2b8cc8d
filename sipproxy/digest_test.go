package sipproxy

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	dto "github.com/prometheus/client_model/go"

	"dialgate/internal/simnet"
	"dialgate/sipproxy/message"
)

// TestDigestOfTheRFCs: the examples of RFC 7616 section 3.9.1 and RFC 2617
// section 3.5, whose method is GET.
func TestDigestOfTheRFCs(t *testing.T) {
	d := &Digest{User: "Mufasa"}
	d.Knows(SHA256, "http-auth@example.org", "Circle of Life")
	d.Knows(MD5, "http-auth@example.org", "Circle of Life")
	const line = `Digest username="Mufasa", realm="http-auth@example.org", uri="/dir/index.html", algorithm=%s, nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", nc=00000001, cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", qop=auth, response="%s", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"`
	for name, response := range map[string]string{"MD5": "8ca523f5e9506fed4657c9700eebdbec", "SHA-256": "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"} {
		c, ok := message.ParseCredentials(fmt.Appendf(nil, line, name, response))
		if !ok || !d.right(&c, []byte("GET")) {
			t.Errorf("%s: ok %v, and it is not right", name, ok)
		}
	}
}

// TestWhatProves: of credentials that are right in all but one thing, none is.
func TestWhatProves(t *testing.T) {
	for flaw, want := range map[string]proof{
		"": proved, "nc=00000002": proved, "qop=AUTH": proved, "cnonce=x": proved,
		"username=other": wrong, "uri=sip:+31612345678@192.0.2.1": proved, "uri=sip:+31612345679@192.0.2.1": otherURI, "uri=sip:192.0.2.1": otherURI, "uri=": otherURI,
		"uri=sip:+31612345678@192.0.2.1:5061": otherURI, "uri=sip:+31612345678@192.0.2.1;user=ip": otherURI, "uri=tel:+31612345678": otherURI,
		"nc=00000000": wrong, "nc=1": wrong, "nc=0000000g": wrong, "nc=+0000001": wrong,
		"qop=auth-int": wrong, "cnonce=": wrong, "algorithm=MD5": wrong, "algorithm=SHA-512-256": wrong, "algorithm=SHA-256-sess": wrong,
		"realm=elsewhere": challenged,
		"nonce=":          stale, "nonce=AAAA": stale, "nonce=AAAAAAAAAAAAAAAAAAAAAAAAAAA": stale, "nonce=AAAAAAAAAAAAAAAAAAAAAAAAAA!": stale,
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newStage(t, option(t, []string{"digest"}))
			s.dialer.act([]string{"INVITE", "header=X:" + strings.Repeat("x", 300)})
			synctest.Wait()
			s.dialer.act([]string{"INVITE", "cseq=2", "header=X:" + strings.Repeat("x", 300), "auth=" + flowPassword + ":" + flaw})
			synctest.Wait()
			for what := range proofCount {
				got, n := 0, 0
				if what == want {
					n++
				}
				if what == challenged {
					n++ // the first
				}
				if got = s.proofs(what); got != n {
					t.Errorf("%q: %d are %s, want %d", flaw, got, proofs[what], n)
				}
			}
			if judged := s.judged; (judged == 1) != (want == proved) {
				t.Errorf("%q: %d calls were judged", flaw, judged)
			}
			s.dialer.act([]string{"CANCEL"})
			time.Sleep(5 * time.Minute)
		})
	}
}

// proofs is how many requests a proof was made of.
func (s *stage) proofs(what proof) int {
	var m dto.Metric
	if err := s.proxy.metrics.proofs[what].Write(&m); err != nil {
		s.t.Fatal(err)
	}
	return int(m.GetCounter().GetValue())
}

// TestOurCredentialsStayHere: those for our realm are taken out, in every
// request; those for another one go on (RFC 3261 section 22.3).
func TestOurCredentialsStayHere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, option(t, []string{"digest"}))
		var sent []string
		f := func(p simnet.Packet) {
			if p.To == carrierAddr {
				sent = append(sent, string(p.Payload))
			}
		}
		s.watch.Store(&f)
		const theirs = `Proxy-Authorization:_Digest_username="x",_realm="carrier",_nonce="n",_uri="sip:x",_response="r"`
		pad := "header=X:" + strings.Repeat("x", 300)
		for _, line := range [][]string{
			{"INVITE", pad}, {"INVITE", "cseq=2", "auth=secret", "header=" + theirs, pad}, {"carrier", "200"}, {"ACK", "auth=secret", "header=" + theirs},
			{"INFO", "auth=secret", "header=" + theirs}, {"carrier", "200", "of=request"}, {"BYE", "auth=secret", "header=" + theirs},
		} {
			if line[0] == "carrier" {
				s.carrier.act(line[1:])
			} else {
				s.dialer.act(line)
			}
			synctest.Wait()
		}
		if len(sent) != 4 {
			t.Fatalf("%d requests reached the carrier", len(sent))
		}
		for _, m := range sent {
			if strings.Contains(m, `realm="dialgate"`) || !strings.Contains(m, `realm="carrier"`) || strings.Count(m, "Proxy-Authorization") != 1 {
				t.Errorf("this reached the carrier:\n%s", m)
			}
		}
		s.carrier.act([]string{"200", "of=request"})
		time.Sleep(5 * time.Minute)
	})
}

// TestNobodyIsFloodedByChallenges: whoever is named as the source of a request
// of a peer that has to prove itself gets at most one datagram, no larger than
// the request.
func TestNobodyIsFloodedByChallenges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, option(t, []string{"digest"}))
		var got []simnet.Packet
		s.net.Tap = func(p simnet.Packet) {
			if p.From == gateAddr {
				got = append(got, p)
			}
		}
		of := func(method, more string) string {
			return strings.ReplaceAll(strangersRequest(method, more), "203.0.113.66", "192.0.2.10")
		}
		algorithms := map[int]bool{}
		for size := range 40 {
			pad := "X: " + strings.Repeat("x", 10*size) + "\r\n"
			for _, request := range []string{
				of("INVITE", pad), of("OPTIONS", pad), of("REGISTER", pad), of("BYE", pad), of("CANCEL", pad), of("ACK", pad), of("MESSAGE", pad),
				of("INVITE", "To: <sip:twice@b>\r\n"), of("INVITE", "Max-Forwards: 0\r\n"), of("INVITE", "Proxy-Require: x-a, x-b, x-c\r\n"), of("INVITE", "Content-Length: 9\r\n"),
			} {
				got = nil
				s.dialer.send([]byte(request))
				synctest.Wait()
				time.Sleep(time.Minute)
				if len(got) > 1 || len(got) > 0 && len(got[0].Payload) > len(request) {
					t.Errorf("to %d octets, %d datagrams:\n%s\n%s", len(request), len(got), request, got[0].Payload)
				}
				if len(got) > 0 {
					algorithms[strings.Count(string(got[0].Payload), "Proxy-Authenticate")] = true
				}
			}
		}
		if !algorithms[1] || !algorithms[2] || s.proofs(tooShort) == 0 || s.judged > 0 {
			t.Errorf("challenges in one answer: %v; %d were too short; %d were judged", algorithms, s.proofs(tooShort), s.judged)
		}
	})
}

// TestNonces: a nonce is good for its peer, source and Call-ID, for five
// minutes, here and on the other node of a pair.
func TestNonces(t *testing.T) {
	ours, other := newTokens([]byte("0123456789abcdef")), newTokens([]byte("0123456789abcdeX"))
	pair := newTokens([]byte("0123456789abcdef"))
	q, r := &peer{Peer: Peer{Terms: flowTerms()}}, &peer{Peer: Peer{Terms: flowTerms()}}
	r.Terms.ID = "another"
	at, here, there := time.Unix(1_800_000_000, 0), netip.MustParseAddr("192.0.2.10"), netip.MustParseAddr("192.0.2.11")
	n := ours.nonce(at, q, here, []byte("call"))
	for i, x := range []struct {
		t      *tokens
		nonce  string
		q      *peer
		source netip.Addr
		callID string
		after  time.Duration
		good   bool
	}{
		{ours, string(n), q, here, "call", 0, true},
		{pair, string(n), q, here, "call", nonceFor - time.Second, true},
		{pair, string(n), q, here, "call", -nonceAhead + time.Second, true},
		{ours, string(n), q, here, "call", nonceFor, false},
		{ours, string(n), q, here, "call", -nonceAhead, false},
		{other, string(n), q, here, "call", 0, false},
		{ours, string(n), r, here, "call", 0, false},
		{ours, string(n), q, there, "call", 0, false},
		{ours, string(n), q, here, "call2", 0, false},
		{ours, "B" + string(n[1:]), q, here, "call", 0, false},
		{ours, string(n) + "AA", q, here, "call", 0, false},
	} {
		if got := x.t.isNonce([]byte(x.nonce), x.q, x.source, []byte(x.callID), at.Add(x.after)); got != x.good {
			t.Errorf("%d: %v", i, got)
		}
	}
}

// TestGuessesAreBounded: what is counted of wrong proofs does not grow, and
// whoever is blocked is so for a while.
func TestGuessesAreBounded(t *testing.T) {
	var g guesses
	now := time.Unix(1_800_000_000, 0)
	guesser := netip.MustParseAddr("2001:db8:1::1")
	for i := range mostWrong {
		if g.blocked(guesser, now) {
			t.Fatalf("blocked after %d", i)
		}
		g.add(guesser.Next(), now) // of one /64
	}
	if !g.blocked(guesser, now.Add(wrongFor+time.Second)) || g.blocked(guesser, now.Add(2*wrongFor+2*time.Second)) {
		t.Error("it is not blocked for a minute, or for longer than two")
	}
	a := netip.MustParseAddr("10.0.0.0")
	for range 3 * maxWrong {
		a = a.Next()
		g.add(a, now)
	}
	if n := len(g.counts[0]) + len(g.counts[1]); n > 2*maxWrong {
		t.Errorf("%d sources are counted", n)
	}
}
