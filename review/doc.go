// Package review adds up what a ledger's decisions come to: how many calls
// were allowed, refused, and let through by rules that are not enforced, by
// rule, reason, campaign, peer and time; and which one missing record would
// have made most of the refused ones lawful.
//
//	t := review.New(options)
//	for each decision { t.Add(&d) }     one pass, bounded memory
//	s := t.Summary()                    for JSON; s.Text(w), s.HTML(w)
//
// Nothing in a summary identifies a person: numbers are counted, or masked.
package review
