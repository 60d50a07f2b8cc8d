package policy

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

var amsterdam = time.FixedZone("CET", 3600)

func TestFactSurvivesItsJSON(t *testing.T) {
	for _, text := range []string{
		`{"id":"c1","kind":"consent","number":"+31612345678","advertiser":"windkracht","at":"2026-09-01T12:00:00+01:00","purposes":["commercial"],"products":["energy"],"channels":["voice","robocall"],"method":"web-form","preticked":false,"bundled":false,"verified_at":"2026-09-01T12:05:00+01:00","verified_by":"sms","after_objection":true,"evidence":{"uri":"s3://x","sha256":"` + strings.Repeat("ab", 32) + `","person":"p7"}}`,
		`{"id":"o1","kind":"objection","number":"+31612345678","advertiser":"*","at":"2026-09-01T12:00:00Z","scope":"all","via":"ivr"}`,
		`{"id":"r1","kind":"relationship","number":"+31612345678","advertiser":"krant","at":"2024-01-01T00:00:00+01:00","products":["krant"],"type":"subscription","started":"2024-01-01","collected_in_sale":true,"objection_offered":true,"objected":false}`,
		`{"id":"s1","kind":"subscriber","number":"+31612345678","at":"2024-01-01T00:00:00+01:00","subscriber":"natural-business","legal_form":"vof","published_for":["commercial","software"]}`,
		`{"id":"l1","kind":"listed","number":"+31612345678","at":"2024-01-01T00:00:00Z","list":"bmnr","until":"2025-01-01T00:00:00Z"}`,
	} {
		form := FactForm{Zone: amsterdam, Attested: true}
		f, err := form.ParseJSON([]byte(text))
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		again := string(f.AppendJSON(nil))
		g, err := form.ParseJSON([]byte(again))
		if err != nil || string(g.AppendJSON(nil)) != again {
			t.Errorf("not the same fact after a second reading (%v):\n%s\n%s", err, again, g.AppendJSON(nil))
		}
		for _, key := range []string{`"kind"`, `"number":"+31612345678"`} {
			if !strings.Contains(again, key) {
				t.Errorf("%s is missing in %s", key, again)
			}
		}
	}
}

func TestFactSaysWhatIsWrongWithIt(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"unknown field":           {`{"kind":"consent","nummer":"+31612345678"}`, `nummer: no such field`},
		"suggestion":              {`{"kind":"consent","numbr":"+31612345678"}`, `did you mean "number"?`},
		"doubled field":           {`{"kind":"objection","kind":"consent"}`, `kind: is there twice`},
		"field of another kind":   {`{"kind":"objection","number":"+31612345678","advertiser":"*","at":"2026-01-01","products":["x"]}`, `products: is no field of kind objection`},
		"no number":               {`{"kind":"objection","advertiser":"*","at":"2026-01-01"}`, `number: is missing`},
		"national number":         {`{"kind":"objection","number":"0612345678","advertiser":"*","at":"2026-01-01"}`, `not an E.164 number`},
		"star outside objection":  {`{"kind":"withdrawal","number":"+31612345678","advertiser":"*","at":"2026-01-01"}`, `in an objection only`},
		"silent about pre-ticked": {`{"kind":"consent","number":"+31612345678","advertiser":"a","at":"2026-01-01"}`, `preticked: is missing`},
		"bad digest":              {`{"kind":"withdrawal","number":"+31612345678","advertiser":"a","at":"2026-01-01","evidence":{"sha256":"xy"}}`, `64 hexadecimal digits`},
		"no time":                 {`{"kind":"withdrawal","number":"+31612345678","advertiser":"a"}`, `at: is missing`},
		"ends before it starts":   {`{"kind":"relationship","number":"+31612345678","advertiser":"a","type":"sale","started":"2026-02-01","ended":"2026-01-01"}`, `before started`},
		"not an object":           {`[]`, `want a JSON object`},
		"text behind":             {`{"kind":"consent"} x`, `text follows`},
		"control character":       {`{"kind":"withdrawal","number":"+31612345678","advertiser":"a\u0000","at":"2026-01-01"}`, `control character`},
	} {
		_, err := FactForm{Zone: amsterdam, Attested: true}.ParseJSON([]byte(c.text))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want an error with %q", name, err, c.want)
		}
	}
}

func TestFactDatesBeginAndEnd(t *testing.T) {
	f, err := FactForm{Zone: amsterdam}.ParseRow(
		[]string{"kind", "number", "advertiser", "at", "valid_until", "purposes"},
		[]string{"consent", "+31612345678", "a", "2026-07-01", "2026-07-31", "commercial|ideal"})
	if err != nil {
		t.Fatal(err)
	}
	if want := time.Date(2026, 7, 1, 0, 0, 0, 0, amsterdam); !f.At.Equal(want) {
		t.Errorf("at is %v, want the day's first instant %v", f.At, want)
	}
	if want := time.Date(2026, 7, 31, 23, 59, 59, 999999999, amsterdam); !f.ValidUntil.Equal(want) {
		t.Errorf("valid_until is %v, want the day's last instant %v", f.ValidUntil, want)
	}
	if len(f.Purposes) != 2 || f.Purposes[1] != Ideal || len(f.Channels) != 1 || f.Channels[0] != Live {
		t.Errorf("purposes %v, channels %v", f.Purposes, f.Channels)
	}
}

// A fact that is read is written and read again as the same fact; anything
// else is an error, never a panic.
func FuzzFact(f *testing.F) {
	f.Add([]byte(`{"kind":"objection","number":"+31612345678","advertiser":"*","at":"2026-01-01","scope":"all"}`))
	f.Add([]byte(`{"kind":"consent","number":"+31612345678","advertiser":"a","at":"2026-01-01","purposes":["ideal"],"evidence":{"person":"p"}}`))
	f.Add([]byte(`{"number":true,"evidence":{"evidence":{}}}`))
	f.Add([]byte(`{"kind":"consent","number":"+31612345678","products":["a",""],"bundled":true,"id":"\u003c","source":"<"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		form := FactForm{Zone: amsterdam}
		fact, err := form.ParseJSON(data)
		if plain := (factReader{form: form}); len(data) < maxFactOctet && plain.plain(data) {
			// A space at the end makes it anything but plain.
			slow, slowErr := form.ParseJSON(append(bytes.Clone(data), ' '))
			if fmt.Sprint(err) != fmt.Sprint(slowErr) || !reflect.DeepEqual(fact, slow) {
				t.Fatalf("%s is %+v (%v), read by package json %+v (%v)", data, fact, err, slow, slowErr)
			}
		}
		if err != nil {
			return
		}
		once := fact.AppendJSON(nil)
		again, err := form.ParseJSON(once)
		if err != nil || !bytes.Equal(once, again.AppendJSON(nil)) {
			t.Fatalf("%s became %s (%v)", data, once, err)
		}
	})
}
