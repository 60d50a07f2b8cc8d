package store

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"dialgate/policy"
)

// drawFacts is what is known of one number, of any form.
func drawFacts(t *rapid.T, n policy.Number) policy.Facts {
	f := policy.Facts{Number: n}
	for range rapid.IntRange(0, 3).Draw(t, "facts") {
		x := drawFact(t)
		x.Number = n
		x.Evidence.SHA256 = rapid.SampledFrom([]string{"", strings.Repeat("0f", 32), "abc", "ABCD", "é"}).Draw(t, "sha256")
		x.Evidence.Person = rapid.SampledFrom(ownTextSamples).Draw(t, "person")
		if rapid.Bool().Draw(t, "recorded") {
			x.RecordedAt = noon.Add(time.Duration(rapid.Int64Range(-1<<50, 1<<50).Draw(t, "after")))
		}
		if rapid.IntRange(0, 9).Draw(t, "long") == 0 {
			x.Evidence.Note = strings.Repeat("n", 2000)
		}
		f.All = append(f.All, x)
	}
	for i := range rapid.IntRange(0, 2).Draw(t, "calls") {
		f.Calls = append(f.Calls, policy.EarlierCall{At: noon.Add(time.Duration(i)), Advertiser: "a", Allowed: true, Attempt: 7})
	}
	return f
}

// ownTextSamples are texts of every form, and of those that nearly have one.
var ownTextSamples = []string{"", "p1", "p0", "p007", "p00", "0", "00", "12345678901234567", "1234567890123456789012", "row-0123456789abcdef01234567",
	"row-0123456789ABCDEF", "0123456789abcdef", "0123456789abcdef0", "0197a3c4-5d6e-7f80-9123-456789abcdef", "a b", strings.Repeat("x", 40) + "7", "é9", "x\x009"}

// TestTextForms: every text comes back as it was, whoever it shares a shape with.
func TestTextForms(t *testing.T) {
	for _, s := range ownTextSamples {
		for _, f := range []textForm{formOf(s), plainForm(s)} {
			r := valueReader{s: string(f.append(nil, s))}
			if got := f.read(&r, nil); string(got) != s || r.bad || r.s != "" {
				t.Errorf("%q as %+v comes back as %q", s, f, got)
			}
		}
	}
}

func FuzzTextForm(f *testing.F) {
	for _, s := range ownTextSamples {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		of := formOf(s)
		r := valueReader{s: string(of.append(nil, s))}
		if got := of.read(&r, nil); string(got) != s || r.bad || r.s != "" {
			t.Errorf("%q as %+v comes back as %q", s, of, got)
		}
	})
}

// TestFactTable holds the table against a map under random changes: what is
// read is what was put, to the last field, and nothing of who was taken out.
func TestFactTable(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		table := newFactTable(1 << 30)
		defer table.close()
		model := map[policy.Number]policy.Facts{}
		for range rapid.IntRange(1, 120).Draw(rt, "changes") {
			n := policy.MustNumber(fmt.Sprint("+3161000", 100+rapid.IntRange(0, 40).Draw(rt, "number")))
			f := drawFacts(rt, n)
			if err := table.put(n, &f); err != nil {
				rt.Fatal(err)
			}
			model[n] = f
			if rapid.IntRange(0, 9).Draw(rt, "settle") == 0 {
				if err := table.settle(); err != nil {
					rt.Fatal(err)
				}
			}
		}
		for n, want := range model {
			var got policy.Facts
			if err := table.facts(n, &got); err != nil {
				rt.Fatal(err)
			}
			if len(want.All)+len(want.Calls) != len(got.All)+len(got.Calls) {
				rt.Fatalf("%d facts and %d calls, want %d and %d", len(got.All), len(got.Calls), len(want.All), len(want.Calls))
			}
			for i := range want.All {
				if !reflect.DeepEqual(got.All[i], want.All[i]) {
					rt.Fatalf("got %+v\nwant %+v", got.All[i], want.All[i])
				}
			}
			for i := range want.Calls {
				if got.Calls[i] != want.Calls[i] {
					rt.Fatalf("got %+v, want %+v", got.Calls[i], want.Calls[i])
				}
			}
		}
	})
}

// TestFactTableGrows: rows are found again whatever has grown, gone and come
// between, and the room of who is gone is used again.
func TestFactTableGrows(t *testing.T) {
	table := newFactTable(1 << 30)
	defer table.close()
	number := func(i int) policy.Number { return policy.MustNumber(fmt.Sprint("+3161", 2000000+7919*i)) }
	fill := func(id string) {
		for i := range 20_000 {
			f := policy.Facts{All: []policy.Fact{{ID: fmt.Sprint(id, i), Kind: policy.Consent, At: noon, Number: number(i)}}}
			if err := table.put(number(i), &f); err != nil {
				t.Fatal(err)
			}
		}
	}
	settled := func() int64 {
		if err := table.settle(); err != nil {
			t.Fatal(err)
		}
		return table.used.Load()
	}
	fill("a")
	octets := settled()
	for i := 0; i < 20_000; i += 3 {
		if err := table.put(number(i), &policy.Facts{}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 20_000 {
		var f policy.Facts
		if err := table.facts(number(i), &f); err != nil {
			t.Fatal(err)
		}
		if gone := i%3 == 0; gone != (len(f.All) == 0) || !gone && f.All[0].ID != fmt.Sprint("a", i) {
			t.Fatalf("number %d: %+v", i, f.All)
		}
	}
	fill("b")
	if now := settled(); now != octets {
		t.Errorf("%d octets after all was written anew, %d before", now, octets)
	}
}

// TestFactTableIsBounded: who outgrows the bound is told, and so is whoever
// reads from a table that was given up.
func TestFactTableIsBounded(t *testing.T) {
	table := newFactTable(1 << 20)
	var err error
	for i := 0; err == nil && i < 1_000_000; i++ {
		n := policy.MustNumber(fmt.Sprint("+3161", 2000000+i))
		err = table.put(n, &policy.Facts{All: []policy.Fact{{ID: fmt.Sprint(i), Kind: policy.Consent, At: noon}}})
	}
	if !errors.Is(err, errOutgrown) {
		t.Fatal(err)
	}
	if err := table.close(); err != nil {
		t.Fatal(err)
	}
	var f policy.Facts
	if err := table.facts(alice, &f); !errors.Is(err, errOutgrown) {
		t.Errorf("a table that was given up says %v", err)
	}
}

// TestFactTableWhileItChanges: a reader beside the writer finds one of the
// values that a number had, never a mixture.
func TestFactTableWhileItChanges(t *testing.T) {
	table := newFactTable(1 << 30)
	defer table.close()
	var readers sync.WaitGroup
	stop := make(chan struct{})
	for range 2 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				var f policy.Facts
				if err := table.facts(alice, &f); err != nil {
					t.Error(err)
					return
				}
				for i := range f.All {
					if f.All[i].Source != f.All[i].Evidence.Note {
						t.Errorf("%+v", f.All[i])
						return
					}
				}
			}
		})
	}
	for i := range 3000 {
		text := strings.Repeat(fmt.Sprint(i%50), 1+i%400)
		f := policy.Facts{All: []policy.Fact{{ID: "x", Kind: policy.Consent, At: noon, Source: text, Evidence: policy.Evidence{Note: text}}}}
		if err := table.put(alice, &f); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	readers.Wait()
}

func BenchmarkFactTable(b *testing.B) {
	table := newFactTable(1 << 30)
	defer table.close()
	const numbers = 200_000
	number := func(i int) policy.Number {
		n, _ := policy.NumberOfKey(31610000000 + uint64(i%numbers)*7919)
		return n
	}
	for i := range numbers {
		f := policy.Facts{All: []policy.Fact{{ID: fmt.Sprint("c", i), Kind: policy.Consent, At: noon, Advertiser: "a", Purposes: []policy.Purpose{policy.Commercial}}}}
		if err := table.put(number(i), &f); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		var f policy.Facts
		i += 7001
		if err := table.facts(number(i), &f); err != nil || len(f.All) != 1 {
			b.Fatal(err)
		}
	}
}
