package store

import (
	"fmt"
	"sync/atomic"
	"time"

	"dialgate/store/ledger"
)

// A disk watches the free space of the store's disk. Badger writes through
// memory maps: on a full disk the process would die of it and not start again.
// So what writes much stops first, and below the floor nothing is written but
// the ledger, whose room is taken in advance.
type disk struct {
	dir   string
	floor uint64
	free  func(dir string) (uint64, error)
	level atomic.Int32
	left  atomic.Uint64 // octets that were free when it was looked last
	quit  chan struct{}
	ended chan struct{}
}

// What there is no room for, each with what stands above it.
const (
	roomForAll   = iota
	noImports    // below three floors
	noFacts      // below two, but objections and withdrawals
	onlyInDanger // below the floor: objections and withdrawals, to the ledger
)

const (
	defaultFloor = 256 << 20
	lookEvery    = 100 * time.Millisecond
)

// ErrNoRoom is why something is refused that the disk has no room for.
var ErrNoRoom = ledger.ErrNoRoom

// look takes the free space and returns the level before and after. To leave a
// level there must be an eighth more than what led to it.
func (d *disk) look() (before, after int32, err error) {
	before = d.level.Load()
	free, err := d.free(d.dir)
	if err != nil {
		return before, before, err
	}
	after = int32(roomForAll)
	for _, l := range []int32{noImports, noFacts, onlyInDanger} {
		least := d.floor * uint64(onlyInDanger+1-l)
		if before >= l {
			least += least / 8
		}
		if free < least {
			after = l
		}
	}
	d.left.Store(free)
	d.level.Store(after)
	return before, after, nil
}

// lacks tells why there is no room for what stops at a level, nil if there is.
func (d *disk) lacks(level int32) error {
	if d.level.Load() < level {
		return nil
	}
	what := [...]string{noImports: "imports are", noFacts: "new facts, but objections and withdrawals, are", onlyInDanger: "calls can't be recorded and are"}[level]
	return fmt.Errorf("store: %w: %d MB are free, and %s refused below %d MB; free some space, it goes on by itself", ErrNoRoom, d.left.Load()>>20, what, d.floor*uint64(onlyInDanger+1-level)>>20)
}

// openRoom looks whether there is room to open the projection at all, and goes
// on looking.
func (s *Store) openRoom() error {
	d := &s.disk
	d.dir, d.floor, d.free = s.o.Dir, s.o.Floor, s.o.free
	if d.floor == 0 {
		d.floor = defaultFloor
	}
	if d.free == nil {
		d.free = ledger.Free
	}
	if _, level, err := d.look(); err != nil {
		return fmt.Errorf("store: the free space of the disk can't be told: %w", err)
	} else if level == onlyInDanger {
		return fmt.Errorf("store: %w: %d MB are free, and to open the store takes %d; free some space, or set store.disk_floor lower", ErrNoRoom, d.left.Load()>>20, d.floor>>20)
	}
	s.watchRoom()
	return nil
}

func (s *Store) watchRoom() {
	s.disk.quit, s.disk.ended = make(chan struct{}), make(chan struct{})
	go s.keepLooking()
}

func (s *Store) closeRoom() {
	close(s.disk.quit)
	<-s.disk.ended
}

func (s *Store) keepLooking() {
	d := &s.disk
	defer close(d.ended)
	beat := time.NewTicker(lookEvery)
	defer beat.Stop()
	failed := false
	for {
		select {
		case <-d.quit:
			return
		case <-beat.C:
		}
		before, after, err := d.look()
		if err != nil && !failed {
			s.o.Log.Error("the free space of the disk can't be told", "error", err)
		}
		failed = err != nil
		switch {
		case after > before:
			s.o.Log.Error("the disk is nearly full", "error", d.lacks(after))
		case after < before:
			s.o.Log.Info("there is room on the disk again", "free_mb", d.left.Load()>>20, "level", after)
			s.queue.hurry() // what was parked goes on
		}
	}
}

// DiskFree is how many octets were free on the store's disk a moment ago.
func (s *Store) DiskFree() uint64 { return s.disk.left.Load() }
