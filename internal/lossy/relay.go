// Package lossy is a bad network for tests on real sockets: a relay between a
// user agent and whom it talks to that loses, repeats and delays datagrams, so
// that some overtake others.
//
//	r, err := lossy.Listen(agent, gate, lossy.Faults{Loss: 0.01, Seed: 1})
//	// the agent sends to r.Near; its other side sees r.Far in its place
package lossy

import (
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Faults are what happens to datagrams, each way: the share that is lost, that
// comes twice, and that comes up to Late later.
type Faults struct {
	Loss, Twice, Delayed float64
	Late                 time.Duration
	Seed                 uint64
}

// Counts are how many datagrams went in, both ways, and what became of them.
type Counts struct{ In, Lost, Twice, Delayed uint64 }

// A Relay stands between one agent and one other side.
type Relay struct {
	Near netip.AddrPort // where the agent sends to
	Far  netip.AddrPort // where the other side finds the agent

	faults     Faults
	near, far  *net.UDPConn
	mu         sync.Mutex
	rand       *rand.Rand
	counts     Counts
	wg         sync.WaitGroup
	closed     chan struct{}
	closedOnce sync.Once
}

// Listen makes a relay between two addresses of loopback.
func Listen(agent, other netip.AddrPort, f Faults) (*Relay, error) {
	loopback := net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 0))
	near, err := net.ListenUDP("udp4", loopback)
	if err != nil {
		return nil, err
	}
	far, err := net.ListenUDP("udp4", loopback)
	if err != nil {
		near.Close()
		return nil, err
	}
	for _, c := range []*net.UDPConn{near, far} {
		_ = c.SetReadBuffer(4 << 20) // what the kernel does not give only loses more
	}
	r := &Relay{
		Near: near.LocalAddr().(*net.UDPAddr).AddrPort(), Far: far.LocalAddr().(*net.UDPAddr).AddrPort(),
		faults: f, near: near, far: far, rand: rand.New(rand.NewPCG(f.Seed, 0)), closed: make(chan struct{}),
	}
	r.wg.Go(func() { r.pass(near, far, other) })
	r.wg.Go(func() { r.pass(far, near, agent) })
	return r, nil
}

// pass moves datagrams one way until the relay is closed.
func (r *Relay) pass(in, out *net.UDPConn, to netip.AddrPort) {
	buf := make([]byte, 65535)
	for {
		n, _, err := in.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // an ICMP error of an earlier write
		}
		times, late := r.fate()
		for i := range times {
			if late == 0 || i > 0 { // the repetition of a late one overtakes it
				_, _ = out.WriteToUDPAddrPort(buf[:n], to) // what the kernel does not take is lost
				continue
			}
			b := slices.Clone(buf[:n])
			r.wg.Go(func() {
				select {
				case <-time.After(late):
					_, _ = out.WriteToUDPAddrPort(b, to)
				case <-r.closed:
				}
			})
		}
	}
}

// fate is how often a datagram arrives, and how much later.
func (r *Relay) fate() (times int, late time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counts.In++
	if r.rand.Float64() < r.faults.Loss {
		r.counts.Lost++
		return 0, 0
	}
	times = 1
	if r.rand.Float64() < r.faults.Twice {
		r.counts.Twice++
		times = 2
	}
	if r.rand.Float64() < r.faults.Delayed {
		r.counts.Delayed++
		late = time.Duration(r.rand.Int64N(int64(r.faults.Late)) + 1)
	}
	return times, late
}

// Counts are those so far.
func (r *Relay) Counts() Counts {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.counts
}

// Close ends the relay; what is on its way is lost.
func (r *Relay) Close() {
	r.closedOnce.Do(func() {
		close(r.closed)
		r.near.Close()
		r.far.Close()
	})
	r.wg.Wait()
}
