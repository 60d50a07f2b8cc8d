package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"dialgate/policy"
	"dialgate/policy/nl"
)

// optins is somebody's file of opt-ins, in the order in which they came.
func optins(rows int) []byte {
	var b bytes.Buffer
	b.WriteString("Telefoon;Klant;Datum;Formulier;Aangevinkt\n")
	at := time.Date(2025, 1, 1, 9, 0, 0, 0, time.UTC)
	for i := range rows {
		n := 612_000_000 + (i*7919)%80_000_000
		fmt.Fprintf(&b, "0%d;klant %d;%s;web-form;Nee\n", n, i, at.Add(time.Duration(i)*7*time.Second).Format("02-01-2006 15:04"))
	}
	return b.Bytes()
}

func optinIntake(b testing.TB) Intake {
	zone, err := time.LoadLocation("Europe/Amsterdam")
	if err != nil {
		b.Fatal(err)
	}
	plan := nl.Plan()
	return Intake{
		Form: policy.FactForm{Zone: zone, Attested: true, Number: func(s string) (policy.Number, error) {
			n, ok := plan.National(s)
			if !ok {
				return n, fmt.Errorf("%q is no number", s)
			}
			return n, nil
		}},
		Batch:     "optins.csv",
		Constants: map[string]string{"kind": "consent", "advertiser": "windkracht", "source": "website", "bundled": "false"},
		Columns: &Columns{Fields: map[string]string{"Telefoon": "number", "Datum": "at", "Formulier": "method", "Aangevinkt": "preticked"},
			Ignore: []string{"*"}, Values: map[string]map[string]string{"preticked": {"Ja": "true", "Nee": "false"}}, Dutch: true},
	}
}

func BenchmarkRows(b *testing.B) {
	data, in := optins(100_000), optinIntake(b)
	for b.Loop() {
		for row, err := range in.Rows(bytes.NewReader(data)) {
			if err != nil || row.Err != nil {
				b.Fatal(err, row.Err)
			}
		}
	}
	b.ReportMetric(100_000*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}

func BenchmarkImport(b *testing.B) {
	const rows = 200_000
	data, in := optins(rows), optinIntake(b)
	for b.Loop() {
		s, err := Open(Options{Dir: filepath.Join(b.TempDir(), "data")})
		if err != nil {
			b.Fatal(err)
		}
		load := s.Load()
		var batch []policy.Fact
		flush := func() {
			if _, err := load.Add(context.Background(), batch...); err != nil {
				b.Fatal(err)
			}
			batch = batch[:0]
		}
		for row, err := range in.Rows(bytes.NewReader(data)) {
			if err != nil || row.Err != nil {
				b.Fatal(err, row.Err)
			}
			if batch = append(batch, row.Fact); len(batch) == LoadBatch {
				flush()
			}
		}
		flush()
		if err := errors.Join(load.Close(), s.Close()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(rows*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}
