package review

import (
	"fmt"
	"io"
)

// mostRows bounds what people are shown of a table; scripts get all of it.
const mostRows = 12

// Text writes the summary for people.
func (s *Summary) Text(w io.Writer) error {
	var err error
	line := func(format string, args ...any) {
		if err == nil {
			_, err = fmt.Fprintf(w, format+"\n", args...)
		}
	}
	if s.Decisions == 0 {
		line("No call was judged in this period.")
		return err
	}
	line("%s calls to %s, from %s to %s", thousands(s.Decisions), s.Numbers.Phrase(), s.First, s.Last)
	line("\n%12s  allowed", thousands(s.Allowed))
	line("%12s  would have been refused, were every rule enforced", thousands(s.Would))
	line("%12s  refused", thousands(s.Refused))
	s.Missing.text(line)
	for _, table := range s.tables() {
		line("\n%-42s%12s%20s%12s", table.Title, "allowed", "would be refused", "refused")
		for _, r := range table.Rows {
			line("  %-40s%12s%20s%12s", r.Key, thousands(r.Allowed), thousands(r.Would), thousands(r.Refused))
		}
		if table.More > 0 {
			line("  and %d more, see --json", table.More)
		}
	}
	return err
}

func (m *Missing) text(line func(format string, args ...any)) {
	if m.Refusals == 0 {
		return
	}
	line("\nOne record that was missing, and the refusals (actual and would-be) that it alone would have made lawful, had it been there before the call:")
	for i, c := range m.Single {
		if i == mostRows {
			line("  and %d more records, see --json", len(m.Single)-mostRows)
			break
		}
		line("  %s", c.Sentence(m.Refusals))
	}
	if m.Uncounted > 0 {
		line("  %s of other records, for which there was no room", thousands(m.Uncounted))
	}
	line("  %s needed more than one record, or their campaign is unknown", thousands(m.Several))
	line("  %s no record helps: the called person's will, the hour, or the call itself", thousands(m.None))
}

// Sentence says what the record would have done, of how many refusals.
func (c Cure) Sentence(of int) string {
	if c.Numbers.Count == 0 {
		return fmt.Sprintf("%s: %s of %s refusals", c.Record, thousands(c.Stopped()), thousands(of))
	}
	return fmt.Sprintf("%s: %s of %s refusals, %s", c.Record, thousands(c.Stopped()), thousands(of), c.Numbers.Phrase())
}

// A titled table is one of the summary's as people are shown it.
type titled struct {
	Title string
	Rows  []Row
	More  int // rows that are not shown
}

func (s *Summary) tables() []titled {
	var out []titled
	for _, t := range []titled{{Title: "Rule", Rows: s.Rules}, {Title: "Reason", Rows: s.Reasons}, {Title: "Campaign", Rows: s.Campaigns}, {Title: "Peer", Rows: s.Peers}} {
		if len(t.Rows) > mostRows {
			t.More, t.Rows = len(t.Rows)-mostRows, t.Rows[:mostRows]
		}
		out = append(out, t)
	}
	return out
}
