package main

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"dialgate/policy"
)

// maxObjecting bounds the objections that wait to be recorded. They come from
// answers of a carrier, each to a call that was let through.
const maxObjecting = 1024

// unwanted takes what the networks behind the carrier say of calls: it counts
// blocks, and makes an objection of a 607 where the peer's configuration says so.
type unwanted struct {
	node    *node
	queue   chan policy.Fact
	stop    chan struct{}
	done    chan struct{}
	blocked [4][5]prometheus.Counter // by kind and card
	noted   map[string]prometheus.Counter
}

// What becomes of a 607, as a metric label.
const (
	unwantedCandidate = "candidate" // listed by dialgate audit blocked, for a person to judge
	unwantedObjection = "objection" // recorded as one
	unwantedNoKey     = "no-key"    // a call without both numbers, or for nobody: nobody's word
	unwantedFailed    = "failed"    // it should have been an objection, and could not be recorded
)

func newUnwanted(n *node) *unwanted {
	u := &unwanted{node: n, queue: make(chan policy.Fact, maxObjecting), stop: make(chan struct{}), done: make(chan struct{}), noted: map[string]prometheus.Counter{}}
	blocked := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "dialgate_blocked_calls_total",
		Help: "Allowed calls that the networks behind the carrier blocked as unwanted, by who did not want them and what became of the contact for redress."}, []string{"by", "card"})
	for _, k := range policy.BlockKinds() {
		for c := policy.NoCard; c <= policy.CardMalformed; c++ {
			u.blocked[k][c] = blocked.WithLabelValues(k.String(), c.String())
		}
	}
	noted := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "dialgate_unwanted_total", Help: "Answers 607 from called persons, by what became of them."}, []string{"became"})
	for _, became := range []string{unwantedCandidate, unwantedObjection, unwantedNoKey, unwantedFailed} {
		u.noted[became] = noted.WithLabelValues(became)
	}
	n.registry.MustRegister(blocked, noted)
	go u.record()
	return u
}

// outcome is told how the set-up of a call judged by a world ended. It waits
// for nothing.
func (u *unwanted) outcome(w *world, o *policy.Outcome) {
	if o.Block == nil {
		return
	}
	u.blocked[o.Block.Kind][o.Block.Card].Inc()
	if o.Block.Kind != policy.Unwanted {
		return
	}
	number, advertiser, ok := o.Block.Objector()
	if !ok {
		u.noted[unwantedNoKey].Inc()
		return
	}
	if !w.objects(o.Block.Peer) {
		u.noted[unwantedCandidate].Inc()
		u.node.o.log.Info("a called person does not want the call (607): look at dialgate audit blocked, it may be an objection", "id", o.ID.String(), "peer", o.Block.Peer)
		return
	}
	f := policy.Fact{ID: "607-" + o.ID.String(), Kind: policy.Objection, Number: number, Advertiser: advertiser, At: o.At.Truncate(time.Second),
		Source: "sip-607", Scope: policy.ScopeTelemarketing, Via: "sip-607"}
	select {
	case u.queue <- f:
	default:
		u.failed(&f, "too many wait to be recorded")
	}
}

// record adds the objections, one after the other, until close; those that
// wait then are added too.
func (u *unwanted) record() {
	defer close(u.done)
	for {
		select {
		case f := <-u.queue:
			u.add(f)
		case <-u.stop:
			for {
				select {
				case f := <-u.queue:
					u.add(f)
				default:
					return
				}
			}
		}
	}
}

func (u *unwanted) add(f policy.Fact) {
	results, err := u.node.store.Add(context.Background(), f)
	if err == nil && len(results) == 1 {
		err = results[0].Err
	}
	if err != nil {
		u.failed(&f, oneLine(err))
		return
	}
	u.noted[unwantedObjection].Inc()
}

func (u *unwanted) failed(f *policy.Fact, why string) {
	u.noted[unwantedFailed].Inc()
	u.node.o.log.Error("a 607 could not be recorded as an objection; dialgate audit blocked lists it, add it by hand", "id", f.ID, "error", why)
}

// close records what waits. The proxy has ended.
func (u *unwanted) close() error {
	close(u.stop)
	<-u.done
	return nil
}

// objects reports whether a 607 to a peer's call is an objection.
func (w *world) objects(peer string) bool {
	for i := range w.cfg.Peers {
		if w.cfg.Peers[i].ID == peer {
			return w.cfg.Peers[i].Unwanted == "objection"
		}
	}
	return false
}
