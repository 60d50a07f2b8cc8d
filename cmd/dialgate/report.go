package main

import (
	"fmt"
	"os"
	"path/filepath"

	"dialgate/review"
	"dialgate/store"
)

type reportCmd struct {
	Current  string `short:"c" help:"Configuration file, which tells where the store is and what the campaigns are; default: the embedded one." placeholder:"FILE"`
	From     string `help:"Only calls from then on: a date, or an instant (RFC 3339)." placeholder:"TIME"`
	To       string `help:"Only calls before then; a date is the last day." placeholder:"TIME"`
	HTML     string `name:"html" help:"Write a page with charts, which needs nothing else, to this file." placeholder:"FILE"`
	JSON     bool   `help:"As JSON."`
	BookDate string `help:"What if the calls had come on this date, at the same time of day, with all facts as long before them as they were? Shows only what changes." placeholder:"DATE"`
	Under    string `name:"config" help:"What if this configuration had been in force? Shows only what changes." placeholder:"FILE"`
}

// Help is printed by --help.
func (reportCmd) Help() string {
	return "Examples: dialgate report --from 2026-11-01 --html november.html\n          dialgate report --book-date 2026-07-01"
}

// Run adds up the decisions of a period, or judges them again.
func (c reportCmd) Run(s streams) error {
	within, err := period(c.From, c.To)
	if err != nil {
		return err
	}
	w, err := loadWorld(c.Current)
	if err != nil {
		return err
	}
	if c.BookDate != "" || c.Under != "" {
		if c.HTML != "" {
			return usageError("--html shows the calls as they were judged; leave it out with --book-date and --config")
		}
		return c.whatIf(s, w, within)
	}
	tally := review.New(review.Options{Zone: calledZone(), Campaign: w.domain.Directory.Campaign, Condition: w.condition()})
	if err := w.eachDecision(within, func(_ keeper, d *store.Decision) error { tally.Add(d); return nil }); err != nil {
		return err
	}
	summary := tally.Summary()
	if c.HTML != "" {
		if err := writePage(c.HTML, summary); err != nil {
			return err
		}
		fmt.Fprintf(s.err, "the page is in %s\n", c.HTML)
	}
	switch {
	case c.JSON:
		return printJSON(s.out, summary)
	case c.HTML != "":
		return nil
	}
	return summary.Text(s.out)
}

// writePage makes the file whole or not at all.
func writePage(name string, summary *review.Summary) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".report-*.html")
	if err != nil {
		return fmt.Errorf("the page can't be written: %w", err)
	}
	defer os.Remove(f.Name()) // gone already when all went well
	err = summary.HTML(f)
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return fmt.Errorf("the page can't be written: %w", err)
	}
	return nil
}
