package main

import (
	"encoding/json"
	"fmt"
	"iter"
	"strconv"

	"dialgate/store"
)

type auditLateCmd struct {
	JSON  bool   `help:"One JSON object a line."`
	Since string `help:"Only from this instant on, RFC 3339." placeholder:"TIME"`
}

// Help is printed by --help.
func (auditLateCmd) Help() string {
	return "Example: dialgate audit late --since 2026-11-23T00:00:00+01:00\nAllowed calls whose decision was not on disk in time (ledger.answer_within): each was answered by the reason that is shown instead of its decision's, which audit list has under the same id."
}

// Run lists the calls that did not wait for their records.
func (c auditLateCmd) Run(s streams, parent *auditCmd) error {
	since, err := instant(c.Since)
	if err != nil {
		return err
	}
	return withKeeper(parent.Config, func(k keeper) error {
		for l, err := range k.Late(1) {
			if err != nil {
				return err
			}
			if l.At.Before(since) {
				continue
			}
			if c.JSON {
				err = json.NewEncoder(s.out).Encode(l)
			} else {
				_, err = fmt.Fprintf(s.out, "%s  %d %-20s %s\n", l.At.In(calledZone()).Format("2006-01-02 15:04:05.000"), l.Code, l.Instead, l.ID)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// Late walks the node's calls that did not wait for their records.
func (r *remote) Late(from uint64) iter.Seq2[store.Late, error] {
	return fetch[store.Late](r, "/late?from="+strconv.FormatUint(from, 10))
}
