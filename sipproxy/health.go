package sipproxy

import (
	"fmt"
	"time"
)

// A targetState says whether a target of a carrier takes calls.
//
//	up ──── Down failures in a row, or 503 with Retry-After ───▶ down
//	down ── an answer, or Retry-After is over ─────────────────▶ probing
//	probing ── Up answers in a row ────────────────────────────▶ up
//	probing ── a failure ──────────────────────────────────────▶ down
//
// A failure is a probe or a call that nobody answered, or that could not be
// sent. Of a carrier that is not probed nothing would bring a target up again,
// so only a Retry-After takes it down, and its end brings it up.
type targetState uint8

const (
	targetUp      targetState = iota // takes calls
	targetProbing                    // answers again, and has to go on doing so
	targetDown                       // takes none while another target does
)

var targetStates = [...]string{targetUp: "up", targetProbing: "probing", targetDown: "down"}

func (s targetState) String() string { return targetStates[s] }

// Probing is how a carrier's targets are watched.
type Probing struct {
	Every   time.Duration // from one OPTIONS to the next; 0: none are sent
	Timeout time.Duration // how long an answer may take
	Down    int           // failures in a row that take a target down
	Up      int           // answers in a row that bring it up again
}

// on reports whether targets are probed at all.
func (p *Probing) on() bool { return p.Every > 0 }

// maxRest bounds the Retry-After that is believed: a carrier that names a day
// by mistake is asked again before that.
const maxRest = 5 * time.Minute

// health is what is known of a target, used under the layer's lock.
type health struct {
	state    targetState
	since    time.Time
	why      string
	failures int       // in a row, while up
	answers  int       // in a row, while probing
	rest     time.Time // a Retry-After asks for no calls until then
}

// to goes over to another state and reports that it did.
func (h *health) to(s targetState, now time.Time, why string) bool {
	h.state, h.since, h.why = s, now, why
	h.failures, h.answers = 0, 0
	if s != targetDown {
		h.rest = time.Time{}
	}
	return true
}

// failed notes that nobody answered; it reports whether the state changed.
func (h *health) failed(now time.Time, why string, p *Probing) bool {
	switch {
	case !p.on():
		return false
	case h.state == targetProbing:
		return h.to(targetDown, now, why)
	case h.state == targetUp:
		if h.failures++; h.failures >= p.Down {
			return h.to(targetDown, now, fmt.Sprintf("%s, %d times in a row", why, h.failures))
		}
	}
	return false
}

// answered notes an answer; it reports whether the state changed. While a
// Retry-After runs an answer proves nothing.
func (h *health) answered(now time.Time, p *Probing) bool {
	if now.Before(h.rest) {
		return false
	}
	changed := false
	switch h.state {
	case targetUp:
		h.failures = 0
		return false
	case targetDown:
		changed = h.to(targetProbing, now, "answers again")
	}
	if h.answers++; h.answers >= p.Up {
		changed = h.to(targetUp, now, fmt.Sprintf("answered %d times in a row", h.answers))
	}
	return changed
}

// resting takes the target down for as long as its 503 asks; it reports
// whether the state changed.
func (h *health) resting(now time.Time, d time.Duration) bool {
	d = min(d, maxRest)
	h.rest = now.Add(d)
	if h.state == targetDown {
		return false
	}
	return h.to(targetDown, now, fmt.Sprintf("503 with Retry-After, believed for %s", d))
}

// rested is told that a Retry-After is over; it reports whether the state changed.
func (h *health) rested(now time.Time, p *Probing) bool {
	switch {
	case h.rest.IsZero() || now.Before(h.rest) || h.state != targetDown:
		return false
	case p.on():
		return h.to(targetProbing, now, "Retry-After is over")
	}
	return h.to(targetUp, now, "Retry-After is over")
}
