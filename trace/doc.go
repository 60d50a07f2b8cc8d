// Package trace reads SIP messages out of captures and text traces, in one
// straight line:
//
//	open.go       a file, gzip or not, is known by its first octets
//	capture.go    pcap and pcapng give packets
//	packet.go     a packet is taken apart down to UDP, TCP or SCTP; tunnels too
//	fragment.go   IP fragments become datagrams
//	stream.go     TCP segments become streams
//	frame.go      streams become messages; websocket.go: those in WebSocket frames
//	hep.go        HEPv3 gives messages, from a dump or from UDP; live.go: as they are sent
//	text.go       logs of SIPp, sngrep, Kamailio, Asterisk, and plain messages
//	calls.go      of all messages the initial INVITEs, each once
//	write.go      messages become a capture again
//
// SIP is found by content, on any port. What can't be read is never dropped
// in silence: it is a [Problem] with the number of its packet. Memory is
// bounded whatever the file says; nothing is read twice, so a trace may be a
// pipe of any length.
package trace
