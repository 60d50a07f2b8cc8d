package ledger

import (
	"os"
	"sync/atomic"
	"testing"
	"time"
)

// TestRecordsThatNobodyWaitsFor go to the disk with the next that somebody waits
// for, before it, and by themselves when none comes.
func TestRecordsThatNobodyWaitsFor(t *testing.T) {
	var syncs atomic.Int64
	l := open(t, Options{Dir: t.TempDir(), Linger: time.Microsecond, Sync: func(f *os.File) error {
		syncs.Add(1)
		return f.Sync()
	}})
	idle := Record{Time: time.Unix(0, 0), Kind: 1, Later: true}
	for range 20 {
		const n = 10
		var written atomic.Int64
		before := syncs.Load()
		for range n {
			l.Append(idle, func(_ uint64, err error) {
				if err != nil {
					t.Error(err)
				}
				written.Add(1)
			})
		}
		if _, err := l.AppendSync(Record{Time: time.Unix(0, 0), Kind: 1}); err != nil {
			t.Fatal(err)
		}
		if written.Load() != n {
			t.Errorf("%d of %d records were written before the one that came after them", written.Load(), n)
		}
		if took := syncs.Load() - before; took > n/2 {
			t.Errorf("%d syncs for %d records that nobody waits for", took, n)
		}
	}
	alone := make(chan error, 1)
	l.Append(idle, func(_ uint64, err error) { alone <- err })
	select {
	case err := <-alone:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Error("a record by itself was not written")
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}
