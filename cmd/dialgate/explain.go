package main

import (
	"os"
	"time"

	"dialgate/policy"
	"dialgate/store"
)

type explainCmd struct {
	Config   string   `short:"c" help:"Configuration file; default: the embedded one." placeholder:"FILE"`
	From     string   `help:"Caller number." placeholder:"NUMBER"`
	To       string   `help:"Called number." placeholder:"NUMBER"`
	At       string   `help:"When, RFC 3339; default: now." placeholder:"TIME"`
	KnownAt  string   `help:"Judge by what had been recorded by this instant, RFC 3339; default: by all that is known now." placeholder:"TIME"`
	Campaign string   `help:"The campaign; default: told as for a live call." placeholder:"ID"`
	Peer     string   `help:"The dialer; default: the only one." placeholder:"ID"`
	Header   []string `help:"A further header line of the INVITE." placeholder:"'NAME: VALUE'" sep:"none"`
	Raw      string   `help:"A file with a whole INVITE in place of --from and --to, its offer included." type:"existingfile" placeholder:"FILE"`
	JSON     bool     `help:"As JSON."`
	Rules    bool     `help:"List all rules instead."`
}

// Help is printed by --help.
func (explainCmd) Help() string {
	return "Example: dialgate explain --from +31205550100 --to +31612345678 --header 'Privacy: id'"
}

// Run judges one hypothetical call on the facts of the store. Exit status 0:
// allowed, 1: refused.
func (c explainCmd) Run(s streams) error {
	w, err := loadWorld(c.Config)
	if err != nil {
		return err
	}
	if c.Rules {
		if c.JSON {
			return printJSON(s.out, reportRules(w.books.Rules()))
		}
		return listRules(s.out, w.books.Rules())
	}
	raw, err := c.invite()
	if err != nil {
		return err
	}
	at := time.Now()
	if c.At != "" {
		if at, err = instant(c.At); err != nil {
			return err
		}
	}
	knownAt, err := instant(c.KnownAt)
	if err != nil {
		return err
	}
	peer, err := w.peer(c.Peer)
	if err != nil {
		return err
	}
	a, err := w.attempt(raw, peer, c.Campaign, at)
	if err != nil {
		return err
	}
	facts, err := knownFacts(w, a.Called.Number)
	if err != nil {
		return err
	}
	if !knownAt.IsZero() {
		facts = facts.KnownAt(knownAt)
	}
	d := w.books.Explain(a, &facts)
	e := explain(a, &facts, &d, sipAnswerTo(a.Peer, &d))
	if c.JSON {
		err = printJSON(s.out, e)
	} else {
		err = e.text(s.out)
	}
	if err != nil {
		return err
	}
	if d.Verdict == policy.Denied {
		return errFinding
	}
	return nil
}

// invite is the INVITE that is asked about.
func (c *explainCmd) invite() ([]byte, error) {
	if c.Raw != "" {
		if c.From != "" || c.To != "" || len(c.Header) > 0 {
			return nil, usageError("--raw is a whole message; leave --from, --to and --header out")
		}
		text, err := os.ReadFile(c.Raw)
		if err != nil {
			return nil, usageError("the INVITE can't be read: %v", err)
		}
		return lineEnds(text), nil
	}
	if c.From == "" || c.To == "" {
		return nil, usageError("explain needs --from and --to, or --raw")
	}
	h := hypothetical{from: c.From, to: c.To, headers: c.Header}
	if err := h.check(); err != nil {
		return nil, usageError("%v", err)
	}
	return h.invite(), nil
}

// knownFacts looks a number up in the store of the configuration. Where there
// is no store yet, nothing is known.
func knownFacts(w *world, n policy.Number) (facts policy.Facts, err error) {
	facts.Number = n
	if n.IsZero() || !store.Exists(w.cfg.Store.Path) {
		return facts, nil
	}
	k, err := openKeeper(w.cfg.Store.Path, storeOptions(w.cfg))
	if err != nil {
		return facts, err
	}
	defer k.Close()
	return k.History(n)
}
