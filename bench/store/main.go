// Command store measures the bars of the store: the durable and provable one of
// dialgate beside bare stores of the same numbers, in one run.
package main

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"dialgate/policy"
	"dialgate/store"
)

var (
	rows      = flag.Int("rows", 200_000, "numbers in each store")
	decisions = flag.Int("decisions", -1, "calls that are judged before a number is proved; default: five for each number, at most 5,000,000")
	dir       = flag.String("dir", "", "where the stores lie; default: a temporary directory")
	others    = flag.Bool("others", true, "measure the other stores too")
	hold      = flag.String("hold", "", "open this store, add facts and wait to be killed (used by the run itself)")
)

func main() {
	flag.Parse()
	if *decisions < 0 {
		*decisions = min(5**rows, 5_000_000)
	}
	measure := run
	if *hold != "" {
		measure = func() error { return wait(*hold) }
	}
	if err := measure(); err != nil {
		fmt.Fprintln(os.Stderr, "store:", err)
		os.Exit(1)
	}
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
	fmt.Printf("%d numbers, %d decisions; %s on %d cores\n\n", *rows, *decisions, runtime.Version(), runtime.NumCPU())
	if *others {
		if err := measureYardsticks(base); err != nil {
			return err
		}
	}
	data := filepath.Join(base, "data")
	for _, part := range []func(string) error{fill, lookups, beside, objections, starts, proofs} {
		if err := part(data); err != nil {
			return err
		}
	}
	return nil
}

// say prints what has no bar.
func say(what, format string, args ...any) {
	fmt.Printf("%-56s %s\n", what, fmt.Sprintf(format, args...))
}

// bar prints what has one, and whether it holds.
func bar(met bool, bar, what, format string, args ...any) {
	answer := "no"
	if met {
		answer = "yes"
	}
	fmt.Printf("%-56s %-58s %-24s %s\n", what, fmt.Sprintf(format, args...), bar, answer)
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

func open(dir string, importRate int) (*store.Store, error) {
	return store.Open(store.Options{Dir: dir, Node: "bench", ImportRate: importRate})
}

// measureYardsticks loads the same numbers into stores of other kinds.
func measureYardsticks(base string) error {
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
	fmt.Println()
	return nil
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

// times are how long some things took.
type times []time.Duration

func (t times) at(p float64) time.Duration {
	slices.Sort(t)
	return t[min(len(t)-1, int(p*float64(len(t))))]
}

func (t times) String() string {
	return fmt.Sprintf("p50 %s, p99 %s, p99.9 %s, max %s", short(t.at(.5)), short(t.at(.99)), short(t.at(.999)), short(t.at(1)))
}

func short(d time.Duration) string {
	if d < time.Millisecond {
		return fmt.Sprintf("%.1fµs", float64(d)/1e3)
	}
	return fmt.Sprintf("%.1fms", float64(d)/1e6)
}

// cpu is what this process has used of all cores.
func cpu() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		panic(err) // the arguments are right
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
