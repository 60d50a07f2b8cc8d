package sipproxy

import (
	"testing"
	"testing/synctest"

	dto "github.com/prometheus/client_model/go"

	"dialgate/sipproxy/transport"
)

// TestEveryRequestIsCounted: of requests each counts once in its direction, also
// the ACKs and CANCELs that are ours, however often they are sent.
func TestEveryRequestIsCounted(t *testing.T) {
	for _, x := range []struct {
		name, script string
		in, out      map[string]float64
	}{
		{"a call", "dialer INVITE\n carrier 200\n dialer ACK\n carrier BYE\n dialer 200 of=request",
			map[string]float64{"INVITE": 1, "ACK": 1, "BYE": 1}, map[string]float64{"INVITE": 1, "ACK": 1, "BYE": 1}},
		{"busy, and the answer comes again", "dialer INVITE\n carrier 486\n dialer ACK\n carrier 486",
			map[string]float64{"INVITE": 1, "ACK": 1}, map[string]float64{"INVITE": 1, "ACK": 1}},
		{"cancelled by the dialer, the CANCEL is lost", "dialer INVITE\n carrier 180\n lose 1 ours CANCEL\n dialer CANCEL\n wait 1s\n carrier 200 of=request\n carrier 487\n dialer ACK",
			map[string]float64{"INVITE": 1, "CANCEL": 1, "ACK": 1}, map[string]float64{"INVITE": 1, "CANCEL": 1, "ACK": 1}},
		{"cancelled before anything was heard", "dialer INVITE\n dialer CANCEL\n carrier 486\n dialer ACK",
			map[string]float64{"INVITE": 1, "CANCEL": 1, "ACK": 1}, map[string]float64{"INVITE": 1, "ACK": 1}},
		{"cancelled by an objection", "dialer INVITE\n carrier 180\n objection\n carrier 200 of=request\n carrier 487\n dialer ACK",
			map[string]float64{"INVITE": 1, "ACK": 1}, map[string]float64{"INVITE": 1, "CANCEL": 1, "ACK": 1}},
		{"the second carrier answers", "with second priority=1\n dialer INVITE\n carrier 503\n second 200\n dialer ACK",
			map[string]float64{"INVITE": 1, "ACK": 1}, map[string]float64{"INVITE": 2, "ACK": 2}},
		{"refused", "judge no-consent\n dialer INVITE\n dialer ACK",
			map[string]float64{"INVITE": 1, "ACK": 1}, nil},
	} {
		t.Run(x.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := perform(t, x.script)
				for d, want := range map[direction]map[string]float64{in: x.in, sent: x.out} {
					for i, method := range methods {
						var n dto.Metric
						if err := s.proxy.metrics.requests[d][i][transport.UDP].Write(&n); err != nil {
							t.Fatal(err)
						}
						if got := n.GetCounter().GetValue(); got != want[method] {
							t.Errorf("%s %s: %v, want %v", method, directions[d], got, want[method])
						}
					}
				}
			})
		})
	}
}
