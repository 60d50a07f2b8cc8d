// Package transaction is the transaction layer of RFC 3261 section 17 with the
// Accepted states of RFC 6026: it sends again what may have been lost, answers
// again what comes again, and knows when a transaction is over.
//
// A [Layer] holds all transactions and their timers under one lock that its
// user takes: every method but those that say otherwise is called with the
// lock held, and so are the functions of a transaction's user. Nobody waits
// for the network while holding it: what is to be sent is collected, and
// [Layer.Unlock] hands it over after the lock is gone. One lock is enough: a
// message costs about a microsecond under it, and what takes longer (parsing,
// looking up, judging) happens outside.
//
//	l.Lock()
//	tx := l.FindServer(&view)
//	…
//	l.Unlock() // sends
//
// A server transaction is found by branch, sent-by and method of the topmost
// Via (section 17.2.3), a client transaction by a number in our own branch.
// A request that a reliable transport could not deliver ends its transaction
// ([Layer.Undelivered]); over UDP its timers send it again.
package transaction

import "time"

// Timers are the values of RFC 3261 table 4, in this case for UDP. Over a
// reliable transport nothing is sent again (A, E and G) and nothing waits for
// what could come again (D, I, J and K).
type Timers struct {
	T1 time.Duration // round-trip estimate
	T2 time.Duration // greatest interval of non-INVITE requests and INVITE responses
	T4 time.Duration // how long the network keeps a message
	C  time.Duration // how long a ringing call may ring without news; more than 3 minutes
	D  time.Duration // how long a final response to an INVITE may come again
}

// DefaultTimers are RFC 3261's own.
func DefaultTimers() Timers {
	return Timers{T1: 500 * time.Millisecond, T2: 4 * time.Second, T4: 5 * time.Second, C: 185 * time.Second, D: 32 * time.Second}
}
