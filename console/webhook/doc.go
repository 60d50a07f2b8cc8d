// Package webhook tells other programs of what is recorded, in the way of
// Standard Webhooks: one signed POST for each event.
//
//	hooks.go  the endpoints, in one file that only its owner may read
//	sign.go   secrets and signatures
//	reach.go  which addresses may be reached
//	send.go   one delivery
//	run.go    the deliveries of one endpoint, one after another
//
// An endpoint is told of events in the ledger's order, each at least once and
// under an id that stays the same. What was told is known by a cursor in the
// ledger, which is on disk a second later at most: a crash can repeat the last
// events, it loses none. Events are read from the ledger just before they are
// sent, so nothing waits in memory, and what was erased meanwhile is not told.
package webhook
