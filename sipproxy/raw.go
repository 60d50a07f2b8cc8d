package sipproxy

import (
	"bytes"

	"dialgate/sipproxy/message"
)

// credentials are header fields whose values prove who somebody is. A record
// does without them.
var credentials = [...]string{"Authorization", "Proxy-Authorization"}

var takenOut = []byte("(taken out)")

// keep is a copy of a message for the record, of so many octets at most.
func keep(v *message.View, most int) []byte {
	b := make([]byte, 0, min(len(v.Raw), most)+len(takenOut))
	rest := v.Raw
	for i := range v.Headers {
		h := &v.Headers[i]
		for _, name := range credentials {
			if !message.EqualFold(h.Name, name) {
				continue
			}
			at := bytes.Index(rest, h.Value)
			if len(h.Value) == 0 || at < 0 {
				continue
			}
			// Values point into the message in order: the first one that looks
			// like this is this one or the same credentials.
			b = append(append(b, rest[:at]...), takenOut...)
			rest = rest[at+len(h.Value):]
		}
	}
	b = append(b, rest...)
	return b[:min(len(b), most)]
}
