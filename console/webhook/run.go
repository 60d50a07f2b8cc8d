package webhook

import (
	"math/rand/v2"
	"time"
)

// start begins the deliveries to an endpoint. s.mu is held, or nobody else
// knows s yet.
func (s *Hooks) start(id string) {
	wake := make(chan struct{}, 1)
	s.wake[id] = wake
	s.ended.Go(func() {
		r := runner{s: s, id: id}
		for {
			wait, there := r.round()
			if !there {
				return
			}
			select {
			case <-s.ctx.Done():
				return
			case <-wake:
			case <-time.After(wait):
			}
		}
	})
}

// A runner delivers to one endpoint.
type runner struct {
	s    *Hooks
	id   string
	told uint64 // record up to which Sends was asked
}

// round delivers what there is, and returns how long nothing has to be done.
// there is false when the endpoint was removed.
func (r *runner) round() (wait time.Duration, there bool) {
	for {
		h := r.current()
		if h == nil {
			return 0, false
		}
		if !h.State.Disabled.IsZero() {
			return r.s.o.Pace.Longest, true
		}
		if rest := h.State.Next.Sub(r.s.o.Now()); rest > 0 {
			return rest, true
		}
		messages, last, missed, err := r.s.o.Read(h, h.State.Cursor)
		if err != nil {
			return r.failed(h, Result{Why: "the ledger can't be read: " + err.Error()}), true
		}
		if missed > 0 {
			r.note(false, func(st *State) { st.Cursor, st.Missed = max(st.Cursor, h.State.Cursor+missed), st.Missed+missed })
		}
		for i := range messages {
			result, ended := r.deliver(h, &messages[i])
			if ended {
				return 0, true // the node stops, which is nobody's failure
			}
			if !result.Delivered() {
				return r.failed(h, result), true
			}
		}
		if last == h.State.Cursor {
			r.note(false, nil)
			return r.s.o.Pace.Poll, true
		}
		r.note(false, func(st *State) { st.Cursor = max(st.Cursor, last) })
	}
}

// deliver sends one message, and notes it when it was taken.
func (r *runner) deliver(h *Hook, m *Message) (result Result, ended bool) {
	if m.Seq > r.told {
		if err := r.s.o.Sends(h, m); err != nil {
			return Result{Why: err.Error()}, false
		}
		r.told = m.Seq
	}
	now := r.s.o.Now()
	result = r.s.client.send(r.s.ctx, h, m, now)
	if !result.Delivered() {
		return result, r.s.ctx.Err() != nil
	}
	worked := false
	r.note(false, func(st *State) {
		worked = !st.Failing.IsZero()
		*st = State{Cursor: max(st.Cursor, m.Seq), Delivered: st.Delivered + 1, Missed: st.Missed, Last: now.UTC()}
	})
	if worked {
		r.s.o.Log.Info("a webhook is taken again", "webhook", h.ID, "host", h.Host())
	}
	return result, false
}

// failed notes a failure, and returns how long to wait.
func (r *runner) failed(h *Hook, result Result) (wait time.Duration) {
	p := &r.s.o.Pace
	now := r.s.o.Now().UTC()
	first, gaveUp := false, false
	r.note(true, func(st *State) {
		first = st.Failing.IsZero()
		if first {
			st.Failing = now
		}
		st.Tries++
		st.Why = result.Why
		wait = max(backoff(p, st.Tries), result.rest)
		st.Next = now.Add(wait)
		if gaveUp = result.gone || st.Tries >= p.Tries && now.Sub(st.Failing) >= p.GiveUp; gaveUp {
			st.Disabled, st.Next = now, time.Time{}
		}
	})
	switch {
	case gaveUp:
		r.s.o.Log.Error("a webhook is given up; it is enabled again in the settings, and goes on from where it stood", "webhook", h.ID, "host", h.Host(), "why", result.Why)
	case first:
		r.s.o.Log.Warn("a webhook is not taken; it is tried again", "webhook", h.ID, "host", h.Host(), "why", result.Why)
	}
	return wait
}

// backoff is how long to wait after so many failures: half of it is left to
// chance, so that endpoints that failed together are not tried together.
func backoff(p *Pace, tries int) time.Duration {
	d := min(p.First<<min(tries-1, 20), p.Longest)
	return d/2 + rand.N(d/2+1)
}

// current is the endpoint as it is now, nil when it was removed.
func (r *runner) current() *Hook {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	if h := r.s.find(r.id); h != nil {
		return h.copy()
	}
	return nil
}

// note changes the endpoint's state, nil: not, and writes it down: at once, or
// when it is due.
func (r *runner) note(atOnce bool, f func(*State)) {
	s := r.s
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.find(r.id)
	if h == nil {
		return
	}
	if f != nil {
		f(&h.State)
		s.dirty = true
	}
	if s.dirty && (atOnce || s.o.Now().Sub(s.saved) >= saveEvery) {
		if err := s.write(); err != nil {
			s.saved = s.o.Now() // it is tried again, and nothing is lost but time
			s.o.Log.Error("how far webhooks are could not be written; after a crash events are told again", "error", err)
		}
	}
}
