package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"dialgate/configs"
	"dialgate/policy"
	"dialgate/store"
)

// A registerLoad is the part of an import that loads a do-not-call register.
type registerLoad struct {
	id   string
	asOf time.Time
	rows int // numbers that are on it
}

// register says how the file is read when it is the copy of a register; nil
// when it is not.
func (c *factsImportCmd) register(cfg *configs.Config, into *store.Intake) (*registerLoad, error) {
	if c.Register == "" {
		if c.AsOf != "" {
			return nil, usageError("--as-of is the date of a register's copy; say which one with --register")
		}
		return nil, nil
	}
	if registerOf(cfg, c.Register) == nil {
		return nil, usageError("the configuration has no register %q; under registers it has: %s", c.Register, registerIDs(cfg))
	}
	if c.AsOf == "" {
		return nil, usageError("--register needs --as-of, the date of the copy")
	}
	at, err := copyDate(c.AsOf)
	if err != nil {
		return nil, usageError("--as-of %v", err)
	}
	l := &registerLoad{id: c.Register, asOf: at}
	if l.asOf.After(time.Now()) {
		return nil, usageError("--as-of %s has not come yet", c.AsOf)
	}
	constants := map[string]string{"kind": policy.Listed.String(), "list": c.Register}
	for name, value := range into.Constants {
		if want, ours := constants[name]; ours && value != want {
			return nil, usageError("with --register, %s is %s", name, want)
		}
		constants[name] = value
	}
	into.Constants, into.Form.DefaultAt = constants, l.asOf
	return l, nil
}

// copyDate reads the date of a register's copy: a day or an instant.
func copyDate(text string) (time.Time, error) {
	if d, err := policy.ParseDate(text); err == nil {
		return d.In(calledZone()), nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return at, errors.New("is no date such as 2026-11-20, and no RFC 3339 instant")
	}
	return at, nil
}

func registerIDs(cfg *configs.Config) string {
	var ids []string
	for _, r := range cfg.Registers {
		ids = append(ids, r.ID)
	}
	return orNone(strings.Join(ids, ", "))
}

func registerOf(cfg *configs.Config, id string) *configs.Register {
	for i := range cfg.Registers {
		if cfg.Registers[i].ID == id {
			return &cfg.Registers[i]
		}
	}
	return nil
}

// known marks the entries that the store has already, from an earlier copy:
// they need no further fact.
func (l *registerLoad) known(k keeper, facts []policy.Fact) ([]bool, error) {
	numbers := make([]policy.Number, len(facts))
	for i := range facts {
		numbers[i] = facts[i].Number
	}
	have := make([]policy.Facts, len(facts))
	if err := k.Known(numbers, have); err != nil {
		return nil, err
	}
	known := make([]bool, len(facts))
	for i := range facts {
		l.rows++
		e := have[i].InForce().Entry(l.id, facts[i].At)
		known[i] = e != nil && e.Until.IsZero() && facts[i].Until.IsZero()
	}
	return known, nil
}

// finish records the date of the copy, once all of it is in the store.
func (l *registerLoad) finish(k keeper, r *importReport) (string, error) {
	switch {
	case r.sums.rejected > 0:
		return fmt.Sprintf("the copy of register %s is not whole, so its date does not count: mend the rejected rows and import it again", l.id), nil
	case l.rows == 0:
		return fmt.Sprintf("the copy of register %s is empty, so its date does not count", l.id), nil
	case r.DryRun:
		return "", nil
	}
	err := k.LoadRegister(store.RegisterLoaded{Register: l.id, AsOf: l.asOf, Batch: r.Batch, Entries: l.rows})
	return "", err
}

type factsRegistersCmd struct {
	JSON bool `help:"As JSON."`
}

// Help is printed by --help.
func (factsRegistersCmd) Help() string {
	return "Example: dialgate facts registers\nA register is loaded with: dialgate facts import --register ID --as-of DATE FILE"
}

// A registerState is how it stands with one register.
type registerState struct {
	Register string     `json:"register"`
	AsOf     *time.Time `json:"as_of,omitempty"` // of the copy that counts; none was loaded
	MaxAge   int        `json:"max_age,omitempty"`
	Fresh    bool       `json:"fresh"`
	Until    string     `json:"until,omitempty"` // the last day on which the copy serves
}

// Run tells of each register of the configuration which copy counts. Exit
// status 1: one is missing or too old, and calls are refused.
func (c factsRegistersCmd) Run(s streams, parent *factsCmd) error {
	cfg, _, err := loadConfig(parent.Config)
	if err != nil {
		return err
	}
	return withKeeper(parent.Config, func(k keeper) error {
		loaded, err := k.Registers()
		if err != nil {
			return err
		}
		states, good := []registerState{}, true
		for _, r := range cfg.Registers {
			state := stateOf(r, loaded.AsOf(), time.Now())
			states, good = append(states, state), good && state.Fresh
		}
		if c.JSON {
			err = printJSON(s.out, states)
		} else {
			for _, state := range states {
				fmt.Fprintln(s.out, state.text())
			}
			if len(states) == 0 {
				fmt.Fprintln(s.out, "the configuration names no register")
			}
		}
		if err == nil && !good {
			err = errFinding
		}
		return err
	})
}

func stateOf(r configs.Register, asOf map[string]time.Time, now time.Time) registerState {
	state := registerState{Register: r.ID, MaxAge: r.MaxAge}
	t, loaded := asOf[r.ID]
	if !loaded {
		return state
	}
	state.AsOf, state.Fresh = &t, true
	if r.MaxAge > 0 {
		last := policy.DateOf(t.In(calledZone())).AddDays(r.MaxAge)
		state.Until, state.Fresh = last.String(), policy.DateOf(now.In(calledZone())) <= last
	}
	return state
}

func (r *registerState) text() string {
	switch {
	case r.AsOf == nil:
		return r.Register + " was never loaded: calls are refused facts-stale"
	case r.Until == "":
		return fmt.Sprintf("%s is of %s and serves at any age", r.Register, r.AsOf.In(calledZone()).Format(time.DateOnly))
	case !r.Fresh:
		return fmt.Sprintf("%s is of %s, older than %d days: calls are refused facts-stale", r.Register, r.AsOf.In(calledZone()).Format(time.DateOnly), r.MaxAge)
	}
	return fmt.Sprintf("%s is of %s and serves until %s", r.Register, r.AsOf.In(calledZone()).Format(time.DateOnly), r.Until)
}
