package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"dialgate/policy"
	"dialgate/store"
)

// rounds is how often a comparison is made; its median counts.
const rounds = 3

// lookups measures lookups and starts, alternating with Badger alone.
func lookups(data string) error {
	var started, present, missing, barePresent, bareMissing times
	for range rounds {
		start := time.Now()
		s, err := open(data, 0)
		if err != nil {
			return err
		}
		started = append(started, time.Since(start))
		get := func(n uint64) (bool, error) {
			var f policy.Facts
			err := s.Facts(of(n), &f)
			return len(f.All) > 0, err
		}
		err = pair(get, &present, &missing)
		if err = errors.Join(err, s.Close()); err != nil {
			return err
		}
		raw, shut, err := bare(data)
		if err != nil {
			return err
		}
		err = pair(raw, &barePresent, &bareMissing)
		if err = errors.Join(err, shut()); err != nil {
			return err
		}
	}
	ratio := func(what string, ours, alone times, most float64) {
		as := float64(ours.at(.5)) / float64(alone.at(.5))
		bar(as <= most, fmt.Sprintf("at most %.1f times", most), what, "%.2f times Badger alone (%s, %s)", as, short(ours.at(.5)), short(alone.at(.5)))
	}
	ratio("facts of a present number", present, barePresent, 1.3)
	ratio("facts of an absent number", missing, bareMissing, 1.5)
	bar(started.at(.5) <= time.Second, "at most 1s at 10M", "start after a clean stop", "%v", started.at(.5).Round(time.Millisecond))
	return nil
}

// pair looks up numbers that are there and numbers that are not.
func pair(get func(uint64) (bool, error), present, missing *times) error {
	p, err := look(get, number, true)
	if err != nil {
		return err
	}
	m, err := look(get, absent, false)
	*present, *missing = append(*present, p), append(*missing, m)
	return err
}

// beside measures lookups while something else is done to the store.
func beside(data string) error {
	s, err := open(data, 20_000)
	if err != nil {
		return err
	}
	for _, work := range []struct {
		what   string
		barred bool
		do     func() error
	}{
		{"nothing", false, func() error { time.Sleep(5 * time.Second); return nil }},
		{"an import of 20,000 rows/s", true, func() error { return liveImport(s, 100_000) }},
		{"a backup of 50 MB/s", false, func() error { _, err := s.Backup(context.Background(), io.Discard, nil, 50<<20); return err }},
		{"an erasure and its compaction", false, func() error { _, err := s.Erase(of(number(1)), "asked"); return err }},
	} {
		t, err := during(s, work.do)
		if err != nil {
			return fmt.Errorf("%s: %w", work.what, err)
		}
		if work.barred {
			bar(t.at(.999) <= 5*time.Millisecond && t.at(1) <= 20*time.Millisecond, "p99.9 5ms, max 20ms", "lookups beside "+work.what, "%v", t)
		} else {
			say("lookups beside "+work.what, "%v", t)
		}
	}
	return s.Close()
}

// during looks 2,000 numbers up a second, half of them present, while something is done.
func during(s *store.Store, what func() error) (t times, err error) {
	quit, done := make(chan struct{}), make(chan error, 1)
	go func() {
		beat := time.NewTicker(500 * time.Microsecond)
		defer beat.Stop()
		for i := 0; ; i++ {
			select {
			case <-quit:
				done <- nil
				return
			case <-beat.C:
			}
			n := number(2 + rand.IntN(*rows-2))
			if i%2 == 0 {
				n = absent(i)
			}
			var f policy.Facts
			start := time.Now()
			if err := s.Facts(of(n), &f); err != nil {
				done <- err
				return
			}
			t = append(t, time.Since(start))
		}
	}()
	err = what()
	close(quit)
	return t, errors.Join(err, <-done)
}

var imported int

// liveImport imports rows as a running node does.
func liveImport(s *store.Store, n int) error {
	for n > 0 {
		facts := make([]policy.Fact, 1000)
		for i := range facts {
			imported++
			facts[i] = policy.Fact{ID: fmt.Sprint("live", imported), Kind: policy.Consent, Number: of(31_810_000_000 + uint64(imported)), Advertiser: "windkracht", At: time.Now()}
		}
		if _, err := s.Import(context.Background(), facts...); err != nil {
			return err
		}
		n -= len(facts)
	}
	return nil
}

// objections measures objections of 16 writers by themselves and beside imports.
func objections(data string) error {
	for _, work := range []struct {
		what string
		rate int
		rows int
	}{{"", 0, 0}, {", beside 20,000 rows/s", 20_000, 60_000}, {", beside an import at full speed", 0, 60_000}} {
		s, err := open(data, work.rate)
		if err != nil {
			return err
		}
		var alone, many times
		ended := make(chan error, 1)
		go func() { ended <- liveImport(s, work.rows) }()
		alone, err = object(s, 1, 200)
		if err == nil {
			many, err = object(s, 16, 100)
		}
		if err = errors.Join(err, <-ended, s.Close()); err != nil {
			return err
		}
		bar(many.at(.5) <= time.Millisecond && many.at(.99) <= 5*time.Millisecond, "p50 1ms, p99 5ms", "objections of 16 writers"+work.what, "%v", many)
		say("objections of one writer"+work.what, "%v", alone)
	}
	return nil
}

var objected int

// object has writers object, each after its last one was answered.
func object(s *store.Store, writers, each int) (all times, err error) {
	var mu sync.Mutex
	var all16 sync.WaitGroup
	for range writers {
		all16.Go(func() {
			for range each {
				mu.Lock()
				objected++
				n := of(31_900_000_000 + uint64(objected))
				mu.Unlock()
				start := time.Now()
				_, failed := s.Add(context.Background(), policy.Fact{ID: "o", Kind: policy.Objection, Number: n, Advertiser: "*", At: start})
				var f policy.Facts
				failed = errors.Join(failed, s.Facts(n, &f))
				took := time.Since(start)
				if failed == nil && len(f.All) != 1 {
					failed = errors.New("an objection is not in force")
				}
				mu.Lock()
				all, err = append(all, took), errors.Join(err, failed)
				mu.Unlock()
			}
		})
	}
	all16.Wait()
	return all, err
}

// starts measures how long the store takes to open after a kill, and what
// memory it has before.
func starts(data string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	child := exec.Command(self, "-hold", data, "-rows", fmt.Sprint(*rows))
	out, err := child.StdoutPipe()
	if err != nil {
		return err
	}
	if err := child.Start(); err != nil {
		return err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return err
	}
	if err := child.Process.Kill(); err != nil {
		return err
	}
	_ = child.Wait() // it was killed
	var kilobytes int
	if _, err := fmt.Sscan(line, &kilobytes); err != nil {
		return err
	}
	bar(kilobytes <= 200_000, "at most 200 MB at 10M", "anonymous memory of a store that is open and read", "%d MB", kilobytes/1000)
	start := time.Now()
	s, err := open(data, 0)
	if err != nil {
		return err
	}
	took := time.Since(start)
	bar(took <= 3*time.Second, "at most 3s at 10M", "start after kill -9", "%v", took.Round(time.Millisecond))
	return s.Close()
}

// wait opens a store, reads and writes, tells its memory, and waits.
func wait(data string) error {
	s, err := open(data, 0)
	if err != nil {
		return err
	}
	for i := range 20_000 {
		var f policy.Facts
		if err := s.Facts(of(number(i)), &f); err != nil {
			return err
		}
		if i%100 == 0 {
			fact := policy.Fact{ID: fmt.Sprint("h", i), Kind: policy.Consent, Number: of(31_820_000_000 + uint64(i)), Advertiser: "windkracht", At: time.Now()}
			if _, err := s.Add(context.Background(), fact); err != nil {
				return err
			}
		}
	}
	rollup, err := os.ReadFile("/proc/self/smaps_rollup")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(rollup)) {
		if rest, ok := strings.CutPrefix(line, "Anonymous:"); ok {
			fmt.Println(strings.TrimSpace(rest))
		}
	}
	select {}
}
