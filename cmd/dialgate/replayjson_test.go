package main

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestReplayJSON: a call's line is what the JSON encoder makes of it, whatever
// octets its texts hold.
func TestReplayJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		any := rapid.OneOf(rapid.SampledFrom([]string{"", "<a>&\u2028\x7f\x80\"\\\n\x00", "+31612345678"}), rapid.String(),
			rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) }))
		c := judgement{File: any.Draw(t, "file"), Packet: rapid.Int().Draw(t, "packet"), At: any.Draw(t, "at"), CallID: any.Draw(t, "call_id"),
			From: any.Draw(t, "from"), To: any.Draw(t, "to"), Peer: any.Draw(t, "peer"), Campaign: any.Draw(t, "campaign"),
			Verdict: any.Draw(t, "verdict"), Reason: any.Draw(t, "reason"), Rule: any.Draw(t, "rule")}
		var got, want bytes.Buffer
		newJSONReport(&got).call(&c)
		enc := json.NewEncoder(&want)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(&c); err != nil {
			t.Fatal(err)
		}
		if got.String() != want.String() {
			t.Errorf("got  %s\nwant %s", &got, &want)
		}
	})
}

// TestTimeOfCall: the quick way prints what package time would.
func TestTimeOfCall(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		zone := rapid.SampledFrom([]*time.Location{time.UTC, calledZone(), time.FixedZone("", -3*3600-1800)}).Draw(t, "zone")
		at := time.Unix(rapid.Int64Range(-1<<36, 1<<38).Draw(t, "second"), rapid.Int64Range(0, 1e9-1).Draw(t, "nanosecond")).In(zone)
		if got, want := timeOfCall(at), at.Format("2006-01-02T15:04:05.000000Z07:00"); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	})
}
