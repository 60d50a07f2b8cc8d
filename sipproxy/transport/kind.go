package transport

// A Kind is one of the transports of SIP.
type Kind uint8

const (
	UDP Kind = iota
	TCP
	TLS
	WS
	WSS
)

var kinds = [...]struct {
	name  string // in metrics and the configuration
	via   string // in a Via
	param string // in a URI, "" for the one that is meant without
	port  uint16 // when a URI gives none
}{
	UDP: {"udp", "UDP", "", 5060},
	TCP: {"tcp", "TCP", "tcp", 5060},
	TLS: {"tls", "TLS", "tls", 5061},
	WS:  {"ws", "WS", "ws", 80},
	WSS: {"wss", "WSS", "ws", 443}, // RFC 7118 section 5.3 knows one parameter for both
}

// Kinds are all transports.
func Kinds() []Kind { return []Kind{UDP, TCP, TLS, WS, WSS} }

// String is the name in metrics and in the configuration.
func (k Kind) String() string { return kinds[k].name }

// Via is how a Via header field says it (RFC 3261 section 20.42, RFC 7118).
func (k Kind) Via() string { return kinds[k].via }

// Param is the value of a URI's transport parameter, "" when none is needed.
func (k Kind) Param() string { return kinds[k].param }

// DefaultPort is the port of a URI that gives none.
func (k Kind) DefaultPort() uint16 { return kinds[k].port }

// Reliable reports whether the transport itself repeats what is lost.
func (k Kind) Reliable() bool { return k != UDP }

// Secure reports whether it is encrypted.
func (k Kind) Secure() bool { return k == TLS || k == WSS }

// Web reports whether messages travel in WebSocket frames.
func (k Kind) Web() bool { return k == WS || k == WSS }

// ParseKind finds a transport by its name.
func ParseKind(name string) (Kind, bool) {
	for k := range kinds {
		if kinds[k].name == name {
			return Kind(k), true
		}
	}
	return 0, false
}
