// Package policy decides whether a call may be made. It is the pure core of
// dialgate: no input or output, no clock, no SIP, no configuration text.
//
// The idea in four lines:
//
//	Attempt   what the wire told of one call, and when      (attempt.go, caller.go)
//	Facts     what is known of the called number            (fact.go)
//	Books     dated rules with their legal source            (rule.go, book.go)
//	Decision  verdict, reason, and every rule's finding      (decision.go)
//
//	decision := books.Decide(&attempt, &facts)
//
// Every rule is judged, also when an earlier one already denies: an auditor
// wants all findings. Deny is the zero verdict, and what is not known is never
// an allow. The same attempt and facts always give the same decision, whoever
// asks: a live call, a hypothetical one, or a trace replayed years later.
//
// This package imports only the standard library; a test holds it to that.
package policy
