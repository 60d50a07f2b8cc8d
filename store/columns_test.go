package store

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/xuri/excelize/v2"

	"dialgate/policy"
)

func rowsOf(t *testing.T, in Intake, data []byte) (rows []Row) {
	t.Helper()
	for row, err := range in.Rows(bytes.NewReader(data)) {
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, row)
	}
	return rows
}

func crm(t *testing.T) Intake {
	zone, err := time.LoadLocation("Europe/Amsterdam")
	if err != nil {
		t.Fatal(err)
	}
	return Intake{Form: policy.FactForm{Zone: zone}, Constants: map[string]string{"kind": "relationship", "advertiser": "krant", "type": "subscription"},
		Columns: &Columns{Fields: map[string]string{"Telefoon": "number", "Datum": "at", "Vanaf": "started", "Verkoop": "collected_in_sale", "Product": "products"},
			Ignore: []string{"Naam"}, Values: map[string]map[string]string{"collected_in_sale": {"Ja": "true", "Nee": "false"}}, Dutch: true}}
}

func TestColumns(t *testing.T) {
	in := crm(t)
	if err := in.Columns.Check(); err != nil {
		t.Fatal(err)
	}
	rows := rowsOf(t, in, []byte("Telefoon;naam;Datum;Vanaf;Verkoop;Product\n"+
		"+31612345601;Jansen;03-04-2026 14:05;1/2/2025;ja;krant\n"+
		"+31612345602;De Vries;2026-04-03;2025-02-01;Nee;krant\n"+
		"+31612345603;Bakker;31.12.2026;1-2-2025;misschien;krant\n"+
		"+31612345604;Smit;32-12-2026;1-2-2025;ja;krant\n"))
	for i, want := range []struct{ at, started, column string }{
		{"2026-04-03T12:05:00Z", "2025-02-01", ""}, {"2026-04-02T22:00:00Z", "2025-02-01", ""},
		{"", "", "collected_in_sale"}, {"", "", "at"},
	} {
		r := rows[i]
		if want.column != "" {
			if r.Err == nil || r.Column != want.column {
				t.Errorf("row %d: %v in %q", i, r.Err, r.Column)
			}
			continue
		}
		if r.Err != nil || r.Fact.At.UTC().Format(time.RFC3339) != want.at || r.Fact.Started.String() != want.started || r.Fact.CollectedInSale != (i == 0) {
			t.Errorf("row %d: %+v, %v", i, r.Fact, r.Err)
		}
	}
	// Without a word about it, no Dutch date is read, and no column passed over.
	in.Columns.Dutch = false
	if r := rowsOf(t, in, []byte("Telefoon;Datum\n+31612345601;03-04-2026\n")); r[0].Err == nil {
		t.Errorf("%+v", r[0])
	}
	for _, header := range []string{"Telefoon;Adres\n", "Telefoon;number\n"} {
		for _, err := range in.Rows(strings.NewReader(header + "a;b\n")) {
			if err == nil {
				t.Errorf("%q was taken", header)
			}
		}
	}
	if err := (&Columns{Fields: map[string]string{"x": "nummer"}}).Check(); err == nil {
		t.Error("an unknown field was taken")
	}
}

func TestWorkbook(t *testing.T) {
	book := excelize.NewFile()
	defer book.Close()
	date, err := book.NewStyle(&excelize.Style{NumFmt: 14})
	if err != nil {
		t.Fatal(err)
	}
	for cell, value := range map[string]any{
		"A1": "Telefoon", "B1": "Naam", "C1": "Datum", "D1": "Vanaf", "E1": "Verkoop", "F1": "Product",
		"A2": "+31612345601", "B2": "Jansen", "C2": time.Date(2026, 4, 3, 14, 5, 0, 0, time.UTC), "D2": time.Date(2025, 2, 1, 0, 0, 0, 0, time.UTC), "E2": "Ja", "F2": "krant",
		"A4": "+31612345602", "C4": "3-4-2026", "D4": "2025-02-01", "E4": "Nee",
		"A5": "nobody", "C5": "3-4-2026",
	} {
		if err := book.SetCellValue("Sheet1", cell, value); err != nil {
			t.Fatal(err)
		}
	}
	if err := book.SetCellStyle("Sheet1", "D2", "D2", date); err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	if err := book.Write(&file); err != nil {
		t.Fatal(err)
	}
	rows := rowsOf(t, crm(t), file.Bytes())
	if len(rows) != 3 {
		t.Fatalf("%d rows", len(rows))
	}
	r := rows[0]
	if r.Err != nil || r.Line != 2 || r.Fact.At.UTC().Format(time.RFC3339) != "2026-04-03T12:05:00Z" || r.Fact.Started.String() != "2025-02-01" || !r.Fact.CollectedInSale || r.Fact.Products[0] != "krant" {
		t.Errorf("%+v, %v", r.Fact, r.Err)
	}
	if r := rows[1]; r.Err != nil || r.Line != 4 || r.Fact.CollectedInSale || len(r.Fact.Products) != 0 {
		t.Errorf("%+v, %v", r.Fact, r.Err)
	}
	if r := rows[2]; r.Err == nil || r.Line != 5 || r.Column != "number" {
		t.Errorf("%+v", r)
	}
	for _, err := range crm(t).Rows(strings.NewReader("PK\x03\x04 and no more")) {
		if err == nil {
			t.Error("half a workbook was read")
		}
	}
}

func FuzzWorkbook(f *testing.F) {
	book := excelize.NewFile()
	defer book.Close()
	if err := book.SetCellValue("Sheet1", "A1", "number"); err != nil {
		f.Fatal(err)
	}
	var file bytes.Buffer
	if err := book.Write(&file); err != nil {
		f.Fatal(err)
	}
	f.Add(file.Bytes())
	f.Fuzz(func(t *testing.T, data []byte) {
		for row, err := range (Intake{Form: policy.FactForm{Zone: time.UTC}}).Rows(bytes.NewReader(data)) {
			if err == nil && row.Err == nil && row.Fact.Number.IsZero() {
				t.Fatalf("row %d is no fact and no error", row.Line)
			}
		}
	})
}

// TestGuessedColumns: what a file's columns seem to be are fields that there
// are; of two that seem the same the first counts; what was said goes before.
func TestGuessedColumns(t *testing.T) {
	for name, field := range guesses {
		if !slices.Contains(policy.FactFields(), field) || guessed(name) != field {
			t.Errorf("%q is guessed to be %q", name, field)
		}
	}
	var fields []string
	in := Intake{Columns: &Columns{Guess: true, Fields: map[string]string{"Datum": "verified_at"}, Ignore: []string{"URL"}}, Heads: func(_, f []string) { fields = f }}
	names, err := in.header([]string{"Telefoon-nummer", "Tel.", "Datum", "url", "Onbekend", " AT ", "E-164"})
	if want := []string{"number", "", "verified_at", "", "", "at", ""}; err != nil || !slices.Equal(names, want) || !slices.Equal(fields, want) {
		t.Errorf("%q, %v", names, err)
	}
}
