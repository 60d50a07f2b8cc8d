package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"dialgate/policy"
)

// percentiles reports how long some things took, in microseconds.
func percentiles(b *testing.B, took []time.Duration) {
	slices.Sort(took)
	at := func(p float64) float64 { return float64(took[min(len(took)-1, int(p*float64(len(took))))]) / 1e3 }
	for _, p := range []struct {
		of   float64
		name string
	}{{.5, "p50-µs"}, {.99, "p99-µs"}, {.999, "p99.9-µs"}, {1, "max-µs"}} {
		b.ReportMetric(at(p.of), p.name)
	}
	b.ReportMetric(0, "ns/op")
}

// loadedStore is a store of so many consents, which takes imports at a rate.
func loadedStore(b *testing.B, rows, rate int) *Store {
	b.Helper()
	s, err := Open(Options{Dir: filepath.Join(b.TempDir(), "data"), ImportRate: rate})
	if err != nil {
		b.Fatal(err)
	}
	load := s.Load()
	for from := 0; from < rows; from += LoadBatch {
		facts := make([]policy.Fact, min(LoadBatch, rows-from))
		for i := range facts {
			facts[i] = consent("c", loadNumber(from+i))
		}
		if _, err := load.Add(context.Background(), facts...); err != nil {
			b.Fatal(err)
		}
	}
	if err := load.Close(); err != nil {
		b.Fatal(err)
	}
	return s
}

// importRows imports rows of new numbers as a running node does.
func importRows(s *Store, from, rows int) error {
	for i := range rows / 1000 {
		facts := make([]policy.Fact, 1000)
		for j := range facts {
			facts[j] = consent("i", loadNumber(from+1000*i+j))
		}
		if _, err := s.Import(context.Background(), facts...); err != nil {
			return err
		}
	}
	return nil
}

// BenchmarkBeside looks up 2,000 numbers a second, half of them known, while
// something else is done to the store, and tells how long a lookup took.
func BenchmarkBeside(b *testing.B) {
	const rows = 100_000
	for _, work := range []struct {
		name string
		do   func(s *Store, i int) error
	}{
		{"nothing", func(*Store, int) error { time.Sleep(time.Second); return nil }},
		{"import", func(s *Store, i int) error { return importRows(s, (i+2)*rows, 40_000) }},
		{"compaction", func(s *Store, _ int) error { return s.state.vanish(s.ledger.Durable()) }},
		{"backup", func(s *Store, _ int) error {
			_, err := s.Backup(context.Background(), io.Discard, nil, 50<<20)
			return err
		}},
		{"erasure", func(s *Store, i int) error { _, err := s.Erase(loadNumber(i), "asked"); return err }},
	} {
		b.Run(work.name, func(b *testing.B) {
			s := loadedStore(b, rows, 20_000)
			defer s.Close()
			var took []time.Duration
			quit, ended := make(chan struct{}), make(chan error, 1)
			go func() {
				beat := time.NewTicker(500 * time.Microsecond)
				defer beat.Stop()
				for {
					select {
					case <-quit:
						ended <- nil
						return
					case <-beat.C:
					}
					var f policy.Facts
					start := time.Now()
					if err := s.Facts(loadNumber(rand.IntN(2*rows)), &f); err != nil {
						ended <- err
						return
					}
					took = append(took, time.Since(start))
				}
			}()
			var err error
			for i := 0; err == nil && b.Loop(); i++ {
				err = work.do(s, i)
			}
			close(quit)
			if err = errors.Join(err, <-ended); err != nil {
				b.Fatal(err)
			}
			percentiles(b, took)
		})
	}
}

// BenchmarkObjections tells how long an objection takes until it is durable and
// in force, with one writer and with 16, by themselves and beside an import at
// full speed. The bars with 16 are a median of 1 ms and 5 ms for one of a hundred.
func BenchmarkObjections(b *testing.B) {
	for _, beside := range []bool{false, true} {
		for _, writers := range []int{1, 16} {
			b.Run(fmt.Sprintf("writers=%d/import=%t", writers, beside), func(b *testing.B) {
				s := loadedStore(b, 20_000, 0)
				defer s.Close()
				quit, imported := make(chan struct{}), make(chan error, 1)
				go func() {
					var err error
					for i := 1; err == nil && beside; i++ {
						select {
						case <-quit:
							imported <- nil
							return
						default:
							err = importRows(s, i*100_000, 1000)
						}
					}
					imported <- err
				}()
				var mu sync.Mutex
				var took []time.Duration
				next := 0
				var all sync.WaitGroup
				b.ResetTimer()
				for range writers {
					all.Go(func() {
						for {
							mu.Lock()
							next++
							i := next
							mu.Unlock()
							if i > b.N {
								return
							}
							n := loadNumber(-i)
							start := time.Now()
							_, err := s.Add(context.Background(), objection("o", n, noon))
							since := time.Since(start)
							var f policy.Facts
							if err = errors.Join(err, s.Facts(n, &f)); err != nil || len(f.All) != 1 {
								b.Errorf("%d facts, %v", len(f.All), err)
								return
							}
							mu.Lock()
							took = append(took, since)
							mu.Unlock()
						}
					})
				}
				all.Wait()
				close(quit)
				if err := <-imported; err != nil {
					b.Fatal(err)
				}
				percentiles(b, took)
			})
		}
	}
}
