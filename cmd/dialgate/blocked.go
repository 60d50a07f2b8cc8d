package main

import (
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"strconv"
	"time"

	"dialgate/store"
)

type auditBlockedCmd struct {
	JSON  bool   `help:"One JSON object a line, with the contact for redress."`
	By    string `help:"Only these: unwanted (607), rejected (608) or analytics (603+)." enum:"unwanted,rejected,analytics," default:""`
	Since string `help:"Only from this instant on, RFC 3339." placeholder:"TIME"`
}

// Help is printed by --help.
func (auditBlockedCmd) Help() string {
	return "Example: dialgate audit blocked --by unwanted\nAllowed calls that the networks behind the carrier blocked. One that the called person did not want (607) may be an objection: record it with dialgate facts add, or set the peer's unwanted: objection."
}

// Run lists the blocked calls.
func (c auditBlockedCmd) Run(s streams, parent *auditCmd) error {
	var since time.Time
	if c.Since != "" {
		var err error
		if since, err = time.Parse(time.RFC3339, c.Since); err != nil {
			return usageError("%q is no instant, such as 2026-07-01T09:00:00+02:00", c.Since)
		}
	}
	return withKeeper(parent.Config, func(k keeper) error {
		for b, err := range k.Blocked(1) {
			if err != nil {
				return err
			}
			if c.By != "" && b.Blocked != c.By || b.At.Before(since) {
				continue
			}
			if err := c.print(s.out, &b); err != nil {
				return err
			}
		}
		return nil
	})
}

func (c auditBlockedCmd) print(w io.Writer, b *store.Blocked) error {
	if c.JSON {
		return json.NewEncoder(w).Encode(b)
	}
	_, err := fmt.Fprintf(w, "%s  %-16s -> %-16s %d %-9s %s %s\n", b.At.In(calledZone()).Format("2006-01-02 15:04:05.000"), orNone(b.From), orNone(b.To), b.Code, b.Blocked, orNone(b.Advertiser), b.ID)
	return err
}

// Blocked walks the node's blocked calls.
func (r *remote) Blocked(from uint64) iter.Seq2[store.Blocked, error] {
	return fetch[store.Blocked](r, "/blocked?from="+strconv.FormatUint(from, 10))
}
