package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"dialgate/policy"
	"dialgate/store/ledger"
)

// call is the record of an allowed call with a Call-ID, n seconds after noon.
func call(to policy.Number, callID string, n int) *policy.Record {
	r := record(policy.Allowed, to, n)
	r.Attempt.At, r.Attempt.CallID, r.Attempt.Campaign.Purpose = r.At, callID, policy.Commercial
	return r
}

// makeCall holds the number, and when fewer than most calls are known, makes one.
func makeCall(s *Store, r *policy.Record, most int, done func(error)) (made bool, err error) {
	to := r.Attempt.Called.Number
	var f policy.Facts
	if err := s.Hold(to, &f); err != nil {
		return false, err
	}
	if len(f.Calls) >= most {
		s.Release(to, nil)
		return false, nil
	}
	c, _ := r.Attempt.Made()
	s.Release(to, &c)
	s.Append(r, func(err error) bool { done(err); return true })
	return true, nil
}

func mustCall(t testing.TB, s *Store, r *policy.Record) {
	t.Helper()
	done := make(chan error, 1)
	if made, err := makeCall(s, r, 1<<20, func(err error) { done <- err }); err != nil || !made {
		t.Fatal(made, err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func callsTo(t testing.TB, s *Store, n policy.Number) []policy.EarlierCall {
	t.Helper()
	f, err := s.History(n)
	if err != nil {
		t.Fatal(err)
	}
	return f.Calls
}

// TestCallsAtOnce: however many decide about a number at once, each knows of
// the calls that were allowed before it.
func TestCallsAtOnce(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, nil)
	var wg sync.WaitGroup
	var made [2]atomic.Int64
	for i := range 200 {
		for k, to := range []policy.Number{alice, bob} {
			wg.Add(1)
			go func() {
				defer wg.Done()
				done := make(chan error, 1)
				ok, err := makeCall(s, call(to, fmt.Sprint(k, "-", i), 0), 3, func(err error) { done <- err })
				if err == nil && ok {
					made[k].Add(1)
					err = <-done
				}
				if err != nil {
					t.Error(err)
				}
			}()
		}
	}
	wg.Wait()
	if made[0].Load() != 3 || made[1].Load() != 3 {
		t.Errorf("%d and %d calls were made, want 3 and 3", made[0].Load(), made[1].Load())
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for i := range s.flight {
		if n := len(s.flight[i].calls); n != 0 {
			t.Errorf("%d numbers are still in flight", n)
		}
	}
	s = open(t, dir, nil)
	defer s.Close()
	if n := len(callsTo(t, s, alice)); n != 3 {
		t.Errorf("%d calls after the restart, want 3", n)
	}
}

// TestACallIsKnownBeforeItsRecordIsDurable, and once its record has failed no more.
func TestACallIsKnownBeforeItsRecordIsDurable(t *testing.T) {
	s := open(t, t.TempDir(), nil)
	defer s.Close()
	r := call(alice, "a", 0)
	c, _ := r.Attempt.Made()
	var f policy.Facts
	if err := s.Hold(alice, &f); err != nil {
		t.Fatal(err)
	}
	s.Release(alice, &c)
	if got := callsTo(t, s, alice); len(got) != 1 || got[0] != c {
		t.Errorf("%+v, want %+v", got, c)
	}
	if got := callsTo(t, s, bob); len(got) != 0 {
		t.Errorf("bob: %+v", got)
	}
	if err := s.ledger.Close(); err != nil { // nothing can be recorded any more
		t.Fatal(err)
	}
	done := make(chan error, 1)
	s.Append(r, func(err error) bool { done <- err; return true })
	if err := <-done; err == nil {
		t.Fatal("a closed ledger took a record")
	}
	if got := callsTo(t, s, alice); len(got) != 0 {
		t.Errorf("a call that was refused after all still counts: %+v", got)
	}
}

// TestARetryIsNoOtherAttempt: INVITEs with one Call-ID within the span are one
// call, known as the first of them, in flight, in the projection, and when
// that is made anew.
func TestARetryIsNoOtherAttempt(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, nil)
	span := int(policy.AttemptSpan / time.Second)
	for _, at := range []int{0, 1, span, span + 1} { // the last one is another attempt
		mustCall(t, s, call(alice, "a", at))
	}
	mustCall(t, s, call(alice, "b", 1))
	other := call(alice, "a", 2)
	other.Attempt.Campaign = &policy.Campaign{ID: "other", Advertiser: &policy.Advertiser{ID: "other"}, Purpose: policy.Commercial}
	mustCall(t, s, other)
	want := callsTo(t, s, alice)
	var at []string
	for _, c := range want {
		at = append(at, fmt.Sprint(c.Advertiser, " ", c.At.Sub(noon).Seconds()))
	}
	if got := strings.Join(at, ", "); got != "windkracht 0, windkracht 1, other 2, windkracht 301" {
		t.Errorf("calls: %s", got)
	}
	for _, damage := range []bool{false, true} {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if damage {
			remove(t, filepath.Join(dir, "state"))
		}
		s = open(t, dir, nil)
		got := callsTo(t, s, alice)
		for i := range got {
			got[i].Unsure = false // when the projection is gone, nothing tells a crash from a clean stop
			if got[i] != want[i] {
				t.Errorf("rebuilt %t: %+v, want %+v", damage, got[i], want[i])
			}
		}
		if len(got) != len(want) {
			t.Errorf("rebuilt %t: %d calls, want %d", damage, len(got), len(want))
		}
	}
	s.Close()
}

// TestWhatStaysOfManyCalls: the latest, the first, and the first after each consent.
func TestWhatStaysOfManyCalls(t *testing.T) {
	var f policy.Facts
	consent := policy.Fact{ID: "c", Kind: policy.Consent, Advertiser: "a", At: noon.Add(10 * time.Hour)}
	merge(&f, &change{fact: &consent})
	const many = 500
	for i := range many {
		for j, c := range []policy.EarlierCall{{Advertiser: "a"}, {Advertiser: "a", Purpose: policy.Service}, {Advertiser: "b"}} {
			c.At, c.Attempt = noon.Add(time.Duration(i)*time.Hour), policy.AttemptID(3*i+j+1)
			merge(&f, &change{call: &c})
		}
	}
	hours := map[string][]int{}
	for _, c := range f.Calls {
		kind := c.Advertiser + fmt.Sprint(c.Telemarketing())
		hours[kind] = append(hours[kind], int(c.At.Sub(noon).Hours()))
	}
	for kind, first := range map[string][]int{"atrue": {0, 10}, "afalse": nil, "btrue": {0}} {
		var want []int
		want = append(want, first...)
		for i := many - policy.CallsKept; i < many; i++ {
			want = append(want, i)
		}
		if !slices.Equal(hours[kind], want) {
			t.Errorf("%s: hours %v, want %v", kind, hours[kind], want)
		}
	}
}

// TestACallThatWaitsCounts: no call waits for the applier, and a later change
// takes along what has gathered.
func TestACallThatWaitsCounts(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, nil)
	mustCall(t, s, call(bob, "a", 1))
	if got := callsTo(t, s, bob); len(got) != 1 {
		t.Errorf("before it is folded in: %+v", got)
	}
	add(t, s, objection("a", alice, noon))
	mustCall(t, s, call(alice, "b", 2))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, nil)
	defer s.Close()
	if got := callsTo(t, s, bob); len(got) != 1 {
		t.Errorf("after the restart: %+v", got)
	}
	if ids := idsOf(t, s, alice); len(ids) != 1 || len(callsTo(t, s, alice)) != 1 {
		t.Errorf("facts: %v", ids)
	}
}

// TestAChangeThatComesLateIsRead: whoever appends to a ledger in memory mode
// may reach the applier after one whose record is later.
func TestAChangeThatComesLateIsRead(t *testing.T) {
	s := open(t, t.TempDir(), nil)
	defer s.Close()
	for _, seq := range []uint64{6, 5} {
		f := objection(fmt.Sprint("o", seq), alice, noon)
		if err := s.state.apply([]change{{seq: seq, fact: &f}}, 1); err != nil {
			t.Fatal(err)
		}
	}
	if ids := idsOf(t, s, alice); len(ids) != 2 {
		t.Errorf("facts %v, want both", ids)
	}
}

// TestTooManyLateCalls: when the projection can't keep up at all, calls are
// refused, and the next start knows them.
func TestTooManyLateCalls(t *testing.T) {
	dir := t.TempDir()
	var log bytes.Buffer
	s := open(t, dir, &log)
	s.queue.mu.Lock()
	s.queue.waiting = make([]change, maxWaiting)
	s.queue.mu.Unlock()
	done := make(chan error, 1)
	s.Append(call(bob, "a", 1), func(err error) bool { done <- err; return true })
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(30 * time.Second); s.Ready() == nil && time.Now().Before(end); {
		time.Sleep(time.Millisecond) // the call is noted once it is acknowledged
	}
	s.queue.mu.Lock()
	s.queue.waiting = nil
	s.queue.mu.Unlock()
	if _, err := s.History(bob); !errors.Is(err, errBehind) || s.Ready() == nil {
		t.Errorf("%v", err)
	}
	if err := s.Close(); err != nil || !strings.Contains(log.String(), "until the next start") {
		t.Fatal(err, log.String())
	}
	s = open(t, dir, nil)
	defer s.Close()
	if got := callsTo(t, s, bob); len(got) != 1 {
		t.Errorf("after the restart: %+v", got)
	}
}

// TestVersion1IsRead: the values of the version that kept no attempts.
func TestVersion1IsRead(t *testing.T) {
	old := appendValue(nil, []policy.Fact{objection("o", alice, noon)}, nil)
	old[0], old = valueVersion1, old[:len(old)-1]
	old = append(old, 1)
	old = binary.AppendVarint(appendText(old, "windkracht"), noon.UnixNano())
	var f policy.Facts
	if err := readValue(old, alice, &f); err != nil {
		t.Fatal(err)
	}
	want := policy.EarlierCall{At: noon, Advertiser: "windkracht", Allowed: true}
	if len(f.All) != 1 || len(f.Calls) != 1 || f.Calls[0] != want || !want.Telemarketing() {
		t.Errorf("%+v", f)
	}
	// The record it was made of, folded in again, is no other call.
	MergeCall(&f, &policy.EarlierCall{At: noon, Advertiser: "windkracht", Allowed: true, Attempt: 7})
	if len(f.Calls) != 1 {
		t.Errorf("%+v", f.Calls)
	}
}

// TestKillBetweenCalls kills a process that calls numbers from several
// goroutines, three times each at most: every call that was acknowledged is
// counted by the next process, and no number is called a fourth time.
func TestKillBetweenCalls(t *testing.T) { // not beside others: a process that begins holds their locks for a moment
	const most, goroutines = 3, 8
	if dir := os.Getenv("STORE_KILL_CALLS_DIR"); dir != "" {
		callForEver(dir, most, goroutines)
		return
	}
	dir := t.TempDir()
	rounds := 5
	if os.Getenv("DIALGATE_LONG") != "" {
		rounds = 100
	}
	acked := map[uint64]int{}
	total := 0
	for round := range rounds {
		cmd := exec.Command(os.Args[0], "-test.run", "^TestKillBetweenCalls$")
		cmd.Env = append(os.Environ(), "STORE_KILL_CALLS_DIR="+dir, fmt.Sprint("STORE_KILL_ROUND=", round))
		for line := range strings.Lines(killInTheMiddle(t, cmd, round)) {
			if key, err := strconv.ParseUint(strings.TrimSuffix(line, "\n"), 10, 64); err == nil && strings.HasSuffix(line, "\n") {
				acked[key]++
				total++
			}
		}
		s := open(t, dir, nil)
		for key, n := range acked {
			number, ok := policy.NumberOfKey(key)
			if !ok {
				t.Fatalf("the process said %d", key)
			}
			if got := len(callsTo(t, s, number)); got < n || got > most {
				t.Errorf("round %d: %d calls to %s are counted, %d were acknowledged, %d allowed", round, got, number, n, most)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if total < 10 {
		t.Errorf("only %d calls in %d rounds", total, rounds)
	}
	t.Logf("%d calls to %d numbers, %d rounds", total, len(acked), rounds)
}

// callForEver calls number after number from every goroutine at once, so that
// each number is fought for, and says which calls are durable.
func callForEver(dir string, most, goroutines int) {
	s, err := Open(testOptions(dir, nil))
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	round, _ := strconv.Atoi(os.Getenv("STORE_KILL_ROUND"))
	for g := range goroutines {
		go func() {
			for i := 0; ; i++ {
				// Each round begins with the numbers at which the last one was killed.
				to, _ := policy.NumberOfKey(31_610_000_000 + uint64(round*20+i))
				r := call(to, fmt.Sprint(round, "-", g, "-", i), round*100_000+i)
				done := make(chan error, 1)
				ok, err := makeCall(s, r, most, func(err error) { done <- err })
				if ok {
					err = <-done
				}
				if err != nil {
					os.Exit(1)
				}
				if ok {
					os.Stdout.WriteString(to.E164()[1:] + "\n")
				}
			}
		}()
	}
	select {}
}

// TestNobodysTextIsTheNumber: whatever a dialer writes into its headers, a
// record is about the number that was called.
func TestNobodysTextIsTheNumber(t *testing.T) {
	r := call(bob, "a", 1)
	r.Attempt.Caller.Text = `","to":"` + alice.E164() + `"\`
	_, payload := appendDecision(nil, nil, r)
	n, err := numberOf(&ledger.Record{Kind: kindDecision, Payload: payload})
	if err != nil || n != bob {
		t.Errorf("%v, %v in %s", n, err, payload)
	}
	r.Attempt.Called = policy.Called{Text: `,"to":"` + alice.E164()}
	_, payload = appendDecision(nil, nil, r)
	if n, err = numberOf(&ledger.Record{Kind: kindDecision, Payload: payload}); err != nil || !n.IsZero() {
		t.Errorf("%v, %v in %s", n, err, payload)
	}
}
