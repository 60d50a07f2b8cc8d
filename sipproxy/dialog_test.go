package sipproxy

import (
	"strings"
	"testing"
	"testing/synctest"

	"dialgate/internal/simnet"
	"dialgate/sipproxy/message"
)

// lastToCarrier plays a script and returns the last request that left for the carrier.
func lastToCarrier(t *testing.T, script string) (last string) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, nil)
		s.net.Tap = func(p simnet.Packet) {
			if p.To == carrierAddr {
				last = string(p.Payload)
			}
		}
		for line := range strings.SplitSeq(script, "\n") {
			s.do(strings.Fields(line), line)
			synctest.Wait()
		}
	})
	return last
}

const callIsUp = "dialer INVITE\ncarrier 200\ndialer ACK\n"

// TestStrictRoutersAreMended: a request leaves with its target in the
// Request-URI and no Route when a strict router stood before us (RFC 3261
// section 16.4), and the other way round when one comes next (16.6 step 6).
func TestStrictRoutersAreMended(t *testing.T) {
	for route, want := range map[string][2]string{
		"loose":       {"sip:carrier@198.51.100.5:5060", ""},
		"strict":      {"sip:carrier@198.51.100.5:5060", ""},
		"strict-next": {"sip:198.51.100.5:5060", "<sip:carrier@198.51.100.5:5060>"},
	} {
		for _, method := range []string{"BYE", "ACK", "UPDATE"} {
			out := lastToCarrier(t, callIsUp+"dialer "+method+" route="+route)
			var v message.View
			if err := v.Parse([]byte(out)); err != nil {
				t.Fatal(err)
			}
			if !v.IsMethod(method) || string(v.URI) != want[0] || string(v.Value(message.Route)) != want[1] {
				t.Errorf("%s by a %s route left as\n%s", method, route, out)
			}
		}
	}
}

// TestOurMaddrIsTakenAway: RFC 3261 section 16.4.
func TestOurMaddrIsTakenAway(t *testing.T) {
	out := lastToCarrier(t, "dialer INVITE uri=sip:+31612345678@192.0.2.1;user=phone;maddr=192.0.2.1")
	if !strings.HasPrefix(out, "INVITE sip:+31612345678@198.51.100.5:5060;user=phone SIP/2.0\r\n") {
		t.Errorf("left as\n%s", out)
	}
}

// TestWhatADialerMayNotSayDoesNotLeave: as with its first INVITE, whatever the method.
func TestWhatADialerMayNotSayDoesNotLeave(t *testing.T) {
	const own = "<sip:+31205550100@dialer.example>"
	for _, method := range []string{"REINVITE", "UPDATE", "INFO", "BYE"} {
		out := lastToCarrier(t, callIsUp+"dialer "+method+" header=p-asserted-identity:_"+own+" header=P-Preferred-Identity:_"+own+" header=X-Campaign:_energy header=X-Other:_stays")
		for _, gone := range []string{"p-asserted-identity", "P-Preferred-Identity", "X-Campaign"} {
			if strings.Contains(out, gone) {
				t.Errorf("%s left with %s:\n%s", method, gone, out)
			}
		}
		if !strings.Contains(out, "X-Other: stays\r\n") {
			t.Errorf("%s:\n%s", method, out)
		}
	}
}

// TestReferTargets: what a REFER may name, and what makes it malformed.
func TestReferTargets(t *testing.T) {
	for to, passes := range map[string]bool{
		"<sip:+31698765432@carrier.example>":                          true,
		"<tel:+31698765432>":                                          true,
		"sip:+31698765432@carrier.example":                            true,
		"<sip:+31698765432@x?Replaces=a%3Bto-tag%3Db%3Bfrom-tag%3Dc>": true,
		"<sip:+31698765432@x;method=INVITE>":                          false,
		"<sip:+31698765432@x?Route=%3Csip:y%3E>":                      false,
		"<sip:+31698765432@x?Replaces=a&From=b>":                      false,
		"<sip:+31698765432@x?%52oute=y>":                              false,
		"<sip:+31698765432@x;maddr=203.0.113.9>":                      false,
		"<sip:+31698765432;rn=+31201234567@x>":                        false,
		"<sip:+31698765432@x>,<sip:+31698765433@x>":                   false,
		"<sip:+31698765432@x":                                         false,
		"":                                                            false,
	} {
		script := callIsUp + "dialer REFER header=Refer-To:_" + to
		if to == "" {
			script = callIsUp + "dialer REFER"
		}
		if out := lastToCarrier(t, script); strings.HasPrefix(out, "REFER ") != passes {
			t.Errorf("Refer-To: %s: passed %v, want %v", to, !passes, passes)
		}
	}
	if out := lastToCarrier(t, callIsUp+"dialer REFER header=Refer-To:_<sip:+31698765432@x> header=r:_<sip:+31698765433@x>"); strings.HasPrefix(out, "REFER ") {
		t.Error("a REFER with two targets passed")
	}
}
