package sipproxy

import (
	"net/netip"
	"time"
)

// A CarrierState is how a carrier does at the moment.
type CarrierState struct {
	InSetup int // calls without a final response
	Targets []TargetState
}

// A TargetState is how one address of a carrier does.
type TargetState struct {
	Addr  netip.AddrPort
	State string // up, probing or down
	Since time.Time
	Why   string
}

// State is that of the carrier's best target; without any it is down.
func (s *CarrierState) State() string {
	best := targetDown
	for i := range s.Targets {
		for state := range best {
			if s.Targets[i].State == state.String() {
				best = state
			}
		}
	}
	return best.String()
}

// Carriers is how the carriers of the configuration in force do, by their ids.
func (p *Proxy) Carriers() map[string]*CarrierState {
	all := map[string]*CarrierState{}
	p.locked(func() {
		for _, k := range p.config.Load().carriers {
			s := &CarrierState{InSetup: k.inSetup}
			for _, t := range k.to {
				s.Targets = append(s.Targets, TargetState{t.addr, t.state.String(), t.since, t.why})
			}
			all[k.ID] = s
		}
	})
	return all
}

// A PeerState is how a dialer does at the moment.
type PeerState struct {
	InSetup  int       // calls without a final response
	LastCall time.Time // when its last INVITE came, zero: none did
}

// Peers is how the dialers of the configuration in force do, by their ids.
func (p *Proxy) Peers() map[string]PeerState {
	all := map[string]PeerState{}
	p.locked(func() {
		for id, q := range p.config.Load().peers {
			all[id] = PeerState{q.inSetup, q.last}
		}
	})
	return all
}
