// Package nl is the Dutch rule book: Telecommunicatiewet (Tw) article 11.7, the
// Code Telemarketing, the supervisor's published stance, and safe defaults where
// these are silent. Every rule is data with its dates, strength and source; one
// file for each group of rules.
//
// The sources as this book reads them, for whoever carries it on:
//
//   - Tw art. 11.7 in the text of 1 July 2021 and of 1 July 2026 (Stb. 2025, 12):
//     since then a customer relationship allows live calls only to charities
//     (paragraph 5), and to publishers and licensed lotteries (paragraph 6).
//   - Code Telemarketing 2020 and 2024: three years, six months, call-back
//     number. Its hours were read in the text of 2012 only.
//   - ACM: proof for each person (2022), verification before the call (2025).
//
// What no proxy can know stands in docs/policy.md.
package nl

import (
	"slices"
	"time"
	_ "time/tzdata" // a bare container has no time zones; the law is in Amsterdam's

	"dialgate/policy"
)

// Version changes whenever a rule of the book does.
const Version = "2026.11.2"

// Book is the Dutch rule book.
func Book() *policy.Book {
	zone, err := time.LoadLocation("Europe/Amsterdam")
	if err != nil {
		panic(err) // embedded above
	}
	rules := own(slices.Concat(willRules, []policy.Rule{basisRule}, conductRules, callerRules))
	return &policy.Book{
		Country: "NL", Code: "31", Version: Version, From: policy.NewDate(2021, 7, 1),
		Zone: zone, Plan: Plan(), Rules: rules,
	}
}

// own is rules with their conditions and grounds as this book's own.
func own(rules []policy.Rule) []policy.Rule {
	out := slices.Clone(rules)
	for i := range out {
		out[i].Jurisdiction = "NL"
		out[i].Conditions = own(out[i].Conditions)
		out[i].Grounds = own(out[i].Grounds)
	}
	return out
}
