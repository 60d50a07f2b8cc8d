package trace

import (
	"errors"
	"net"
	"time"
)

// Listen reads HEP packets as SIP servers send them, until the connection is
// closed. A message without a time has come now.
func Listen(c net.PacketConn) Messages {
	return func(yield func(Message, error) bool) {
		d := newDecoder(&sink{yield: yield})
		buf := make([]byte, maxDatagram)
		for !d.stop {
			n, from, err := c.ReadFrom(buf)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			d.packets++
			d.at = time.Now()
			switch {
			case err != nil:
				d.ends(d.packets, "can't be received: %v", err)
				return
			case n < len(hepMagic) || string(buf[:len(hepMagic)]) != string(hepMagic):
				d.problem(d.packets, "from %s is no HEP packet", from)
			default:
				d.hep(buf[:n])
			}
		}
	}
}
