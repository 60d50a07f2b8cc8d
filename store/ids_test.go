package store

import (
	"strings"
	"testing"
	"time"

	"dialgate/policy"
)

// The id of a row without one is made of what it says, and stays the same: an
// import that is run again with a newer program takes nothing twice.
func TestRowsKeepTheirIDs(t *testing.T) {
	zone := time.FixedZone("CET", 3600)
	csv := Intake{Form: policy.FactForm{Zone: zone}, Batch: "b.csv", Constants: map[string]string{"source": "site <1>"}}
	for _, c := range []struct {
		in   Intake
		text string
		want []string
	}{
		{csv, "kind,number,advertiser,at,purposes,products,channels,method,preticked,bundled,verified_at,valid_until,evidence.uri,evidence.note\n" +
			"consent,+31612345678,windkracht,2026-01-02T03:04:05+01:00,commercial|ideal,energy|é,voice|robocall,web-form,no,true,2026-01-02,2027-01-01,s3://x,\"a \"\"quote\"\"\"\n" +
			"consent,+31612345678,windkracht,2026-01-02,,,,,,,,,,\n", []string{"row-271a5fad3c6fd943bb7c3437", "row-5bed0f44bbaa67adea3d260d"}},
		{csv, "kind,number,advertiser,at,scope,via\nobjection,+31612345678,*,2026-01-02T03:04:05.25Z,all,letter\nobjection,+31612345678,*,2026-01-02,,\n", []string{"row-6dbd3e2cb2d9b501aa55522a", "row-c22d76f7c4ea5ea4b106ee4a"}},
		{csv, "kind,number,advertiser,type,started,ended,objection_offered\nrelationship,+31612345678,krant,sale,2024-02-29,,1\nrelationship,+31612345678,krant,subscription,2024-02-29,2025-01-01,0\n", []string{"row-6d75cb2755b2b1876d2591be", "row-c982d125012c66270cd2a0d8"}},
		{csv, "kind,number,at,subscriber,legal_form,published_for\nsubscriber,+31612345678,2026-01-02,unknown,,\nsubscriber,+31612345678,2026-01-02,legal,bv,commercial\n", []string{"row-9b8a09d65aa47b112f6294fa", "row-16aa7f0ba2b783754abd8e02"}},
		{csv, "kind,number,at,list,until,advertiser,consent,topic,undoes,lifts\n" +
			"listed,+31612345678,2026-01-02,nobellen,2026-02-01,,,,,\nwithdrawal,+31612345678,2026-01-02,,,a,c1,,,\ncallback,+31612345678,2026-01-02,,,a,,kettle,,\nundo,+31612345678,2026-01-02,,,a,,,x1,true\n",
			[]string{"row-94192f75f001e1483d4cfe8f", "row-866de032481a4413f6761360", "row-2e860c70c04a911b071d51c3", "row-8c3a10e62ee382d4291738f9"}},
		{Intake{}, `{"kind":"withdrawal","number":"+31612345678","advertiser":"a","at":"2026-07-01T00:00:00+02:00","evidence":{"sha256":"` + strings.Repeat("AB", 32) + `","person":"p"}}` + "\n", []string{"row-478f4723a0b0e15d58168083"}},
	} {
		for i, row := range rowsOf(t, c.in, []byte(c.text)) {
			if row.Err != nil || row.Fact.ID != c.want[i] {
				t.Errorf("%q: row %d is %q, want %q (%v)", c.text, i, row.Fact.ID, c.want[i], row.Err)
			}
		}
	}
}
