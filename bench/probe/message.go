//go:build linux

package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
)

const offer = "v=0\r\no=x 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 6000 RTP/AVP 8 0 101\r\n" +
	"a=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\na=sendrecv\r\n"

// A row is one call to be made.
type row struct{ called, caller string }

func readRows(path string, n int) ([]row, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var rows []row
	for lines := bufio.NewScanner(f); len(rows) < n && lines.Scan(); {
		if part := strings.Split(lines.Text(), ";"); len(part) == 3 {
			rows = append(rows, row{part[0], part[2]})
		}
	}
	if len(rows) < n {
		return nil, fmt.Errorf("%s has %d calls, %d are to be made", path, len(rows), n)
	}
	return rows, nil
}

// A message is what the probe needs of one: whole lines, without their ends.
type message struct {
	start                             []byte
	vias, recordRoutes                [][]byte
	from, to, callID, cseq, contactOf []byte
}

func is(name []byte, long, short string) bool {
	name = bytes.TrimSpace(name)
	return strings.EqualFold(string(name), long) || strings.EqualFold(string(name), short)
}

func parse(msg []byte) message {
	var m message
	for line := range bytes.Lines(msg) {
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			break
		}
		if m.start == nil {
			m.start = line
			continue
		}
		name, _, _ := bytes.Cut(line, []byte(":"))
		switch {
		case is(name, "via", "v"):
			m.vias = append(m.vias, line)
		case is(name, "record-route", "record-route"):
			m.recordRoutes = append(m.recordRoutes, line)
		case is(name, "from", "f"):
			m.from = line
		case is(name, "to", "t"):
			m.to = line
		case is(name, "call-id", "i"):
			m.callID = line
		case is(name, "cseq", "cseq"):
			m.cseq = line
		case is(name, "contact", "m"):
			m.contactOf = line
		}
	}
	return m
}

func value(line []byte) []byte {
	_, v, _ := bytes.Cut(line, []byte(":"))
	return bytes.TrimSpace(v)
}

// call is the number of the call, which its Call-ID begins with.
func (m message) call() (int, bool) {
	digits, _, _ := bytes.Cut(value(m.callID), []byte("."))
	n, err := strconv.Atoi(string(digits))
	return n, err == nil
}

// method is that of the request, or of the one that is answered.
func (m message) method() string {
	_, method, _ := bytes.Cut(value(m.cseq), []byte(" "))
	return string(bytes.TrimSpace(method))
}

// status is the code of a response; 0: it is a request.
func (m message) status() int {
	rest, ok := bytes.CutPrefix(m.start, []byte("SIP/2.0 "))
	if !ok || len(rest) < 3 {
		return 0
	}
	code, _ := strconv.Atoi(string(rest[:3]))
	return code
}

// address is the URI within angle brackets.
func address(line []byte) []byte {
	_, rest, _ := bytes.Cut(line, []byte("<"))
	uri, _, _ := bytes.Cut(rest, []byte(">"))
	return uri
}

func writeMessage(body string, lines ...string) []byte {
	return []byte(strings.Join(lines, "\r\n") + "\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body)
}
