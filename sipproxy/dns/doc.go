// Package dns asks DNS servers for what leads to a carrier (RFC 3263): NAPTR,
// SRV, A and AAAA records. The host's own resolver tells no times to live and
// knows no NAPTR, so this one speaks to the servers itself:
//
//	client.go    a question is answered from memory, or asked
//	cache.go     what was answered, for as long as it holds, and what to fall back on
//	exchange.go  one question to one server, over UDP and then TCP
//	answer.go    what a server has said, and whether it answers the question
//	servers.go   which servers are asked
//
// Nothing here is on the path of a call.
package dns
