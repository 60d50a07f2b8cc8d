package ledger

import (
	"errors"
	"os"
	"sync/atomic"
	"testing"
	"time"
)

func batchOf(t *testing.T, from, to int) *Batch {
	t.Helper()
	b := NewBatch()
	for i := from; i < to; i++ {
		if err := b.Add(record(i)); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

// Batches are records like others, in their order, and tell where each lies.
func TestBatches(t *testing.T) {
	for _, memory := range []bool{false, true} {
		dir := t.TempDir()
		l := open(t, Options{Dir: dir, Memory: memory, Linger: time.Microsecond})
		if _, err := l.AppendSync(record(1)); err != nil {
			t.Fatal(err)
		}
		batches := []*Batch{batchOf(t, 2, 301), batchOf(t, 301, 302), batchOf(t, 302, 1001)} // several segments
		if err := l.AppendBatches(batches...); err != nil {
			t.Fatal(err)
		}
		seq := uint64(1)
		for _, b := range batches {
			if len(b.Places) != b.Len() {
				t.Fatalf("%d places of %d records", len(b.Places), b.Len())
			}
			for _, place := range b.Places {
				if seq++; place.Seq != seq {
					t.Fatalf("record %d where %d belongs", place.Seq, seq)
				}
				r, err := l.Read(place)
				if err != nil || r.Seq != place.Seq || r.Place != place {
					t.Fatalf("%+v: %+v, %v", place, r, err)
				}
			}
		}
		again := batches[0]
		again.Reset()
		if again.Len() != 0 || again.Add(Record{Payload: make([]byte, maxPayload+1)}) == nil {
			t.Error("a batch took a record that is too large, or was not emptied")
		}
		if err := again.Add(record(1001)); err != nil {
			t.Fatal(err)
		}
		if err := l.AppendBatches(again); err != nil {
			t.Fatal(err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if err := l.AppendBatches(again); !errors.Is(err, ErrClosed) {
			t.Errorf("a closed ledger said %v", err)
		}
		check(t, open(t, Options{Dir: dir}), 1001)
	}
}

// Of a batch that the disk refuses nothing is there, and its numbers are given again.
func TestARefusedBatch(t *testing.T) {
	var full atomic.Bool
	l := open(t, Options{Dir: t.TempDir(), Linger: time.Microsecond, Sync: func(*os.File) error {
		if full.Load() {
			return errors.New("no space")
		}
		return nil
	}})
	full.Store(true)
	if err := l.AppendBatches(batchOf(t, 1, 901)); err == nil || l.Durable() != 0 {
		t.Fatalf("%v, %d records", err, l.Durable())
	}
	full.Store(false)
	if err := l.AppendBatches(batchOf(t, 1, 901)); err != nil {
		t.Fatal(err)
	}
	check(t, l, 900)
}

// Whoever waits for each record before the next one does not linger.
func TestALoneWriterDoesNotLinger(t *testing.T) {
	const linger = 30 * time.Second
	l := open(t, Options{Dir: t.TempDir(), Linger: linger})
	start := time.Now()
	for i := range 10 {
		if _, err := l.AppendSync(record(i)); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took > linger {
			t.Fatalf("%d records took %v", i+1, took)
		}
	}
}
