// Package sipproxy is the SIP proxy that stands between dialer and carrier. It
// is the straight line of dialgate seen from the wire:
//
//	receive.go   a datagram becomes a request or a response of a transaction
//	config.go    which configuration it is worked off by, from here to its end
//	request.go   what RFC 3261 section 16.3 asks of a request
//	invite.go    an INVITE becomes an attempt, is judged, and goes on or back
//	attempt.go   the attempt: who calls whom for what; identity.go: as whom
//	carrier.go   which carrier an allowed call goes to, and to which next
//	failover.go  one target is tried after another, the best response comes back
//	forward.go   what leaves, and how responses are passed back
//	resolve.go   the addresses of carriers given by name; locate.go: by RFC 3263
//	probe.go     targets are watched; health.go: when they are up and down
//	refuse.go    a refused one gets its answer in the peer's dialect
//	indialog.go  what follows in a call that was allowed
//
// The proxy keeps no dialogs: a token in its Record-Route proves that a call
// was judged, so a restart loses none. What it judges is what leaves: headers
// are forwarded octet for octet.
package sipproxy
