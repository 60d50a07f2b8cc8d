package trace

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/gopacket/gopacket/layers"
)

// A direction is one half of a TCP connection.
type direction struct{ src, dst netip.AddrPort }

// streams puts the segments of TCP connections into order. gopacket's
// reassembly gives streams up in the order of a map; here the same trace gives
// the same messages and problems, and each half is bounded by itself.
type streams struct {
	*decoder
	open    map[direction]*stream
	waiting int // octets of segments that wait for earlier ones
	begun   int // octets of messages that are not whole yet
	swept   time.Time
}

// A stream is one direction of a connection.
type stream struct {
	direction
	framer  framer
	started bool
	next    uint32 // sequence number of the octet that comes next
	waiting []segment
	seen    time.Time
	packet  int // the last that belonged to it
}

type segment struct {
	seq    uint32
	data   []byte
	packet int
}

// Bounds of what waits for an earlier segment.
const (
	maxWaiting    = 16 << 20
	maxOutOfOrder = 256 // segments of one stream
)

func newStreams(d *decoder) *streams {
	return &streams{decoder: d, open: map[direction]*stream{}}
}

// segment takes a TCP segment.
func (t *streams) segment(h *layers.TCP) {
	way := direction{t.from(uint16(h.SrcPort)), t.to(uint16(h.DstPort))}
	w := t.open[way]
	if w == nil {
		if len(h.Payload) == 0 && !h.SYN {
			return
		}
		if len(t.open) >= maxStreams {
			t.evict()
		}
		w = &stream{direction: way}
		w.framer = framer{streams: t, stream: w}
		t.open[way] = w
	}
	w.seen, w.packet = t.at, t.packets
	seq := h.Seq
	if h.SYN {
		seq++
		if w.started && seq != w.next {
			t.flush(w) // the ports are used for another connection
		}
		if !w.started {
			w.started, w.next = true, seq
		}
	}
	if !w.started && len(h.Payload) > 0 {
		w.started, w.next = true, seq // the capture began later than the connection
	}
	t.take(w, seq, h.Payload)
	if h.RST || h.FIN && len(w.waiting) == 0 && int32(seq+uint32(len(h.Payload))-w.next) <= 0 {
		t.flush(w)
		delete(t.open, way)
	}
}

// take puts the octets from seq on in their place.
func (t *streams) take(w *stream, seq uint32, data []byte) {
	if len(data) == 0 {
		return
	}
	ahead := int32(seq - w.next)
	if ahead > 0 {
		t.wait(w, segment{seq, slices.Clone(data), t.packets})
		return
	}
	if int(-ahead) >= len(data) {
		return // sent or captured twice
	}
	w.deliver(data[-ahead:], t.packets)
	t.drain(w)
}

func (w *stream) deliver(data []byte, packet int) {
	w.next += uint32(len(data))
	w.framer.add(data, packet)
}

// wait keeps a segment until what comes before it has come.
func (t *streams) wait(w *stream, s segment) {
	i, found := slices.BinarySearchFunc(w.waiting, s, func(a, b segment) int { return int(int32(a.seq - b.seq)) })
	if found {
		if len(w.waiting[i].data) >= len(s.data) {
			return
		}
		t.waiting -= len(w.waiting[i].data)
		w.waiting[i] = s
	} else {
		w.waiting = slices.Insert(w.waiting, i, s)
	}
	t.waiting += len(s.data)
	for len(w.waiting) > maxOutOfOrder || t.waiting > maxWaiting && len(w.waiting) > 0 {
		t.skip(w)
	}
}

// drain delivers what waited and is next now.
func (t *streams) drain(w *stream) {
	for len(w.waiting) > 0 {
		s := w.waiting[0]
		ahead := int32(s.seq - w.next)
		if ahead > 0 {
			return
		}
		w.waiting = w.waiting[1:]
		t.waiting -= len(s.data)
		if int(-ahead) < len(s.data) {
			w.deliver(s.data[-ahead:], s.packet)
		}
	}
	w.waiting = nil
}

// skip gives up on the octets that are missing before the first waiting segment.
func (t *streams) skip(w *stream) {
	missing := w.waiting[0].seq - w.next
	w.framer.gap(missing)
	w.next = w.waiting[0].seq
	t.drain(w)
}

// flush ends a stream: what is missing will not come.
func (t *streams) flush(w *stream) {
	for len(w.waiting) > 0 {
		t.skip(w)
	}
	w.framer.end()
	w.framer = framer{streams: t, stream: w}
	w.started = false
}

// sweep gives up gaps and connections that are too old by the trace's clock.
func (t *streams) sweep(now time.Time) {
	if len(t.open) == 0 || now.Sub(t.swept) < ageOfGaps/2 {
		return
	}
	t.swept = now
	t.close(t.oldest(func(w *stream) bool {
		return now.Sub(w.seen) > ageOfStreams || len(w.waiting) > 0 && now.Sub(w.seen) > ageOfGaps
	}))
}

// evict makes room by closing the quarter of the connections that were silent longest.
func (t *streams) evict() {
	all := t.oldest(func(*stream) bool { return true })
	t.close(all[:len(all)/4+1])
}

// finish closes all.
func (t *streams) finish() { t.close(t.oldest(func(*stream) bool { return true })) }

func (t *streams) close(list []*stream) {
	for _, w := range list {
		t.flush(w)
		delete(t.open, w.direction)
	}
}

// oldest lists streams in the order of their last packets.
func (t *streams) oldest(which func(*stream) bool) []*stream {
	var list []*stream
	for _, w := range t.open {
		if which(w) {
			list = append(list, w)
		}
	}
	slices.SortFunc(list, func(a, b *stream) int {
		return cmp.Or(cmp.Compare(a.packet, b.packet), a.src.Compare(b.src), a.dst.Compare(b.dst))
	})
	return list
}
