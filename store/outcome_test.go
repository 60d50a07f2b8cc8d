package store

import (
	"testing"
	"time"

	"dialgate/policy"
)

// TestOutcomeRecord reads the octets: those without a carrier are as they were
// before carriers were named.
func TestOutcomeRecord(t *testing.T) {
	id := policy.RulingID{15: 1}
	for _, c := range []struct {
		o    policy.Outcome
		want string
	}{
		{policy.Outcome{ID: id, Code: 403, EndedBy: policy.EndedByGate}, `{"id":"` + id.String() + `","code":403,"ring_ms":0,"ended_by":"gate"}`},
		{policy.Outcome{ID: id, Code: 200, Ring: 1500 * time.Millisecond, Carrier: `voice "b"`, Tried: 3},
			`{"id":"` + id.String() + `","code":200,"ring_ms":1500,"ended_by":"callee","carrier":"voice \"b\"","tried":3}`},
	} {
		if got := string(outcomeRecord(&c.o).Public); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}
