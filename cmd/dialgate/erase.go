package main

import "fmt"

type factsEraseCmd struct {
	Number string `arg:"" help:"The number, international or national."`
	Ground string `help:"Why: who asked for it, and where that is kept. It stays on record, so it can't hold the number." required:"" placeholder:"TEXT"`
	JSON   bool   `help:"As JSON."`
}

// Help is printed by --help.
func (factsEraseCmd) Help() string {
	return "Example: dialgate facts erase +31612345678 --ground 'request of 3 November, file 17'\n" +
		"The number's facts and calls are overwritten in the ledger and taken out of the projection's files; calls go on meanwhile.\n" +
		"Objections and entries in registers still bind, by a keyed hash of the number. Backups, exports and proof packs are not reached."
}

// Run erases a number.
func (c factsEraseCmd) Run(s streams, parent *factsCmd) error {
	n, err := localNumber(c.Number)
	if err != nil {
		return usageError("%v", err)
	}
	return withKeeper(parent.Config, func(k keeper) error {
		e, err := k.Erase(n, c.Ground)
		if err != nil {
			return err
		}
		if c.JSON {
			return printJSON(s.out, e)
		}
		fmt.Fprintf(s.out, "erased: %d facts and %d calls; %d objections and register entries still bind\n", e.Facts, e.Calls, e.Kept)
		fmt.Fprintf(s.out, "record %d of the ledger says so; nothing was on disk any more after %d ms\n", e.Record, e.GoneMS)
		fmt.Fprintf(s.out, "erased numbers are recognised by the key in %s: keep a copy apart from the store's backups\n", e.KeyFile)
		return nil
	})
}
