package main

import (
	"encoding/binary"
	"fmt"
	"path/filepath"
	"time"

	"dialgate/policy"
	"dialgate/store"
)

// proofs measures how long it takes to prove all about one number, after many calls.
func proofs(data string) error {
	if *decisions == 0 {
		return nil
	}
	ledger, err := octets(filepath.Join(data, "ledger"))
	if err != nil {
		return err
	}
	state, err := octets(filepath.Join(data, "state"))
	if err != nil {
		return err
	}
	s, err := open(data, 0)
	if err != nil {
		return err
	}
	start, used := time.Now(), cpu()
	if err := judge(s); err != nil {
		return err
	}
	took, used := time.Since(start), cpu()-used
	say("decisions with outcomes, recorded", "%.0f a second; %.1fµs of CPU each", float64(*decisions)/took.Seconds(), float64(used)/1e3/float64(*decisions))
	var packs times
	var size, records int
	for i := range 6 {
		start := time.Now()
		p, err := s.Prove(of(number(7*(i+1))), time.Time{})
		if err != nil {
			return err
		}
		text, err := p.AppendJSON(nil)
		if err != nil {
			return err
		}
		if _, err := p.HTML(); err != nil {
			return err
		}
		packs = append(packs, time.Since(start))
		size, records = len(text), len(p.Records)
	}
	say("a proof pack, the index a moment behind", "%v", packs[0].Round(time.Millisecond))
	say("a proof pack", "%s; %d records in %d kB of JSON", short(packs[1:].at(.5)), records, size/1000)
	if err := s.Close(); err != nil {
		return err
	}
	return sizes(data, "a million decisions with outcomes", *decisions, ledger, state)
}

// judge records calls to the numbers in turn.
func judge(s *store.Store) error {
	const ahead = 4096
	ended := make(chan error, 2*ahead)
	campaign := &policy.Campaign{ID: "energy", Advertiser: &policy.Advertiser{ID: "windkracht"}}
	rule := &policy.Rule{ID: "nl.basis"}
	begin := time.Now().Add(-time.Hour)
	waiting := 0
	for i := range *decisions {
		for ; waiting > 2*ahead-2; waiting-- {
			if err := <-ended; err != nil {
				return err
			}
		}
		r := &policy.Record{At: begin.Add(time.Duration(i) * time.Microsecond), Node: "bench", Config: "c", Took: 5 * time.Microsecond, Answer: 403,
			Attempt: &policy.Attempt{Peer: &policy.PeerTerms{ID: "dialer"}, CallID: fmt.Sprintf("call-%d@dialer.example", i), Campaign: campaign,
				Caller: policy.Caller{Shown: of(31_201_234_567)}, Called: policy.Called{Number: of(number(i))}, Media: []policy.Media{{Kind: "audio", Codecs: []string{"PCMA"}}}},
			Decision: &policy.Decision{Verdict: policy.Denied, Reason: policy.ReasonConsent, Book: "NL",
				Findings: []policy.Finding{{Rule: rule, Result: policy.Deny, Reason: policy.ReasonConsent}}}}
		if i%2 == 0 {
			r.Decision.Verdict, r.Answer = policy.Allowed, 0
		}
		binary.BigEndian.PutUint64(r.ID[:], uint64(i))
		s.Append(r, func(err error) bool { ended <- err; return true })
		s.AppendOutcome(&policy.Outcome{ID: r.ID, At: r.At, Code: 200}, func(err error) { ended <- err })
		waiting += 2
	}
	for range waiting {
		if err := <-ended; err != nil {
			return err
		}
	}
	return nil
}
