package main

import (
	"encoding/json"
	"fmt"
	"iter"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"dialgate/gate"
	"dialgate/policy"
	"dialgate/store"
)

// newRedials makes what notices calls after a refusal. Its windows are closed,
// and what they counted is recorded, before the store is.
func newRedials(n *node) *gate.Redials {
	c := n.world.cfg.Redial
	again := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "dialgate_redials_total",
		Help: "Calls refused again for the same reason, of the same caller number to the same number within redial.window, by peer and reason."}, []string{"peer", "reason"})
	rotated := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "dialgate_caller_rotations_total",
		Help: "Calls to a number under another caller number than the one refused before, within redial.window, by peer."}, []string{"peer"})
	full := prometheus.NewCounter(prometheus.CounterOpts{Name: "dialgate_redials_forgotten_total",
		Help: "Refusals that could not be remembered for the next call, since too many are."})
	n.registry.MustRegister(again, rotated, full)
	r := gate.NewRedials(gate.RedialOptions{
		Window: c.Window, Collapse: c.Collapse,
		Append:    func(t policy.Repeats) { n.store.AppendRepeats(&t, func(error) {}) }, // the ledger counts its own failures
		Redialled: func(peer string, reason policy.Reason) { again.WithLabelValues(peer, reason.String()).Inc() },
		Rotated:   func(peer string) { rotated.WithLabelValues(peer).Inc() },
		Full:      full.Inc,
	})
	tick := time.NewTicker(max(c.Window/10, time.Second))
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-tick.C:
				r.Expire(n.o.now())
			case <-stop:
				return
			}
		}
	}()
	n.closers = append(n.closers, func() error {
		tick.Stop()
		close(stop)
		<-ended
		r.Close()
		return nil
	})
	return r
}

type auditRepeatsCmd struct {
	JSON bool `help:"One JSON object a line."`
}

// Help is printed by --help.
func (auditRepeatsCmd) Help() string {
	return "Example: dialgate audit repeats\nHow often refused calls were tried again, where redial.collapse counts them instead of recording each. The id is that of the decision (dialgate audit list)."
}

// Run lists the repeats; of several records of one refusal the last has them all.
func (c auditRepeatsCmd) Run(s streams, parent *auditCmd) error {
	return withKeeper(parent.Config, func(k keeper) error {
		for t, err := range k.Repeats(1) {
			if err != nil {
				return err
			}
			if c.JSON {
				err = json.NewEncoder(s.out).Encode(t)
			} else {
				_, err = fmt.Fprintf(s.out, "%s  %s  %6d times since %s  %s\n", t.Until.In(calledZone()).Format("2006-01-02 15:04:05.000"), t.ID, t.Count, t.Since.In(calledZone()).Format("15:04:05.000"), t.Reason)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// Repeats walks the node's repeated refusals.
func (r *remote) Repeats(from uint64) iter.Seq2[store.Repeated, error] {
	return fetch[store.Repeated](r, "/repeats?from="+strconv.FormatUint(from, 10))
}
