package transport

import (
	"errors"
	"fmt"
	"net"
	"runtime"
	"testing"
	"time"
)

// keeper is a listener whose reader keeps its processor for so long at a time,
// in a runtime with one to spare.
func keeper(t *testing.T, most time.Duration) *udp {
	t.Helper()
	procs := runtime.GOMAXPROCS(runtime.NumCPU() + 1)
	t.Cleanup(func() { runtime.GOMAXPROCS(procs) })
	u := listen(t, "127.0.0.1:0").(*udp)
	if err := u.keepProcessor(most); err != nil {
		t.Fatal(err)
	}
	return u
}

// readAll reads until the listener is closed, and gives out what came.
func readAll(u *udp) (payloads chan string, ended chan error) {
	payloads, ended = make(chan string, 64), make(chan error, 1)
	go func() {
		ds := make([]Datagram, Batch)
		for {
			n, err := u.ReadBatch(ds)
			if err != nil {
				ended <- err
				return
			}
			for _, d := range ds[:n] {
				payloads <- string(d.Payload)
			}
		}
	}()
	return payloads, ended
}

// TestTheWorldStopsForWhoKeepsAProcessor: a reader that nothing comes for, and
// whose wait would end in an hour, is stopped by each collection of garbage, and
// reads on.
func TestTheWorldStopsForWhoKeepsAProcessor(t *testing.T) {
	u, from := keeper(t, time.Hour), listen(t, "127.0.0.1:0")
	payloads, ended := readAll(u)
	for i := range 20 {
		if _, err := from.WriteBatch([]Datagram{{Payload: fmt.Append(nil, i), Remote: u.LocalAddr()}}); err != nil {
			t.Fatal(err)
		}
		if got := <-payloads; got != fmt.Sprint(i) {
			t.Fatalf("got %q, want %d", got, i)
		}
		runtime.GC()
	}
	u.Close()
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v, want net.ErrClosed", err)
	}
}

// TestAQuietReaderGivesItsProcessorBack: when nothing comes for a while the
// reader waits in a call that the runtime knows of, and misses nothing.
func TestAQuietReaderGivesItsProcessorBack(t *testing.T) {
	const most = 2 * time.Millisecond
	u, from := keeper(t, most), listen(t, "127.0.0.1:0")
	payloads, ended := readAll(u)
	for i := range 20 {
		if i%2 == 0 {
			time.Sleep(3 * most)
		}
		if _, err := from.WriteBatch([]Datagram{{Payload: fmt.Append(nil, i), Remote: u.LocalAddr()}}); err != nil {
			t.Fatal(err)
		}
		if got := <-payloads; got != fmt.Sprint(i) {
			t.Fatalf("got %q, want %d", got, i)
		}
	}
	time.Sleep(3 * most)
	u.Close()
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v, want net.ErrClosed", err)
	}
}
