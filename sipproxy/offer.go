package sipproxy

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"slices"
	"strings"

	"github.com/pion/sdp/v3"

	"dialgate/policy"
	"dialgate/sipproxy/message"
)

// Bounds of what a record keeps of an offer.
const (
	mostMedia  = 8
	mostCodecs = 16
	mostNested = 3  // multipart in multipart
	mostParts  = 16 // of one multipart body
)

// offer reads what the INVITE offers (RFC 3264). A body of another type than
// SDP is no offer, and an INVITE may hold none: the offer then comes from the
// other side. Its addresses are not looked at.
func (r *Reader) offer(v *message.View, peer *policy.PeerTerms, a *policy.Attempt) {
	if len(v.Body) == 0 {
		return
	}
	a.Fax = offersFax(v.Body)
	if r.SkipMedia && !peer.StrictSDP {
		return
	}
	contentType, fault := v.Value(message.ContentType), ""
	if encoding := v.Value(message.ContentEncoding); len(encoding) == 0 || message.EqualFold(encoding, "identity") {
		a.Media, fault = readOffer(contentType, v.Body, mostNested)
	} else if isType(contentType, sdpType) || isMultipart(contentType) {
		fault = faultEncoded
	}
	switch {
	case fault == "":
	case !peer.StrictSDP:
		mark(&a.Caller, policy.MarkNote, "Content-Type", "announces an offer", "that can't be read: "+fault)
	case a.Malformed == "":
		a.Malformed = "the offer can't be read: " + fault
	}
}

const sdpType = "application/sdp"

// Why an offer can't be read.
const (
	faultEncoded = "it is encoded"
	faultParts   = "the parts of the body can't be told apart"
	faultSDP     = "it is no session description"
)

func isFax(m policy.Media) bool {
	return m.Kind == "image" || slices.ContainsFunc(m.Codecs, func(codec string) bool { return message.EqualFold(codec, "t38") })
}

// isType reports whether a Content-Type is of a media type, whatever its parameters.
func isType(contentType []byte, of string) bool {
	if semi := bytes.IndexByte(contentType, ';'); semi >= 0 {
		contentType = contentType[:semi]
	}
	return message.EqualFold(bytes.TrimSpace(contentType), of)
}

func isMultipart(contentType []byte) bool {
	const multi = "multipart/"
	return len(contentType) >= len(multi) && message.EqualFold(contentType[:len(multi)], multi)
}

// readOffer reads the session description that a body is, or all those among
// its parts. fault says why one of them can't be read.
func readOffer(contentType, body []byte, nested int) (media []policy.Media, fault string) {
	switch {
	case isType(contentType, sdpType):
		if media, ok := usualOffer(body); ok {
			return media, ""
		}
		return describe(string(body))
	case !isMultipart(contentType):
		return nil, ""
	}
	_, params, err := mime.ParseMediaType(string(bytes.Join(bytes.Fields(contentType), []byte(" "))))
	if err != nil || params["boundary"] == "" || nested == 0 {
		return nil, faultParts
	}
	parts := multipart.NewReader(bytes.NewReader(body), params["boundary"])
	for range mostParts {
		part, err := parts.NextRawPart()
		if errors.Is(err, io.EOF) {
			return media, fault
		}
		var octets []byte
		if err == nil {
			octets, err = io.ReadAll(part) // no larger than the datagram it stands in
		}
		if err != nil {
			break
		}
		of := []byte(part.Header.Get("Content-Type"))
		if isType(of, sdpType) && encoded(part.Header.Get("Content-Transfer-Encoding")) {
			fault = faultEncoded
			continue
		}
		more, why := readOffer(of, octets, nested-1)
		media = append(media, more[:min(len(more), mostMedia-len(media))]...)
		if why != "" {
			fault = why
		}
	}
	return media, faultParts
}

// encoded reports whether a Content-Transfer-Encoding changes the octets (RFC
// 2045 section 6.2).
func encoded(transfer string) bool {
	switch strings.ToLower(transfer) {
	case "", "7bit", "8bit", "binary":
		return false
	}
	return true
}

// describe reads a session description (RFC 8866). The parser knows no image
// media, so these are taken out before and put back where they stood.
func describe(description string) (media []policy.Media, fault string) {
	if !strings.HasPrefix(description, "v=") {
		return nil, faultSDP
	}
	if !strings.HasSuffix(description, "\n") {
		description += "\n" // some leave the end of the last line out
	}
	description, images := withoutImages(description)
	var d sdp.SessionDescription
	// The parser is content with a description that breaks off.
	if err := d.UnmarshalString(description); err != nil || d.Origin.NetworkType == "" || len(d.TimeDescriptions) == 0 {
		return nil, faultSDP
	}
	offered := d.MediaDescriptions[:min(len(d.MediaDescriptions), mostMedia)]
	if len(offered) > 0 {
		media = make([]policy.Media, 0, len(offered)+len(images))
	}
	for _, m := range offered {
		media = append(media, policy.Media{Kind: m.MediaName.Media, Codecs: codecs(m)})
	}
	for _, i := range images {
		media = slices.Insert(media, min(i.at, len(media)), i.media)
	}
	return media[:min(len(media), mostMedia)], ""
}

// An image is an image stream and its place among the streams.
type image struct {
	at    int
	media policy.Media
}

// withoutImages takes the image streams out of a session description.
func withoutImages(description string) (rest string, images []image) {
	if !strings.Contains(description, "m=image ") {
		return description, nil
	}
	var b strings.Builder
	cut, at := false, -1
	for line := range strings.Lines(description) {
		if strings.HasPrefix(line, "m=") {
			at++
			if cut = strings.HasPrefix(line, "m=image "); cut && len(images) < mostMedia {
				m := policy.Media{Kind: "image"}
				if fields := strings.Fields(line); len(fields) > 3 {
					for _, f := range fields[3:min(len(fields), 3+mostCodecs)] {
						m.Codecs = append(m.Codecs, codecName(f))
					}
				}
				images = append(images, image{at, m})
			}
		}
		if !cut {
			b.WriteString(line)
		}
	}
	return b.String(), images
}

// codecs names the formats of a stream: by its rtpmap attributes (RFC 8866
// section 6.6), by the payload types that RFC 3551 fixes, else as they stand.
func codecs(m *sdp.MediaDescription) []string {
	formats := m.MediaName.Formats
	formats = formats[:min(len(formats), mostCodecs)]
	out := make([]string, len(formats))
	for i, f := range formats {
		if out[i] = fixedCodec(f); out[i] == "" {
			out[i] = codecName(f)
		}
	}
	for i := range m.Attributes {
		if m.Attributes[i].Key != "rtpmap" {
			continue
		}
		format, rest := nextWord(m.Attributes[i].Value)
		if i := slices.Index(formats, format); i >= 0 {
			name, _ := nextWord(rest)
			name, _, _ = strings.Cut(name, "/")
			out[i] = codecName(name)
		}
	}
	return out
}

// codecName is a codec's name as a record keeps it. Nearly every one is a
// short token with few digits.
func codecName(s string) string {
	const most = 32
	if len(s) > 0 && len(s) <= most && isPlain(s) && countDigits(s) < 6 {
		return s
	}
	return text([]byte(s[:min(len(s), most)]))
}

// fixedCodec is the codec of a payload type that telephones use without an
// rtpmap attribute (RFC 3551 table 4), "" when it is none.
func fixedCodec(format string) string {
	switch format {
	case "0":
		return "PCMU"
	case "3":
		return "GSM"
	case "4":
		return "G723"
	case "8":
		return "PCMA"
	case "9":
		return "G722"
	case "13":
		return "CN"
	case "15":
		return "G728"
	case "18":
		return "G729"
	}
	return ""
}

// offersFax reports whether a body offers image media or T.38 (ITU-T T.38
// annex D, RFC 3362, RFC 4612). Lines are looked for, in whatever part of the
// body they stand and however they end, rather than the whole offer
// understood: an offer with a fault in it is a fax all the same.
func offersFax(body []byte) bool {
	for len(body) > 0 {
		var lines []byte // of which a CR alone ends each
		lines, body, _ = bytes.Cut(body, []byte{'\n'})
		for len(lines) > 0 {
			var line []byte
			if line, lines, _ = bytes.Cut(lines, []byte{'\r'}); lineIsFax(line) {
				return true
			}
		}
	}
	return false
}

func lineIsFax(line []byte) bool {
	if len(line) < 2 || line[1] != '=' {
		return false
	}
	switch line[0] | 0x20 {
	case 'm':
		return mediaIsFax(line[2:])
	case 'a':
		return mapsFax(line[2:])
	}
	return false
}

// mediaIsFax looks at what follows "m=": the kind, the port, the transport and
// the formats.
func mediaIsFax(b []byte) bool {
	for i := 0; len(b) > 0; i++ {
		var word []byte
		word, b = nextWord(b)
		switch {
		case i == 0 && message.EqualFold(word, "image"),
			i == 2 && (message.EqualFold(word, "udptl") || message.EqualFold(word, "tcptl")),
			i > 2 && message.EqualFold(word, "t38"):
			return true
		}
	}
	return false
}

// mapsFax looks at an attribute: rtpmap:98 t38/8000.
func mapsFax(b []byte) bool {
	const rtpmap, t38 = "rtpmap:", "t38"
	if len(b) < len(rtpmap) || !message.EqualFold(b[:len(rtpmap)], rtpmap) {
		return false
	}
	_, b = nextWord(b[len(rtpmap):])
	name, _ := nextWord(b)
	return len(name) >= len(t38) && message.EqualFold(name[:len(t38)], t38) && (len(name) == len(t38) || name[len(t38)] == '/')
}

// nextWord takes the first word between blanks.
func nextWord[T string | []byte](b T) (word, rest T) {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	n := 0
	for n < len(b) && b[n] != ' ' && b[n] != '\t' {
		n++
	}
	return b[:n], b[n:]
}
