//go:build linux

package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"
)

// A link carries SIP messages to one peer and from it.
type link interface {
	send(msg []byte) error
	// receive waits for the next message, good until the next call, and says
	// when it came, in nanoseconds since 1970.
	receive() (msg []byte, at int64, err error)
	Close() error
}

func now() int64 { return time.Now().UnixNano() }

// A datagrams link is a UDP socket; it answers whoever it heard last unless it
// was made for one peer.
type datagrams struct {
	*net.UDPConn
	peer     atomic.Pointer[netip.AddrPort]
	in, more []byte
}

func listenDatagrams(own netip.AddrPort) (*datagrams, error) {
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(own))
	if err != nil {
		return nil, err
	}
	_ = conn.SetReadBuffer(4 << 20)
	raw, err := conn.SyscallConn()
	if err == nil {
		var set error
		err = raw.Control(func(fd uintptr) {
			set = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_TIMESTAMPNS, 1)
		})
		err = errors.Join(err, set)
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("ask the kernel for stamps: %w", err)
	}
	return &datagrams{UDPConn: conn, in: make([]byte, 65536), more: make([]byte, 256)}, nil
}

func (d *datagrams) send(msg []byte) error {
	_, err := d.WriteToUDPAddrPort(msg, *d.peer.Load())
	return err
}

func (d *datagrams) receive() ([]byte, int64, error) {
	n, more, _, from, err := d.ReadMsgUDPAddrPort(d.in, d.more)
	if err != nil {
		return nil, 0, err
	}
	if d.peer.Load() == nil {
		d.peer.Store(&from)
	}
	stamps, err := syscall.ParseSocketControlMessage(d.more[:more])
	if err != nil {
		return nil, 0, err
	}
	for _, m := range stamps {
		// A timespec of two 64-bit words.
		if m.Header.Level == syscall.SOL_SOCKET && m.Header.Type == syscall.SO_TIMESTAMPNS && len(m.Data) == 16 {
			seconds, rest := binary.NativeEndian.Uint64(m.Data), binary.NativeEndian.Uint64(m.Data[8:])
			return d.in[:n], int64(seconds)*1e9 + int64(rest), nil
		}
	}
	return nil, 0, errors.New("the kernel gave a datagram no stamp")
}

// A stream link is a TCP connection. A message counts as come when it has been
// read: there is no stamp of the kernel's for a part of a stream.
type stream struct {
	net.Conn
	from *bufio.Reader
	in   []byte
}

func newStream(conn net.Conn) *stream {
	return &stream{Conn: conn, from: bufio.NewReaderSize(conn, 1<<16)}
}

func (s *stream) send(msg []byte) error {
	_, err := s.Write(msg)
	return err
}

func (s *stream) receive() ([]byte, int64, error) {
	s.in = s.in[:0]
	length := 0
	for {
		line, err := s.from.ReadSlice('\n')
		if err != nil {
			return nil, 0, err
		}
		if len(s.in) == 0 && len(line) <= 2 {
			continue // a keep-alive between messages
		}
		s.in = append(s.in, line...)
		if len(line) <= 2 {
			break
		}
		if name, value, ok := bytes.Cut(line, []byte(":")); ok && is(name, "content-length", "l") {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil || length < 0 || length > 1<<16 {
				return nil, 0, fmt.Errorf("Content-Length %q", value)
			}
		}
	}
	head := len(s.in)
	s.in = append(s.in, make([]byte, length)...)
	if _, err := io.ReadFull(s.from, s.in[head:]); err != nil {
		return nil, 0, err
	}
	return s.in, now(), nil
}
