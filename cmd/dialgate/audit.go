package main

import (
	"encoding/json"
	"fmt"
	"io"

	"dialgate/store"
)

type auditCmd struct {
	Config     string             `short:"c" help:"Configuration file; default: the embedded one." placeholder:"FILE"`
	List       auditListCmd       `cmd:"" help:"List decisions."`
	Export     auditExportCmd     `cmd:"" help:"Write the ledger of a period with its proofs."`
	Prove      auditProveCmd      `cmd:"" help:"Make the proof pack of one number."`
	Verify     auditVerifyCmd     `cmd:"" help:"Check a ledger, an export or a proof pack, anywhere."`
	Key        auditKeyCmd        `cmd:"" help:"Print the node's public key."`
	Checkpoint auditCheckpointCmd `cmd:"" help:"Print the signed checkpoint of all records, to be kept elsewhere."`
	Repeats    auditRepeatsCmd    `cmd:"" help:"List how often refused calls were tried again, where they are only counted."`
	Late       auditLateCmd       `cmd:"" help:"List allowed calls that were answered otherwise, or went on, before their record was on disk."`
	Blocked    auditBlockedCmd    `cmd:"" help:"List allowed calls that were blocked as unwanted behind the carrier."`
}

type auditListCmd struct {
	JSON    bool   `help:"One JSON object a line."`
	Number  string `help:"Only calls to this number." placeholder:"NUMBER"`
	Verdict string `help:"Only allow or deny." enum:"allow,deny," default:""`
	Reason  string `help:"Only this reason." placeholder:"REASON"`
	Since   string `help:"Only from this instant on, RFC 3339." placeholder:"TIME"`
}

// Help is printed by --help.
func (auditListCmd) Help() string {
	return "Example: dialgate audit list --verdict deny --since 2026-11-23T00:00:00+01:00\nA call that was not answered as decided, since the record was not on disk in time, ends with instead= and the reason it was answered by; audit late lists just these."
}

func (c auditListCmd) Run(s streams, parent *auditCmd) error {
	keep, err := c.filter()
	if err != nil {
		return err
	}
	return withKeeper(parent.Config, func(k keeper) error {
		instead := map[string]string{} // of the few calls that did not wait for their records
		for l, err := range k.Late(1) {
			if err != nil {
				return err
			}
			instead[l.ID] = l.Instead
		}
		for d, err := range k.Decisions(1) {
			if err != nil {
				return err
			}
			if !keep(&d) {
				continue
			}
			if err := c.print(s.out, &listedCall{d, instead[d.ID]}); err != nil {
				return err
			}
		}
		return nil
	})
}

// A listedCall is a decision, and the reason by which the call was answered when
// it was not by that of the decision.
type listedCall struct {
	store.Decision
	Instead string `json:"instead,omitempty"`
}

func (c auditListCmd) filter() (func(*store.Decision) bool, error) {
	since, err := instant(c.Since)
	if err != nil {
		return nil, err
	}
	number := ""
	if c.Number != "" {
		n, err := localNumber(c.Number)
		if err != nil {
			return nil, usageError("%v", err)
		}
		number = n.E164()
	}
	return func(d *store.Decision) bool {
		return (number == "" || d.To == number) && (c.Verdict == "" || d.Verdict == c.Verdict) &&
			(c.Reason == "" || d.Reason == c.Reason) && !d.At.Before(since)
	}, nil
}

func (c auditListCmd) print(w io.Writer, d *listedCall) error {
	if c.JSON {
		return json.NewEncoder(w).Encode(d)
	}
	from, to := d.From, d.To
	if from == "" {
		from = orNone(d.FromText)
	}
	if to == "" {
		to = orNone(d.ToText)
	}
	instead := ""
	if d.Instead != "" {
		instead = " instead=" + d.Instead
	}
	_, err := fmt.Fprintf(w, "%s  %-16s -> %-16s %-5s %-28s %s %s%s\n", d.At.In(calledZone()).Format("2006-01-02 15:04:05.000"), from, to, d.Verdict, d.Reason, orNone(d.Campaign), d.ID, instead)
	return err
}
