package main

import (
	"context"
	"fmt"
	"maps"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	"dialgate/store"
)

type factsUndoCmd struct {
	Batch  string `arg:"" help:"Name of the import: what --batch was, by default the file's name."`
	DryRun bool   `help:"Say what would be undone, change nothing."`
	Lift   bool   `help:"Undo also what protects the called person: objections, withdrawals, entries in registers, and that a number is no legal person's. Needs --ground."`
	Ground string `help:"Why; it stays on record with the undo." placeholder:"TEXT"`
	From   string `help:"Only what came in at this instant or later, RFC 3339: of a name that was imported more than once, one import." placeholder:"TIME"`
	To     string `help:"Only what came in until this instant." placeholder:"TIME"`
	All    bool   `help:"However often the name was imported."`
	JSON   bool   `help:"As JSON."`
}

// Help is printed by --help.
func (factsUndoCmd) Help() string {
	return "Example: dialgate facts undo optins.csv\n" +
		"Each fact that the import brought in is made void by a fact of kind undo; nothing is deleted, and what was known before the undo is still told by --known-at.\n" +
		"Objections, withdrawals and entries in registers stay in force unless --lift is given: look with --dry-run first what it would set free.\n" +
		"A name that was imported more than once is not undone before --from, --to or --all says which import is meant; --dry-run lists them.\n" +
		"The same rows are not taken in again, unless with other ids or under another --batch; whoever objects again is always heard."
}

// Run undoes a batch.
func (c factsUndoCmd) Run(s streams, parent *factsCmd) error {
	if c.Lift && strings.TrimSpace(c.Ground) == "" {
		return usageError("--lift needs a --ground: why objections, withdrawals or entries in registers no longer count")
	}
	if err := checkWords("--ground", c.Ground); err != nil {
		return err
	}
	o := store.UndoOptions{Lift: c.Lift, Ground: c.Ground, DryRun: c.DryRun, All: c.All}
	var err error
	if o.From, err = instant(c.From); err == nil {
		o.To, err = instant(c.To)
	}
	if err != nil {
		return usageError("--from, --to: %v", err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	return withKeeper(parent.Config, func(k keeper) error {
		u, err := k.Undo(ctx, c.Batch, o)
		if err != nil {
			return err
		}
		if !u.Known() {
			there := "none that has a name"
			if len(u.Batches) > 0 {
				there = strings.Join(u.Batches, ", ")
			}
			return usageError("no import is called %q; there are: %s", c.Batch, there)
		}
		if u.Several {
			return usageError("%q was imported %d times, and nothing was undone: say which with --from and --to, or --all\n%s", c.Batch, len(u.Runs), listRuns(u.Runs))
		}
		if c.JSON {
			return printJSON(s.out, u)
		}
		if len(u.Runs) > 1 {
			fmt.Fprintf(s.out, "imported %d times:\n%s\n", len(u.Runs), listRuns(u.Runs))
		}
		verb, frees := "undone", "have"
		if c.DryRun {
			verb, frees = "would be undone", "would have"
		}
		fmt.Fprintf(s.out, "%s: %s; undone before: %s\n", verb, byKind(u.Undone), byKind(u.Before))
		if len(u.Stay) > 0 {
			fmt.Fprintf(s.out, "stay in force, since they protect the called person: %s; --lift undoes them too\n", byKind(u.Stay))
		}
		for _, r := range u.Registers {
			fmt.Fprintf(s.out, "%s: that the copy of register %s was loaded\n", verb, r)
		}
		if u.Freed > 0 {
			fmt.Fprintf(s.out, "%d numbers %s no objection, withdrawal or entry in a register left, and a fact that can allow a call\n", u.Freed, frees)
		}
		return nil
	})
}

// listRuns tells when a name was imported, a line for each time.
func listRuns(runs []store.ImportRun) string {
	var lines []string
	for _, r := range runs {
		lines = append(lines, fmt.Sprintf("  --from %s --to %s   %d facts", r.From.In(calledZone()).Format(time.RFC3339), r.To.In(calledZone()).Format(time.RFC3339), r.Facts))
	}
	return strings.Join(lines, "\n")
}

// byKind lists how many there are of each kind.
func byKind(counts map[string]int) string {
	var parts []string
	for _, kind := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprint(counts[kind], " ", kind))
	}
	if parts == nil {
		return "nothing"
	}
	return strings.Join(parts, ", ")
}

// maxWords bounds what is put on record with every fact of an import.
const maxWords = 200

// checkWords refuses what would not be taken back from the record.
func checkWords(flag, text string) error {
	if len(text) > maxWords || !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return usageError("%s is at most %d octets of text and holds no control character", flag, maxWords)
	}
	return nil
}
