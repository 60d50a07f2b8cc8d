package simnet

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// A Ladder records packets and prints them between the columns of who takes part.
type Ladder struct {
	names []string
	addrs [][]netip.AddrPort
	mu    sync.Mutex
	start time.Time
	rows  []string
}

// columnWidth is the distance between two columns of a ladder.
const columnWidth = 46

// NewLadder makes a ladder that begins now.
func NewLadder() *Ladder { return &Ladder{start: time.Now()} }

// Column adds a column for whoever has these addresses.
func (l *Ladder) Column(name string, addrs ...netip.AddrPort) {
	l.names, l.addrs = append(l.names, name), append(l.addrs, addrs)
}

// Note puts a remark between the rows.
func (l *Ladder) Note(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rows = append(l.rows, fmt.Sprintf("%9s  -- %s", l.since(), text))
}

func (l *Ladder) since() string { return fmt.Sprintf("%.3f", time.Since(l.start).Seconds()) }

// Add records a packet; use it as a Network's Tap.
func (l *Ladder) Add(p Packet) {
	l.mu.Lock()
	defer l.mu.Unlock()
	from, to := l.column(p.From), l.column(p.To)
	if from < 0 || to < 0 || from == to {
		return
	}
	text := label(p.Payload)
	if p.Lost {
		text += " (lost)"
	}
	l.rows = append(l.rows, strings.TrimRight(fmt.Sprintf("%9s  %s", l.since(), l.row(from, to, text)), " "))
}

func (l *Ladder) column(a netip.AddrPort) int {
	for i, addrs := range l.addrs {
		for _, b := range addrs {
			if a == b {
				return i
			}
		}
	}
	return -1
}

// row draws an arrow with its text between two columns.
func (l *Ladder) row(from, to int, text string) string {
	line := bytes.Repeat([]byte(" "), columnWidth*(len(l.names)-1)+1)
	for i := range l.names {
		line[i*columnWidth] = '|'
	}
	left, right := min(from, to)*columnWidth, max(from, to)*columnWidth
	for i := left + 1; i < right; i++ {
		line[i] = '-'
	}
	if to > from {
		line[right-1] = '>'
	} else {
		line[left+1] = '<'
	}
	room := right - left - 5
	if len(text) > room {
		text = text[:room]
	}
	copy(line[left+3:], " "+text+" ")
	return string(line)
}

// label is what a SIP engineer writes on an arrow.
func label(payload []byte) string {
	line, _, _ := strings.Cut(string(payload), "\r\n")
	if rest, ok := strings.CutPrefix(line, "SIP/2.0 "); ok {
		return rest + " (" + header(payload, "CSeq") + ")"
	}
	method, _, _ := strings.Cut(line, " ")
	return method
}

// header is the value of a header field's method, for labels only.
func header(payload []byte, name string) string {
	for _, line := range strings.Split(string(payload), "\r\n") {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			fields := strings.Fields(value)
			if len(fields) > 0 {
				return fields[len(fields)-1]
			}
		}
	}
	return "?"
}

// String is the whole ladder.
func (l *Ladder) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var b strings.Builder
	head := ""
	for i, name := range l.names {
		head += strings.Repeat(" ", max(0, i*columnWidth-len(head))) + name
	}
	fmt.Fprintf(&b, "%9s  %s\n", "seconds", head)
	for _, r := range l.rows {
		b.WriteString(r + "\n")
	}
	return b.String()
}
