package configs

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"dialgate/policy"
	"dialgate/policy/nl"
)

var update = flag.Bool("update", false, "rewrite the expected errors; read the diff")

func plans() *policy.Plans { return policy.NewPlans(nl.Plan()) }

func TestTheShippedFilesAreRight(t *testing.T) {
	for name, data := range map[string][]byte{"dialgate.yaml": Default, "callcentre-nl.yaml": CallcentreNL} {
		c, err := Parse(name, data)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if _, err := policy.NewBooks(c.Settings(), nl.Book()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := c.Build(plans()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestTheSchemaAgreesWithTheParser: the shipped files are valid under the
// schema, and a misspelt key is not.
func TestTheSchemaAgreesWithTheParser(t *testing.T) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(Schema()))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("dialgate.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("dialgate.json")
	if err != nil {
		t.Fatal(err)
	}
	valid := func(data []byte) error {
		var v any
		if err := yaml.Unmarshal(data, &v); err != nil {
			return err
		}
		text, err := json.Marshal(v)
		if err != nil {
			return err
		}
		inst, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err != nil {
			return err
		}
		return schema.Validate(inst)
	}
	for name, data := range map[string][]byte{"dialgate.yaml": Default, "callcentre-nl.yaml": CallcentreNL} {
		if err := valid(data); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	good := "rules: {nl: off, nl.hours: {mode: enforce, percent: 10, weekday_to: '20:00', campaigns: {energy: shadow}, peers: {a: {mode: enforce, percent: 5}}}}"
	if err := valid([]byte(good)); err != nil {
		t.Errorf("%s: %v", good, err)
	}
	for _, bad := range []string{"rules: {nl: {percent: 10}}", "rules: {nl: {peers: {a: {mod: off}}}}", "rules: {nl: {peers: {a: loud}}}", "lisen: {}", "peers: [{id: a, dialect: loud}]", "cluster: {}", "carriers: [{id: a}]"} {
		if valid([]byte(bad)) == nil {
			t.Errorf("the schema accepts %s", bad)
		}
	}
}

// TestBadFiles reports every error of the files in testdata/bad, each with
// its place.
func TestBadFiles(t *testing.T) {
	files, _ := filepath.Glob(filepath.Join("testdata", "bad", "*.yaml"))
	if len(files) < 8 {
		t.Fatalf("only %d bad files", len(files))
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		_, err = Parse(filepath.Base(file), data)
		var errs Errors
		if !errors.As(err, &errs) {
			t.Errorf("%s: got %v, want Errors", file, err)
			continue
		}
		golden := strings.TrimSuffix(file, ".yaml") + ".txt"
		if *update {
			if err := os.WriteFile(golden, []byte(errs.Error()+"\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(golden)
		if err != nil || string(want) != errs.Error()+"\n" {
			t.Errorf("%s (%v): got\n%v\nwant\n%s", file, err, errs, want)
		}
	}
}

func TestDefaultsOfTheSchemaAreRead(t *testing.T) {
	var c Config
	new(decoder).defaults(reflect.ValueOf(&c).Elem(), "") // a wrong one panics
	if c.Ledger.Linger != 2*time.Millisecond || c.Ledger.SegmentSize != 64<<20 || c.Emergency.Numbers[0] != "112" || c.SIP.MaxTransactions != 100000 {
		t.Errorf("%+v", c)
	}
	checkTags(t, reflect.TypeFor[Config]())
	checkTags(t, reflect.TypeFor[caseFile]())
}

func TestWhatIsGivenAsNothingStaysSo(t *testing.T) {
	c, err := Parse("x", []byte("emergency: {numbers: []}\nsip: {drain: 0s}\nredial:\ncarriers: [{id: a, targets: [\"192.0.2.1:5060\"]}]\n"))
	if err != nil {
		t.Fatal(err)
	}
	if c.SIP.Drain != 0 || len(c.Emergency.Numbers) != 0 || c.SIP.TimerC != 185*time.Second || c.Redial.Window != 10*time.Minute || c.Carriers[0].Weight != 1 {
		t.Errorf("%+v", c)
	}
	if w := c.Warnings(); len(w) != 1 || !strings.Contains(w[0], "emergency.numbers") {
		t.Errorf("%v", w)
	}
	if c, err = Parse("x", []byte("emergency: {numbers: }\n")); err != nil || len(c.Emergency.Numbers) != 1 {
		t.Errorf("%v %v", c, err)
	}
	if _, err = Parse("x", []byte("sip: {idle_timeout: 0s}\nledger: {linger: 0s}\n")); err == nil || strings.Count(err.Error(), "too short, at least") != 2 {
		t.Errorf("%v", err)
	}
}

// checkTags: every key is documented.
func checkTags(t *testing.T, typ reflect.Type) {
	for _, f := range keysOf(typ) {
		if f.Tag.Get("doc") == "" {
			t.Errorf("%s.%s has no doc", typ, f.Tag.Get("key"))
		}
		inner := f.Type
		for inner.Kind() == reflect.Slice {
			inner = inner.Elem()
		}
		if inner.Kind() == reflect.Struct {
			checkTags(t, inner)
		}
	}
}

func TestSecretsAndUnquotedNumbers(t *testing.T) {
	t.Setenv("DIALGATE_TEST_KEY", "a key of enough characters")
	c, err := Parse("x.yaml", []byte("sip: {token_key: \"${env:DIALGATE_TEST_KEY}\"}\ncallers: [{number: +31205550100}]\n"))
	if err != nil {
		t.Fatal(err)
	}
	if c.SIP.TokenKey != "a key of enough characters" || c.Callers[0].Number != "+31205550100" {
		t.Errorf("%q %q", c.SIP.TokenKey, c.Callers[0].Number)
	}
}

func TestRuleSettings(t *testing.T) {
	c, err := Parse("x.yaml", []byte("rules:\n  nl.hours: {mode: shadow, weekday_to: \"20:30\"}\n  nl.holidays: off\n  nl.relationship.term: {anniversary_inclusive: true}\n"))
	if err != nil {
		t.Fatal(err)
	}
	s := c.Settings()
	if s.Modes["nl.hours"] != policy.Shadow || s.Params["nl.hours"]["weekday_to"] != 2030 || s.Modes["nl.holidays"] != policy.Off || s.Params["nl.relationship.term"]["anniversary_inclusive"] != 1 {
		t.Errorf("%+v", s)
	}
}

func TestRuleSettingsForAPartOfTheCalls(t *testing.T) {
	c, err := Parse("x.yaml", []byte(`
peers: [{id: a, sources: [192.0.2.1], campaigns: [energy]}]
advertisers: [{id: windkracht}]
campaigns: [{id: energy, advertiser: windkracht, purpose: commercial, products: [energy], callers: ["+31205550100"], objection_offered: true}]
rules:
  nl: {mode: enforce, percent: 100}
  nl.hours: {mode: enforce, percent: 10, weekday_to: 2030, peers: {a: off}, campaigns: {energy: {mode: enforce, percent: 50}}}
  nl.consent: {campaigns: {energy: shadow}}
`))
	if err != nil {
		t.Fatal(err)
	}
	s := c.Settings()
	want := []policy.Choice{
		{Rule: "nl.hours", Mode: policy.Enforce, Spared: 90},
		{Rule: "nl.hours", Peer: "a", Mode: policy.Off},
		{Rule: "nl.hours", Campaign: "energy", Mode: policy.Enforce, Spared: 50},
		{Rule: "nl.consent", Campaign: "energy", Mode: policy.Shadow},
	}
	if !reflect.DeepEqual(s.Choices, want) || len(s.Modes) != 1 || s.Modes["nl"] != policy.Enforce || s.Params["nl.hours"]["weekday_to"] != 2030 {
		t.Errorf("%+v", s)
	}
}

func TestAPeerMayNameWhatNeedsAGroundOnly(t *testing.T) {
	c, err := Parse("x.yaml", []byte(`
peers: [{id: p, sources: [192.0.2.1], campaigns: ["*"], names: ["*"]}]
advertisers: [{id: a}]
campaigns:
  - {id: sell, advertiser: a, purpose: commercial, products: [x], callers: ["+31205550100"]}
  - {id: serve, advertiser: a, purpose: service, no_offer: true, callers: ["+31205550100"]}
  - {id: pretend, advertiser: a, purpose: service, callers: ["+31205550100"]}
`))
	if err != nil {
		t.Fatal(err)
	}
	d, err := c.Build(plans())
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Join(d.Peers[0].Terms.Names, " ")
	if strings.Contains(got, "serve") || !strings.Contains(got, "sell") || !strings.Contains(got, "pretend") {
		t.Errorf("it may name %s", got)
	}
}

func TestACaseFilesSectionsReplaceTheBaseWhole(t *testing.T) {
	f, err := ParseCases("c.yaml", []byte(`
config:
  advertisers: [{id: b}]
  campaigns: [{id: k, advertiser: b, purpose: ideal}]
cases:
  - name: a relationship without a time
    at: 2026-11-23T14:00:00+01:00
    call: {from: "+31205550100", to: "+31612345678"}
    earlier_calls: [{at: 2026-10-01T12:00:00+02:00}]
    registers: {robinson: {as_of: 2026-11-01}}
    facts:
      - {kind: withdrawal, number: "+31612345678", advertiser: b}
      - {kind: relationship, number: 0612345678, advertiser: b, type: gift, started: 2025-01-01}
    expect: {verdict: deny}
`), Default, policy.FactForm{Zone: nl.Book().Zone, Number: func(s string) (policy.Number, error) {
		n, ok := nl.Plan().National(s)
		if !ok {
			return policy.ParseNumber(s)
		}
		return n, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Config.Campaigns) != 1 || f.Config.Campaigns[0].ID != "k" || len(f.Config.Peers) != 1 {
		t.Errorf("campaigns %v, peers %v", f.Config.Campaigns, f.Config.Peers)
	}
	c := f.Cases[0]
	if !c.Facts[0].At.Before(c.Earlier[0].At) || !c.Facts[0].RecordedAt.Equal(c.Facts[0].At) {
		t.Errorf("a fact without a time is of %v, recorded %v; the first call is of %v", c.Facts[0].At, c.Facts[0].RecordedAt, c.Earlier[0].At)
	}
	if got := c.Facts[1].At.In(nl.Book().Zone).Format("2006-01-02 15:04"); got != "2025-01-01 00:00" {
		t.Errorf("a relationship's time is %s", got)
	}
	if c.AsOf["robinson"].IsZero() {
		t.Error("the register's date was not read")
	}
}

// FuzzConfig: whatever stands in a file gives errors or a configuration that
// can be built, never a panic.
func FuzzConfig(f *testing.F) {
	f.Add(Default)
	f.Add(CallcentreNL)
	f.Add([]byte("a: &a [x]\nb: [*a, *a]\n"))
	f.Add([]byte("rules: {nl.hours: {mode: [1]}}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Parse("f.yaml", data)
		if err != nil {
			if err.Error() == "" {
				t.Fatal("an error without a text")
			}
			return
		}
		if _, err := c.Build(plans()); err != nil {
			t.Logf("built with %v", err)
		}
	})
}

// TestFactsOfCasesMayBeginWithAnother: "<<" takes over what a fact does not
// say itself, and nothing else than a mapping.
func TestFactsOfCasesMayBeginWithAnother(t *testing.T) {
	const text = `
cases:
  - name: one
    at: 2026-11-23T14:00:00+01:00
    call: {to: "+31612345678"}
    facts:
      - &first {id: first, kind: objection, number: "+31612345678", advertiser: a, via: agent}
      - {<<: *first, id: second, advertiser: b}
    expect: {verdict: deny}
`
	file, err := ParseCases("cases.yaml", []byte(text), Default, policy.FactForm{Zone: time.UTC, Number: policy.ParseNumber})
	if err != nil {
		t.Fatal(err)
	}
	facts := file.Cases[0].Facts
	if len(facts) != 2 || facts[1].ID != "second" || facts[1].Advertiser != "b" || facts[1].Via != "agent" || facts[0].Advertiser != "a" {
		t.Errorf("the facts are %+v", facts)
	}
	_, err = ParseCases("cases.yaml", []byte(strings.Replace(text, "<<: *first", "<<: 3", 1)), Default, policy.FactForm{Zone: time.UTC, Number: policy.ParseNumber})
	if err == nil || !strings.Contains(err.Error(), "facts[1].<<: want a mapping") {
		t.Errorf("a number was taken for a mapping: %v", err)
	}
}
