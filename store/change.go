package store

import (
	"errors"
	"fmt"
	"slices"

	"github.com/dgraph-io/badger/v4"

	"dialgate/policy"
)

// A change is one ledger record that concerns a number; somebody may also wait
// for nothing but those before it.
type change struct {
	seq       uint64
	fact      *policy.Fact        // a fact, or
	call      *policy.EarlierCall // a call that went out, or
	unmade    *policy.EarlierCall // one that did not, whatever the record before says, or
	unsure    *policy.EarlierCall // one of which that is not known, or
	erase     *erasure            // nothing that came before is known any more, or
	carried   *policy.Facts       // what was carried over from removed records
	registers *Registers          // the copies of registers, of no number
	to        policy.Number       // of call, unmade, unsure, erase and carried
	done      func(error)
}

func (c *change) number() policy.Number {
	if c.fact != nil {
		return c.fact.Number
	}
	return c.to
}

// apply folds changes into the projection, together with the cursor.
func (p *projection) apply(changes []change, cursor uint64) error {
	for len(changes) > 0 {
		// What does not fit in one transaction goes in several; the cursor
		// follows at the end, and folding a change twice changes nothing.
		n, err := p.applySome(changes, cursor)
		if err != nil {
			return err
		}
		changes = changes[n:]
	}
	return nil
}

const changesPerTxn = 1000

// applySome folds in as many of the changes as one transaction takes.
func (p *projection) applySome(changes []change, cursor uint64) (n int, err error) {
	for n = min(len(changes), changesPerTxn); ; n /= 2 {
		err = p.applyFirst(n, changes, cursor)
		if n == 1 || !errors.Is(err, badger.ErrTxnTooBig) {
			return n, err
		}
	}
}

// applyFirst folds the first n changes in; the cursor goes with the last of all.
func (p *projection) applyFirst(n int, changes []change, cursor uint64) error {
	byNumber := map[policy.Number]*policy.Facts{}
	before := p.counts()
	after := before
	err := p.update(changes[n-1].seq, func(txn *badger.Txn) error {
		var order []policy.Number
		for i := range changes[:n] {
			number := changes[i].number()
			if number.IsZero() {
				continue // it is about no number
			}
			facts := byNumber[number]
			if facts == nil {
				facts = &policy.Facts{}
				if err := p.current(txn, number, facts); err != nil {
					return err
				}
				after.add(facts, -1)
				byNumber[number] = facts
				order = append(order, number)
			}
			merge(facts, &changes[i])
		}
		for _, number := range order {
			key := factKey(number)
			facts := byNumber[number]
			after.add(facts, 1)
			var err error
			if len(facts.All)+len(facts.Calls) > 0 {
				err = txn.Set(key[:], appendValue(nil, facts.All, facts.Calls))
			} else {
				err = txn.Delete(key[:]) // it was erased
			}
			if err != nil {
				return fmt.Errorf("store: %w", err)
			}
		}
		for i := range changes[:n] {
			if r := changes[i].registers; r != nil {
				if err := r.write(txn); err != nil {
					return fmt.Errorf("store: %w", err)
				}
			}
			if e := changes[i].erase; e != nil {
				if err := e.write(txn); err != nil {
					return fmt.Errorf("store: %w", err)
				}
			}
		}
		if after != before {
			if err := txn.Set(countsKey, after.append(nil)); err != nil {
				return fmt.Errorf("store: %w", err)
			}
		}
		if n < len(changes) {
			return nil
		}
		return putCursor(txn, cursor)
	})
	if err != nil {
		return err
	}
	p.mu.Lock()
	p.tally = after
	p.mu.Unlock()
	return p.keepUp(byNumber)
}

// current reads what a transaction changes: from the table, which the writer
// alone changes, or else from Badger.
func (p *projection) current(txn *badger.Txn, n policy.Number, into *policy.Facts) error {
	if t := p.table.Load(); t != nil {
		return t.facts(n, into)
	}
	return read(txn, n, into)
}

// keepUp puts what was written in the table, and gives one up that has no room.
func (p *projection) keepUp(changed map[policy.Number]*policy.Facts) error {
	t := p.table.Load()
	if t == nil {
		return nil
	}
	for n, f := range changed {
		err := t.put(n, f)
		if errors.Is(err, errOutgrown) {
			p.table.Store(nil)
			return t.close()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// merge folds one change in. It is commutative and idempotent: facts are a set
// by id, kept in an order of their own, and of two with one id the one that
// came first in the ledger stays.
func merge(into *policy.Facts, c *change) {
	if c.erase != nil {
		*into = policy.Facts{}
		return
	}
	if c.carried != nil {
		mergeCarried(into, c.carried)
		return
	}
	if c.call != nil {
		MergeCall(into, c.call)
		return
	}
	if c.unmade != nil {
		into.Calls = slices.DeleteFunc(into.Calls, func(have policy.EarlierCall) bool { return have.SameRecord(c.unmade) })
		return
	}
	if c.unsure != nil {
		for i := range into.Calls {
			into.Calls[i].Unsure = into.Calls[i].Unsure || into.Calls[i].SameRecord(c.unsure)
		}
		return
	}
	for i := range into.All {
		if into.All[i].ID == c.fact.ID {
			return
		}
	}
	into.All = append(into.All, *c.fact)
	into.Sort()
}

// MergeCall adds a call to the earlier calls of a number, or finds the attempt
// that it belongs to, and keeps as many as the rules ask for.
func MergeCall(into *policy.Facts, c *policy.EarlierCall) {
	for i := range into.Calls {
		have := &into.Calls[i]
		if have.SameAttempt(c) || sameRecord(have, c) {
			if c.At.Before(have.At) {
				have.At = c.At
				sortCalls(into.Calls)
			}
			return
		}
	}
	into.Calls = append(into.Calls, *c)
	sortCalls(into.Calls)
	trimCalls(into, c)
}

// sameRecord reports whether two calls are one that was folded in twice: an
// older version did not keep the attempt.
func sameRecord(a, b *policy.EarlierCall) bool {
	return (a.Attempt == 0 || b.Attempt == 0) && a.At.Equal(b.At) && a.Advertiser == b.Advertiser
}

func sortCalls(calls []policy.EarlierCall) {
	slices.SortStableFunc(calls, func(a, b policy.EarlierCall) int { return a.At.Compare(b.At) })
}

// trimCalls bounds the calls of one advertiser for one kind of purpose. The
// latest stay, so that a rule can count as many, and those by which a consent
// was used in time: the first one, and the first one after each consent.
func trimCalls(f *policy.Facts, like *policy.EarlierCall) {
	alike := func(c *policy.EarlierCall) bool {
		return c.Advertiser == like.Advertiser && c.Telemarketing() == like.Telemarketing()
	}
	kept := 0
	for i := len(f.Calls) - 1; i >= 0; i-- {
		if !alike(&f.Calls[i]) {
			continue
		}
		if kept++; kept > policy.CallsKept && !firstCall(f, i) {
			f.Calls = slices.Delete(f.Calls, i, i+1)
		}
	}
}

// firstCall reports whether a call is the first of its advertiser, or the
// first since a consent to it. One that may not have gone out is none.
func firstCall(f *policy.Facts, i int) bool {
	c := &f.Calls[i]
	if c.Unsure {
		return false
	}
	var previous *policy.EarlierCall
	for j := i - 1; j >= 0 && previous == nil; j-- {
		if f.Calls[j].Advertiser == c.Advertiser && !f.Calls[j].Unsure {
			previous = &f.Calls[j]
		}
	}
	return previous == nil || slices.ContainsFunc(f.All, func(x policy.Fact) bool {
		return x.Kind == policy.Consent && x.Advertiser == c.Advertiser && previous.At.Before(x.At) && !c.At.Before(x.At)
	})
}
