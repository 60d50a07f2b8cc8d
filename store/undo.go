package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"dialgate/policy"
)

// UndoOptions say how a batch is undone.
type UndoOptions struct {
	// Lift undoes also what protects the called person: objections,
	// withdrawals, entries in registers, and that a number is no legal person's.
	Lift   bool   `json:"lift,omitempty"`
	Ground string `json:"ground,omitempty"` // why; asked for by Lift
	DryRun bool   `json:"dry_run,omitempty"`
	// From and To bound when facts came in, both included, so that of several
	// imports of one name one can be undone. Zero: no bound.
	From time.Time `json:"from,omitzero"`
	To   time.Time `json:"to,omitzero"`
	// All undoes a name however often it was imported. Without it, and without
	// bounds, one that was imported more than once is not undone.
	All bool `json:"all,omitempty"`
}

// within reports whether what came in then is to be undone.
func (o *UndoOptions) within(t time.Time) bool {
	return !t.Before(o.From) && (o.To.IsZero() || !t.After(o.To))
}

// bound reports whether it is said which import of a name is meant.
func (o *UndoOptions) bound() bool { return o.All || !o.From.IsZero() || !o.To.IsZero() }

// An Undone tells what the undoing of a batch did, or would do. Facts are
// counted by kind.
type Undone struct {
	Batch   string         `json:"batch"`
	Undone  map[string]int `json:"undone"`
	Before  map[string]int `json:"before"` // were undone already
	Stay    map[string]int `json:"stay"`   // protect the called person, and stay in force
	Numbers int            `json:"numbers"`
	// Freed is how many numbers lose their last objection, withdrawal or entry
	// in a register while a fact that can allow a call stays in force.
	Freed     int      `json:"freed"`
	Registers []string `json:"registers,omitempty"` // whose copy counts no more
	Batches   []string `json:"batches,omitempty"`   // the first that there are, when there is none of this name
	// Runs are the times that the name was imported, the newest first.
	Runs []ImportRun `json:"runs,omitempty"`
	// Several: it was imported more than once and nobody said which is meant,
	// so that nothing was undone.
	Several bool `json:"several,omitempty"`

	minutes map[int64]int // facts that came in, by the minute
}

// An ImportRun is one time that a name was imported, as far as what came in
// tells: nothing else of the name came within a few minutes before or after.
type ImportRun struct {
	From  time.Time `json:"from"`
	To    time.Time `json:"to"`
	Facts int       `json:"facts"` // that it brought in
}

// Known reports whether there is such a batch.
func (u *Undone) Known() bool { return len(u.Runs) > 0 }

const (
	undoChunk    = 500
	maxGround    = 1000
	batchesNamed = 20
	runsNamed    = 100
	runGap       = 5 // minutes without a fact, at least, between two imports
)

// runs makes imports of the minutes in which facts came in.
func (u *Undone) runs() (runs []ImportRun) {
	last := int64(0)
	for _, minute := range slices.Sorted(maps.Keys(u.minutes)) {
		if len(runs) == 0 || minute > last+runGap {
			runs = append(runs, ImportRun{From: time.Unix(minute*60, 0).UTC()})
		}
		run := &runs[len(runs)-1]
		run.To, run.Facts = time.Unix(minute*60+60, -1).UTC(), run.Facts+u.minutes[minute]
		last = minute
	}
	slices.Reverse(runs)
	return runs[:min(len(runs), runsNamed)]
}

func (u *Undone) came(t time.Time, facts int) { u.minutes[t.Unix()/60] += facts }

// Undo makes the facts that an import brought in void, by a fact of kind undo
// for each. Nothing is deleted, and a second run changes nothing: so one that
// was interrupted is run again. What protects the called person stays in force
// unless it is lifted. Of a name that was imported more than once nothing is
// undone before it is said which import is meant.
func (s *Store) Undo(ctx context.Context, batch string, o UndoOptions) (Undone, error) {
	if !o.DryRun && !o.bound() {
		u, err := s.undo(ctx, batch, UndoOptions{DryRun: true})
		if err != nil {
			return u, err
		}
		if len(u.Runs) > 1 {
			several := newUndone(batch)
			several.Runs, several.Several = u.Runs, true
			return several, nil
		}
	}
	return s.undo(ctx, batch, o)
}

func newUndone(batch string) Undone {
	return Undone{Batch: batch, Undone: map[string]int{}, Before: map[string]int{}, Stay: map[string]int{}, minutes: map[int64]int{}}
}

func (s *Store) undo(ctx context.Context, batch string, o UndoOptions) (Undone, error) {
	u := newUndone(batch)
	if batch == "" {
		return u, fmt.Errorf("say which batch is undone")
	}
	if o.Lift && o.Ground == "" {
		return u, fmt.Errorf("to lift objections, withdrawals and entries in registers needs a ground")
	}
	if !recordable(o.Ground) {
		return u, fmt.Errorf("a ground is at most %d octets of text on one line", maxGround)
	}
	var facts []policy.Fact
	flush := func() error {
		if o.DryRun {
			facts = facts[:0]
		}
		if len(facts) == 0 {
			return nil
		}
		results, err := s.Import(ctx, facts...)
		for i := range results {
			if err == nil && results[i].Err != nil {
				err = fmt.Errorf("fact %s can't be undone: %w", facts[i].Undoes, results[i].Err)
			}
		}
		facts = facts[:0]
		return err
	}
	others := map[string]bool{}
	now := s.o.Now().UTC()
	err := s.state.each(func(f *policy.Facts) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		facts = append(facts, u.number(f, o, now)...)
		for i := range f.All {
			if b := f.All[i].Batch; b != "" && len(others) < batchesNamed {
				others[b] = true
			}
		}
		if len(facts) < undoChunk {
			return nil
		}
		return flush()
	})
	if err == nil {
		err = flush()
	}
	if err == nil {
		err = s.undoCopies(&u, o)
	}
	if err != nil {
		return u, fmt.Errorf("the undo stopped; run it again, nothing is undone twice: %w", err)
	}
	if u.Runs = u.runs(); !u.Known() {
		u.Batches = slices.Sorted(maps.Keys(others))
	}
	return u, nil
}

// recordable reports whether a text can be read back from a fact in the ledger.
func recordable(s string) bool {
	return len(s) <= maxGround && utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// number is the undos of a batch's facts of one number; it counts them.
func (u *Undone) number(f *policy.Facts, o UndoOptions, now time.Time) (undos []policy.Fact) {
	lifted, guarded, permits, concerned := false, false, false, false
	for i := range f.All {
		x := &f.All[i]
		if x.Kind == policy.Undo {
			continue
		}
		kind, ours, void := x.Kind.String(), x.Batch == u.Batch, f.UndoneBy(x) != nil
		if ours {
			u.came(x.RecordedAt, 1)
			ours = o.within(x.RecordedAt)
		}
		concerned = concerned || ours
		switch {
		case ours && void:
			u.Before[kind]++
		case ours && x.Protects() && !o.Lift:
			u.Stay[kind]++
			guarded = true
		case ours:
			u.Undone[kind]++
			lifted = lifted || x.Protects()
			undos = append(undos, undoOf(x, o, now))
		case void:
		case x.Protects():
			guarded = guarded || x.Kind != policy.Subscriber
		default:
			permits = true
		}
	}
	if concerned {
		u.Numbers++
	}
	if lifted && permits && !guarded {
		u.Freed++
	}
	return undos
}

// undoOf is the undo of a fact. Its id is the same each time; one that lifts
// has another than one that doesn't.
func undoOf(x *policy.Fact, o UndoOptions, now time.Time) policy.Fact {
	lifts := x.Protects()
	name := "undo-"
	if lifts {
		name = "lift-"
	}
	return policy.Fact{ID: derivedID(name, x.ID), Kind: policy.Undo, Number: x.Number, Advertiser: x.Advertiser, At: now,
		Source: o.Ground, Batch: x.Batch, Undoes: x.ID, Lifts: lifts}
}

// derivedID is an id that follows from others, of a bounded size.
func derivedID(name string, ids ...string) string {
	sum := sha256.New()
	for _, id := range ids {
		fmt.Fprintf(sum, "%d %s", len(id), id)
	}
	return name + hex.EncodeToString(sum.Sum(nil)[:12])
}

// undone decides what becomes of a fact that was undone and is given again. A
// mistake is not to come back with the next run of the same import, so it is
// refused. But whoever objects again is heard: the objection, or whatever else
// protects, is taken in under an id of its own.
func (s *Store) undone(f *policy.Fact, undo *policy.Fact, coming *coming) Result {
	if !f.Protects() {
		return Result{ID: f.ID, Err: fmt.Errorf("a fact with the id %q was undone on %s and is not taken in again: give it another id, or the import another --batch",
			f.ID, undo.At.Format(time.DateOnly))}
	}
	f.ID = derivedID("again-", f.ID, undo.ID)
	return s.admit(f, coming)
}
