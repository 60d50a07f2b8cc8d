package message

// A Kind is a header field that a proxy looks at.
type Kind uint8

const (
	Other Kind = iota
	Via
	From
	To
	CallID
	CSeq
	MaxForwards
	ContentLength
	ContentType
	ContentEncoding
	Route
	RecordRoute
	Contact
	Require
	ProxyRequire
	Supported
	Privacy
	PAssertedIdentity
	PPreferredIdentity
	RemotePartyID
	Diversion
	HistoryInfo
	Identity
	Reason
	RetryAfter
	Timestamp
	XCampaign
	ReferTo
	ProxyAuthorization
	kindCount
)

// kindNames are the long forms; their length and letters find the kind.
var kindNames = [kindCount]string{
	Via: "Via", From: "From", To: "To", CallID: "Call-ID", CSeq: "CSeq", MaxForwards: "Max-Forwards",
	ContentLength: "Content-Length", ContentType: "Content-Type", ContentEncoding: "Content-Encoding", Route: "Route",
	RecordRoute: "Record-Route", Contact: "Contact", Require: "Require", ProxyRequire: "Proxy-Require", Supported: "Supported",
	Privacy: "Privacy", PAssertedIdentity: "P-Asserted-Identity", PPreferredIdentity: "P-Preferred-Identity",
	RemotePartyID: "Remote-Party-ID", Diversion: "Diversion", HistoryInfo: "History-Info", Identity: "Identity",
	Reason: "Reason", RetryAfter: "Retry-After", Timestamp: "Timestamp", XCampaign: "X-Campaign", ReferTo: "Refer-To", ProxyAuthorization: "Proxy-Authorization",
}

// compact are the one-letter forms (RFC 3261 section 7.3.3 and the registry of
// header fields).
var compact = [26]Kind{
	'c' - 'a': ContentType, 'e' - 'a': ContentEncoding, 'f' - 'a': From, 'i' - 'a': CallID, 'k' - 'a': Supported,
	'l' - 'a': ContentLength, 'm' - 'a': Contact, 'r' - 'a': ReferTo, 't' - 'a': To, 'v' - 'a': Via, 'y' - 'a': Identity,
}

// single are the header fields of which a message has at most one. A second
// one would let two parsers judge two different calls.
var single = [kindCount]bool{
	From: true, To: true, CallID: true, CSeq: true, MaxForwards: true, ContentLength: true, ContentType: true, Timestamp: true,
}

// byLength lists the kinds whose long form has a given length.
var byLength = func() (t [24][]Kind) {
	for k := Via; k < kindCount; k++ {
		n := len(kindNames[k])
		t[n] = append(t[n], k)
	}
	return t
}()

// String is the header field's name as RFCs spell it.
func (k Kind) String() string { return kindNames[k] }

// KindOf finds the kind of a header field by its long or compact name, in any
// case; Other when a proxy does not look at it.
func KindOf[T string | []byte](name T) Kind {
	if len(name) == 1 {
		if c := lower(name[0]) - 'a'; c < 26 {
			return compact[c]
		}
		return Other
	}
	if len(name) >= len(byLength) {
		return Other
	}
	for _, k := range byLength[len(name)] {
		if string(name) == kindNames[k] || EqualFold(name, kindNames[k]) {
			return k
		}
	}
	return Other
}

// A Header is one header field as it stands in the message.
type Header struct {
	Kind  Kind
	Name  []byte
	Value []byte // without the white space around it; a folded value keeps its line breaks
	start uint16 // of the line in Raw
	end   uint16 // past the line's CRLF
}
