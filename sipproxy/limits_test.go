package sipproxy

import (
	"strings"
	"testing"
	"testing/synctest"

	dto "github.com/prometheus/client_model/go"
)

// TestEveryLimitIsCountedAndAnswered: a call for which there is no room is
// refused in the dialect, never by what makes a trunk go round us, and counts
// under its limit and no other. An emergency call passes all limits but its own.
func TestEveryLimitIsCountedAndAnswered(t *testing.T) {
	const two = "dialer INVITE\n dialer INVITE call-id=second\n"
	const help = "dialer INVITE uri=sip:112@192.0.2.1 call-id=help\n"
	scripts := map[overload]string{
		overDraining:     "drain\n dialer INVITE\n",
		overTransactions: "with transactions 1\n" + two,
		overRate:         "with rate 1\n" + two,
		overInSetup:      "with limit\n" + two,
		overEmergency:    "with emergency-rate 1\n dialer INVITE uri=sip:112@192.0.2.1\n" + help,
		overCarrier:      "with first setup=1\n" + two,
	}
	for cause := overDraining; int(cause) < len(overloads); cause++ {
		script := scripts[cause]
		if script == "" {
			t.Errorf("no script goes beyond the limit %q", overloads[cause])
		}
		for dialect, answer := range map[string]string{"safe": "480 Temporarily Unavailable", "strict": "503 Service Unavailable", "vicidial-chansip": "480 Temporarily Unavailable"} {
			t.Run(overloads[cause]+" "+dialect, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := perform(t, "with dialect "+dialect+"\n"+script)
					if seen := s.ladder.String(); strings.Count(seen, answer) != 1 {
						t.Errorf("want one %s\n%s", answer, seen)
					}
					for other := overDraining; int(other) < len(overloads); other++ {
						var n dto.Metric
						if err := s.proxy.metrics.overloads[other].Write(&n); err != nil {
							t.Fatal(err)
						}
						if got := n.GetCounter().GetValue(); got > 0 != (other == cause) || got > 1 {
							t.Errorf("%s has counted %v calls", overloads[other], got)
						}
					}
					if cause == overEmergency {
						return
					}
					s.do(strings.Fields(help), help)
					synctest.Wait()
					if !strings.HasPrefix(string(s.carrier.asked), "INVITE sip:112@") {
						t.Errorf("an emergency call did not pass\n%s", s.ladder)
					}
				})
			})
		}
	}
}
