package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"dialgate/policy"
	"dialgate/store"
)

// optins is a file of opt-ins with the columns and the dates of a Dutch CRM.
func optins() []byte {
	var b bytes.Buffer
	b.WriteString("Telefoon;Klant;Datum;Formulier;Aangevinkt\n")
	at := time.Date(2020, 1, 1, 9, 0, 0, 0, time.UTC)
	for i := range *rows {
		fmt.Fprintf(&b, "+%d;klant %d;%s;web-form;Nee\n", number(i), i, at.Add(time.Duration(i)*7*time.Second).Format("02-01-2006 15:04"))
	}
	return b.Bytes()
}

// fill imports the file into a store that is not there yet.
func fill(data string) error {
	file := optins()
	s, err := open(data, 0)
	if err != nil {
		return err
	}
	start, used := time.Now(), cpu()
	if err := importInto(s, file); err != nil {
		return err
	}
	took, used := time.Since(start), cpu()-used
	rate := float64(*rows) / took.Seconds()
	bar(rate >= 100_000, "at least 100,000 rows/s", "import of a mapped CSV, ledger included", "%.0f rows/s; %.1fµs of CPU a row", rate, float64(used)/1e3/float64(*rows))
	if err := s.Close(); err != nil {
		return err
	}
	return sizes(data, "a million facts", *rows, 0, 0)
}

func importInto(s *store.Store, data []byte) error {
	zone, err := time.LoadLocation("Europe/Amsterdam")
	if err != nil {
		return err
	}
	in := store.Intake{Form: policy.FactForm{Zone: zone, Attested: true}, Batch: "optins.csv",
		Constants: map[string]string{"kind": "consent", "advertiser": "windkracht", "source": "website", "bundled": "false"},
		Columns: &store.Columns{Fields: map[string]string{"Telefoon": "number", "Datum": "at", "Formulier": "method", "Aangevinkt": "preticked"},
			Ignore: []string{"*"}, Values: map[string]map[string]string{"preticked": {"Ja": "true", "Nee": "false"}}, Dutch: true}}
	load := s.Load()
	var facts []policy.Fact
	flush := func() error {
		results, err := load.Add(context.Background(), facts...)
		for _, r := range results {
			err = errors.Join(err, r.Err)
		}
		facts = facts[:0]
		return err
	}
	for row, err := range in.Rows(bytes.NewReader(data)) {
		if err = errors.Join(err, row.Err); err != nil {
			return err
		}
		if facts = append(facts, row.Fact); len(facts) == store.LoadBatch {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return errors.Join(flush(), load.Close())
}

// sizes tells the size of the ledger and of the projection beyond what they
// were, for a million of what came in.
func sizes(data, what string, n int, ledger, state int64) error {
	l, err := octets(filepath.Join(data, "ledger"))
	if err != nil {
		return err
	}
	p, err := octets(filepath.Join(data, "state"))
	if err != nil {
		return err
	}
	each := func(size int64) float64 { return float64(size) / float64(n) }
	say("size of "+what, "ledger %.0f MB, projection with its index %.0f MB", each(l-ledger), each(p-state))
	return nil
}

func octets(dir string) (sum int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			sum += info.Size()
		}
		return err
	})
	return sum, err
}
