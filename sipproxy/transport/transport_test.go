package transport

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
)

func listen(t testing.TB, addr string) PacketConn {
	t.Helper()
	c, err := ListenUDP(context.Background(), netip.MustParseAddrPort(addr), Options{})
	if err != nil {
		if strings.Contains(addr, "[") {
			t.Skipf("this machine has no IPv6: %v", err)
		}
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestDatagramsOfEverySizeArriveWhole(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", "[::1]:0"} {
		t.Run(addr, func(t *testing.T) {
			a, b := listen(t, addr), listen(t, addr)
			ds := make([]Datagram, Batch)
			for _, size := range []int{0, 1, 1300, 1500, 9000, 65507} {
				want := bytes.Repeat([]byte{'x'}, size)
				if n, err := a.WriteBatch([]Datagram{{Payload: want, Remote: b.LocalAddr()}}); n != 1 || err != nil {
					t.Fatalf("size %d: wrote %d: %v", size, n, err)
				}
				n, err := b.ReadBatch(ds)
				if n != 1 || err != nil || !bytes.Equal(ds[0].Payload, want) {
					t.Fatalf("size %d: read %d datagrams, %d octets: %v", size, n, len(ds[0].Payload), err)
				}
				if ds[0].Remote != a.LocalAddr() {
					t.Errorf("source %v, want %v", ds[0].Remote, a.LocalAddr())
				}
			}
		})
	}
}

func TestABatchIsWrittenInOrder(t *testing.T) {
	a, b := listen(t, "127.0.0.1:0"), listen(t, "127.0.0.1:0")
	var out []Datagram
	for i := range 3*Batch + 5 {
		out = append(out, Datagram{Payload: fmt.Appendf(nil, "%d", i), Remote: b.LocalAddr()})
	}
	if n, err := a.WriteBatch(out); n != len(out) || err != nil {
		t.Fatalf("wrote %d: %v", n, err)
	}
	ds := make([]Datagram, Batch)
	for next := 0; next < len(out); {
		n, err := b.ReadBatch(ds)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range ds[:n] {
			if string(d.Payload) != fmt.Sprint(next) {
				t.Fatalf("got %s, want %d", d.Payload, next)
			}
			next++
		}
	}
}

// A datagram to a port that nobody listens on comes back as an ICMP error on
// the socket; the reader must not take it for its own end.
func TestAnICMPErrorEndsNobody(t *testing.T) {
	a, b, gone := listen(t, "127.0.0.1:0"), listen(t, "127.0.0.1:0"), listen(t, "127.0.0.1:0")
	gone.Close()
	for range 3 {
		if _, err := a.WriteBatch([]Datagram{{Payload: []byte("lost"), Remote: gone.LocalAddr()}, {Payload: []byte("there"), Remote: b.LocalAddr()}}); err != nil {
			t.Fatal(err)
		}
	}
	ds := make([]Datagram, Batch)
	for got := 0; got < 3; {
		n, err := b.ReadBatch(ds)
		if err != nil {
			t.Fatal(err)
		}
		got += n
	}
	if _, err := b.WriteBatch([]Datagram{{Payload: []byte("back"), Remote: a.LocalAddr()}}); err != nil {
		t.Fatal(err)
	}
	if n, err := a.ReadBatch(ds); n != 1 || err != nil || string(ds[0].Payload) != "back" {
		t.Fatalf("read %d: %v", n, err)
	}
}

func TestCloseEndsTheReader(t *testing.T) {
	a := listen(t, "127.0.0.1:0")
	ended := make(chan error, 1)
	go func() {
		_, err := a.ReadBatch(make([]Datagram, Batch))
		ended <- err
	}()
	a.Close()
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v, want net.ErrClosed", err)
	}
}

func TestATakenPortSaysSo(t *testing.T) {
	a := listen(t, "127.0.0.1:0")
	_, err := ListenUDP(context.Background(), a.LocalAddr(), Options{})
	if err == nil || !strings.Contains(err.Error(), "another program holds that port") {
		t.Errorf("got %v", err)
	}
}

func BenchmarkDatagram(b *testing.B) {
	for _, size := range []int{1, 16} {
		b.Run(fmt.Sprintf("batch-%d", size), func(b *testing.B) {
			from, to := listen(b, "127.0.0.1:0"), listen(b, "127.0.0.1:0")
			out := make([]Datagram, size)
			for i := range out {
				out[i] = Datagram{Payload: bytes.Repeat([]byte{'x'}, 850), Remote: to.LocalAddr()}
			}
			in := make([]Datagram, Batch)
			b.ReportAllocs()
			for i := 0; i < b.N; i += size {
				if _, err := from.WriteBatch(out); err != nil {
					b.Fatal(err)
				}
				for got := 0; got < size; {
					n, err := to.ReadBatch(in)
					if err != nil {
						b.Fatal(err)
					}
					got += n
				}
			}
		})
	}
}
