package transport

import "dialgate/sipproxy/message"

// A framer cuts what comes over a connection into messages.
type framer interface {
	// next takes what it can from the beginning of b, which is not empty: used
	// octets, and a message when one is complete. It takes 0 octets when there
	// must be more first. reply is to be written back as it is. After an error
	// nothing more can be read; msg is then what there is of a message.
	next(b []byte) (used int, msg, reply []byte, err error)
	// within reports whether a message has begun that next holds parts of.
	within() bool
	// pack appends a message as it is written.
	pack(b, msg []byte) []byte
}

// octets is the framer of TCP and TLS: messages by their Content-Length, and
// between them the keep-alives of RFC 5626 section 4.4.1.
type octets struct {
	frame message.Frame
	empty int // lines before the next message
}

var (
	ping = []byte("\r\n\r\n")
	pong = []byte("\r\n")
)

func (o *octets) next(b []byte) (used int, msg, reply []byte, err error) {
	for used+1 < len(b) && b[used] == '\r' && b[used+1] == '\n' {
		used += 2
		o.empty++
	}
	if used > 0 {
		if o.empty >= 2 {
			reply = pong // one for however many came at once: nobody is made to say more than he hears
			o.empty = 0
		}
		return used, nil, reply, nil
	}
	if len(b) == 1 && b[0] == '\r' {
		return 0, nil, nil, nil
	}
	o.empty = 0
	size, head, err := o.frame.Next(b)
	if err != nil {
		return 0, b[:head], nil, err
	}
	if size == 0 {
		return 0, nil, nil, nil
	}
	return size, b[:size], nil, nil
}

func (o *octets) within() bool { return false }

func (o *octets) pack(b, msg []byte) []byte { return append(b, msg...) }
