//go:build linux

package main

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strings"
	"time"
)

type dialer struct {
	s    settings
	link link
	rows []row
	log  *timeLog
	run  string
	over chan struct{} // closed when every call has ended
}

func newDialer(s settings, rows []row, log *timeLog) (*dialer, error) {
	d := &dialer{s: s, rows: rows, log: log, run: fmt.Sprint(os.Getpid()), over: make(chan struct{})}
	if s.transport == "tcp" {
		conn, err := net.DialTimeout("tcp4", s.proxy.String(), 5*time.Second)
		if err != nil {
			return nil, err
		}
		d.link = newStream(conn)
		return d, nil
	}
	l, err := listenDatagrams(s.dialer)
	if err != nil {
		return nil, err
	}
	l.peer.Store(&s.proxy)
	d.link = l
	return d, nil
}

func (d *dialer) close() { d.link.Close() }

// makeCalls starts the calls at their moments and returns when all have ended
// or patience has.
func (d *dialer) makeCalls() {
	go d.listen()
	random := rand.New(rand.NewPCG(7, 7))
	next := time.Now().Add(50 * time.Millisecond)
	for n := range d.rows {
		time.Sleep(time.Until(next))
		msg := d.invite(n)
		d.log.sent[n].Store(now())
		_ = d.link.send(msg)
		next = next.Add(time.Duration(random.ExpFloat64() / d.s.rate * float64(time.Second)))
		// A pause of the machine is not made up for by a burst.
		if late := time.Now().Add(-20 * time.Millisecond); next.Before(late) {
			next = late
		}
	}
	select {
	case <-d.over:
	case <-time.After(d.s.patience):
	}
}

// listen sends what follows an answer, and counts the calls that have ended.
func (d *dialer) listen() {
	answered, ended := make([]bool, len(d.rows)), 0
	for {
		msg, at, err := d.link.receive()
		if err != nil {
			return
		}
		m := parse(msg)
		n, ok := m.call()
		code := m.status()
		if !ok || n >= len(d.rows) || code == 0 {
			continue
		}
		switch {
		case m.method() == "BYE":
			if d.log.ended[n].CompareAndSwap(0, at) {
				ended++
			}
		case code == 100:
			d.log.tried[n].CompareAndSwap(0, at)
		case code < 200:
			d.log.rung[n].CompareAndSwap(0, at)
		case code < 300:
			d.log.code[n].Store(int32(code))
			_ = d.link.send(d.inDialog(n, m, "ACK", 1))
			if !answered[n] {
				answered[n] = true
				_ = d.link.send(d.inDialog(n, m, "BYE", 2))
			}
		default:
			d.log.code[n].Store(int32(code))
			_ = d.link.send(d.ackRefusal(n, m))
			if d.log.refused[n].CompareAndSwap(0, at) {
				ended++
			}
		}
		if ended == len(d.rows) {
			close(d.over)
			return
		}
	}
}

func (d *dialer) via(n int, which string) string {
	return fmt.Sprintf("Via: SIP/2.0/%s %s;branch=z9hG4bK%s.%d.%s", strings.ToUpper(d.s.transport), d.s.dialer, d.run, n, which)
}

func (d *dialer) target(n int) string { return "sip:" + d.rows[n].called + "@" + d.s.proxy.String() }

func (d *dialer) from(n int) string {
	return fmt.Sprintf(`From: "Campaign 7" <sip:%s@%s>;tag=d%d`, d.rows[n].caller, d.s.dialer, n)
}

func (d *dialer) invite(n int) []byte {
	return writeMessage(offer, "INVITE "+d.target(n)+";user=phone SIP/2.0", d.via(n, "i"), "Max-Forwards: 70", d.from(n),
		"To: <"+d.target(n)+">", fmt.Sprintf("Call-ID: %d.%s@probe", n, d.run), "CSeq: 1 INVITE",
		"Contact: <sip:dialer@"+d.s.dialer.String()+";transport="+d.s.transport+">",
		"P-Asserted-Identity: <sip:"+d.rows[n].caller+"@"+d.s.dialer.Addr().String()+">", "User-Agent: bench-dialer",
		"Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE", "Supported: timer, 100rel", "Session-Expires: 1800",
		"Content-Type: application/sdp")
}

func (d *dialer) inDialog(n int, answer message, method string, cseq int) []byte {
	lines := []string{method + " " + string(address(answer.contactOf)) + " SIP/2.0", d.via(n, method), "Max-Forwards: 70"}
	for _, r := range slices.Backward(answer.recordRoutes) {
		lines = append(lines, "Route: "+string(value(r)))
	}
	return writeMessage("", append(lines, d.from(n), string(answer.to), string(answer.callID), fmt.Sprintf("CSeq: %d %s", cseq, method))...)
}

func (d *dialer) ackRefusal(n int, answer message) []byte {
	return writeMessage("", "ACK "+d.target(n)+";user=phone SIP/2.0", d.via(n, "i"), "Max-Forwards: 70", d.from(n), string(answer.to),
		string(answer.callID), "CSeq: 1 ACK")
}
