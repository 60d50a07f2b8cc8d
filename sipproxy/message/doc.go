// Package message is the byte view of a SIP message: one pass over its octets
// gives the places of everything a proxy needs, and every change that a proxy
// makes is a splice. What is not changed leaves as it came, octet for octet.
//
//	var v View
//	err := v.Parse(datagram)       // v points into datagram, nothing is copied
//	out = v.AppendForward(out, …)  // the message with its edits
//
// The view is the grammar of record of dialgate: a message on which two
// parsers could disagree about who calls whom is refused here, with a
// [ParseError] that says what is wrong and which status a request deserves.
//
// A View is large and meant to be reused: parsing allocates nothing once its
// header table has grown to the size of the messages seen.
package message
