// Package store holds what is known of telephone numbers, and the record of
// what was decided.
//
// The ledger (package ledger) is the truth: a fact or a decision is
// acknowledged when it is there. Badger holds the projection, one value for
// each number with all its live facts, so that a call costs one read. The
// projection carries in the same transaction how far it has followed the
// ledger; at start it is checked and catches up, and when it is damaged or
// missing it is made anew. It is never trusted beyond the ledger.
//
//	DIR/ledger/   segments
//	DIR/state/    Badger
package store
