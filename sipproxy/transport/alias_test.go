package transport

import (
	"net/netip"
	"testing"
)

// TestAlias: what is written to an alias takes the connection that it is of,
// until that ends; an address that has a connection keeps it, and there are
// few.
func TestAlias(t *testing.T) {
	server := serveStream(t, "127.0.0.1:0", StreamOptions{Kind: TCP})
	first, second := serveStream(t, "127.0.0.1:0", StreamOptions{Kind: TCP}), serveStream(t, "127.0.0.1:0", StreamOptions{Kind: TCP})
	first.send(options(1, 0), server.LocalAddr())
	one := server.next().Remote
	second.send(options(2, 0), server.LocalAddr())
	two := server.next().Remote

	at := func(port uint16) netip.AddrPort { return netip.AddrPortFrom(one.Addr(), port) } // nobody is there
	server.Alias(one, at(1))
	server.Alias(two, at(1)) // has one
	server.Alias(two, one)   // is one
	server.Alias(at(99), at(2))
	server.send(options(3, 0), at(1))
	if d := first.next(); d.Remote != server.LocalAddr() {
		t.Errorf("it came from %s", d.Remote)
	}
	server.send(options(4, 0), one)
	first.next()
	if !server.Accepted(at(1)) || server.Accepted(at(2)) {
		t.Error("the alias is not known as an accepted connection, or one of nobody is")
	}
	for port := uint16(10); port < 20; port++ {
		server.Alias(one, at(port))
	}
	if server.Accepted(at(10 + maxAliases)) {
		t.Error("there are more aliases than there may be")
	}
	if n := server.Counts.Dialled(); n != 0 {
		t.Errorf("%d connections were dialled", n)
	}
	if err := first.Stream.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the alias goes with its connection", func() bool { return !server.Accepted(at(1)) && !server.Accepted(at(10)) })
	server.send(options(5, 0), at(1))
	select {
	case <-server.failed: // it was dialled, in vain
	case d := <-second.came:
		t.Errorf("it went to another: %s", d.Payload)
	}
}
