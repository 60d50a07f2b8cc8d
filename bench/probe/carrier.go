//go:build linux

package main

import (
	"net"
	"time"
)

// ringing is how long the carrier lets the telephone ring.
const ringing = 10 * time.Millisecond

// startCarrier answers every INVITE with 180 at once and with 200 a little
// later, and every BYE with 200, until it is stopped.
func startCarrier(s settings, log *timeLog) (stop func(), err error) {
	if s.transport == "udp" {
		l, err := listenDatagrams(s.carrier)
		if err != nil {
			return nil, err
		}
		go carry(l, s, log)
		return func() { l.Close() }, nil
	}
	l, err := net.ListenTCP("tcp4", net.TCPAddrFromAddrPort(s.carrier))
	if err != nil {
		return nil, err
	}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go carry(newStream(conn), s, log)
		}
	}()
	return func() { l.Close() }, nil
}

func carry(l link, s settings, log *timeLog) {
	defer l.Close()
	contact := "Contact: <sip:carrier@" + s.carrier.String() + ";transport=" + s.transport + ">"
	for {
		msg, at, err := l.receive()
		if err != nil {
			return
		}
		m := parse(msg)
		n, ok := m.call()
		if !ok || n >= log.calls || m.status() != 0 || m.method() == "ACK" {
			continue
		}
		if m.method() != "INVITE" {
			_ = l.send(m.reply("200 OK", nil, ""))
			continue
		}
		if !log.arrived[n].CompareAndSwap(0, at) {
			continue // sent again
		}
		log.rang[n].Store(now())
		_ = l.send(m.reply("180 Ringing", []string{contact}, ""))
		answer := m.reply("200 OK", []string{contact, "Content-Type: application/sdp"}, offer)
		time.AfterFunc(ringing, func() { _ = l.send(answer) })
	}
}

func (m message) reply(line string, more []string, body string) []byte {
	lines := []string{"SIP/2.0 " + line}
	for _, v := range m.vias {
		lines = append(lines, string(v))
	}
	if m.method() == "INVITE" {
		for _, r := range m.recordRoutes {
			lines = append(lines, string(r))
		}
	}
	to := string(m.to)
	if m.method() == "INVITE" {
		to += ";tag=carrier"
	}
	lines = append(lines, string(m.from), to, string(m.callID), string(m.cseq))
	return writeMessage(body, append(lines, more...)...)
}
