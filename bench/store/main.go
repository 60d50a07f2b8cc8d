// Command store measures the bars of the store: the durable and provable one of
// dialgate beside bare stores of the same numbers, in one run.
package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"dialgate/policy"
	"dialgate/store"
)

var (
	rows = flag.Int("rows", 200_000, "numbers in each store")
	dir  = flag.String("dir", "", "where the stores lie; default: a temporary directory")
	hold = flag.String("hold", "", "open this store, add facts and wait to be killed (used by the run itself)")
)

func main() {
	flag.Parse()
	measure := run
	if *hold != "" {
		measure = func() error { return wait(*hold) }
	}
	err := measure()
	if err != nil {
		fmt.Fprintln(os.Stderr, "store:", err)
		os.Exit(1)
	}
}

func number(i int) uint64 { return 31_610_000_000 + uint64(i)*7919%89_999_999 }

func absent(i int) uint64 { return 31_710_000_000 + uint64(i)*7919%89_999_999 }

func of(n uint64) policy.Number {
	number, ok := policy.NumberOfKey(n)
	if !ok {
		panic("no number")
	}
	return number
}

func open(dir string) (*store.Store, error) {
	return store.Open(store.Options{Dir: dir, Node: "bench"})
}

// optins is a file of opt-ins with the columns and the dates of a Dutch CRM.
func optins() []byte {
	var b bytes.Buffer
	b.WriteString("Telefoon;Klant;Datum;Formulier;Aangevinkt\n")
	at := time.Date(2020, 1, 1, 9, 0, 0, 0, time.UTC)
	for i := range *rows {
		fmt.Fprintf(&b, "+%d;klant %d;%s;web-form;Nee\n", number(i), i, at.Add(time.Duration(i)*7*time.Second).Format("02-01-2006 15:04"))
	}
	return b.Bytes()
}

func importInto(s *store.Store, data []byte) error {
	zone, err := time.LoadLocation("Europe/Amsterdam")
	if err != nil {
		return err
	}
	in := store.Intake{Form: policy.FactForm{Zone: zone, Attested: true}, Batch: "optins.csv",
		Constants: map[string]string{"kind": "consent", "advertiser": "windkracht", "source": "website", "bundled": "false"},
		Columns: &store.Columns{Fields: map[string]string{"Telefoon": "number", "Datum": "at", "Formulier": "method", "Aangevinkt": "preticked"},
			Ignore: []string{"*"}, Values: map[string]map[string]string{"preticked": {"Ja": "true", "Nee": "false"}}, Dutch: true}}
	load := s.Load()
	var facts []policy.Fact
	flush := func() error {
		results, err := load.Add(context.Background(), facts...)
		for _, r := range results {
			err = errors.Join(err, r.Err)
		}
		facts = facts[:0]
		return err
	}
	for row, err := range in.Rows(bytes.NewReader(data)) {
		if err = errors.Join(err, row.Err); err != nil {
			return err
		}
		if facts = append(facts, row.Fact); len(facts) == 4096 {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return errors.Join(flush(), load.Close())
}

// times are what some lookups took.
type times []time.Duration

func (t times) String() string {
	slices.Sort(t)
	at := func(p float64) time.Duration { return t[min(len(t)-1, int(p*float64(len(t))))] }
	return fmt.Sprintf("p50 %v, p99 %v, p99.9 %v, max %v", at(.5), at(.99), at(.999), t[len(t)-1])
}

func (t times) at(p float64) time.Duration {
	slices.Sort(t)
	return t[min(len(t)-1, int(p*float64(len(t))))]
}

// look reads random numbers one after another and says what one took on average.
func look(get func(uint64) (bool, error), which func(int) uint64, want bool) (time.Duration, error) {
	const n = 100_000
	start := time.Now()
	for range n {
		found, err := get(which(rand.IntN(*rows)))
		if err != nil || found != want {
			return 0, fmt.Errorf("a lookup found %t, want %t: %w", found, want, err)
		}
	}
	return time.Since(start) / n, nil
}

// beside looks 2,000 numbers up a second, half of them present, until it is told to stop.
func beside(s *store.Store, what func() error) (t times, err error) {
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
			n := number(rand.IntN(*rows))
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

func say(what, format string, args ...any) {
	fmt.Printf("%-52s %s\n", what, fmt.Sprintf(format, args...))
}

func run() error {
	base := *dir
	if base == "" {
		var err error
		if base, err = os.MkdirTemp("", "dialgate-store"); err != nil {
			return err
		}
		defer os.RemoveAll(base)
	}
	data := filepath.Join(base, "data")
	fmt.Printf("%d numbers; bars in brackets\n\n", *rows)
	numbers := make([]uint64, *rows)
	for i := range numbers {
		numbers[i] = number(i)
	}
	for _, y := range yardsticks {
		start := time.Now()
		get, shut, err := y.load(base, numbers)
		if err != nil {
			return fmt.Errorf("%s: %w", y.name, err)
		}
		took := time.Since(start)
		present, err := look(get, number, true)
		if err != nil {
			return fmt.Errorf("%s: %w", y.name, err)
		}
		missing, err := look(get, absent, false)
		if err = errors.Join(err, shut()); err != nil {
			return fmt.Errorf("%s: %w", y.name, err)
		}
		say(y.name, "%.0f rows/s in file order; present %v, absent %v", float64(*rows)/took.Seconds(), present, missing)
	}
	file := optins()
	s, err := open(data)
	if err != nil {
		return err
	}
	start := time.Now()
	if err := importInto(s, file); err != nil {
		return err
	}
	took := time.Since(start)
	say("import of a mapped CSV, ledger included", "%.0f rows/s [100,000]", float64(*rows)/took.Seconds())
	if err := lookups(s, data); err != nil {
		return err
	}
	return starts(data)
}

// lookups closes the store.
func lookups(s *store.Store, data string) error {
	get := func(n uint64) (bool, error) {
		var f policy.Facts
		err := s.Facts(of(n), &f)
		return len(f.All) > 0, err
	}
	present, err := look(get, number, true)
	if err != nil {
		return err
	}
	missing, err := look(get, absent, false)
	if err != nil {
		return err
	}
	next := 0
	live, err := beside(s, func() error {
		// In chunks at 20,000 rows a second, as an import into a running node goes.
		beat := time.NewTicker(25 * time.Millisecond)
		defer beat.Stop()
		for range 200 {
			facts := make([]policy.Fact, 500)
			for i := range facts {
				next++
				facts[i] = policy.Fact{ID: fmt.Sprint("live", next), Kind: policy.Consent, Number: of(31_810_000_000 + uint64(next)), Advertiser: "windkracht", At: time.Now()}
			}
			if _, err := s.Add(context.Background(), facts...); err != nil {
				return err
			}
			<-beat.C
		}
		return nil
	})
	if err != nil {
		return err
	}
	say("lookups beside a paced import", "%v [p99.9 5ms, max 20ms]", live)
	objections, err := object(s)
	if err != nil {
		return err
	}
	say("an objection of 16 writers, durable and in force", "p50 %v, p99 %v [1ms, 5ms]", objections.at(.5), objections.at(.99))
	erased, err := beside(s, func() error {
		_, err := s.Erase(of(number(1)), "asked")
		return err
	})
	if err != nil {
		return err
	}
	say("lookups beside an erasure and its compaction", "%v", erased)
	if err := s.Close(); err != nil {
		return err
	}
	raw, shut, err := bare(data)
	if err != nil {
		return err
	}
	rawPresent, err := look(raw, func(i int) uint64 { return number(max(i, 2)) }, true)
	if err != nil {
		return err
	}
	rawMissing, err := look(raw, absent, false)
	if err = errors.Join(err, shut()); err != nil {
		return err
	}
	say("facts of a present number", "%v, Badger alone %v: %.2f times [1.3]", present, rawPresent, float64(present)/float64(rawPresent))
	say("facts of an absent number", "%v, Badger alone %v: %.2f times [1.5]", missing, rawMissing, float64(missing)/float64(rawMissing))
	return nil
}

func object(s *store.Store) (all times, err error) {
	var mu sync.Mutex
	var writers sync.WaitGroup
	for w := range 16 {
		writers.Go(func() {
			for i := range 100 {
				n := of(31_900_000_000 + uint64(w*1000+i))
				start := time.Now()
				_, failed := s.Add(context.Background(), policy.Fact{ID: "o", Kind: policy.Objection, Number: n, Advertiser: "*", At: time.Now()})
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
	writers.Wait()
	return all, err
}

// starts measures how long the store takes to open, after a clean stop and
// after a kill, and what memory it has then.
func starts(data string) error {
	start := time.Now()
	s, err := open(data)
	if err != nil {
		return err
	}
	say("start after a clean stop", "%v [1s at 10M]", time.Since(start).Round(time.Millisecond))
	if err := s.Close(); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	child := exec.Command(self, "-hold", data)
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
	say("anonymous memory of a store that is open and read", "%s [200 MB at 10M]", strings.TrimSpace(line))
	start = time.Now()
	if s, err = open(data); err != nil {
		return err
	}
	say("start after kill -9", "%v [3s at 10M]", time.Since(start).Round(time.Millisecond))
	return s.Close()
}

// wait opens a store, reads and writes, tells its memory, and waits.
func wait(data string) error {
	s, err := open(data)
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
