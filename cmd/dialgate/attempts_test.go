package main

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"dialgate/gate"
	"dialgate/policy"
	"dialgate/store"
)

const attemptsConfig = `
advertisers: [{id: windkracht, name: Windkracht BV}]
campaigns: [{id: energy, advertiser: windkracht, purpose: commercial, products: [energy], callers: ["+31205550100"], objection_offered: true}]
rules: {nl.attempts: {mode: enforce, max: %d}}
`

// legal makes calls to a number lawful in every other respect.
func legal(n policy.Number) policy.Fact {
	return policy.Fact{ID: "legal", Kind: policy.Subscriber, Number: n, Subscriber: policy.Legal, At: time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)}
}

var workday = time.Date(2026, 11, 23, 14, 0, 0, 0, time.UTC)

// TestARetryWithCredentialsIsOneAttempt plays a carrier that challenges
// (RFC 3261 section 22.3): the dialer's second INVITE, with the same Call-ID
// and a higher CSeq, is the same attempt. A call after it is another one, also
// when the node has been started again.
func TestARetryWithCredentialsIsOneAttempt(t *testing.T) {
	t.Parallel()
	w := newWire(t, fmt.Sprintf(attemptsConfig, 1))
	to := policy.MustNumber("+31612345678")
	w.add(legal(to))
	w.answer = func(cseq int) string {
		if cseq == 1 {
			return "407 Proxy Authentication Required"
		}
		return "200 OK"
	}
	h := hypothetical{from: "+31205550100", to: to.E164(), callID: "first@dialer.invalid"}
	if got := w.call(h, 1, workday); got.code != 407 {
		t.Fatalf("the first INVITE: %+v", got)
	}
	if got := w.call(h, 2, workday.Add(time.Second)); got.code != 200 {
		t.Fatalf("with credentials: %+v", got)
	}
	h.callID = "second@dialer.invalid"
	refused := func(when string) {
		t.Helper()
		if got := w.call(h, 2, workday.Add(time.Minute)); got.passed || got.decision.Reason != policy.ReasonAttemptsExceeded || got.code != 480 {
			t.Errorf("another call %s: %+v", when, got)
		}
	}
	refused("at once")
	w.restart()
	h.callID = "third@dialer.invalid"
	refused("after a restart")
}

// TestCallsAtOnceAreCountedExactly: 200 goroutines want to call one number
// three times in all, through gate, store and the whole book.
func TestCallsAtOnceAreCountedExactly(t *testing.T) {
	t.Parallel()
	w := newWire(t, fmt.Sprintf(attemptsConfig, 3))
	to := policy.MustNumber("+31612345678")
	w.add(legal(to))
	at := workday
	w.clock.Store(&at)
	h := hypothetical{from: "+31205550100", to: to.E164()}
	peer, err := w.node.world.peer("")
	if err != nil {
		t.Fatal(err)
	}
	judge := w.node.newGate(w.node.world)
	var allowed, exceeded atomic.Int64
	var wg sync.WaitGroup
	for i := range 200 {
		a, err := w.node.world.attempt(h.invite(), peer, "", at)
		if err != nil {
			t.Fatal(err)
		}
		a.CallID = fmt.Sprint(i)
		wg.Add(1)
		go judge.Judge(a, func(r policy.Ruling) {
			defer wg.Done()
			switch {
			case r.Decision.Verdict == policy.Allowed:
				allowed.Add(1)
			case r.Decision.Reason == policy.ReasonAttemptsExceeded:
				exceeded.Add(1)
			}
		})
	}
	wg.Wait()
	if allowed.Load() != 3 || exceeded.Load() != 197 {
		t.Errorf("%d calls were allowed, %d refused as too many; want 3 and 197", allowed.Load(), exceeded.Load())
	}
}

func TestMoreAttemptsThanAreRememberedAreRefused(t *testing.T) {
	w := newWire(t, "")
	w.config += ".bad"
	writeFile(t, w.config, "listen: {udp: [{address: \"127.0.0.1:0\"}]}\nrules: {nl.attempts: {mode: enforce, max: 33}}\n")
	w.command(exitUsage, "check", "-c", w.config)
}

// BenchmarkJudge is a call from lookup to durable record, in memory mode so
// that the disk does not drown the rest.
func BenchmarkJudge(b *testing.B) {
	config := b.TempDir() + "/dialgate.yaml"
	writeFile(b, config, fmt.Sprintf(wireConfig, "", "127.0.0.1:5080", b.TempDir(), fmt.Sprintf(attemptsConfig, 0))+"ledger: {mode: memory}\n")
	w, err := loadWorld(config)
	if err != nil {
		b.Fatal(err)
	}
	s, err := store.Open(storeOptions(w.cfg))
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	const numbers = 10_000
	facts := make([]policy.Fact, numbers)
	for i := range facts {
		n, _ := policy.NumberOfKey(31_610_000_000 + uint64(i))
		facts[i] = legal(n)
	}
	if _, err := s.Add(b.Context(), facts...); err != nil {
		b.Fatal(err)
	}
	g := gate.New(gate.Options{Rules: gate.Rules{Books: w.books}, Facts: s, Ledger: s, Now: func() time.Time { return workday },
		Answer: func(*policy.PeerTerms, policy.Reason) int { return 403 }})
	peer, err := w.peer("")
	if err != nil {
		b.Fatal(err)
	}
	a, err := w.attempt((&hypothetical{from: "+31205550100", to: "+31610000000"}).invite(), peer, "", workday)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	done := make(chan policy.Ruling, 1)
	for i := 0; b.Loop(); i++ {
		one := *a
		one.Called.Number = facts[i%numbers].Number
		g.Judge(&one, func(r policy.Ruling) { done <- r })
		if r := <-done; r.Decision.Verdict != policy.Allowed {
			b.Fatal(r.Decision.Reason)
		}
	}
}
