package policy

import "strings"

// A Media is one stream that an INVITE offers in its SDP (RFC 3264), without
// the address it comes from.
type Media struct {
	Kind   string   // "audio", "video", "image" ...
	Codecs []string // by the names of RFC 3551 and the rtpmap attribute, the preferred first
}

// String is the kind with its codecs: "audio PCMA telephone-event".
func (m Media) String() string { return strings.Join(append([]string{m.Kind}, m.Codecs...), " ") }
