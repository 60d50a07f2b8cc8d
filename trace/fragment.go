package trace

import (
	"net/netip"
	"slices"
	"time"

	"github.com/gopacket/gopacket/layers"
)

// A datagramID tells fragments of one datagram from others (RFC 791 section
// 3.2, RFC 8200 section 4.5).
type datagramID struct {
	src, dst netip.Addr
	protocol layers.IPProtocol
	id       uint32
}

// fragments joins the fragments of IP datagrams, of both versions. What it
// holds is bounded in octets and, by the trace's clock, in age.
type fragments struct {
	*decoder
	open  map[datagramID]*fragmented
	held  int
	swept time.Time
}

// fragmented is a datagram of which not all fragments have come.
type fragmented struct {
	pieces []piece // in the order of their offsets, none overlapping
	total  int     // octets of the whole datagram, -1 while its end has not come
	packet int     // the first fragment's
	seen   time.Time
}

type piece struct {
	start int
	data  []byte
}

const maxDatagram = 65535

// add takes a fragment and returns the datagram when it is complete, else nil.
// A fragment that overlaps another is not believed: only a repeat is harmless.
func (f *fragments) add(id datagramID, start int, more bool, data []byte) []byte {
	end := start + len(data)
	if len(data) == 0 || end > maxDatagram || f.cut {
		f.problem(f.packets, "is an IP fragment that was not captured whole or has an impossible offset")
		return nil
	}
	w := f.open[id]
	if w == nil {
		if f.open == nil {
			f.open = map[datagramID]*fragmented{}
		}
		w = &fragmented{total: -1, packet: f.packets}
		f.open[id] = w
	}
	w.seen = f.at
	i, found := slices.BinarySearchFunc(w.pieces, start, func(p piece, at int) int { return p.start - at })
	switch {
	case found && len(w.pieces[i].data) == len(data):
		return nil // captured twice
	case found, i > 0 && w.pieces[i-1].end() > start, i < len(w.pieces) && w.pieces[i].start < end,
		w.total >= 0 && (end > w.total || !more), !more && i < len(w.pieces):
		f.forget(id, "overlap")
		return nil
	}
	w.pieces = slices.Insert(w.pieces, i, piece{start, slices.Clone(data)})
	f.held += len(data)
	if !more {
		w.total = end
	}
	if whole := w.join(); whole != nil {
		f.held -= w.size()
		delete(f.open, id)
		return whole
	}
	if f.held > maxFragments {
		f.finish()
	}
	return nil
}

func (p piece) end() int { return p.start + len(p.data) }

func (w *fragmented) size() (n int) {
	for _, p := range w.pieces {
		n += len(p.data)
	}
	return n
}

// join is the whole datagram, nil while something is missing.
func (w *fragmented) join() []byte {
	if w.total < 0 || w.size() != w.total {
		return nil
	}
	out := make([]byte, 0, w.total)
	for _, p := range w.pieces {
		out = append(out, p.data...)
	}
	return out
}

// forget gives a datagram up and says so.
func (f *fragments) forget(id datagramID, why string) {
	w := f.open[id]
	f.held -= w.size()
	delete(f.open, id)
	f.problem(w.packet, "begins an IP datagram whose fragments %s", why)
}

// sweep gives up datagrams that have waited too long.
func (f *fragments) sweep(now time.Time) {
	if len(f.open) == 0 || now.Sub(f.swept) < ageOfFragments/2 {
		return
	}
	f.swept = now
	f.drop(func(w *fragmented) bool { return now.Sub(w.seen) > ageOfFragments })
}

// finish gives up all.
func (f *fragments) finish() { f.drop(func(*fragmented) bool { return true }) }

// drop gives up in the order of packets, so that the same trace tells the same.
func (f *fragments) drop(old func(*fragmented) bool) {
	var ids []datagramID
	for id, w := range f.open {
		if old(w) {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b datagramID) int { return f.open[a].packet - f.open[b].packet })
	for _, id := range ids {
		f.forget(id, "are not all there")
	}
}
