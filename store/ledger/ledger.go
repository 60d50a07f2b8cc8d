package ledger

import (
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Options of a Ledger.
type Options struct {
	Dir         string
	SegmentSize int64 // octets; 0: 64 MiB
	// Memory acknowledges a record before it is on disk. For tests, and for
	// whoever can do without the evidence of the last moments before a crash.
	Memory bool
	// Linger is how long a record may wait for others when records come thick:
	// there are at most 1/Linger syncs a second. A lone record does not wait, and
	// none does when there is a [Ledger.Hurry]. 0: 2 ms.
	Linger time.Duration
	// Key is the file of the key that checkpoints are signed with; one is made
	// when there is none. "": the file "key" in Dir.
	Key string
	Log *slog.Logger
	// Sync brings what was written to a file to the disk; nil: fdatasync(2). It is
	// there for tests of a disk that is slow or fails.
	Sync func(*os.File) error
}

// A Ledger is open for appending by one process.
type Ledger struct {
	o    Options
	lock *os.File

	mu      sync.Mutex
	pending []byte  // frames that wait
	frames  []frame // of pending, in order
	seq     uint64  // the last sequence number given
	asked   []request
	closed  bool
	broken  error // why the last commit failed
	salts   *mathrand.ChaCha8

	// when the committer writes; under mu
	due    time.Time // what waits is to be written, zero: nothing waits
	wakes  time.Time // the committer looks again by itself, zero: it is not waiting
	synced time.Time // the last batch was on disk
	bell   bell

	found   uint64 // the last sequence number that Open has found
	durable uint64 // the last sequence number on disk, under mu

	next   *segment // made before it is needed, nil: not yet; under mu
	making bool     // it is being made
	short  bool     // it can't be
	makers sync.WaitGroup

	first   uint64          // the first record of the first segment at Open, 0: none
	erasing sync.Mutex      // one erasure at a time
	begun   map[uint64]bool // records of an erasure that Open has finished

	// the committer's own
	file     *segment
	done     chan struct{}
	evidence evidence
}

type frame struct {
	size  int
	seq   uint64
	place *Place // where to note its place, nil: nobody asks
	done  func(seq uint64, err error)
}

const (
	defaultSegment = 64 << 20
	defaultLinger  = 2 * time.Millisecond
	maxPending     = 32 << 20 // octets
)

// Open opens the ledger in a directory, and makes it if there is none. A torn
// end, as a crash leaves it, is cut; any other damage is a [DamageError].
func Open(o Options) (*Ledger, error) {
	if o.SegmentSize == 0 {
		o.SegmentSize = defaultSegment
	}
	if o.Linger == 0 {
		o.Linger = defaultLinger
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Key == "" {
		o.Key = filepath.Join(o.Dir, "key")
	}
	if o.Sync == nil {
		o.Sync = dataSync
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	lock, err := lockDir(o.Dir)
	if err != nil {
		return nil, err
	}
	var seed [32]byte
	_, _ = rand.Read(seed[:]) // never fails
	l := &Ledger{o: o, lock: lock, done: make(chan struct{}), salts: mathrand.NewChaCha8(seed)}
	l.evidence.due = time.Now().Add(checkpointEvery)
	interrupted, err := l.finishErasure()
	if err == nil {
		l.bell, err = newBell(o.Memory)
	}
	if err == nil {
		err = l.recover()
	}
	if err == nil {
		err = l.openEvidence()
	}
	if err != nil {
		return nil, errors.Join(err, l.closeFiles())
	}
	l.found = l.durable
	go l.commit()
	if l.evidence.changed {
		err = l.recordKey(l.evidence.before)
	}
	if err == nil && interrupted != nil {
		// Whether its record was written is not known; one more says nothing new.
		if _, err = l.nameErased(interrupted); err == nil {
			err = l.erased()
		}
	}
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

func (l *Ledger) closeFiles() (err error) {
	if l.file != nil {
		err = l.file.close()
	}
	if l.bell != nil {
		err = errors.Join(err, l.bell.close())
	}
	return errors.Join(err, l.lock.Close())
}

// lockDir keeps other processes out of a directory.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("ledger: %s is in use by another process; stop it, or use its control socket", dir)
	}
	return f, nil
}

// Append adds a record and calls done once: when it is on disk, or with the
// reason why it is not. It takes what it needs of the record before it
// returns, and never waits for the disk; done runs on the ledger's goroutine,
// in the order of the sequence numbers, and must not wait for anything. In
// memory mode, and when the record is refused, done is called at once.
func (l *Ledger) Append(r Record, done func(seq uint64, err error)) {
	if len(r.Public) > maxPublic || len(r.Payload) > maxPayload {
		done(0, tooLarge(&r))
		return
	}
	l.mu.Lock()
	if err := l.takes(r.Vital); err != nil {
		l.mu.Unlock()
		done(0, err)
		return
	}
	l.seq++
	r.Seq = l.seq
	var salt [saltSize]byte
	_, _ = l.salts.Read(salt[:]) // never fails
	before := len(l.pending)
	l.pending = appendFrame(l.pending, &r, &salt)
	f := frame{size: len(l.pending) - before, seq: r.Seq, done: done}
	if l.o.Memory {
		f.done = nil
	}
	l.frames = append(l.frames, f)
	l.writeSoon(&r)
	l.mu.Unlock()
	if l.o.Memory {
		done(r.Seq, nil)
	}
}

// takes tells why no record is taken at the moment, nil when one is; mu is held.
func (l *Ledger) takes(vital bool) error {
	switch {
	case l.closed:
		return ErrClosed
	case l.short && !vital:
		return fmt.Errorf("ledger: %w: there is no room for another file; free some space, it goes on by itself", ErrNoRoom)
	case len(l.pending) > maxPending:
		return ErrFull
	case l.o.Memory:
		return l.broken
	}
	return nil
}

// Hurry has the records that were appended written without waiting for others.
// Whoever waits for them says so.
func (l *Ledger) Hurry() {
	if l.o.Memory {
		return // nobody waits
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.frames) > 0 {
		l.writeBy(time.Now())
	}
}

// AppendSync is Append that waits.
func (l *Ledger) AppendSync(r Record) (uint64, error) {
	type result struct {
		seq uint64
		err error
	}
	c := make(chan result, 1)
	l.Append(r, func(seq uint64, err error) { c <- result{seq, err} })
	l.Hurry()
	got := <-c
	return got.seq, got.err
}

// Durable is the last sequence number on disk, 0 when the ledger is empty.
func (l *Ledger) Durable() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.durable
}

// Found is the last sequence number that was on disk when the ledger was opened.
func (l *Ledger) Found() uint64 { return l.found }

// Failure is why records can't be written at the moment, nil when they can.
func (l *Ledger) Failure() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.broken
}

// Close writes what waits and gives the directory free.
func (l *Ledger) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil
	}
	l.closed = true
	l.writeBy(time.Now())
	l.mu.Unlock()
	<-l.done
	l.closeNext()
	err := l.evidence.tree.settle()
	l.closeEvidence()
	return errors.Join(err, l.closeFiles())
}

// write puts a batch on disk and tells each record's owner. When the disk
// fails, the batch's sequence numbers are given again: the log has no gaps.
func (l *Ledger) write(buf []byte, frames []frame) {
	err := l.store(buf, frames)
	l.mu.Lock()
	l.broken = err
	if err == nil {
		l.durable = frames[len(frames)-1].seq
	} else {
		frames = l.renumber(frames)
	}
	l.mu.Unlock()
	if err != nil {
		l.o.Log.Error("the ledger can't be written; no call is allowed that can't be recorded", "error", err)
		err = fmt.Errorf("ledger: %w", err)
	}
	for i := range frames {
		if frames[i].done == nil {
			continue
		}
		if err != nil {
			frames[i].done(0, err)
			continue
		}
		frames[i].done(frames[i].seq, nil)
	}
	if err == nil {
		l.follow(buf, frames)
	}
}

// renumber takes back everything that is not on disk, also what came in since:
// its frames carry numbers that would leave a gap. All of it fails.
func (l *Ledger) renumber(frames []frame) []frame {
	frames = append(slices.Clone(frames), l.frames...)
	l.pending, l.frames = l.pending[:0], l.frames[:0]
	l.seq = l.durable
	return frames
}

// store writes frames to the current segment, and to new ones as they fill,
// then syncs. On an error the segment is cut back to what was there before.
func (l *Ledger) store(buf []byte, frames []frame) error {
	before := int64(0)
	if l.file != nil {
		before = l.file.end
	}
	first := l.file
	for at, i := 0, 0; i < len(frames); i++ {
		seal(buf[at:at+frames[i].size], frames[0].seq)
		at += frames[i].size
	}
	for len(frames) > 0 {
		if l.file == nil || l.file.end+int64(frames[0].size) > l.file.size {
			if err := l.roll(frames[0].seq, int64(frames[0].size)); err != nil {
				return l.undo(first, before, err)
			}
		}
		n, size := 0, 0
		for n < len(frames) && l.file.end+int64(size+frames[n].size) <= l.file.size {
			if p := frames[n].place; p != nil {
				p.Offset = l.file.end + int64(size)
			}
			size += frames[n].size
			n++
		}
		if err := l.file.write(buf[:size]); err != nil {
			return l.undo(first, before, err)
		}
		buf, frames = buf[size:], frames[n:]
	}
	if l.o.Memory {
		return nil
	}
	if err := l.o.Sync(l.file.f); err != nil {
		return l.undo(first, before, err)
	}
	return nil
}

// undo cuts off what a failed batch has left, so that a later one begins where
// the last good one ended.
func (l *Ledger) undo(first *segment, end int64, err error) error {
	if l.file != first && l.file != nil {
		err = errors.Join(err, l.file.close(), os.Remove(filepath.Join(l.o.Dir, l.file.name)))
		l.file = nil
		if first != nil {
			f, openErr := openSegment(filepath.Join(l.o.Dir, first.name))
			if openErr != nil {
				return errors.Join(err, openErr)
			}
			l.file = f
		}
	}
	if l.file != nil {
		err = errors.Join(err, l.file.cut(end))
	}
	return err
}
