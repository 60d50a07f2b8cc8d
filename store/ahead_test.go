package store

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"dialgate/policy"
)

// Rows come in the order of the file, good and bad ones, however many cores read them.
func TestRowsKeepTheirOrder(t *testing.T) {
	const rows = 20_000
	var csv, lines bytes.Buffer
	csv.WriteString("kind,number,advertiser,at\n")
	for i := range rows {
		n := fmt.Sprintf("+316%08d", i)
		if i%7 == 0 {
			n = "nobody"
		}
		fmt.Fprintf(&csv, "withdrawal,%s,a,2026-07-01\n", n)
		fmt.Fprintf(&lines, `{"kind":"withdrawal","number":"%s","advertiser":"a","at":"2026-07-01"}`+"\n", n)
	}
	for name, c := range map[string]struct {
		data  []byte
		first int
	}{"csv": {csv.Bytes(), 2}, "lines": {lines.Bytes(), 1}} {
		i := 0
		for row, err := range (Intake{Batch: "b"}).Rows(bytes.NewReader(c.data)) {
			if err != nil {
				t.Fatal(err)
			}
			want, _ := policy.NumberOfKey(31_600_000_000 + uint64(i))
			if row.Line != i+c.first || (row.Err != nil) != (i%7 == 0) || row.Err == nil && row.Fact.Number != want || !strings.Contains(row.Text, "withdrawal") {
				t.Fatalf("%s: row %d: %+v", name, i, row)
			}
			i++
		}
		if i != rows {
			t.Errorf("%s: %d rows of %d", name, i, rows)
		}
	}
}

// A file that can't be read further is an error after the rows before it, and
// whoever wants no more rows leaves nobody behind.
func TestRowsEnd(t *testing.T) {
	head := "kind,number,advertiser,at\n" + strings.Repeat("withdrawal,+31612345678,a,2026-07-01\n", 5000)
	broken := errors.New("the cable is out")
	n := 0
	var failed error
	for row, err := range (Intake{}).Rows(io.MultiReader(strings.NewReader(head), iotest.ErrReader(broken))) {
		if failed != nil {
			t.Fatal("more came after the error")
		}
		if failed = err; err == nil {
			if n++; row.Err != nil {
				t.Fatal(row.Err)
			}
		}
	}
	if n != 5000 || !errors.Is(failed, broken) {
		t.Errorf("%d rows, then %v", n, failed)
	}
	read := 0
	endless := readerFunc(func(b []byte) (int, error) {
		read += len(b)
		return copy(b, strings.Repeat("withdrawal,+31612345678,a,2026-07-01\n", 1+len(b)/37)), nil
	})
	n = 0
	for range (Intake{}).Rows(io.MultiReader(strings.NewReader("kind,number,advertiser,at\n"), endless)) {
		if n++; n == 10 {
			break
		}
	}
	if most := (aheadChunks + 2) * (chunkOctets + 64<<10); read > most {
		t.Errorf("%d octets were read for 10 rows", read)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }
