package message

// credentials are header fields whose values prove who somebody is.
var credentials = [...]string{"Authorization", "Proxy-Authorization"}

const takenOut = ": (taken out)\r\n"

// AppendKept appends the message as a record may keep it, of so many octets at
// most: without credentials.
func (v *View) AppendKept(b []byte, most int) []byte {
	begins, at := len(b), 0
	for i := range v.Headers {
		h := &v.Headers[i]
		for _, name := range credentials {
			if EqualFold(h.Name, name) {
				b = append(append(append(b, v.Raw[at:h.start]...), h.Name...), takenOut...)
				at = int(h.end)
			}
		}
	}
	b = append(b, v.Raw[at:]...)
	return b[:min(len(b), begins+most)]
}
